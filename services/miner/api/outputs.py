"""An analysis' files, read through the API by people who have no cloud role of their own."""

from __future__ import annotations

import mimetypes
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from services.miner.context import TheAnalysis, ThePorts, loaded
from services.miner.cursors import decode_cursor, encode_cursor, slice_of
from services.miner.links import Link, Links, index_of
from services.miner.problems import documented, not_found
from services.miner.ranges import Span, chunks, headers_of, span_of
from shared.domain.analysis import Analysis, Output
from shared.domain.errors import Permanent
from shared.domain.files import FileSeen
from shared.ports import Ports
from shared.steps.outputs import some_outputs

router = APIRouter(prefix="/analyses/{analysis}", tags=["outputs"])

MOST_LINKS = 50


class OutputPage(BaseModel):
    """`total` counts all of them; `next` is null on the last page."""

    items: list[Output]
    total: int
    next: str | None


class OutputLink(BaseModel):
    """`size` in bytes; `index` is the address of the file's index, where it has one."""

    path: str
    size: int
    url: str
    expires_at: int = Field(description="Unix seconds.")
    index: str | None


class OutputLinks(BaseModel):
    items: list[OutputLink]


@router.get("/outputs", responses=documented(400, 404, 503))
def list_outputs(
    stored: TheAnalysis, ports: ThePorts,
    limit: Annotated[int, Query(ge=1, le=1000, description="Outputs on a page.")] = 200,
    cursor: Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")] = None,
) -> OutputPage:
    """The outputs, in order of path. Paths are relative to the project bucket."""
    analysis = loaded(stored).analysis
    asked = {"outputs": analysis.id}
    total = analysis.outputs_total or len(analysis.outputs)
    start, end, place = slice_of(total, limit, decode_cursor(cursor, asked, parts=1))
    following = encode_cursor(place, asked) if place else None
    return OutputPage(items=some_outputs(ports, analysis, start, end), total=total, next=following)


@router.head("/outputs/{path:path}", include_in_schema=False)
@router.get(
    "/outputs/{path:path}", response_class=Response,
    responses={200: {"content": {"*/*": {}}, "description": "The file, of the type that its name says."},
               206: {"content": {"*/*": {}}, "description": "The range of it."},
               307: {"description": "With `redirect`: a signed address of it."},
               **documented(400, 404, 416, 503)},
)
def download(
    request: Request, stored: TheAnalysis, ports: ThePorts,
    path: Annotated[str, Path(description="As listed, or relative to the analysis' folder.")],
    redirect: Annotated[bool, Query(description="Have the file from the storage itself, which large files gain by.")]
    = False,
    range_: Annotated[str | None, Header(alias="Range", description="One range, as `bytes=0-1023`.")] = None,
    if_range: Annotated[str | None, Header(description="The ETag that the range is meant for.")] = None,
) -> Response:
    """One file out of the analysis' folder; `path` is as listed, or relative to the folder."""
    analysis = loaded(stored).analysis
    file = output_file(ports, analysis, path)
    if redirect:
        return RedirectResponse(link_to(request, ports, analysis, file).url, 307, {"Cache-Control": "no-store"})
    etag = f'"{file.generation}"'
    span = span_of(range_, if_range, etag, file.size)
    headers = headers_of(file.path.rpartition("/")[2], etag, file.size, span)
    if crc32c := _known_crc32c(analysis, file):
        headers["X-Goog-Hash"] = f"crc32c={crc32c}"
    kind = mimetypes.guess_type(file.path)[0] or "application/octet-stream"
    content = chunks(ports, analysis.bucket, file.path, span or Span(0, file.size))
    return StreamingResponse(
        content if request.method == "GET" else iter(()), 206 if span else 200, headers, media_type=kind
    )


@router.get("/links", responses=documented(400, 404, 503))
def links_to_outputs(
    request: Request, stored: TheAnalysis, ports: ThePorts,
    path: Annotated[list[str], Query(min_length=1, max_length=MOST_LINKS, description="Once for each file.")],
) -> OutputLinks:
    """Addresses that need no token, until they expire, and answer to ranges; each with that of the file's index."""
    analysis = loaded(stored).analysis
    items = []
    for name in path:
        file = output_file(ports, analysis, name)
        beside = index_of(ports, analysis.bucket, file.path)
        items.append(OutputLink(
            path=file.path, size=file.size, **asdict(link_to(request, ports, analysis, file)),
            index=beside and link_to(request, ports, analysis, beside).url,
        ))
    return OutputLinks(items=items)


# -- one file -----------------------------------------------------------------------------------------------------


def output_file(ports: Ports, analysis: Analysis, path: str) -> FileSeen:
    """Never outside the analysis' own folder. Raises Refusal (404)."""
    full = path if path.startswith(analysis.folder) else analysis.folder + path
    try:
        found = ports.objects.stat(analysis.bucket, full)
    except Permanent:
        found = None  # a path that leads out of the folder looks like one that does not exist
    if found is None:
        raise not_found(f"output {path!r} of analysis {analysis.display_id!r}")
    return found


def link_to(request: Request, ports: Ports, analysis: Analysis, file: FileSeen) -> Link:
    links: Links = request.app.state.links
    return links.to(ports, analysis.bucket, file, f"{request.base_url}")


def _known_crc32c(analysis: Analysis, file: FileSeen) -> str | None:
    """As the document has it, if it is still the file that the run left."""
    for output in analysis.outputs:
        if (output.path, output.generation) == (file.path, file.generation):
            return output.crc32c
    return None
