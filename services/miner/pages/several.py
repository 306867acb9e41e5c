"""What is done with several analyses at once, as they were ticked in the list: cancels are confirmed, archives sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import HTMLResponse, Response

from services.miner.api.archives import MOST_ANALYSES, archive_of_several
from services.miner.asking import ask_for_cancel
from services.miner.context import TheCaller, ThePorts, TheProject, analysis_named, loaded
from services.miner.pages.forms import Fields, the_fields
from services.miner.pages.rendering import render, see_other
from services.miner.problems import Refusal
from shared.domain.analysis import Analysis
from shared.domain.project import Project
from shared.ports import Ports
from shared.steps.store import Loaded

router = APIRouter(include_in_schema=False)

Named = Annotated[list[str], Query(alias="analysis", min_length=1, max_length=MOST_ANALYSES)]
NAME = "analysis"


@router.post("/analyses/several")
def several(request: Request, _: TheProject, fields: Annotated[Fields, the_fields]) -> Response:
    """On to what the pressed button is for."""
    names = fields.many(NAME)
    if not names:
        return see_other(request, "/analyses", message="Nothing was ticked.")
    page = "/analyses/several/archive" if fields.one("do") == "download" else "/analyses/several/cancel"
    return see_other(request, page, {NAME: names[:MOST_ANALYSES]})


@router.get("/analyses/several/archive")
def archive(
    request: Request, project: TheProject, ports: ThePorts, names: Named,
    range_: Annotated[str | None, Header(alias="Range")] = None, if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """As the API's archive, whose refusals are pages here."""
    return archive_of_several(request, project, ports, names, range_, if_range)


@router.get("/analyses/several/cancel")
def confirm(request: Request, project: TheProject, ports: ThePorts, names: Named) -> HTMLResponse:
    """Which of them can be cancelled, and why the others cannot; after it was done, what came of it."""
    found = _found(ports, project, names)
    return render(
        request, "new/several.html", names=names,
        wanted=[each.analysis for each in found if not why_not(each.analysis)],
        skipped=[(each.analysis, why_not(each.analysis)) for each in found if why_not(each.analysis)],
    )


@router.post("/analyses/several/cancel")
def cancel(
    request: Request, project: TheProject, ports: ThePorts, caller: TheCaller, fields: Annotated[Fields, the_fields]
) -> Response:
    """One that has ended meanwhile is skipped like one that had ended before."""
    names = fields.many(NAME)[:MOST_ANALYSES]
    if not names:
        return see_other(request, "/analyses", message="Nothing was ticked.")
    asked, skipped = 0, []
    for each in _found(ports, project, names):
        why = why_not(each.analysis)
        try:
            if not why:
                ask_for_cancel(ports, each, by=caller)
                asked += 1
        except Refusal as refusal:
            why = str(refusal)
        if why:
            skipped.append(f"{each.analysis.display_id} {why}")
    said = f"Cancels were asked for: {asked}."
    if skipped:
        said += f" Skipped: {'; '.join(skipped)}."
    return see_other(request, "/analyses/several/cancel", {NAME: names}, message=said)


def why_not(analysis: Analysis) -> str:
    """Why a cancel of it would do nothing; empty where it would."""
    if analysis.status.final:
        return f"has {analysis.status} already" if analysis.status != "cancelled" else "is cancelled already"
    return "is being cancelled already" if analysis.cancel_requested else ""


def _found(ports: Ports, project: Project, names: Sequence[str]) -> list[Loaded]:
    """Each once; what is not there is passed over."""
    found = (analysis_named(ports, project, name) for name in names)
    return list({stored.id: loaded(stored) for stored in found if stored is not None}.values())
