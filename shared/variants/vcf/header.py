"""The header of a VCF: its lines, its declarations, its samples. VCF 4.3, section 1.4."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from shared.variants.report import Notes, VcfRefused

FIXED_COLUMNS = ("CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
BOM = b"\xef\xbb\xbf"

_VERSION = re.compile(r"^##fileformat=VCFv(\d+)\.(\d+)$")
# key=value pairs inside <...>: a value is quoted (with backslash escapes), in brackets, or runs to the next comma.
_PAIR = re.compile(r'\s*([^=,<>"\s]+)=("(?:[^"\\]|\\.)*"|\[[^\]]*\]|[^,"\[]*)(?:,|$)')
_WHOLE_NUMBER = re.compile(r"^\d+$")


@dataclass(frozen=True)
class Declaration:
    """One INFO or FORMAT key. `number` is as in the header: digits, A, R, G, `.`, or 4.4's P, 4.5's LA, LR, LG, M."""

    key: str
    number: str
    type: str
    description: str
    line: int

    @property
    def fixed_count(self) -> int | None:
        """How many values, when the header gives a number."""
        return int(self.number) if _WHOLE_NUMBER.match(self.number) else None


@dataclass(frozen=True)
class MetaLine:
    """`##key=<...>` with its pairs in order (quotes kept on), or `##key=value` with `pairs` None.

    `whole` is false where the text between the brackets is not all key=value pairs.
    """

    key: str
    value: str
    pairs: tuple[tuple[str, str], ...] | None
    whole: bool
    line: int

    def get(self, name: str) -> str | None:
        return next((unquoted(value) for key, value in self.pairs or () if key == name), None)


@dataclass(frozen=True)
class Header:
    """What the lines before the records say. `text` is the header as written (repaired where a note says so)."""

    text: str
    version: tuple[int, int]
    meta: tuple[MetaLine, ...]
    samples: tuple[str, ...]
    has_format: bool
    info: dict[str, Declaration]
    format: dict[str, Declaration]
    filters: frozenset[str]
    alts: frozenset[str]
    contigs: dict[str, int | None]
    lines: int

    @property
    def columns(self) -> int:
        return len(FIXED_COLUMNS) + (1 + len(self.samples) if self.has_format else 0)


def unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return re.sub(r"\\(.)", r"\1", value[1:-1])
    return value


def parse_header(lines: list[str], notes: Notes) -> Header:
    """`lines` all begin with ## but the last, #CHROM; without line ends.

    Raises VcfRefused where the #CHROM line is not one, or names a sample twice.
    """
    version = _version(lines[0], notes)
    meta = tuple(_meta(line, i) for i, line in enumerate(lines[:-1], 1))
    samples, has_format = _columns(lines[-1], len(lines), notes)
    return Header(
        text="\n".join(lines) + "\n",
        version=version,
        meta=meta,
        samples=samples,
        has_format=has_format,
        info=_declarations(meta, "INFO"),
        format=_declarations(meta, "FORMAT"),
        filters=frozenset(i for m in meta if m.key == "FILTER" and (i := m.get("ID"))),
        alts=frozenset(i for m in meta if m.key == "ALT" and (i := m.get("ID"))),
        contigs={i: _length(m.get("length")) for m in meta if m.key == "contig" and (i := m.get("ID"))},
        lines=len(lines),
    )


def _version(first: str, notes: Notes) -> tuple[int, int]:
    found = _VERSION.match(first.rstrip())
    if found is None:
        notes.add("fileformat", f"the first line is not ##fileformat=VCFv4.x but {first[:60]!r}", 1)
        return (4, 2)
    version = (int(found[1]), int(found[2]))
    if first != first.rstrip():
        notes.add("fileformat", "##fileformat ends in white space", 1)
    if not (4, 0) <= version <= (4, 5):
        notes.add("fileformat", f"VCF {version[0]}.{version[1]} is not a version that this reader knows", 1)
    return version


def _meta(line: str, number: int) -> MetaLine:
    key, equals, value = line[2:].partition("=")
    if not equals:
        return MetaLine(line[2:], "", None, False, number)
    if not value.startswith("<"):
        return MetaLine(key, value, None, True, number)
    closed = value.endswith(">") and len(value) > 1
    pairs, whole = _pairs(value[1:-1] if closed else value[1:])
    return MetaLine(key, value, pairs, whole and closed, number)


def _pairs(text: str) -> tuple[tuple[tuple[str, str], ...], bool]:
    pairs = []
    at = 0
    while at < len(text) and (found := _PAIR.match(text, at)):
        pairs.append((found[1], found[2]))
        at = found.end()
    return tuple(pairs), at == len(text) and bool(pairs)


def _columns(line: str, number: int, notes: Notes) -> tuple[tuple[str, ...], bool]:
    names = line[1:].split("\t")
    while len(names) > len(FIXED_COLUMNS) and names[-1] == "":
        notes.add("trailing_tab", "the #CHROM line ends in a tab; the empty column is ignored", number)
        names.pop()
    if tuple(names[:8]) != FIXED_COLUMNS:
        raise VcfRefused(f"the #CHROM line does not name the eight fixed columns: {line[:100]!r}", None, number)
    if len(names) == len(FIXED_COLUMNS):
        return (), False
    if names[8] != "FORMAT":
        raise VcfRefused(f"the ninth column is {names[8][:60]!r}, not FORMAT", None, number)
    samples = tuple(names[9:])
    if not samples:
        notes.add("no_samples", "the #CHROM line has a FORMAT column and no sample", number)
    repeated = [name for name, times in Counter(samples).items() if times > 1]
    if repeated:
        raise VcfRefused(f"a sample name occurs twice: {', '.join(repeated[:5])}", None, number)
    if "" in samples:
        raise VcfRefused("a sample has an empty name", None, number)
    return samples, True


def _declarations(meta: tuple[MetaLine, ...], kind: str) -> dict[str, Declaration]:
    """The first declaration of each key; one that cannot be used as it stands becomes text of any number."""
    found: dict[str, Declaration] = {}
    for line in meta:
        key = line.get("ID")
        if line.key != kind or not key or key in found:
            continue
        number, type_ = line.get("Number") or ".", line.get("Type") or "String"
        if type_ not in ("Integer", "Float", "Flag", "Character", "String") or (type_ == "Flag" and kind == "FORMAT"):
            type_ = "String"
        if not _WHOLE_NUMBER.match(number) and number not in _NUMBERS:
            number = "."
        found[key] = Declaration(key, number, type_, line.get("Description") or "", line.line)
    return found


_NUMBERS = frozenset({"A", "R", "G", ".", "P", "M", "LA", "LR", "LG"})


def _length(text: str | None) -> int | None:
    return int(text) if text and _WHOLE_NUMBER.match(text) else None
