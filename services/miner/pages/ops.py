"""For operators: what failed for good, what was refused, what is silent, what waits; and what can be done about it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from services.miner.api import ops
from services.miner.auth.guard import Admitted
from services.miner.auth.permissions import Permission
from services.miner.context import TheCaller, ThePerson, ThePorts
from services.miner.pages.rendering import render, see_other
from shared.domain import paths

router = APIRouter(prefix="/ops", include_in_schema=False)
PAGE = 50
TABS = {
    "": "Dead letters", "rejections": "Rejections", "silent": "Silent analyses", "cancels": "Cancels",
    "queues": "Queues",
}
Cursor = Annotated[str | None, Query(max_length=1000)]
Everywhere = Annotated[bool, Query(description="Of all projects: for superadmins.")]


@router.get("")
def overview(
    request: Request, ports: ThePorts, person: ThePerson, tab: Annotated[str, Query(max_length=20)] = "",
    everywhere: Everywhere = False, cursor: Cursor = None,
) -> HTMLResponse:
    may_all = person.may(Permission.EVERYTHING)
    tabs = {name: title for name, title in TABS.items() if name != "queues" or may_all}
    wanted = tab if tab in tabs else ""
    scope = _scope(request, everywhere=everywhere)
    lists = {
        "": ops.list_dead_letters, "rejections": ops.list_rejections, "silent": ops.list_silent,
        "cancels": ops.list_cancels,
    }
    found = lists[wanted](scope, ports, PAGE, cursor) if wanted in lists else None
    return render(
        request, "ops/overview.html", tab=wanted, tabs=tabs, found=found, may_all=may_all, cursor=cursor,
        queues=ops.list_queues(ports) if wanted == "queues" else None, everywhere=scope == ops.EVERYWHERE,
    )


@router.get("/rejections/{rejection}")
def rejection(
    request: Request, rejection: ops.RejectionId, ports: ThePorts, everywhere: Everywhere = False
) -> HTMLResponse:
    scope = _scope(request, everywhere=everywhere)
    return render(request, "ops/rejection.html", one=ops.get_rejection(rejection, scope, ports), everywhere=everywhere)


@router.get("/dead-letters/{letter}")
def dead_letter(
    request: Request, letter: ops.LetterId, ports: ThePorts, everywhere: Everywhere = False
) -> HTMLResponse:
    scope = _scope(request, everywhere=everywhere)
    return render(request, "ops/dead_letter.html", one=ops.get_dead_letter(letter, scope, ports), everywhere=everywhere)


@router.post("/dead-letters/{letter}/replay")
def replay(
    request: Request, letter: ops.LetterId, ports: ThePorts, caller: TheCaller, everywhere: Everywhere = False
) -> Response:
    done = ops.replay(letter, _scope(request, everywhere=everywhere), ports, caller)
    more = [("everywhere", "true")] if everywhere else []
    return see_other(request, f"/ops/dead-letters/{letter}", more, message=f"Published again for {done.subscription}.")


@router.post("/reconcile")
def reconcile(request: Request, ports: ThePorts) -> Response:
    ops.reconcile(ports)
    return see_other(request, "/ops", [("tab", "silent")], message="A round of the reconciler begins now.")


def _scope(request: Request, *, everywhere: bool) -> str:
    """The project that the guard admitted to; all of them only for whom it would admit without one."""
    admitted: Admitted = request.state.admitted
    if everywhere and admitted.person.may(Permission.OPERATE):
        return ops.EVERYWHERE
    return admitted.project.id if admitted.project else paths.UNASSIGNED
