"""What a genotype says about one allele. VCF 4.3 section 1.6.2 (GT), VCF 4.4 section 1.6.2 (leading phase marks).

Of an allele `a` of a record, a genotype is

    no_call      nothing is known: every entry is `.`
    hom_ref      two or more entries, all the reference
    het          `a` once or more, the others the reference
    het_alt      `a` once or more, another alternate too ("heterozygous with another alternate")
    hom_alt      two or more entries, all `a`
    hemi_ref     one entry, the reference
    hemi_alt     one entry, `a`
    partial_ref  some entries missing, the others the reference
    partial_alt  some entries missing, and `a` is among the others
    other_alt    `a` is not there, another alternate is
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

ZYGOSITIES = ("no_call", "hom_ref", "het", "het_alt", "hom_alt", "hemi_ref", "hemi_alt", "partial_ref", "partial_alt",
              "other_alt")
CARRYING = frozenset({"het", "het_alt", "hom_alt", "hemi_alt", "partial_alt"})

_GENOTYPE = re.compile(r"^[|/]?(?:\.|[0-9]{1,9})(?:[|/](?:\.|[0-9]{1,9}))*$")
_MARKS = re.compile(r"[|/]")


@dataclass(frozen=True)
class Genotype:
    """Allele numbers, None for `.`; whether every allele is phased; whether it begins with 4.4's phase mark."""

    alleles: tuple[int | None, ...]
    phased: bool
    leading_mark: bool

    @property
    def highest(self) -> int:
        return max((allele for allele in self.alleles if allele is not None), default=0)

    def zygosity(self, allele: int) -> str:
        known = [a for a in self.alleles if a is not None]
        if not known:
            return "no_call"
        if allele not in known:
            if any(known):
                return "other_alt"
            return "partial_ref" if len(known) < len(self.alleles) else "hemi_ref" if len(known) == 1 else "hom_ref"
        if len(known) < len(self.alleles):
            return "partial_alt"
        if len(known) == 1:
            return "hemi_alt"
        if all(a == allele for a in known):
            return "hom_alt"
        return "het" if all(a in (0, allele) for a in known) else "het_alt"


def parse_genotype(text: str) -> Genotype | None:
    """None where `text` is no genotype."""
    if not _GENOTYPE.match(text):
        return None
    leading = text[0] in "|/"
    marks = _MARKS.findall(text)
    alleles = tuple(None if a == "." else int(a) for a in _MARKS.split(text[1:] if leading else text))
    # Without a leading mark the first allele is phased when all the others are (4.4); alone and unmarked nobody says.
    return Genotype(alleles, bool(marks) and all(mark == "|" for mark in marks), leading)


def highest_allele(genotypes: Sequence[Genotype]) -> int:
    return max((genotype.highest for genotype in genotypes), default=0)
