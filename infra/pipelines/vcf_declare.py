"""Header lines for what a VCF uses without declaring it, since htslib cannot write such records again.

Real files carry undeclared INFO, FORMAT and FILTER tags and contigs (../shared/PLATFORM.md). They are declared as
text of any number, which keeps each value as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pysam

from infra.pipelines.vcf_text import opened

DECLARED = re.compile(rb"##(INFO|FORMAT|FILTER|contig)=<(?:.*?,)?ID=([^,>]+)")
NAME = re.compile(rb"[^\s,;=<>:]+")
NOTE = "used but not declared in the header (INFO and FORMAT are now declared as text): "

Tag = tuple[bytes, bytes]
"""Kind of header line, and ID."""


def declare(source: Path, target: Path) -> str:
    """Copy a BGZF VCF that `arrange` wrote, with its missing header lines; returns a note on them, or nothing."""
    missing = _undeclared(source)
    with opened(source) as lines, pysam.BGZFile(str(target), "w", None) as out:
        for line in lines:
            if line.startswith(b"#CHROM"):
                out.write(b"".join(_header_line(*tag) for tag in missing))
            out.write(line)
    shown = ", ".join(f"{kind.decode()} {name.decode(errors='replace')}" for kind, name in missing[:20])
    more = f" and {len(missing) - 20} more" if len(missing) > 20 else ""
    return f"{NOTE}{shown}{more}" if missing else ""


def _undeclared(source: Path) -> list[Tag]:
    """In the order of their first use."""
    declared: set[Tag] = {(b"FILTER", b"PASS"), (b"FILTER", b"."), (b"INFO", b"."), (b"FORMAT", b".")}
    missing: dict[Tag, None] = {}
    seen: set[tuple[bytes, bytes]] = set()
    with opened(source) as lines:
        for line in lines:
            if line.startswith(b"#"):
                if found := DECLARED.match(line):
                    declared.add((found[1], found[2]))
                continue
            missing |= dict.fromkeys(tag for tag in _used(line, seen) if tag not in declared)
    return [tag for tag in missing if NAME.fullmatch(tag[1])]


def _used(line: bytes, seen: set[tuple[bytes, bytes]]) -> Iterator[Tag]:
    """The tags of a record; columns whose tags have been `seen` are passed over."""
    columns = line.rstrip(b"\n").split(b"\t", 9)
    info = b";".join(item.partition(b"=")[0] for item in columns[7].split(b";"))
    parts = ((b"contig", columns[0], b"\n"), (b"FILTER", columns[6], b";"), (b"INFO", info, b";"))
    for kind, text, separator in (*parts, (b"FORMAT", b"".join(columns[8:9]), b":")):
        if (kind, text) not in seen:
            seen.add((kind, text))
            yield from ((kind, name) for name in text.split(separator) if name)


def _header_line(kind: bytes, name: bytes) -> bytes:
    if kind == b"contig":
        return b"##contig=<ID=%s>\n" % name
    if kind == b"FILTER":
        return b'##FILTER=<ID=%s,Description="not declared in the input">\n' % name
    number = b"1" if (kind, name) == (b"FORMAT", b"GT") else b"."
    return b'##%s=<ID=%s,Number=%s,Type=String,Description="not declared in the input">\n' % (kind, name, number)
