"""Publishes an event as an upstream service would. Any bytes are taken, so that it can be tried what bad ones do."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from services.miner.context import ThePorts, read_body
from services.miner.problems import documented
from shared.domain.events import EventType, Topic
from shared.domain.json_text import read_json
from shared.ports import Message

router = APIRouter(prefix="/events", tags=["events"])

MAX_EVENT_BYTES = 10_000_000
"""Pub/Sub's own limit of a message: what our functions refuse for its size can still be published."""

CARRIED = ("id", "type", "project", "subject")
"""Of the envelope, in the message's attributes too: subscriptions filter by them."""


class Published(BaseModel):
    message_id: str
    topic: Topic
    attributes: dict[str, str]


@router.post(
    "", status_code=202, responses=documented(400, 413, 503),
    openapi_extra={"requestBody": {"required": True, "content": {
        "application/cloudevents+json": {"schema": {"type": "object"}}, "application/octet-stream": {},
    }}},
)
async def publish(
    request: Request, ports: ThePorts,
    topic: Annotated[Topic, Query(description="Where to.")] = Topic.COMMANDS,
    type_: Annotated[EventType, Query(alias="type", description="Of a body that does not say its type.")]
    = EventType.SUBMIT,
    x_project_id: Annotated[str | None, Header(description="Of a body that names no project.")] = None,
) -> Published:
    """The body goes to the topic as it is. It is not checked: whoever receives it records what is wrong with it."""
    data = await read_body(request, MAX_EVENT_BYTES)
    said = {"type": str(type_), **({"project": x_project_id} if x_project_id else {})}
    attributes = {**said, **_attributes(data)}
    message = Message(data, attributes, ordering_key=attributes.get("subject", ""))
    message_id = await run_in_threadpool(ports.bus.publish, topic, message)
    return Published(message_id=message_id, topic=topic, attributes=attributes)


def _attributes(data: bytes) -> dict[str, str]:
    try:
        body = read_json(data)
    except ValueError:
        return {}
    if not isinstance(body, dict):
        return {}
    return {name: body[name][:1024] for name in CARRIED if isinstance(body.get(name), str)}
