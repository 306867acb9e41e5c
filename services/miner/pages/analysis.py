"""The pages of one analysis: a head that is live on all of them, a tab to an address, and what can be done with it."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from services.miner.api.analyses import get_history
from services.miner.api.audit import list_entries
from services.miner.api.outputs import link_to, list_outputs, output_file
from services.miner.api.stream import has_ended
from services.miner.asking import ask_for_cancel, ask_for_ingest
from services.miner.auth.permissions import Permission
from services.miner.context import TheAnalysis, TheCaller, ThePerson, ThePorts, TheProject, analysis_named, loaded
from services.miner.listing import Filters, list_page
from services.miner.pages.analysis_buttons import buttons_of
from services.miner.pages.analysis_compare import compare, digest_of
from services.miner.pages.analysis_course import course_of
from services.miner.pages.analysis_log import LINES, LogAsked, last_lines_of, log_page
from services.miner.pages.analysis_preview import FRAMED, LARGEST_BYTES, can_be_shown, preview_of
from services.miner.pages.analysis_steps import MOST_STEPS, meaning_of, step_of
from services.miner.pages.asked import asked_of
from services.miner.pages.leaves import leaves, shown
from services.miner.pages.rendering import render, see_other
from services.miner.problems import Refusal, not_found
from services.miner.ranges import Span, chunks
from shared.domain import paths
from shared.domain.analysis import Analysis
from shared.domain.errors import Transient
from shared.domain.timeline import timeline
from shared.ports import Ports, Stored
from shared.runtime import now_utc
from shared.steps.inputs import whole_inputs

router = APIRouter(include_in_schema=False)

TABS = {
    "": "Overview", "steps": "Steps", "logs": "Logs", "inputs": "Inputs", "outputs": "Outputs",
    "metrics": "Metrics & QC", "compare": "Compare", "history": "History",
}
LAST_LINES = 20
OUTPUTS_ON_A_PAGE = 100
STATED_ON_A_PAGE = 200
"""Outputs of an analysis that has no more of them are listed with the time at which each was written."""

LARGEST_INPUTS_BYTES = 1_000_000
"""Larger ones are shown as far as the document holds them."""

Cursor = Annotated[str | None, Query(max_length=1000)]


@router.get("/analyses/{analysis}")
def overview(
    request: Request, stored: TheAnalysis, ports: ThePorts, ingest_after: str | None = None
) -> HTMLResponse:
    """`ingest_after`: an ingest was asked for that is to begin later than the one that began then. The page asks for
    itself until that has ended, since there may be no stream to tell."""
    analysis = loaded(stored).analysis
    waits = _waits_for_an_ingest(analysis, ingest_after)
    return _page(request, stored, ports, "", outputs=analysis.outputs[:8], waits=waits,
                 every_s=1 if ingest_after and (waits or not has_ended(stored.data)) else 0)


@router.get("/analyses/{analysis}/steps")
def steps(request: Request, stored: TheAnalysis, ports: ThePorts) -> HTMLResponse:
    analysis = loaded(stored).analysis
    found, total, zone, note = [], 0, None, "No job has begun yet: steps appear once Batch has taken the job."
    if analysis.job.uid is not None:
        try:
            job = ports.engine.describe(analysis.job.name)
            found, total, zone = [step_of(task) for task in job.tasks[:MOST_STEPS]], job.tasks_total, timeline(job).zone
            note = "" if found else "Batch shows no task: none has been made yet, or the job has been deleted there."
        except Transient as error:
            note = f"Batch cannot be asked now: {error}"
    elif analysis.status.final:
        note = "No job has begun, so there were no steps."
    return _page(request, stored, ports, "steps", steps=sorted(found, key=lambda step: step.task), total=total,
                 zone=zone, note=note, meaning_of=meaning_of, every_s=0 if analysis.status.final else 5)


@router.get("/analyses/{analysis}/logs")
def logs(request: Request, stored: TheAnalysis, ports: ThePorts) -> HTMLResponse:
    analysis = loaded(stored).analysis
    asked = asked_of(request, LogAsked)
    return _page(request, stored, ports, "logs", asked=asked, log=log_page(ports, analysis, asked.filters),
                 tasks=max(1, analysis.pipeline.definition["task_count"]), lines_at_first=LINES)


@router.get("/analyses/{analysis}/inputs")
def inputs(request: Request, stored: TheAnalysis, ports: ThePorts, as_: Annotated[
    str, Query(alias="as", pattern="^(table|json)$")] = "table") -> HTMLResponse:
    analysis = loaded(stored).analysis
    whole = analysis.inputs_size <= LARGEST_INPUTS_BYTES
    found = whole_inputs(ports, analysis) if whole else analysis.inputs
    return _page(
        request, stored, ports, "inputs", form=as_, whole=whole,
        values=[(path, shown(value)) for path, value in leaves(found)] if found else [],
        files={file.path: file for file in analysis.input_files},
        text=json.dumps(found, indent=2, ensure_ascii=False) if as_ == "json" else "",
    )


@router.get("/analyses/{analysis}/input-file")
def input_file(request: Request, stored: TheAnalysis, ports: ThePorts, path: str) -> Response:
    """One of the files that the analysis read, from a short-lived address."""
    analysis = loaded(stored).analysis
    named = path in {file.path for file in analysis.input_files}
    file = ports.objects.stat(analysis.bucket, path) if named else None
    if file is None:
        raise not_found(f"input file {path!r} of analysis {analysis.display_id!r} any more")
    return RedirectResponse(link_to(request, ports, analysis, file).url, 303, {"Cache-Control": "no-store"})


@router.get("/analyses/{analysis}/outputs")
def outputs(
    request: Request, stored: TheAnalysis, ports: ThePorts, person: ThePerson, cursor: Cursor = None,
    preview: Annotated[str, Query(max_length=2000)] = "",
) -> HTMLResponse:
    analysis = loaded(stored).analysis
    may_read = person.may(Permission.READ_FILES, analysis.project)
    if preview and not may_read:
        raise Refusal(403, "role-needed", "This takes the role viewer; an admin of the project can give it.")
    file = output_file(ports, analysis, preview) if preview else None
    return _page(
        request, stored, ports, "outputs", found=list_outputs(stored, ports, OUTPUTS_ON_A_PAGE, cursor), cursor=cursor,
        written=_written(ports, analysis), file=file, preview=file and preview_of(ports, analysis.bucket, file),
        can_be_shown=can_be_shown,
    )


@router.get("/analyses/{analysis}/files/{path:path}")
def shown_file(stored: TheAnalysis, ports: ThePorts, path: str) -> Response:
    """A report or a picture for the frame that shows it."""
    analysis = loaded(stored).analysis
    file = output_file(ports, analysis, path)
    kind = FRAMED.get(f".{file.path.rpartition('.')[2].lower()}")
    if kind is None or file.size > LARGEST_BYTES:
        raise not_found(f"file {path!r} that can be shown; it can be downloaded")
    content = chunks(ports, analysis.bucket, file.path, Span(0, file.size))
    return StreamingResponse(content, media_type=kind[0], headers={
        "Content-Disposition": "inline", "Content-Security-Policy": kind[1], "Content-Length": str(file.size),
    })


@router.get("/analyses/{analysis}/metrics")
def metrics(request: Request, stored: TheAnalysis, ports: ThePorts) -> HTMLResponse:
    analysis = loaded(stored).analysis
    return _page(
        request, stored, ports, "metrics",
        values=[(path, shown(value)) for path, value in leaves(analysis.metrics.pipeline) if path],
        report=list(zip(analysis.ingest.files, analysis.ingest.report, strict=False)),
    )


@router.get("/analyses/{analysis}/history")
def history(
    request: Request, stored: TheAnalysis, ports: ThePorts, person: ThePerson, cursor: Cursor = None,
    audit_cursor: Cursor = None,
) -> HTMLResponse:
    analysis = loaded(stored).analysis
    audit = None
    if person.may(Permission.OPERATE, analysis.project):
        audit = list_entries(analysis.project, ports, f"analyses/{analysis.id}", 50, audit_cursor)
    return _page(request, stored, ports, "history", changes=get_history(stored, 50, cursor), cursor=cursor,
                 audit=audit, audit_cursor=audit_cursor)


@router.get("/analyses/{analysis}/compare")
def comparison(
    request: Request, stored: TheAnalysis, ports: ThePorts, project: TheProject,
    with_: Annotated[str, Query(alias="with", max_length=200)] = "",
) -> HTMLResponse:
    """With the analysis that `with` names; by default with the one that this is a rerun of."""
    analysis = loaded(stored).analysis
    name = with_ or analysis.rerun_of or ""
    other = analysis_named(ports, project, name) if name else None
    before = loaded(other).analysis if other else None
    offered = list_page(ports.documents, project.id, Filters(pipeline=[analysis.pipeline.slug], limit=20)).items
    return _page(
        request, stored, ports, "compare", asked_with=with_, before=before,
        comparison=compare(ports, before, analysis) if before and before.id != analysis.id else None,
        offered=[each for each in offered if each.id != analysis.id],
    )


# -- what is done -------------------------------------------------------------------------------------------------


@router.get("/analyses/{analysis}/cancel")
def ask_to_cancel(request: Request, stored: TheAnalysis) -> Response:
    """What will be lost, and whether it is really meant."""
    analysis = loaded(stored).analysis
    if analysis.status.final or analysis.cancel_requested:
        return see_other(request, f"/analyses/{analysis.slug}")
    return render(request, "analyses/cancel.html", analysis=analysis)


@router.post("/analyses/{analysis}/cancel")
def do_cancel(request: Request, stored: TheAnalysis, ports: ThePorts, caller: TheCaller) -> Response:
    found = ask_for_cancel(ports, loaded(stored), by=caller)
    page = f"/analyses/{found.analysis.slug}"
    return see_other(request, page, message="The cancel is on its way; Batch has to confirm it.")


@router.post("/analyses/{analysis}/ingest")
def do_ingest(request: Request, stored: TheAnalysis, ports: ThePorts) -> Response:
    analysis = loaded(stored).analysis
    ask_for_ingest(ports, analysis, force=True)
    before = analysis.ingest.started_at
    return see_other(request, f"/analyses/{analysis.slug}", {"ingest_after": before.isoformat() if before else "never"},
                     message="The variants will be read anew; those there are stay until then.")


# -- what all tabs have -------------------------------------------------------------------------------------------


def _page(request: Request, stored: Stored, ports: Ports, tab: str, **values: Any) -> HTMLResponse:
    analysis = loaded(stored).analysis
    admitted = request.state.admitted
    query = [pair for pair in request.query_params.multi_items() if pair[0] != "project"]
    return render(
        request, f"analyses/detail_{tab or 'overview'}.html", analysis=analysis, tab=tab, tabs=TABS,
        page=f"/analyses/{analysis.slug}", query=query, course=course_of(analysis, now_utc()),
        buttons=buttons_of(analysis, admitted.person), live=not has_ended(stored.data), digest=digest_of(analysis),
        parent=_parent(ports, analysis), reruns=_reruns(ports, analysis), meaning=meaning_of,
        last_lines=_last_lines(ports, analysis, admitted.person.may(Permission.READ_FILES, analysis.project), tab),
        **{"every_s": 0, **values},
    )


def _waits_for_an_ingest(analysis: Analysis, ingest_after: str | None) -> bool:
    begun = analysis.ingest.started_at
    return ingest_after is not None and ingest_after == (begun.isoformat() if begun else "never")


def _parent(ports: Ports, analysis: Analysis) -> Analysis | None:
    if analysis.rerun_of is None:
        return None
    stored = ports.documents.get(paths.analysis_doc(analysis.project, analysis.rerun_of))
    return loaded(stored).analysis if stored else None


def _reruns(ports: Ports, analysis: Analysis) -> list[Any]:
    """The last few."""
    return list(list_page(ports.documents, analysis.project, Filters(rerun_of=analysis.id, limit=5)).items)


def _last_lines(ports: Ports, analysis: Analysis, may_read: bool, tab: str) -> list[str]:
    """Of a run that failed, on its first page."""
    if analysis.failure is None or tab or not may_read:
        return []
    return last_lines_of(ports, analysis, analysis.failure.task or 0, LAST_LINES)


def _written(ports: Ports, analysis: Analysis) -> dict[str, Any]:
    """When each file was written, by its path."""
    if not analysis.outputs_total or analysis.outputs_total > STATED_ON_A_PAGE:
        return {}
    return {file.path: file.updated_at for file in ports.objects.list(analysis.bucket, analysis.folder)}


