"""For operators: what was refused, what failed for good, which cancels are not confirmed; and a push to the reconciler.

With the header X-Project-ID it is that project's (or `unassigned`, which keeps what names no project); without it, all.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query
from pydantic import BaseModel, ConfigDict

from services.miner.context import TheCaller, ThePorts
from services.miner.cursors import Place, decode_cursor, encode_cursor
from services.miner.problems import documented, not_found
from services.miner.summaries import Silent, Unconfirmed
from shared.domain import paths
from shared.domain.analysis import UNFINISHED
from shared.domain.clock import Time, iso, seconds_between
from shared.domain.events import Topic
from shared.domain.reasons import Reason
from shared.ports import Message, Order, Page, Ports, Stored, Where
from shared.ports import Query as DocumentQuery
from shared.steps import dead_letters

router = APIRouter(prefix="/ops", tags=["operations"])
EVERYWHERE = "*"

Limit = Annotated[int, Query(ge=1, le=200, description="Entries on a page.")]
RejectionId = Annotated[str, Path(description="Of the list.")]
LetterId = Annotated[str, Path(description="Of the list.")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class RejectionShort(_Shown):
    """A request that can never succeed, without its payload."""

    id: str
    project: str
    project_named: str | None
    request_id: str | None
    reasons: list[Reason]
    at: Time


class Rejection(RejectionShort):
    """`payload` is the text as it came; of a long one the head, and `payload_path` in the bucket has the whole."""

    event_id: str | None
    message_id: str
    attributes: dict[str, str]
    payload: str
    payload_path: str | None


class DeadLetterShort(_Shown):
    """A message that no handler took, without its payload."""

    id: str
    project: str
    subscription: str
    topic: str
    reason: str
    attempts: int
    at: Time
    replayed_at: Time | None
    replayed_by: str | None


class DeadLetter(DeadLetterShort):
    """`payload` is base64 of the bytes; `text` their head, for people."""

    attributes: dict[str, str]
    ordering_key: str
    payload: str | None
    payload_path: str | None
    text: str


class RejectionPage(BaseModel):
    items: list[RejectionShort]
    next: str | None


class DeadLetterPage(BaseModel):
    items: list[DeadLetterShort]
    next: str | None


class CancelPage(BaseModel):
    items: list[Unconfirmed]
    next: str | None


class SilentPage(BaseModel):
    items: list[Silent]
    next: str | None


class Queue(BaseModel):
    """Messages that wait for a function; `age_seconds` of the oldest."""

    subscription: str
    waiting: int
    age_seconds: float


class Queues(BaseModel):
    """`told` is false where the bus does not tell: on Google Cloud the dashboard does."""

    told: bool
    items: list[Queue]


class Asked(BaseModel):
    message_id: str


def the_scope(
    x_project_id: Annotated[str | None, Header(description="A project, or unassigned; without it, all.")] = None,
) -> str:
    """The guard has looked at whether it exists and is theirs."""
    return x_project_id or EVERYWHERE


TheScope = Annotated[str, Depends(the_scope)]


@router.get("/rejections", responses=documented(400, 404, 503))
def list_rejections(scope: TheScope, ports: ThePorts, limit: Limit = 50, cursor: Cursor = None) -> RejectionPage:
    """Requests that were refused, the newest first."""
    page, following = _page(ports, scope, "rejections", limit, cursor)
    return RejectionPage(items=[RejectionShort.model_validate(one.data) for one in page.items], next=following)


@router.get("/rejections/{rejection}", responses=documented(404, 503))
def get_rejection(rejection: RejectionId, scope: TheScope, ports: ThePorts) -> Rejection:
    """One of them, with its payload."""
    return Rejection.model_validate(_one(ports, scope, "rejections", rejection).data)


@router.get("/dead-letters", responses=documented(400, 404, 503))
def list_dead_letters(scope: TheScope, ports: ThePorts, limit: Limit = 50, cursor: Cursor = None) -> DeadLetterPage:
    """Messages that failed for good, the newest first."""
    page, following = _page(ports, scope, "dead_letters", limit, cursor)
    return DeadLetterPage(items=[DeadLetterShort.model_validate(one.data) for one in page.items], next=following)


@router.get("/dead-letters/{letter}", responses=documented(404, 503))
def get_dead_letter(letter: LetterId, scope: TheScope, ports: ThePorts) -> DeadLetter:
    """One of them, with its payload."""
    return DeadLetter.model_validate(_one(ports, scope, "dead_letters", letter).data)


@router.post("/dead-letters/{letter}/replay", status_code=202, responses=documented(404, 422, 503))
def replay(letter: LetterId, scope: TheScope, ports: ThePorts, caller: TheCaller) -> DeadLetter:
    """Publishes it again, for the subscription that refused it. May be repeated."""
    found = _one(ports, scope, "dead_letters", letter)
    return DeadLetter.model_validate(dead_letters.replay(ports, paths.project_of(found.path), found.id, caller))


@router.post("/reconcile", status_code=202, responses=documented(503))
def reconcile(ports: ThePorts) -> Asked:
    """A round of the reconciler now, and not when its clock says so."""
    return Asked(message_id=ports.bus.publish(Topic.TICKS, Message(b"{}", {})))


@router.get("/cancels", responses=documented(400, 404, 503))
def list_cancels(scope: TheScope, ports: ThePorts, limit: Limit = 50, cursor: Cursor = None) -> CancelPage:
    """Cancels that were asked for and that Batch has not confirmed, the longest waiting first."""
    unfinished = (Where("status", "in", list(UNFINISHED)),)
    query = DocumentQuery(_collection(scope, "analyses"), unfinished, (Order("cancel_requested.at"),), limit)
    page, following = _ask(ports, query, cursor)
    now = ports.clock()
    return CancelPage(items=[Unconfirmed.of(one.data, now) for one in page.items], next=following)


@router.get("/silent", responses=documented(400, 404, 503))
def list_silent(scope: TheScope, ports: ThePorts, limit: Limit = 50, cursor: Cursor = None) -> SilentPage:
    """Unfinished analyses of which nothing was heard for longer than the reconciler waits, the longest silent first."""
    now = ports.clock()
    before = iso(now - timedelta(seconds=ports.rules.policy.silent_after_s))
    where = (Where("status", "in", list(UNFINISHED)), Where("updated_at", "<=", before))
    query = DocumentQuery(_collection(scope, "analyses"), where, (Order("updated_at"),), limit)
    page, following = _ask(ports, query, cursor)
    return SilentPage(items=[Silent.of(one.data, now) for one in page.items], next=following)


@router.get("/queues", responses=documented(503))
def list_queues(ports: ThePorts) -> Queues:
    """What waits between the services, of all projects."""
    found, now = ports.bus.depth(), ports.clock()
    return Queues(told=found is not None, items=[
        Queue(subscription=name, waiting=waiting, age_seconds=seconds_between(oldest, now))
        for name, (waiting, oldest) in sorted((found or {}).items())
    ])


def _collection(scope: str, family: str) -> str:
    return f"*/{family}" if scope == EVERYWHERE else f"projects/{scope}/{family}"


def _page(ports: Ports, scope: str, family: str, limit: int, cursor: str | None) -> tuple[Page, str | None]:
    order = (Order("at", descending=True),)
    return _ask(ports, DocumentQuery(_collection(scope, family), order=order, limit=limit), cursor)


def _ask(ports: Ports, query: DocumentQuery, cursor: str | None) -> tuple[Page, str | None]:
    asked: dict[str, Any] = {"collection": query.collection, "order": query.order[0].field}
    after: Place | None = decode_cursor(cursor, asked, parts=2)
    page = ports.documents.query(replace(query, after=after))
    return page, encode_cursor(page.next, asked) if page.next else None


def _one(ports: Ports, scope: str, family: str, identity: str) -> Stored:
    query = DocumentQuery(_collection(scope, family), (Where("id", "==", identity),), limit=1)
    for found in ports.documents.query(query).items:
        return found
    raise not_found(f"{family.replace('_', ' ').removesuffix('s')} {identity!r}")
