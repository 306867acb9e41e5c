"""Bytes of a file by range, in bounded memory (RFC 9110, 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from services.miner.problems import Refusal
from shared.domain.errors import NotFound
from shared.ports import Ports

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Span:
    """Bytes from `start` on, so many."""

    start: int
    length: int


def span_of(header: str | None, if_range: str | None, etag: str, size: int) -> Span | None:
    """One range of bytes of the version that the client has part of. Others (several ranges, other units, another
    version) are passed over: the whole is sent. Raises Refusal (416)."""
    if header is None or if_range not in (None, etag):
        return None
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", header.strip(), re.ASCII)
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
    return Span(start, end - start)


def headers_of(name: str, etag: str, size: int, span: Span | None) -> dict[str, str]:
    """For a file to be kept under that name."""
    found = {
        "ETag": etag, "Accept-Ranges": "bytes", "Content-Length": str(span.length if span else size),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "X-Content-Type-Options": "nosniff",
    }
    if span:
        found["Content-Range"] = f"bytes {span.start}-{span.start + span.length - 1}/{size}"
    return found


def chunks(ports: Ports, bucket: str, path: str, span: Span) -> Iterator[bytes]:
    """A file that went away or got shorter meanwhile breaks the transfer off (OSError): the client sees that the
    answer is shorter than was said."""
    position, end = span.start, span.start + span.length
    while position < end:
        try:
            chunk = ports.objects.read(bucket, path, start=position, length=min(CHUNK_BYTES, end - position))
        except NotFound:
            chunk = b""
        if not chunk:
            raise OSError(f"{path} was changed while it was sent")
        position += len(chunk)
        yield chunk
