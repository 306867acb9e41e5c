"""How an allele came to the proband: rules over the genotypes of proband, mother and father.

Of an allele a sample `carries` it, has the `reference` (called, without the allele: other_alt too), or is `unknown` (no
call, half a call, or no row at all: in VCFs of single samples most reference sites have none). On X outside the
pseudoautosomal regions a male's father has no part, on Y and MT one parent only.

    de_novo       the proband carries it; every parent who could have given it has the reference
    recessive     autosomal and pseudoautosomal: the proband has it twice, every parent once
    x_linked      X outside the pseudoautosomal regions: a male proband has it, the mother once; a female twice, the
                  mother once and the father too (of a proband of unknown sex either)
    dominant      the proband has it once; one parent carries it and the other has the reference
    compound_het  the proband has it once, and in the same gene another, both among the rows that all other filters
                  leave: never two that are known to lie on the same chromosome (in cis)

Strict by default: `unknown` parents do not fit; with `missing` they do. A parent who is not in the order is unknown to
de_novo and is not asked by the other rules.

Two alleles of a gene are in trans or in cis
    by their phase, if both are phased in the same set;
    else by origin, if each comes from one parent (who carries it while the other has the reference).
Otherwise their phase is unknown: a de novo allele, one that both parents carry, any where a parent is missing (C57).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.domain.reasons import Reason
from shared.domain.request import Role, Sex
from shared.variants.filters import BadQuery
from shared.variants.order_index import NULL_INT, Index, Words, bits_at, unpack
from shared.variants.order_schema import Group

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Mask = npt.NDArray[Any]
"""Either bitmaps of all rows or one truth value for each of some rows: the rules are the same."""

HET = ("het", "het_alt")
REFERENCE = ("hom_ref", "hemi_ref", "other_alt")

_FATHER, _MOTHER, _NEITHER = 1, 2, 0


class Family:
    """Proband, mother and father of an order, and what their genotypes say. `rows`: of these only."""

    def __init__(self, index: Index, rows: Ints | None = None) -> None:
        self._index, self._rows = index, rows
        by_role = {group.role: group for group in index.groups}
        self.proband = by_role.get(Role.PROBAND)
        self.mother, self.father = by_role.get(Role.MOTHER), by_role.get(Role.FATHER)

    @property
    def has_parents(self) -> bool:
        return self.mother is not None or self.father is not None

    def check(self, pattern: str) -> None:
        """Raises BadQuery where the order's samples cannot answer."""
        if self.proband is None:
            there = ", ".join(group.prefix for group in self._index.groups)
            raise BadQuery([Reason(field="inheritance", message=f"{pattern} is about a proband, and the order has only "
                                   f"{there}; give the sample its role")])
        if pattern == "de_novo" and not self.has_parents:
            raise BadQuery([Reason(field="inheritance", message="de_novo compares with the parents, and the order has "
                                   "neither mother nor father; add one, or leave it out")])

    def fitting(self, pattern: str, missing: bool) -> Mask:
        """Rows that fit a pattern other than compound_het. The family has a proband."""
        rules = {"de_novo": self._de_novo, "recessive": self._recessive, "x_linked": self._x_linked,
                 "dominant": self._dominant}
        return rules[pattern](missing)

    # -- rules --------------------------------------------------------------------------------------------------------

    def _de_novo(self, missing: bool) -> Mask:
        result = self.carries(self.proband)
        for role, parent in self._parents:
            without = self.reference(parent) | self._has_no_part(role)
            result = result & (without | self.unknown(parent) if missing else without)
        return result

    def _recessive(self, missing: bool) -> Mask:
        return self._parents_once(self.has(self.proband, ("hom_alt",)) & ~self._single_copy, missing)

    def _x_linked(self, missing: bool) -> Mask:
        assert self.proband is not None
        twice = self.has(self.proband, ("hom_alt",)) & self._sex_chromosome("X")
        once = self.has(self.proband, ("hemi_alt", "hom_alt")) & self._sex_chromosome("X")
        of_male = self._once(self.mother, once, missing)
        of_female = self._once(self.mother, twice, missing)
        if self.father is not None:
            of_female = of_female & (self.carries(self.father) | (self.unknown(self.father) if missing else self._none))
        if self.proband.sex is Sex.MALE:
            return of_male
        return of_female if self.proband.sex is Sex.FEMALE else of_male | of_female

    def _dominant(self, missing: bool) -> Mask:
        het = self.has(self.proband, HET)
        if self.mother is None and self.father is None:
            return het
        if self.mother is None or self.father is None:
            return het & self.carries(self.mother or self.father)
        return het & (self._from(self.mother, self.father, missing) | self._from(self.father, self.mother, missing))

    def _from(self, giver: Group, other: Group, missing: bool) -> Mask:
        without = self.reference(other)
        return self.carries(giver) & (without | self.unknown(other) if missing else without)

    def _parents_once(self, result: Mask, missing: bool) -> Mask:
        return self._once(self.father, self._once(self.mother, result, missing), missing)

    def _once(self, parent: Group | None, result: Mask, missing: bool) -> Mask:
        if parent is None:
            return result
        once = self.carries(parent) & ~self.has(parent, ("hom_alt",))
        return result & (once | self.unknown(parent) if missing else once)

    # -- genotypes ----------------------------------------------------------------------------------------------------

    def carries(self, group: Group | None) -> Mask:
        return self._none if group is None else self._of_rows(self._index.flag(group.column("carries")))

    def has(self, group: Group | None, zygosities: tuple[str, ...]) -> Mask:
        result = self._none
        if group is not None:
            for zygosity in zygosities:
                result = result | self._of_rows(self._index.bits(group.column("zygosity"), zygosity))
        return result

    def reference(self, group: Group | None) -> Mask:
        return self.has(group, REFERENCE)

    def unknown(self, group: Group | None) -> Mask:
        return ~(self.carries(group) | self.reference(group))

    def parents_unknown(self) -> Mask:
        """Rows of which a parent who could have given the allele is unknown."""
        result = self._none
        for role, parent in self._parents:
            result = result | (self.unknown(parent) & ~self._has_no_part(role))
        return result

    @property
    def _parents(self) -> tuple[tuple[Role, Group | None], ...]:
        return (Role.MOTHER, self.mother), (Role.FATHER, self.father)

    def _has_no_part(self, role: Role) -> Mask:
        male = self.proband is not None and self.proband.sex is Sex.MALE
        if role is Role.FATHER:
            return (self._sex_chromosome("X") if male else self._none) | self._chromosome("MT")
        return self._sex_chromosome("Y")

    @property
    def _single_copy(self) -> Mask:
        return self._sex_chromosome("X") | self._sex_chromosome("Y") | self._chromosome("MT")

    def _sex_chromosome(self, chrom: str) -> Mask:
        """Rows of it outside the pseudoautosomal regions."""
        return self._of_rows(self._index.bits("sex_region", chrom))

    def _chromosome(self, chrom: str) -> Mask:
        return self._of_rows(self._index.bits("chrom", chrom))

    @property
    def _none(self) -> Mask:
        if self._rows is None:
            return np.zeros(-(-self._index.rows // 64), np.uint64)
        return np.zeros(len(self._rows), bool)

    def _of_rows(self, words: Words) -> Mask:
        if self._rows is None:
            return words
        return bits_at(words, self._rows)


# -- compound heterozygous --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """Rows that have a partner, ascending; of each whether one of its partners is known to be in trans."""

    rows: Ints
    trans: Bools


@dataclass(frozen=True)
class _Entries:
    """Heterozygous rows by gene: a row stands once for each of its genes. `phase` -1: not phased, else a number for
    each chromosome and phase set."""

    gene: Ints
    row: Ints
    origin: Ints
    phase: Ints
    side: Ints


def pairs(index: Index, among: Words, *, phase_known: bool) -> Pairs:
    """Of the rows of `among`. `phase_known`: only those with a partner in trans. The order has a proband."""
    entries = _entries(index, np.flatnonzero(unpack(candidates(index, among), index.rows)))
    phased, known = entries.phase >= 0, entries.origin != _NEITHER
    other = _OTHER[entries.origin]
    in_gene = _how_many(entries.gene, entries.gene)
    of_origin = entries.gene * 3 + entries.origin
    same_origin = np.where(known, _how_many(of_origin, of_origin), 0)
    other_origin = np.where(known, _how_many(of_origin, entries.gene * 3 + other), 0)
    sets = _sets(entries)
    same_set = np.where(phased, _how_many(sets, sets), 0)
    on_side = sets * (int(entries.side.max(initial=0)) + 2) + entries.side + 1
    same_side = np.where(phased, _how_many(on_side, on_side), 0)
    in_set = sets * 3 + entries.origin
    same_both = np.where(phased & known, _how_many(in_set, in_set), 0)
    other_in_set = np.where(phased & known, _how_many(in_set, sets * 3 + other), 0)
    cis = same_side + same_origin - same_both + (~phased & ~known)  # a row itself is among them, in one way or another
    in_trans = same_set - same_side + other_origin - other_in_set
    fits = in_trans > 0 if phase_known else in_gene - cis > 0
    rows, trans = _distinct(entries.row[fits]), _distinct(entries.row[in_trans > 0])
    known_trans = np.zeros(len(rows), bool)
    known_trans[np.searchsorted(rows, trans)] = True  # who has a partner in trans has a partner
    return Pairs(rows, known_trans)


def _distinct(ascending: Ints) -> Ints:
    keep = np.ones(len(ascending), bool)
    keep[1:] = ascending[1:] != ascending[:-1]
    return ascending[keep]


def partners(index: Index, among: Words, row: int) -> list[tuple[int, str]]:
    """The rows that `row` pairs with among candidates: (row, "trans" or "unknown"), trans first."""
    genes = _genes_of(index, np.array([row]))[0]
    offsets, by_gene = index.array("genes/rows_offsets"), index.array("genes/rows")
    near = np.unique(np.concatenate([by_gene[offsets[g - 1] : offsets[g]] for g in genes] or [np.zeros(0, np.int32)]))
    entries = _entries(index, near[bits_at(among, near)].astype(np.int64))
    at = {int(each): number for number, each in enumerate(entries.row)}
    if row not in at:
        return []
    found = [(other, _relation(entries, at[row], number)) for other, number in at.items() if other != row]
    return sorted(((other, relation) for other, relation in found if relation != "cis"),
                  key=lambda each: (each[1] != "trans", each[0]))


_OTHER = np.array([_NEITHER, _MOTHER, _FATHER])


def _relation(entries: _Entries, a: int, b: int) -> str:
    if entries.phase[a] >= 0 and entries.phase[a] == entries.phase[b]:
        return "cis" if entries.side[a] == entries.side[b] else "trans"
    if _NEITHER in (entries.origin[a], entries.origin[b]):
        return "unknown"
    return "cis" if entries.origin[a] == entries.origin[b] else "trans"


def candidates(index: Index, among: Words) -> Words:
    """Rows in a gene of which the proband has the allele once."""
    family = Family(index)
    found: Words = family.has(family.proband, HET) & index.in_genes & among
    return found


def _entries(index: Index, rows: Ints) -> _Entries:
    """Of candidates, ascending."""
    family = Family(index)
    assert family.proband is not None
    genes, of_row = _genes_of(index, rows)
    origin = _origins(family, rows)
    phase, side = _phases(index, family.proband, rows)
    return _Entries(genes.astype(np.int64), rows[of_row], origin[of_row], phase[of_row], side[of_row])


def _genes_of(index: Index, rows: Ints) -> tuple[Ints, Ints]:
    """Codes of the genes of the rows in turn, and of each code the place of its row in `rows`."""
    offsets = index.array("genes/of_row_offsets")
    starts, lengths = offsets[rows], offsets[rows + 1] - offsets[rows]
    of_row = np.repeat(np.arange(len(rows)), lengths)
    within = np.arange(len(of_row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return index.array("genes/of_row")[starts[of_row] + within], of_row


def _origins(family: Family, rows: Ints) -> Ints:
    """_FATHER or _MOTHER where only that one can have given it."""
    from_father = bits_at(family.carries(family.father) & family.reference(family.mother), rows)
    from_mother = bits_at(family.carries(family.mother) & family.reference(family.father), rows)
    return np.where(from_father, _FATHER, np.where(from_mother, _MOTHER, _NEITHER))


def _phases(index: Index, proband: Group, rows: Ints) -> tuple[Ints, Ints]:
    side = index.array(proband.column("haplotype"))[rows].astype(np.int64)
    sets = index.array(proband.column("phase_set"))[rows].astype(np.int64)  # 0 where the caller names none
    chrom = index.array("chrom")[rows].astype(np.int64)
    numbers = chrom * (int(sets.max(initial=0)) + 1) + sets
    phased = side != NULL_INT
    return np.where(phased, numbers, -1), np.where(phased, side, -1)


def _sets(entries: _Entries) -> Ints:
    """Of each entry a number for its gene and phase set; 0 where it is not phased."""
    result = np.zeros(len(entries.gene), np.int64)
    phased = np.flatnonzero(entries.phase >= 0)
    span = int(entries.phase.max(initial=0)) + 1
    result[phased] = np.unique(entries.gene[phased] * span + entries.phase[phased], return_inverse=True)[1] + 1
    return result


def _how_many(have: Ints, asked: Ints) -> Ints:
    """Of each of `asked` how many of `have` are the same; small numbers from 0."""
    counts = np.bincount(have, minlength=int(asked.max(initial=0)) + 1)
    return counts[asked]
