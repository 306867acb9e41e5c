"""Regions as people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.variants.contigs import canonical

# A contig's name may hold colons before numbers, as HLA-A*01:01:01:01 does.
_REGION = re.compile(r"(?P<contig>[^\s:]+(?::\d+)*?)\s*(?::\s*(?P<start>[0-9,]+)\s*(?:-\s*(?P<end>[0-9,]+)\s*)?)?")


class BadRegion(ValueError):
    """A text that is no region; the message says what one looks like."""


@dataclass(frozen=True)
class Region:
    """`start` and `end` are 1-based and included; None means as far as the contig goes. `chrom` is canonical."""

    chrom: str
    start: int | None = None
    end: int | None = None

    @classmethod
    def parse(cls, text: str) -> Region:
        """`chr7`, `7:140753336`, ` chr7:140,753,336 - 140,753,400 `. Raises BadRegion."""
        found = _REGION.fullmatch(text.strip())
        if not found:
            raise BadRegion(f"{text!r} is no region; write chr7, 7:140753336 or chr7:140,753,336-140,753,400")
        start = _position(found["start"], text)
        end = _position(found["end"], text) if found["end"] else start
        if start is not None and end is not None and end < start:
            raise BadRegion(f"{text!r} ends before it begins; write the smaller position first")
        return cls(canonical(found["contig"]), start, end)

    def __str__(self) -> str:
        return self.chrom if self.start is None else f"{self.chrom}:{self.start}-{self.end}"


def _position(text: str | None, whole: str) -> int | None:
    if text is None:
        return None
    digits = text.replace(",", "")
    if not digits or len(digits) > 10:
        raise BadRegion(f"{text!r} in {whole!r} is no position")
    return int(digits)
