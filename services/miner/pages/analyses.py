"""The list of analyses: tabs with counts, filters in the address, live, and what can be done with several at once."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from services.miner.api.pipelines import list_pipelines
from services.miner.context import ThePerson, ThePorts, TheProject
from services.miner.listing import ME, Filters, Tab, list_page, tab_counts
from services.miner.pages.asked import asked_of, chips_of
from services.miner.pages.rendering import render
from shared.domain.analysis import Status
from shared.domain.request import Origin

router = APIRouter(include_in_schema=False)

TABS: Mapping[Tab, str] = {
    Tab.ALL: "All", Tab.IN_PROGRESS: "In progress", Tab.COMPLETED: "Completed", Tab.FAILED: "Failed",
    Tab.CANCELLED: "Cancelled", Tab.NEEDS_ATTENTION: "Needs attention",
}
CHIPS = {
    "status": "", "pipeline": "Pipeline", "version": "Version", "created_from": "From", "created_to": "To",
    "finished_from": "Ended from", "finished_to": "Ended to", "origin": "By", "sample": "Sample", "order": "Order",
    "started_by": "Started by", "rerun_of": "Rerun of", "text": "Name",
}


@router.get("/analyses")
def analyses(request: Request, project: TheProject, ports: ThePorts, person: ThePerson) -> HTMLResponse:
    asked = asked_of(request, Filters)
    filters = asked.filters.of(person.email)
    page = list_page(ports.documents, project.id, filters)
    return render(
        request, "analyses/list.html", asked=asked, page=page, tabs=TABS,
        counts=tab_counts(ports.documents, project.id, filters).tabs, pipelines=list_pipelines(project, ports).items,
        statuses=list(Status), origins=list(Origin), mine=ME, chip_names=CHIPS, chips_of=chips_of,
        live=any(not each.status.final or each.ingest.status in ("pending", "running") for each in page.items),
    )
