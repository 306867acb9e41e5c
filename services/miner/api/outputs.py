"""An analysis' files, read through the API by people who have no cloud role of their own."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

from services.miner.context import TheAnalysis, ThePorts, loaded
from services.miner.cursors import decode_cursor, encode_cursor, slice_of
from services.miner.problems import Refusal, documented, not_found
from shared.domain.analysis import Analysis, Output
from shared.domain.errors import Permanent
from shared.domain.files import FileSeen
from shared.ports import Ports
from shared.steps.outputs import some_outputs

router = APIRouter(prefix="/analyses/{analysis}", tags=["outputs"])

CHUNK_BYTES = 1 << 20


class OutputPage(BaseModel):
    """`total` counts all of them; `next` is null on the last page."""

    items: list[Output]
    total: int
    next: str | None


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
               **documented(400, 404, 416, 503)},
)
def download(
    request: Request, stored: TheAnalysis, ports: ThePorts,
    path: Annotated[str, Path(description="As listed, or relative to the analysis' folder.")],
    range_: Annotated[str | None, Header(alias="Range", description="One range, as `bytes=0-1023`.")] = None,
    if_range: Annotated[str | None, Header(description="The ETag that the range is meant for.")] = None,
) -> Response:
    """One file out of the analysis' folder; `path` is as listed, or relative to the folder."""
    analysis = loaded(stored).analysis
    file = _file(ports, analysis, path)
    etag = f'"{file.generation}"'
    wanted = _range(range_, file.size) if range_ and if_range in (None, etag) else None
    part = wanted or _Part(0, file.size)
    name = file.path.rpartition("/")[2]
    headers = {
        "ETag": etag, "Accept-Ranges": "bytes", "Content-Length": str(part.length),
        "X-Goog-Hash": f"crc32c={file.crc32c}",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}", "X-Content-Type-Options": "nosniff",
    }
    if wanted:
        headers["Content-Range"] = f"bytes {part.start}-{part.start + part.length - 1}/{file.size}"
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    content = _chunks(ports, analysis.bucket, file.path, part) if request.method == "GET" else iter(())
    return StreamingResponse(content, 206 if wanted else 200, headers, media_type=kind)


# -- one file -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """Bytes from `start` on, so many."""

    start: int
    length: int


def _file(ports: Ports, analysis: Analysis, path: str) -> FileSeen:
    """Never outside the analysis' own folder."""
    full = path if path.startswith(analysis.folder) else analysis.folder + path
    try:
        found = ports.objects.stat(analysis.bucket, full)
    except Permanent:
        found = None  # a path that leads out of the folder looks like one that does not exist
    if found is None:
        raise not_found(f"output {path!r} of analysis {analysis.display_id!r}")
    return found


def _range(header: str, size: int) -> _Part | None:
    """RFC 9110, 14.2: one range of bytes. Others (several ranges, other units) are passed over: the whole is sent."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip())
    if found is None or found.group(0) == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        start, end = size - length, size
    else:
        start, end = int(first), min(int(last) + 1 if last else size, size)
        if last and int(last) < int(first):
            return None
    if start >= size or end <= start:
        raise Refusal(
            416, "range-not-satisfiable", f"The file has {size:,} bytes; the range lies behind them.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return _Part(start, end - start)


def _chunks(ports: Ports, bucket: str, path: str, part: _Part) -> Iterator[bytes]:
    """In bounded memory. A file that got shorter meanwhile breaks the transfer off: the client sees an error."""
    position, end = part.start, part.start + part.length
    while position < end:
        chunk = ports.objects.read(bucket, path, start=position, length=min(CHUNK_BYTES, end - position))
        if not chunk:
            raise OSError(f"{path} was changed while it was sent")
        position += len(chunk)
        yield chunk
