"""Orders: the list, one order with its samples and how far its variants are, and the form that asks for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, Response

from services.miner.api.orders import asked_for, asked_to_build, changed_by, moved_by, page_of
from services.miner.bodies import OrderTransition
from services.miner.context import (
    TheCaller,
    TheOrder,
    ThePerson,
    ThePorts,
    TheProject,
    analysis_named,
    loaded,
    loaded_order,
)
from services.miner.pages.forms import Fields, problems_of, rows_of, the_fields
from services.miner.pages.rendering import render, see_other
from shared.domain.order import TRANSITIONS, Mode, Order, OrderStatus, Priority
from shared.domain.request import RequestRefused, Role, Sex
from shared.steps.order_proposal import proposed

router = APIRouter(include_in_schema=False)
SOURCE = "the pages"

STATUS_TONES = {
    OrderStatus.OPEN: "calm", OrderStatus.IN_REVIEW: "warn", OrderStatus.REPORTED: "good", OrderStatus.CANCELLED: "off",
}
PRIORITY_TONES = {Priority.ROUTINE: "calm", Priority.URGENT: "warn", Priority.STAT: "bad"}
CACHE_TONES = {"pending": "calm", "building": "busy", "ready": "good", "failed": "bad"}
_WORDS: Mapping[str, Any] = {
    "status_tones": STATUS_TONES, "priority_tones": PRIORITY_TONES, "cache_tones": CACHE_TONES,
}
EMPTY_ROWS = 1


@router.get("/orders")
def orders(
    request: Request, project: TheProject, ports: ThePorts, status: Annotated[str, Query()] = "",
    cursor: Annotated[str | None, Query(max_length=1000)] = None,
) -> HTMLResponse:
    wanted = OrderStatus(status) if status in list(OrderStatus) else None
    page = page_of(ports, project, wanted, 50, cursor)
    return render(
        request, "orders/list.html", page=page, wanted=wanted, statuses=list(OrderStatus), cursor=cursor, **_WORDS
    )


@router.get("/orders/new")
def order_form(
    request: Request, project: TheProject, ports: ThePorts, analysis: Annotated[list[str] | None, Query()] = None
) -> HTMLResponse:
    """Pre-filled with the samples and roles that these analyses ran against."""
    found = [loaded(stored).analysis for name in analysis or () if (stored := analysis_named(ports, project, name))]
    return _form(request, proposed(ports.documents, project, found).model_dump(mode="json"), ports.new_id())


@router.post("/orders/new")
def create_order(
    request: Request, project: TheProject, ports: ThePorts, person: ThePerson, fields: Annotated[Fields, the_fields]
) -> Response:
    """`key` was made with the form: sent twice, it is one order."""
    body = {
        "display_id": fields.one("display_id"), "mode": fields.one("mode") or None,
        "priority": fields.one("priority") or Priority.ROUTINE, "samples": _samples(fields),
        "analyses": [name.strip() for name in fields.one("analyses").split(",") if name.strip()],
    }
    try:
        found, repeated = asked_for(ports, project, person, fields.one("key") or None, body, source=SOURCE)
    except RequestRefused as error:
        return _form(request, body, fields.one("key"), problems_of(error.reasons), status=422)
    said = "was ordered before" if repeated else "is ordered"
    return see_other(request, f"/orders/{found.order.slug}", message=f"{found.order.display_id} {said}.")


@router.get("/orders/{order}")
def order(request: Request, stored: TheOrder, project: TheProject, ports: ThePorts) -> HTMLResponse:
    found = loaded_order(stored).order
    analyses = [(name, analysis_named(ports, project, name)) for name in found.analyses]
    return render(
        request, "orders/order.html", order=found, version=stored.version, **_WORDS, moves=_moves(found),
        analyses=[(name, loaded(each).analysis if each else None) for name, each in analyses],
        roles=list(Role), sexes=list(Sex),
    )


@router.post("/orders/{order}/transition")
def move(
    request: Request, stored: TheOrder, ports: ThePorts, caller: TheCaller,
    to: Annotated[OrderStatus, Form()], reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    found = moved_by(ports, stored, caller, OrderTransition(to=to, reason=reason), source=SOURCE).order
    return see_other(request, f"/orders/{found.slug}", message=f"{found.display_id} is {found.status} now."
                     .replace("_", " "))


@router.post("/orders/{order}/analyses")
def add_analysis(
    request: Request, stored: TheOrder, project: TheProject, ports: ThePorts, caller: TheCaller,
    analysis: Annotated[str, Form(max_length=200)],
) -> Response:
    body = {"add_analyses": [analysis.strip()]}
    found = changed_by(ports, project, stored, caller, body, source=SOURCE).order
    return see_other(request, f"/orders/{found.slug}", message="Added; its variants are joined to those of the order.")


@router.post("/orders/{order}/rebuild")
def rebuild(request: Request, stored: TheOrder, ports: ThePorts) -> Response:
    asked_to_build(ports, stored, anew=True)
    return see_other(request, f"/orders/{loaded_order(stored).order.slug}", message="The variants are joined anew.")


def _form(
    request: Request, body: Mapping[str, Any], key: str, problems: Mapping[str, str] | None = None, status: int = 200
) -> HTMLResponse:
    return render(
        request, "orders/new.html", status, body=body, key=key, problems=problems or {}, modes=list(Mode),
        priorities=list(Priority), roles=list(Role), sexes=list(Sex), empty_rows=EMPTY_ROWS,
    )


def _samples(fields: Fields) -> list[dict[str, str]]:
    return [row for row in rows_of(fields, "sample", ("name", "role", "sex")) if row["name"]]


def _moves(order: Order) -> list[OrderStatus]:
    return [status for status in OrderStatus if status in TRANSITIONS[order.status]]
