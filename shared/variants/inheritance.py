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
from shared.variants import kernels
from shared.variants.filters import BadQuery
from shared.variants.order_index import Index, Words, bits_at, nothing, unpack
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
        if group is None:
            return self._none
        words = self._index.flag(group.column("carries"))
        return words if self._rows is None else bits_at(words, self._rows)

    def has(self, group: Group | None, zygosities: tuple[str, ...]) -> Mask:
        return self._none if group is None else self._are(group.column("zygosity"), zygosities)

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
        return self._are("sex_region", (chrom,))

    def _chromosome(self, chrom: str) -> Mask:
        return self._are("chrom", (chrom,))

    def _are(self, column: str, values: tuple[str, ...]) -> Mask:
        if self._rows is None:
            return self._index.bits(column, *values)
        return self._index.are(column, values, self._rows)

    @property
    def _none(self) -> Mask:
        return nothing(self._index.rows) if self._rows is None else np.zeros(len(self._rows), bool)


# -- compound heterozygous --------------------------------------------------------------------------------------------


def pairing(index: Index) -> dict[str, npt.NDArray[Any]]:
    """What is worked out when the index is made, since it depends on no filter. `pairs/rows`: each heterozygous row
    that has a gene, once for each of its genes, class by class, gene by gene; rows of a class are alike in all that
    pairs depend on. Of each class `pairs/starts`, where its rows begin, and `pairs/gene`, `origin`, `set` (of the gene
    and the phase set) and `side` (also of the side within it); both are 0 where the rows are not phased. The order has
    a proband."""
    rows = np.flatnonzero(unpack(candidates(index, index.every), index.rows))
    genes, of_row = _genes_of(index, rows)
    what = _alike(index, rows)
    origin, phase, side = what.origin[of_row], what.phase[of_row], what.side[of_row]
    sets = _numbered(genes, phase, phase >= 0)
    sides = _numbered(sets, side, phase >= 0)
    alike = (genes * 3 + origin) * (int(sides.max(initial=0)) + 1) + sides
    order = np.argsort(alike, kind="stable")
    starts = np.flatnonzero(np.diff(alike[order], prepend=-1))
    of_class = {"gene": genes, "origin": origin, "set": sets, "side": sides}
    return {"pairs/rows": rows[of_row][order].astype(np.int32), "pairs/starts": starts,
            **{f"pairs/{name}": values[order][starts].astype(np.int32) for name, values in of_class.items()}}


def _numbered(first: Ints, second: Ints, where: Bools) -> Ints:
    """Of each pair of numbers one number from 1; 0 where it is not asked for."""
    result = np.zeros(len(first), np.int64)
    pair = first[where] * (int(second.max(initial=0)) + 1) + second[where]
    result[where] = np.unique(pair, return_inverse=True)[1] + 1
    return result


def paired(index: Index, among: Words, *, phase_known: bool) -> Words:
    """Rows that have a partner, both of `among`. `phase_known`: one in trans. The order has a proband."""
    rows, starts = index.whole("pairs/rows"), index.whole("pairs/starts")
    if not len(rows):
        return nothing(index.rows)
    gene, origin, sets, side = (index.whole(f"pairs/{name}") for name in ("gene", "origin", "set", "side"))
    found: Words = kernels.paired(among, rows, starts, (gene, origin, sets, side), phase_known)
    return found


class Partners:
    """Whom rows pair with among candidates. `rows`: those that will be asked for."""

    def __init__(self, index: Index, among: Words, rows: Ints) -> None:
        genes, of_row = _genes_of(index, rows)
        self._genes = {int(row): genes[of_row == number] for number, row in enumerate(rows)}
        offsets, by_gene = index.array("genes/rows_offsets"), index.array("genes/rows")
        near = {int(gene): by_gene[offsets[gene - 1] : offsets[gene]] for gene in np.unique(genes)}
        self._of_gene = {gene: found[bits_at(among, found)] for gene, found in near.items()}
        self._rows = np.unique(np.concatenate([np.zeros(0, np.int64), *self._of_gene.values()]))
        self._what = _alike(index, self._rows)

    def of(self, row: int) -> list[tuple[int, str]]:
        """(row, "trans" or "unknown"), trans first."""
        parts = [np.zeros(0, np.int64), *(self._of_gene[int(gene)] for gene in self._genes[row])]
        near = np.unique(np.concatenate(parts)) if len(parts) > 2 else parts[-1]
        mine, at = int(np.searchsorted(self._rows, row)), np.searchsorted(self._rows, near[near != row])
        if len(at) == len(near):
            return []
        origin, phase, side = self._what.origin, self._what.phase, self._what.side
        by_phase = (phase[at] == phase[mine]) & (phase[mine] >= 0)
        known = by_phase | ((origin[at] != _NEITHER) & (origin[mine] != _NEITHER))
        cis = known & np.where(by_phase, side[at] == side[mine], origin[at] == origin[mine])
        found = self._rows[at]
        return [*((int(other), "trans") for other in found[known & ~cis]),
                *((int(other), "unknown") for other in found[~known])]


def candidates(index: Index, among: Words) -> Words:
    """Rows in a gene of which the proband has the allele once."""
    family = Family(index)
    found: Words = family.has(family.proband, HET) & index.whole("genes/any") & among
    return found


@dataclass(frozen=True)
class _Alike:
    """Of rows what pairs depend on. `phase` -1: not phased, else a number for each chromosome and phase set."""

    origin: Ints
    phase: Ints
    side: Ints


def _alike(index: Index, rows: Ints) -> _Alike:
    """Of candidates, ascending."""
    family = Family(index, rows)
    assert family.proband is not None
    return _Alike(_origins(family), *_phases(index, family.proband, rows))


def _genes_of(index: Index, rows: Ints) -> tuple[Ints, Ints]:
    """Codes of the genes of the rows in turn, and of each code the place of its row in `rows`."""
    offsets = index.array("genes/of_row_offsets")
    starts, lengths = offsets[rows], offsets[rows + 1] - offsets[rows]
    of_row = np.repeat(np.arange(len(rows)), lengths)
    within = np.arange(len(of_row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return index.array("genes/of_row")[starts[of_row] + within], of_row


def _origins(family: Family) -> Ints:
    """_FATHER or _MOTHER where only that one can have given it."""
    from_father = family.carries(family.father) & family.reference(family.mother)
    from_mother = family.carries(family.mother) & family.reference(family.father)
    return np.where(from_father, _FATHER, np.where(from_mother, _MOTHER, _NEITHER))


def _phases(index: Index, proband: Group, rows: Ints) -> tuple[Ints, Ints]:
    side = index.numbers(proband.column("haplotype"), rows)
    sets = index.array(proband.column("phase_set"))[rows].astype(np.int64)  # 0 where the caller names none
    chrom = index.array("chrom")[rows].astype(np.int64)
    numbers = chrom * (int(sets.max(initial=0)) + 1) + sets
    phased = ~np.isnan(side)
    return np.where(phased, numbers, -1), np.where(phased, side, -1).astype(np.int64)
