"""Orders: ask for one, list them, read one, change it, move it on, have its cache built anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi import Query as Parameter
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from services.miner.auth.person import Person
from services.miner.bodies import OrderTransition
from services.miner.context import (
    TheBody,
    TheCaller,
    TheKey,
    TheOrder,
    ThePerson,
    ThePorts,
    TheProject,
    analysis_named,
    loaded,
    loaded_order,
    parse,
    requested_by,
)
from services.miner.cursors import decode_cursor, encode_cursor
from services.miner.etags import NOT_MODIFIED, IfMatch, IfNoneMatch, document, refuse_another
from services.miner.openapi import NEW_ORDER, request_body
from services.miner.problems import Refusal, documented, not_found
from shared.domain import paths
from shared.domain.cache import CacheStatus, Missing
from shared.domain.clock import Time
from shared.domain.events import EventType, event_about
from shared.domain.lifecycle import Unchanged
from shared.domain.order import (
    MOST_ANALYSES,
    Changed,
    Mode,
    Order,
    OrderAnswer,
    OrderChange,
    OrderStatus,
    Priority,
    change,
    parse_order,
    transition,
)
from shared.domain.project import Project
from shared.domain.request import Sample
from shared.ports import Order as By
from shared.ports import Ports, Query, Stored, Where
from shared.steps.announce import announce, message_of
from shared.steps.order_proposal import OrderProposal, proposed
from shared.steps.orders import LoadedOrder, accept_order, analyses_named, decide_order, load_order, settled

router = APIRouter(prefix="/orders", tags=["orders"])
proposals = APIRouter()
SOURCE = "REST"


class BuiltShort(BaseModel):
    model_config = ConfigDict(extra="ignore")

    version: str
    rows: int
    built_at: Time


class CacheShort(BaseModel):
    """`built` is what can be read now, also while another is being built."""

    model_config = ConfigDict(extra="ignore")

    status: CacheStatus
    built: BuiltShort | None
    missing: list[Missing]
    failure: str | None


class OrderShort(BaseModel):
    """Fields have the names and values of the order document."""

    model_config = ConfigDict(extra="ignore")

    id: str
    display_id: str
    slug: str
    project: str
    status: OrderStatus
    mode: Mode
    priority: Priority
    samples: list[Sample]
    analyses: list[str]
    cache: CacheShort
    created_at: Time
    created_by: str
    updated_at: Time


class OrderPage(BaseModel):
    """`next` is the cursor of the following page, and null on the last one."""

    items: list[OrderShort]
    next: str | None


class BuildAsked(BaseModel):
    order_id: str
    message_id: str


@router.post(
    "", status_code=201, response_model=Order, openapi_extra=request_body("NewOrder", NEW_ORDER),
    responses={200: {"model": Order, "description": "The request was made before; its order as it is now."},
               **documented(400, 404, 413, 422, 503)},
)
def create(project: TheProject, ports: ThePorts, person: ThePerson, key: TheKey, body: TheBody) -> Response:
    """Asks for an order, of analyses (by id, slug or display id) or of samples. Where the analysis is ingested, its
    variants can be read at once."""
    found, repeated = asked_for(ports, project, person, key, body)
    return _whole(found, 200 if repeated else 201, Location=f"/api/v1{router.prefix}/{found.order.id}")


def asked_for(
    ports: Ports, project: Project, person: Person, key: str | None, body: dict[str, Any], *, source: str = SOURCE
) -> tuple[LoadedOrder, bool]:
    """The order, and whether it was asked for before. Raises RequestRefused."""
    fields = {**body, "requested_by": requested_by(person, body), "project": project.id, **_by_id(ports, project, body)}
    request = parse_order({"request_id": key or ports.new_id(), **fields})
    repeated = ports.documents.get(paths.order_doc(project.id, request.order_id)) is not None
    return _announced(ports, accept_order(ports, request, source=source)), repeated


@router.get("", responses=documented(400, 404, 503))
def list_orders(
    project: TheProject, ports: ThePorts,
    status: Annotated[OrderStatus | None, Parameter(description="Only those that are so.")] = None,
    limit: Annotated[int, Parameter(ge=1, le=200, description="Orders on a page.")] = 50,
    cursor: Annotated[str | None, Parameter(max_length=1000, description="`next` of the page before.")] = None,
) -> OrderPage:
    """The project's orders, the newest first."""
    return page_of(ports, project, status, limit, cursor)


def page_of(ports: Ports, project: Project, status: OrderStatus | None, limit: int, cursor: str | None) -> OrderPage:
    asked = {"list": "orders", "project": project.id, "status": status}
    where = (Where("status", "==", status),) if status else ()
    order = (By("created_at", descending=True),)
    query = Query(paths.orders(project.id), where, order, limit, decode_cursor(cursor, asked, parts=2))
    page = ports.documents.query(query)
    return OrderPage(
        items=[OrderShort.model_validate(stored.data) for stored in page.items],
        next=encode_cursor(page.next, asked) if page.next else None,
    )


@proposals.get("/orders-proposal", tags=["orders"], responses=documented(400, 404, 503))
def propose(
    project: TheProject, ports: ThePorts,
    analysis: Annotated[list[str], Parameter(
        min_length=1, max_length=MOST_ANALYSES, examples=[["wgs-12-a"]],
        description="Repeatable: an analysis by its id, its slug or its display id.",
    )],
) -> OrderProposal:
    """The body of an order of these analyses, to be sent as it is or changed: a display id that is free, the samples
    in their roles, and the mode that these mean."""
    found = {name: analysis_named(ports, project, name) for name in analysis}
    if missing := [name for name, stored in found.items() if stored is None]:
        raise not_found(f"analysis {missing[0]!r} in project {project.id!r}")
    chosen = [loaded(stored).analysis for stored in found.values() if stored is not None]
    return proposed(ports.documents, project, chosen)


@router.get("/{order}", response_model=Order, responses={**NOT_MODIFIED, **documented(400, 404, 503)})
def get_order(stored: TheOrder, if_none_match: IfNoneMatch = None) -> Response:
    """The whole document, as it is stored."""
    return document(stored, if_none_match)


@router.patch("/{order}", response_model=Order,
              openapi_extra=request_body("OrderChange", {"add_analyses": ["wgs-12-a-rerun-2"]}),
              responses=documented(400, 404, 409, 412, 413, 422, 503))
def change_order(
    stored: TheOrder, project: TheProject, ports: ThePorts, caller: TheCaller, if_match: IfMatch, body: TheBody
) -> Response:
    """Other samples or roles, more analyses. What can be read stays what it was until the new cache is there, whole."""
    refuse_another(stored, if_match)
    return _whole(changed_by(ports, project, stored, caller, body))


def changed_by(
    ports: Ports, project: Project, stored: Stored, caller: str, body: dict[str, Any], *, source: str = SOURCE
) -> LoadedOrder:
    """The order as `body` (an OrderChange) wants it. Raises RequestRefused, Refusal (409)."""
    wanted = parse(OrderChange, {**body, **_by_id(ports, project, body, "add_analyses")})
    analyses_named(ports, project.id, wanted.add_analyses)

    def changed(current: Order) -> OrderAnswer:
        answer = change(current, wanted, ports.clock(), by=caller, source=source)
        if isinstance(answer, Unchanged) or answer.order.cache.wanted_at is None:
            return answer
        return Changed(settled(ports, answer.order))

    return _decided(ports, stored.path, loaded_order(stored), changed)


@router.post("/{order}/transition", response_model=Order,
             openapi_extra=request_body("OrderTransition", {"to": "in_review"}),
             responses=documented(400, 404, 409, 412, 413, 422, 503))
def move_on(stored: TheOrder, ports: ThePorts, caller: TheCaller, if_match: IfMatch, body: TheBody) -> Response:
    """To another status. What a reported order shows is not counted anew any more."""
    refuse_another(stored, if_match)
    return _whole(moved_by(ports, stored, caller, parse(OrderTransition, body)))


def moved_by(
    ports: Ports, stored: Stored, caller: str, wanted: OrderTransition, *, source: str = SOURCE
) -> LoadedOrder:
    """The order in its new status. Raises Refusal (409)."""
    return _decided(ports, stored.path, loaded_order(stored), lambda current: transition(
        current, wanted.to, ports.clock(), by=caller, source=source, reason=wanted.reason or f"Moved to {wanted.to}."
    ))


@router.post("/{order}/cache", status_code=202, responses=documented(400, 404, 503))
def build_again(
    stored: TheOrder, ports: ThePorts,
    anew: Annotated[bool, Parameter(description="Also where its tables are the right ones: to count anew.")] = False,
) -> BuildAsked:
    """Asks for the order's cache to be looked at; the document's `cache` says how it goes."""
    return asked_to_build(ports, stored, anew=anew)


def asked_to_build(ports: Ports, stored: Stored, *, anew: bool) -> BuildAsked:
    order = loaded_order(stored).order
    command = event_about(
        EventType.ORDER_CACHE, project=order.project, subject=order.id, sequence=order.events_total,
        at=ports.clock(), data={"order_id": order.id, "anew": anew},
    ).model_copy(update={"id": f"{order.id}.cache-{ports.new_id()}"})
    return BuildAsked(order_id=order.id, message_id=ports.bus.publish(command.type.topic, message_of(command)))


def _by_id(ports: Ports, project: Project, body: dict[str, Any], field: str = "analyses") -> dict[str, Any]:
    """The analyses that a body names, by their ids; what is not there stays as written, and is refused by that name."""
    named = body.get(field)
    if not isinstance(named, list):
        return {}
    found = {name: analysis_named(ports, project, name) for name in named if isinstance(name, str)}
    ids = {name: stored.id for name, stored in found.items() if stored is not None}
    return {field: [ids.get(name, name) if isinstance(name, str) else name for name in named]}


def _decided(ports: Ports, path: str, known: LoadedOrder, decision: Callable[[Order], OrderAnswer]) -> LoadedOrder:
    found, why_not = decide_order(ports.documents, path, decision, known=known)
    if why_not is not None:
        raise Refusal(409, "order-unchanged", f"Order {found.order.display_id!r}: {why_not}.")
    return _announced(ports, found)


def _whole(found: LoadedOrder, status: int = 200, **headers: str) -> JSONResponse:
    return JSONResponse(found.order.to_document(), status, {"ETag": f'"{found.version}"', **headers})


def _announced(ports: Ports, found: LoadedOrder) -> LoadedOrder:
    """Publishes what was committed, and reads the document as it is then. What the bus does not take stays `unsent`."""
    if not found.order.unsent:
        return found
    announce(ports.documents, ports.bus, found.stored)
    return load_order(ports.documents, found.order.doc_path)
