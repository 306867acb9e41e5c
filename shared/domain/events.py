"""The events of the product: one envelope, a closed list of types, and which topic each travels on.

The envelope is a CloudEvents 1.0 object in JSON; what subscriptions filter by stands in the message's attributes too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

SOURCE = "//iflow"
SCHEMA_VERSION = 1


class Topic(StrEnum):
    """Short names of infra/topology.yaml."""

    COMMANDS = "analysis-commands"
    BATCH = "batch-events"
    EVENTS = "analysis-events"
    TICKS = "reconcile-ticks"
    DEAD_LETTERS = "dead-letters"


class EventType(StrEnum):
    SUBMIT = "analysis.submit"
    CANCEL = "analysis.cancel"
    START = "analysis.start"
    INGEST = "analysis.ingest"
    QUEUED = "analysis.queued"
    RUNNING = "analysis.running"
    SUCCEEDED = "analysis.succeeded"
    FAILED = "analysis.failed"
    CANCELLED = "analysis.cancelled"
    INGESTED = "analysis.ingested"
    INGEST_FAILED = "analysis.ingest_failed"
    REJECTED = "analysis.rejected"
    STUCK = "analysis.stuck"
    CALLBACK = "analysis.callback"
    ORDER_CREATED = "order.created"
    ORDER_CHANGED = "order.changed"
    ORDER_CACHE = "order.cache"
    ORDER_CACHED = "order.cached"
    ORDER_CACHE_FAILED = "order.cache_failed"

    @property
    def topic(self) -> Topic:
        return Topic.COMMANDS if self in COMMAND_TYPES else Topic.EVENTS


COMMAND_TYPES = frozenset({
    EventType.SUBMIT, EventType.START, EventType.CANCEL, EventType.INGEST, EventType.CALLBACK, EventType.ORDER_CACHE,
})

CALLED_BACK = frozenset({
    EventType.SUCCEEDED, EventType.FAILED, EventType.CANCELLED, EventType.INGESTED, EventType.INGEST_FAILED,
})
"""Of these a requester hears who gave a `callback_url`."""


class Event(BaseModel):
    """`subject` is the analysis id (or the request id, where there is no analysis). `time` is UTC."""

    model_config = ConfigDict(frozen=True, extra="ignore")  # CloudEvents lets a producer add attributes

    id: str = Field(min_length=1, max_length=200)
    type: EventType
    source: str = Field(default=SOURCE, max_length=500)
    specversion: Literal["1.0"] = "1.0"
    subject: str = Field(max_length=200)
    time: AwareDatetime
    project: str = Field(max_length=64)
    data: Mapping[str, Any]

    def attributes(self) -> dict[str, str]:
        """What subscriptions filter by, and what an operator sees without opening the body."""
        return {"id": self.id, "type": self.type, "project": self.project, "subject": self.subject}

    def to_bytes(self) -> bytes:
        return json.dumps(self.model_dump(mode="json"), separators=(",", ":")).encode()


def event_about(
    kind: EventType, *, project: str, subject: str, sequence: int, at: datetime, data: Mapping[str, Any]
) -> Event:
    """The id follows from the document and the event's place in it, so that a repeat is known as one. `subject` is the
    id of an analysis or of an order."""
    return Event(
        id=f"{subject}.{sequence}", type=kind, subject=subject, time=at, project=project, data=data
    )
