"""A gene panel: a list of gene symbols, or of regions as a BED file. A version never changes: its content names it.

Read strictly, since a symbol that is misread is a gene that nobody looks at: every line at fault is named.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Self

from shared.domain import paths
from shared.domain.clock import Time
from shared.domain.part import Part
from shared.domain.reasons import Reason, limited, show
from shared.domain.request import RequestRefused

FOLDER = "client-resources/gene-panels/"
"""Where the laboratory puts its lists, relative to the project bucket."""

LARGEST_BYTES = 20_000_000
MOST_SYMBOLS = 20_000
"""More than there are genes that code for a protein."""

_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,49}")
_COMMENT = re.compile(r"#|(track|browser)(\s|$)")


class PanelKind(StrEnum):
    SYMBOLS = "symbols"
    REGIONS = "regions"


class PanelRegion(Part):
    """As in a BED file: `start` counts from 0 and is included, `end` is not. `contig` as written."""

    contig: str
    start: int
    end: int
    name: str | None = None


class Panel(Part):
    """Document `projects/{project}/panels/{slug}@{version}`. `symbols` are in the list's order, each once; the regions
    of a BED file lie in the bucket under `content_path`, as the list itself does. `source` is where it came from."""

    slug: str
    version: str
    title: str
    project: str
    kind: PanelKind
    symbols: tuple[str, ...] = ()
    regions: int = 0
    bases: int = 0
    source: str
    content_path: str
    sha256: str
    added_at: Time
    added_by: str

    @property
    def key(self) -> str:
        return f"{self.slug}@{self.version}"

    @property
    def doc_path(self) -> str:
        return paths.panel_doc(self.project, self.key)

    def to_document(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Self:
        return cls.model_validate(data)


def version_of(content: bytes) -> str:
    """12 hex digits of the content's SHA-256."""
    return hashlib.sha256(content).hexdigest()[:12]


def content_path(content: bytes) -> str:
    return f"cache/panels/{hashlib.sha256(content).hexdigest()}"


def kind_of(path: str) -> PanelKind:
    return PanelKind.REGIONS if path.lower().endswith(".bed") else PanelKind.SYMBOLS


def symbols_of(content: bytes) -> tuple[str, ...]:
    """One symbol a line, or several parted by tabs, commas or blanks; `#` begins a comment. Raises RequestRefused with
    line and symbol of each fault."""
    found: dict[str, str] = {}
    faults: list[Reason] = []
    for number, line in _lines(content):
        for symbol in re.split(r"[\s,;]+", line.partition("#")[0].strip()):
            if symbol and not _SYMBOL.fullmatch(symbol):
                faults.append(_fault(number, f"{show(symbol)} is no gene symbol"))
            elif symbol:
                found.setdefault(symbol.upper(), symbol)
    if not found and not faults:
        faults.append(Reason(field="content", message="there is no gene symbol in it"))
    if len(found) > MOST_SYMBOLS:
        faults.append(Reason(field="content", message=f"{len(found):,} symbols; at most {MOST_SYMBOLS:,} make a panel"))
    _raise(faults)
    return tuple(found.values())


def regions_of(content: bytes) -> tuple[PanelRegion, ...]:
    """BED of at least three columns, parted by tabs or by blanks (https://samtools.github.io/hts-specs/BEDv1.pdf).
    Raises RequestRefused with the line of each fault."""
    found: list[PanelRegion] = []
    faults: list[Reason] = []
    for number, line in _lines(content):
        if not line.strip() or _COMMENT.match(line):
            continue
        region = _region(line.split("\t") if "\t" in line else line.split())
        if isinstance(region, str):
            faults.append(_fault(number, region))
        else:
            found.append(region)
    if not found and not faults:
        faults.append(Reason(field="content", message="there is no region in it"))
    _raise(faults)
    return tuple(found)


def _region(columns: list[str]) -> PanelRegion | str:
    """The region, or what is wrong with the line."""
    if len(columns) < 3:
        return f"{len(columns)} columns; contig, start and end are wanted"
    contig, start, end = columns[0].strip(), columns[1].strip(), columns[2].strip()
    if not contig or re.search(r"\s", contig):
        return f"{show(contig)} is no contig"
    if not re.fullmatch(r"\d{1,12}", start) or not re.fullmatch(r"\d{1,12}", end):
        return f"{show(start)} to {show(end)} are no positions"
    if int(end) <= int(start):
        return f"{contig}: it ends at {end}, and that is not behind its start {start}"
    name = columns[3].strip() if len(columns) > 3 else ""
    return PanelRegion(contig=contig, start=int(start), end=int(end), name=name or None)


def _lines(content: bytes) -> list[tuple[int, str]]:
    """Numbered from 1. Raises RequestRefused."""
    if len(content) > LARGEST_BYTES:
        _raise([Reason(field="content", message=f"{len(content):,} bytes; at most {LARGEST_BYTES:,} are read")])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RequestRefused((_fault(line, f"it is not UTF-8 at byte {error.start}"),)) from None
    return list(enumerate(text.splitlines(), start=1))


def _fault(line: int, what: str) -> Reason:
    return Reason(field=f"line {line}", message=what)


def _raise(faults: list[Reason]) -> None:
    if faults:
        raise RequestRefused(tuple(limited(faults, "content")))
