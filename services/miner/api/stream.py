"""Server-sent events: the present state at once, then each change of it within a second of its commit.

https://html.spec.whatwg.org/multipage/server-sent-events.html
Pages read them with the cookie that they have anyway: no address and no log line holds a token. A stream ends within
seconds after the right to see it has gone, and after `LONGEST_S` in any case, so that whoever reads on proves anew who
they are; a reader comes back by itself and misses nothing of what a page shows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from services.miner.auth.permissions import Permission
from services.miner.auth.person import Person
from services.miner.context import TheAnalysis, TheOrder, ThePerson, ThePorts, TheProject
from services.miner.live import Changes, Hub, Reader
from services.miner.problems import documented
from shared.domain import paths
from shared.domain.analysis import FINAL, Status
from shared.domain.errors import Transient
from shared.ports import Documents, Json, Ports, Stored

router = APIRouter(tags=["live"])

CHECK_S = 3.0
"""How often the right is looked at again; a silent stream gets a comment as often, which shows who has gone away."""

LONGEST_S = 900.0

SLOW_S = 30.0
"""A client that takes nothing for so long is cut off; it may come back."""

_INGEST_ENDED = ("ready", "failed", "not_applicable")

LastEventId = Annotated[
    str | None, Header(max_length=200, description="`id` of the last event that arrived, to go on behind it.")
]
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "The events."},
    **documented(400, 404, 503),
}


class EventStream(StreamingResponse):
    """Not kept by anybody, not held back by a proxy (`X-Accel-Buffering`), not open for one who does not read."""

    media_type = "text/event-stream"

    def __init__(self, content: AsyncIterator[str]) -> None:
        super().__init__(content, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: MutableMapping[str, Any]) -> None:
            async with asyncio.timeout(SLOW_S):
                await send(message)

        await super().__call__(scope, receive, send_in_time)


@router.get("/analyses/events", response_class=EventStream, status_code=200, responses=_STREAM)
async def changed_analyses(
    request: Request, project: TheProject, person: ThePerson, last_event_id: LastEventId = None
) -> EventStream:
    """For lists: `changed` with the `ids` of analyses that changed; null: any may have (as at the beginning)."""
    return EventStream(_ids(request, person, paths.analyses(project.id), project.id, last_event_id))


@router.get("/orders/events", response_class=EventStream, status_code=200, responses=_STREAM)
async def changed_orders(
    request: Request, project: TheProject, person: ThePerson, last_event_id: LastEventId = None
) -> EventStream:
    """As for analyses."""
    return EventStream(_ids(request, person, paths.orders(project.id), project.id, last_event_id))


@router.get("/analyses/{analysis}/events", response_class=EventStream, status_code=200, responses={
    204: {"description": "It has ended, and the last event that arrived says so: there is nothing to come."}, **_STREAM,
})
async def analysis_events(
    request: Request, stored: TheAnalysis, person: ThePerson, ports: ThePorts, last_event_id: LastEventId = None
) -> Response:
    """`state`: status, ingest with its progress, and of the history what is new; the last event, `end`, comes once
    the analysis is final and its ingest has ended."""
    if last_event_id == stored.version and has_ended(stored.data):
        return Response(status_code=204)
    return EventStream(_states(request, ports, person, stored, _analysis_state, has_ended))


@router.get("/orders/{order}/events", response_class=EventStream, status_code=200, responses=_STREAM)
async def order_events(request: Request, stored: TheOrder, person: ThePerson, ports: ThePorts) -> EventStream:
    """`state`: the order's status, and how far its cache is."""
    return EventStream(_states(request, ports, person, stored, _order_state, lambda _: False))


# -- what is sent -------------------------------------------------------------------------------------------------


async def _ids(
    request: Request, person: Person, collection: str, project: str, since: str | None
) -> AsyncIterator[str]:
    async with _hub(request).reading(_documents(request), collection, since=since) as reader:
        async for changes in _while_seen(reader, person, project):
            if changes is None:
                yield COMMENT
            elif changes.documents is None or changes.documents:
                ids = None if changes.documents is None else sorted(changes.documents)
                yield event("changed", changes.mark, {"ids": ids})


async def _states(
    request: Request, ports: Ports, person: Person, stored: Stored,
    state_of: Callable[[Json], dict[str, Any]], has_ended: Callable[[Json], bool],
) -> AsyncIterator[str]:
    """Of a document that was read before and after a change the older one is passed over."""
    collection, project = stored.path.rpartition("/")[0], paths.project_of(stored.path)
    sent: Stored | None = None
    async with _hub(request).reading(_documents(request), collection, only=stored.id) as reader:
        async for changes in _while_seen(reader, person, project):
            if changes is None:
                yield COMMENT
                continue
            if (found := await _present(ports, stored, changes)) is None:
                return
            if sent and (sent.version == found.version or sent.data["updated_at"] > found.data["updated_at"]):
                continue
            new = _new_history(found.data, sent.data["history_total"] if sent else 0)
            ended = has_ended(found.data)
            yield event("state", found.version, {**state_of(found.data), "history": new})
            if ended:
                yield event("end", found.version, {"id": found.id})
                return
            sent = found


async def _present(ports: Ports, stored: Stored, changes: Changes) -> Stored | None:
    if changes.documents is not None:
        return changes.documents[stored.id]
    return await run_in_threadpool(ports.documents.get, stored.path)


async def _while_seen(reader: Reader, person: Person, project: str) -> AsyncIterator[Changes | None]:
    """Changes as they come, None after a silence; ends with the right to see them. While nobody can tell whether the
    right is still there, nothing is sent."""
    clock = asyncio.get_running_loop().time
    began = checked = clock()
    while clock() - began < LONGEST_S:
        if clock() - checked >= CHECK_S:
            try:
                if not await run_in_threadpool(person.may, Permission.SEE, project):
                    return
            except Transient:
                await asyncio.sleep(CHECK_S)
                yield None
                continue
            checked = clock()
        yield await reader.next(CHECK_S)


def _documents(request: Request) -> Documents:
    """Not those of the request, which a feed outlives."""
    ports: Ports = request.app.state.ports()
    return ports.documents


def _hub(request: Request) -> Hub:
    hub: Hub = request.app.state.live
    return hub


COMMENT = ": still here\n\n"


def event(kind: str, mark: str, data: Mapping[str, Any]) -> str:
    return f"event: {kind}\nid: {mark}\ndata: {json.dumps(data, separators=(',', ':'), ensure_ascii=False)}\n\n"


def _new_history(document: Json, told: int) -> list[Any]:
    """The entries behind the first `told`; of a very long history those of the middle are not kept."""
    kept = document["history"]
    new = max(document["history_total"], len(kept)) - told
    return list(kept[-new:]) if new > 0 else []


def has_ended(analysis: Json) -> bool:
    return analysis["status"] in FINAL and (
        analysis["status"] != Status.SUCCEEDED or analysis["ingest"]["status"] in _INGEST_ENDED
    )


def _analysis_state(analysis: Json) -> dict[str, Any]:
    ingest = analysis["ingest"]
    return {
        **{name: analysis[name] for name in (
            "id", "display_id", "status", "status_detail", "cancel_requested", "started_at", "finished_at",
            "updated_at", "history_total", "outputs_total",
        )},
        "ingest": {name: ingest[name] for name in ("status", "progress", "rows", "failure")},
    }


def _order_state(order: Json) -> dict[str, Any]:
    cache = order["cache"]
    return {
        **{name: order[name] for name in ("id", "display_id", "status", "updated_at", "history_total")},
        "cache": {name: cache[name] for name in ("status", "progress", "failure")},
    }
