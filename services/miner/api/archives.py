"""All outputs of one or of several analyses as one file, which can be resumed like any other."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse

from services.miner.archive import archive_of
from services.miner.context import (
    TheAnalysis,
    ThePorts,
    TheProject,
    analysis_named,
    loaded,
    note_what_is_read,
)
from services.miner.problems import documented, not_found
from services.miner.ranges import Span, headers_of, span_of
from shared.domain.analysis import Analysis
from shared.ports import Ports
from shared.steps.outputs import every_output

router = APIRouter(tags=["outputs"])

MOST_ANALYSES = 50
MEDIA_TYPE = "application/x-tar"

Range = Annotated[str | None, Header(alias="Range", description="One range, as `bytes=0-1023`.")]
IfRange = Annotated[str | None, Header(description="The ETag that the range is meant for.")]
_TAR = {
    200: {"content": {MEDIA_TYPE: {}}, "description": "A tar: `manifest.json`, then the files under `{slug}/`."},
    206: {"content": {MEDIA_TYPE: {}}, "description": "The range of it."},
    **documented(400, 404, 409, 416, 422, 503),
}


@router.head("/analyses/{analysis}/archive", include_in_schema=False)
@router.get("/analyses/{analysis}/archive", response_class=Response, responses=_TAR)
def archive_of_one(
    request: Request, stored: TheAnalysis, ports: ThePorts, range_: Range = None, if_range: IfRange = None
) -> Response:
    """All outputs, with a manifest of their checksums. Refused where a file is no more what the run left."""
    analysis = loaded(stored).analysis
    return _sent(request, ports, [analysis], f"{analysis.slug}.tar", range_, if_range)


@router.head("/archives", include_in_schema=False)
@router.get("/archives", response_class=Response, responses=_TAR)
def archive_of_several(
    request: Request, project: TheProject, ports: ThePorts,
    analysis: Annotated[list[str], Query(min_length=1, max_length=MOST_ANALYSES, description="Id, slug or display id; "
                                         "once for each.")],
    range_: Range = None, if_range: IfRange = None,
) -> Response:
    """As for one analysis, in the order in which they are named."""
    found: dict[str, Analysis] = {}
    for name in analysis:
        stored = analysis_named(ports, project, name)
        if stored is None:
            raise not_found(f"analysis {name!r} in project {project.id!r}")
        note_what_is_read(request, stored)
        found[stored.id] = loaded(stored).analysis
    return _sent(request, ports, list(found.values()), f"{project.id}-analyses.tar", range_, if_range)


def _sent(
    request: Request, ports: Ports, analyses: list[Analysis], name: str, range_: str | None, if_range: str | None
) -> Response:
    archive = archive_of(ports, [(analysis, every_output(ports, analysis)) for analysis in analyses])
    span = span_of(range_, if_range, archive.etag, archive.size)
    content = archive.read(ports, span or Span(0, archive.size)) if request.method == "GET" else iter(())
    headers = headers_of(name, archive.etag, archive.size, span)
    return StreamingResponse(content, 206 if span else 200, headers, media_type=MEDIA_TYPE)
