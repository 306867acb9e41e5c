"""Outputs shown in the browser: texts and tables by the page itself, reports in a frame that may do nothing.

Whatever a file is named or holds, a browser is told one of a few safe types, and that the answer is nobody's page
(https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Content-Security-Policy/sandbox).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from shared.domain.files import FileSeen
from shared.ports import Ports

LARGEST_BYTES = 10_000_000
TEXT_BYTES = 200_000
"""Of a text or a table that are shown."""

TABLE_ROWS = 200

ALONE = ("sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "
         "frame-ancestors 'self'")
"""A report keeps its own style and pictures; it runs no script and reaches nothing."""

ALONE_PDF = "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; frame-ancestors 'self'"
"""Browsers refuse to show a PDF in a sandbox; it is shown by a viewer that is no page of ours."""

FRAMED: Mapping[str, tuple[str, str]] = {
    ".html": ("text/html; charset=utf-8", ALONE), ".htm": ("text/html; charset=utf-8", ALONE),
    ".pdf": ("application/pdf", ALONE_PDF), ".png": ("image/png", ALONE), ".jpg": ("image/jpeg", ALONE),
    ".jpeg": ("image/jpeg", ALONE), ".gif": ("image/gif", ALONE), ".webp": ("image/webp", ALONE),
}
"""By a name's end: the type that a browser is told, and what the file may do."""

_TABLES = {".tsv": "\t", ".csv": ","}
_TEXTS = (".txt", ".log", ".json", ".yaml", ".yml", ".md", ".bed", ".vcf", ".fai")


@dataclass(frozen=True)
class Preview:
    """`kind`: frame, pdf, image, table, text, or large. `whole`: nothing was left out."""

    path: str
    kind: str
    size: int
    text: str = ""
    rows: list[list[str]] = field(default_factory=list)
    whole: bool = True


def can_be_shown(path: str, size: int) -> bool:
    return size <= LARGEST_BYTES and _end(path) in (*FRAMED, *_TABLES, *_TEXTS)


def preview_of(ports: Ports, bucket: str, file: FileSeen) -> Preview | None:
    """None for a file that browsers cannot show."""
    end = _end(file.path)
    if end not in (*FRAMED, *_TABLES, *_TEXTS):
        return None
    if file.size > LARGEST_BYTES:
        return Preview(file.path, "large", file.size)
    if end in FRAMED:
        kind = "pdf" if end == ".pdf" else "frame" if end.startswith(".htm") else "image"
        return Preview(file.path, kind, file.size)
    text = ports.objects.read(bucket, file.path, length=TEXT_BYTES).decode(errors="replace")
    whole = file.size <= TEXT_BYTES
    if end in _TABLES:
        rows = list(csv.reader(text.splitlines(), delimiter=_TABLES[end]))
        return Preview(file.path, "table", file.size, rows=rows[: TABLE_ROWS + 1],
                       whole=whole and len(rows) <= TABLE_ROWS + 1)
    text = _indented(text) if end == ".json" and whole else text
    return Preview(file.path, "text", file.size, text=text, whole=whole)


def _end(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _indented(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
