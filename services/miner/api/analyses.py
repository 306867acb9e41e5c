"""Analyses: ask for one, list them, read one, cancel it, run it again, ingest it again."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from services.miner.asking import ask_for_cancel, ask_for_ingest, ask_for_new, ask_for_rerun
from services.miner.bodies import Rerun
from services.miner.context import (
    TheAnalysis,
    TheBody,
    TheCaller,
    TheKey,
    TheOptionalBody,
    ThePerson,
    ThePorts,
    TheProject,
    loaded,
    parse,
    requested_by,
)
from services.miner.cursors import decode_cursor, encode_cursor, slice_of
from services.miner.etags import NOT_MODIFIED, IfNoneMatch, answered, document
from services.miner.listing import AnalysisPage, Filters, TabCounts, list_page, tab_counts
from services.miner.openapi import NEW_ANALYSIS, RERUN, request_body
from services.miner.problems import documented
from shared.domain.analysis import Analysis, Metrics, Status
from shared.domain.part import Change
from shared.steps.rerun import Changes
from shared.steps.store import Loaded

router = APIRouter(prefix="/analyses", tags=["analyses"])
SOURCE = "REST"


class HistoryPage(BaseModel):
    """`total` counts all that happened; `next` is null on the last page."""

    items: list[Change]
    total: int
    next: str | None


class IngestAsked(BaseModel):
    analysis_id: str
    message_id: str


def _whole(found: Loaded, status: int = 200, **headers: str) -> JSONResponse:
    """The document as it is stored; its version is the ETag."""
    return JSONResponse(found.analysis.to_document(), status, {"ETag": f'"{found.version}"', **headers})


def _location(analysis: Analysis) -> str:
    return f"/api/v1{router.prefix}/{analysis.id}"


@router.post(
    "", status_code=201, response_model=Analysis, openapi_extra=request_body("NewAnalysis", NEW_ANALYSIS),
    responses={200: {"model": Analysis, "description": "The request was made before; its analysis as it is now."},
               **documented(400, 404, 413, 422, 503)},
)
def create(project: TheProject, ports: ThePorts, person: ThePerson, key: TheKey, body: TheBody) -> Response:
    """Asks for an analysis. The answer comes once it is stored: it can be read at once, and will be started."""
    fields = {**body, "requested_by": requested_by(person, body), "project": project.id}
    found, repeated = ask_for_new(ports, {"request_id": key or ports.new_id(), **fields}, source=SOURCE)
    return _whole(found, 200 if repeated else 201, Location=_location(found.analysis))


@router.get("", responses=documented(400, 404, 503))
def list_analyses(
    filters: Annotated[Filters, Query()], project: TheProject, ports: ThePorts, caller: TheCaller
) -> AnalysisPage:
    """The project's analyses that all filters hold for, without inputs, outputs and history."""
    return list_page(ports.documents, project.id, filters.of(caller))


@router.get("-counts", responses=documented(400, 404, 503))
def count_analyses(
    filters: Annotated[Filters, Query()], project: TheProject, ports: ThePorts, caller: TheCaller
) -> TabCounts:
    """How many analyses each tab of the list holds under these filters; tab, sort and page are passed over."""
    return tab_counts(ports.documents, project.id, filters.of(caller))


@router.get("/{analysis}", response_model=Analysis, responses={**NOT_MODIFIED, **documented(400, 404, 503)})
def get_analysis(stored: TheAnalysis, if_none_match: IfNoneMatch = None) -> Response:
    """The whole document, as it is stored."""
    return document(stored, if_none_match)


@router.get("/{analysis}/history", responses=documented(400, 404, 503))
def get_history(
    stored: TheAnalysis,
    limit: Annotated[int, Query(ge=1, le=200, description="Entries on a page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")] = None,
) -> HistoryPage:
    """What happened to it, the oldest first. Of a very long history the first entries are kept, and the last."""
    analysis = loaded(stored).analysis
    asked = {"history": analysis.id}
    start, end, place = slice_of(len(analysis.history), limit, decode_cursor(cursor, asked, parts=1))
    return HistoryPage(
        items=list(analysis.history[start:end]), total=analysis.history_total or len(analysis.history),
        next=encode_cursor(place, asked) if place else None,
    )


@router.get("/{analysis}/metrics", response_model=Metrics, responses={**NOT_MODIFIED, **documented(400, 404, 503)})
def get_metrics(stored: TheAnalysis, if_none_match: IfNoneMatch = None) -> Response:
    """Times in seconds, attempts, cost, and what the pipeline wrote to its `metrics.json`."""
    return answered(stored.data["metrics"], stored.version, if_none_match)


@router.post("/{analysis}/cancel", status_code=202, response_model=Analysis,
             responses={200: {"model": Analysis, "description": "It is cancelled already; nothing was done."},
                        **documented(400, 404, 409, 503)})
def cancel(stored: TheAnalysis, ports: ThePorts, caller: TheCaller) -> Response:
    """Notes who asked; Batch is asked from there on, and `cancelled` it is when Batch confirms. Again adds nothing."""
    found = ask_for_cancel(ports, loaded(stored), by=caller)
    return _whole(found, 200 if found.analysis.status is Status.CANCELLED else 202)


@router.post(
    "/{analysis}/rerun", status_code=201, response_model=Analysis,
    openapi_extra=request_body("Rerun", RERUN, required=False),
    responses={200: {"model": Analysis, "description": "This rerun was asked for before."},
               **documented(400, 404, 413, 422, 503)},
)
def run_again(
    stored: TheAnalysis, ports: ThePorts, caller: TheCaller, key: TheKey, body: TheOptionalBody
) -> Response:
    """A new analysis with the inputs, samples and definition that were run then, but for what the body changes. The old
    one stays as it is."""
    old = loaded(stored).analysis
    wanted = parse(Rerun, body)
    found, repeated = ask_for_rerun(
        ports, old, request_id=key or ports.new_id(), display_id=wanted.display_id, by=caller, source=SOURCE,
        changes=Changes(wanted.inputs, wanted.version, wanted.samples),
    )
    return _whole(found, 200 if repeated else 201, Location=_location(found.analysis))


@router.post("/{analysis}/ingest", status_code=202, responses=documented(400, 404, 409, 503))
def ingest_again(
    stored: TheAnalysis, ports: ThePorts,
    force: Annotated[bool, Query(description="Also when it is ready or has failed.")] = False,
) -> IngestAsked:
    """Asks for the ingest of a succeeded analysis; the document's `ingest` says how it goes."""
    analysis = loaded(stored).analysis
    return IngestAsked(analysis_id=analysis.id, message_id=ask_for_ingest(ports, analysis, force=force))
