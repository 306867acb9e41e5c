"""Files of a local stack by a signed address, without a token; in the cloud Cloud Storage itself does this."""

from __future__ import annotations

import mimetypes
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response, StreamingResponse

from services.miner.context import ThePorts
from services.miner.problems import not_found
from services.miner.ranges import Span, chunks, headers_of, span_of
from shared.adapters.embedded.signed import is_signed
from shared.runtime import Settings

router = APIRouter(tags=["outputs"])


@router.head("/files/{bucket}/{path:path}", include_in_schema=False)
@router.get("/files/{bucket}/{path:path}", include_in_schema=False)
def signed_file(
    request: Request, bucket: str, path: str, ports: ThePorts,
    expires: Annotated[int, Query()] = 0, signature: Annotated[str, Query(max_length=100)] = "",
    range_: Annotated[str | None, Header(alias="Range")] = None, if_range: Annotated[str | None, Header()] = None,
) -> Response:
    """Whoever has the address may read the file until it expires; any other address is of nothing."""
    settings: Settings = request.app.state.access.settings
    root = settings.objects_dir
    file = ports.objects.stat(bucket, path) if is_signed(root, bucket, path, expires, signature) else None
    if file is None:
        raise not_found("file at this address; it may have expired")
    etag = f'"{file.generation}"'
    span = span_of(range_, if_range, etag, file.size)
    headers = headers_of(path.rpartition("/")[2], etag, file.size, span)
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    content = chunks(ports, bucket, path, span or Span(0, file.size)) if request.method == "GET" else iter(())
    return StreamingResponse(content, 206 if span else 200, headers, media_type=kind)
