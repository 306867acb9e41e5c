"""Each field of a filter as a bitmap over the rows of an index: which rows pass it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.domain.reasons import Reason, show
from shared.domain.request import Role
from shared.variants.contigs import canonical
from shared.variants.filters import CONSEQUENCE_GROUPS, HIDDEN_TIER, NONE, BadQuery, Filter
from shared.variants.inheritance import REFERENCE, Family
from shared.variants.order_index import LONG, Chromosome, Index, Words, nothing, of_range, of_rows, pack
from shared.variants.order_schema import Group
from shared.variants.regions import BadRegion, Region
from shared.variants.vcf.keys import minimal

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

PATHOGENIC = ("pathogenic", "likely_pathogenic", "pathogenic_low_penetrance", "likely_pathogenic_low_penetrance")


@dataclass(frozen=True)
class PanelContent:
    """What stands behind the name of a panel: `symbols`, or `regions` (contig, start from 0, end not included)."""

    version: str
    symbols: tuple[str, ...] = ()
    regions: tuple[tuple[str, int, int], ...] = ()


@dataclass
class Clauses:
    """`found`: field -> rows that pass it, for the fields that were given. `notes`: what may be a slip. `made`: both of
    each field, by all that they depend on."""

    found: dict[str, Words] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    made: dict[str, Made] = field(default_factory=dict)


Made = tuple[Words, list[str]]


def clauses_of(
    index: Index, wanted: Filter, panels: Mapping[str, PanelContent], known: Mapping[str, Made] | None = None
) -> Clauses:
    """`known`: of other filters' `made`, taken where they fit. Raises BadQuery with every field that this order cannot
    answer."""
    return _Clauses(index, wanted, panels, known or {}).all()


class _Clauses:
    def __init__(
        self, index: Index, wanted: Filter, panels: Mapping[str, PanelContent], known: Mapping[str, Made]
    ) -> None:
        self._index, self._filter, self._panels, self._known = index, wanted, panels, known
        self._notes: list[str] = []

    def all(self) -> Clauses:
        made: dict[str, Callable[[], Words]] = {
            "q": self._q, "region": self._region, "gene": self._gene, "exclude_gene": self._exclude_gene,
            "panel": self._panel, "consequence": self._consequence,
            "impact": lambda: self._few("worst_impact", "impact"),
            "tier": lambda: self._few("tier", "tier"), "acmg": lambda: self._few("acmg_class", "acmg"),
            "clinvar": lambda: self._few("clinvar", "clinvar"),
            "type": lambda: self._few("variant_type", "type"), "filter": lambda: self._named("filters", "filter"),
            "genotype": self._genotype, "inheritance": self._inheritance, "somatic": self._somatic,
            "frequency_max": self._frequency,
            **{name: self._number(name, *rule) for name, rule in self._numbers().items()},
        }
        given = {name: value for name, value in self._filter.given().items() if value not in (None, [])}
        switches = {name: value for name, value in given.items() if name not in made}
        result = Clauses()
        faults: list[Reason] = []
        for name in [name for name in made if name in given]:
            versions = [self._panels[panel].version for panel in self._filter.panel if panel in self._panels]
            try:
                self._add(result, name, f"{name}={given[name]} {switches} {versions}", made[name])
            except BadQuery as error:
                faults += error.reasons
        if faults:
            raise BadQuery(faults)
        if not self._filter.tier and HIDDEN_TIER in self._index.terms("tier"):
            self._add(result, "tier", "tier", lambda: ~self._index.bits("tier", HIDDEN_TIER) & self._index.every)
        return result

    def _add(self, result: Clauses, name: str, by: str, make: Callable[[], Words]) -> None:
        """`by`: all that the rows depend on."""
        if by not in self._known:
            self._notes = []
            words = make()
            words.flags.writeable = False
            result.made[by] = words, self._notes
        else:
            result.made[by] = self._known[by]
        result.found[name] = result.made[by][0]
        result.notes += result.made[by][1]

    # -- numbers ------------------------------------------------------------------------------------------------------

    def _numbers(self) -> dict[str, tuple[str, str, str]]:
        """Field -> column, comparison, name in keep_missing."""
        return {
            "qual_min": ("qual", ">=", "qual"), "depth_min": ("*dp", ">=", "depth"),
            "alt_min": ("*ad_alt", ">=", "alt"), "gq_min": ("*gq", ">=", "gq"), "vaf_min": ("*vaf", ">=", "vaf"),
            "vaf_max": ("*vaf", "<=", "vaf"), "seen_max": ("seen", "<=", "seen"), "vaf_delta_min": ("", ">=", "vaf"),
        }

    def _column(self, name: str, column: str) -> str:
        """Of the table or, behind a `*`, of the index case."""
        if not column.startswith("*"):
            return column
        if not self._index.groups:
            raise BadQuery([Reason(field=name, message="the variants are of sites without samples; leave it out")])
        return self._index.groups[0].column(column[1:])

    def _number(self, name: str, column: str, comparison: str, kept: str) -> Callable[[], Words]:
        def make() -> Words:
            if name == "vaf_delta_min":
                return self._delta(kept in self._filter.keep_missing)
            limit, of = getattr(self._filter, name), self._column(name, column)
            if comparison == "<=":
                return self._at_most(of, limit, kept)
            words = self._index.above(of, limit, or_equal=True)
            return words | self._index.none(of) if kept in self._filter.keep_missing else words

        return make

    def _at_most(self, column: str, limit: float, kept: str) -> Words:
        above = self._index.above(column, limit)
        if kept not in self._filter.keep_missing:
            above |= self._index.none(column)
        return ~above & self._index.every

    def _frequency(self) -> Words:
        words = self._at_most("af_max", float(self._filter.frequency_max or 0), "frequency")
        return words | self._any("clinvar", PATHOGENIC) if self._filter.keep_pathogenic else words

    def _delta(self, keep_missing: bool) -> Words:
        """The tumour's fraction less the normal's, which counts as 0 where it has none."""
        tumor, normal = self._pair("vaf_delta_min")
        mine, theirs = self._index.numbers(tumor.column("vaf")), self._index.numbers(normal.column("vaf"))
        delta = mine - np.nan_to_num(theirs)
        passing = delta >= self._filter.vaf_delta_min
        return pack(passing | np.isnan(delta) if keep_missing else passing)

    # -- words --------------------------------------------------------------------------------------------------------

    def _few(self, column: str, name: str) -> Words:
        return self._any(column, getattr(self._filter, name))

    def _any(self, column: str, values: Iterable[str]) -> Words:
        return self._index.bits(column, *(None if value == NONE else value for value in values))

    def _named(self, column: str, name: str) -> Words:
        """Words of an open list: what no row has is said, since it may be a slip."""
        there = {term.lower(): term for term in self._index.terms(column)}
        wanted = []
        for value in getattr(self._filter, name):
            if value == NONE or value.lower() in there:
                wanted.append(there.get(value.lower(), value))
            else:
                near = difflib.get_close_matches(value.lower(), there, n=1)
                hint = f"; is {there[near[0]]!r} meant?" if near else ""
                self._notes.append(f"{name}: no variant has {show(value)}{hint}")
        return self._any(column, wanted)

    def _consequence(self) -> Words:
        """Of the transcript that is shown, or of the gravest."""
        terms = {term for value in self._filter.consequence for term in CONSEQUENCE_GROUPS.get(value, (value,))}
        return self._any("consequence", terms) | self._any("worst_consequence", terms)

    # -- genes and places ---------------------------------------------------------------------------------------------

    def _gene(self) -> Words:
        return self._genes(self._filter.gene, "gene")

    def _exclude_gene(self) -> Words:
        return ~self._genes(self._filter.exclude_gene, "exclude_gene") & self._index.every

    def _genes(self, symbols: Iterable[str], name: str) -> Words:
        offsets, rows = self._index.array("genes/rows_offsets"), self._index.array("genes/rows")
        parts, lost = [np.zeros(0, np.int32)], []
        for symbol in symbols:
            codes = self._index.gene_codes.get(symbol.upper(), [])
            parts += [rows[offsets[code - 1] : offsets[code]] for code in codes]
            if not codes:
                lost.append(symbol)
        if lost:
            more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
            self._notes.append(f"{name}: no variant is in {', '.join(show(each) for each in lost[:5])}{more}")
        return of_rows(np.concatenate(parts), self._index.rows)

    def _panel(self) -> Words:
        words, unknown = nothing(self._index.rows), []
        for name in self._filter.panel:
            if name not in self._panels:
                unknown.append(Reason(field="panel", message=f"there is no panel {show(name)}; see the list of panels"))
                continue
            panel = self._panels[name]
            if panel.symbols:
                words |= self._genes(panel.symbols, "panel")
            if panel.regions:
                words |= _touching(self._index, [
                    Region(canonical(contig), start + 1, end) for contig, start, end in panel.regions
                ])
        if unknown:
            raise BadQuery(unknown)
        return words

    def _region(self) -> Words:
        regions = [self._parsed(text) for text in self._filter.region]
        there = {each.name for each in self._index.chromosomes}
        self._notes += [f"region: no variant is on {show(r.chrom)}" for r in regions if r.chrom not in there]
        return _touching(self._index, regions)

    def _parsed(self, text: str) -> Region:
        """(Names of contigs may hold a colon.)"""
        whole = any(text == each.name for each in self._index.chromosomes)
        return Region(text) if whole else Region.parse(text)

    # -- samples ------------------------------------------------------------------------------------------------------

    def _genotype(self) -> Words:
        """Of each sample one of the genotypes that are given for it."""
        by_group: dict[str, list[str]] = {}
        for each in self._filter.genotype:
            prefix, _, genotype = each.rpartition(":")
            by_group.setdefault(prefix, []).append(genotype)
        groups = {group.prefix: group for group in self._index.groups}
        if unknown := [prefix for prefix in by_group if prefix not in groups]:
            raise BadQuery(
                Reason(field="genotype", message=f"the order has no {show(prefix)}; its samples are "
                       f"{', '.join(groups)}") for prefix in unknown
            )
        words = self._index.every.copy()
        for prefix, genotypes in by_group.items():
            one = nothing(self._index.rows)
            for genotype in genotypes:
                one |= self._of_genotype(groups[prefix], genotype)
            words &= one
        return words

    def _of_genotype(self, group: Group, genotype: str) -> Words:
        if genotype in ("carries", "absent"):
            flag = self._index.flag(group.column("carries" if genotype == "carries" else "present"))
            return flag.copy() if genotype == "carries" else ~flag & self._index.every
        zygosities = {"het": ("het", "het_alt"), "hom": ("hom_alt",), "hemi": ("hemi_alt",), "reference": REFERENCE,
                      "no_call": ("no_call", "partial_ref")}[genotype]
        return self._any(group.column("zygosity"), zygosities)

    def _inheritance(self) -> Words:
        """Of all patterns but compound_het, which depends on the other fields (query.py)."""
        family, words = Family(self._index), nothing(self._index.rows)
        for pattern in self._filter.inheritance:
            family.check(pattern)
            if pattern != "compound_het":
                words |= family.fitting(pattern, self._filter.missing_parents)
        return words

    def _somatic(self) -> Words:
        """somatic: the tumour carries it, the normal does not and has no more of it than noise. germline_leak: the
        tumour carries it, and so does the normal, or has more of it than noise."""
        tumor, normal = self._pair("somatic")
        carried = self._index.flag(tumor.column("carries"))
        in_normal = self._index.flag(normal.column("carries")) | self._index.above(
            normal.column("vaf"), self._filter.normal_vaf_max
        )
        return carried & (~in_normal if self._filter.somatic == "somatic" else in_normal)

    def _pair(self, name: str) -> tuple[Group, Group]:
        by_role = {group.role: group for group in self._index.groups}
        if Role.TUMOR not in by_role or Role.NORMAL not in by_role:
            there = ", ".join(group.prefix for group in self._index.groups)
            raise BadQuery([Reason(field=name, message=f"it compares a tumour with its normal, and the order has only "
                                   f"{there}; give the samples their roles, or leave it out")])
        return by_role[Role.TUMOR], by_role[Role.NORMAL]

    # -- text ---------------------------------------------------------------------------------------------------------

    def _q(self) -> Words:
        text = str(self._filter.q).strip()
        rows = self._rows_named(text)
        if rows is not None:
            if not len(rows):
                self._notes.append(f"q: no variant is {show(text)}")
            return of_rows(rows, self._index.rows)
        if text.upper() in self._index.gene_codes:
            return self._genes((text,), "q")
        chromosomes = {each.name for each in self._index.chromosomes}
        if ":" in text or text.lower().startswith("chr") or canonical(text) in chromosomes:
            try:
                return _touching(self._index, [self._parsed(text)])
            except BadRegion as error:
                raise BadQuery([Reason(field="q", message=str(error))]) from None
        if not re.fullmatch(r"[\w.@-]+", text):
            raise BadQuery([Reason(field="q", message=f"{show(text)} is none of rs number, gene, HGVS, variant and "
                                   "region; write rs113488022, BRAF, c.1799T>A, 7-140753336-A-T or chr7:1-2,000")])
        return self._genes((text,), "q")

    def _rows_named(self, text: str) -> Array | None:
        """Rows of an rs number, a variant or an HGVS name; None for a text that is none of them."""
        if re.fullmatch(r"rs\d+", text, re.IGNORECASE):
            return self._with_code("rsid", [self._index.code("rsid", text.lower())])
        if variant := _VARIANT.fullmatch(text):
            return rows_of_variant(self._index, variant["chrom"], int(variant["pos"].replace(",", "")),
                                   variant["ref"].upper(), variant["alt"].upper())
        name = text.rpartition(":")[2]
        if name.startswith(("c.", "n.", "m.", "g.")):
            return self._with_code("hgvsc", self._index.codes_ending("hgvsc", text))
        if protein := _protein(text):
            return self._with_code("hgvsp", self._index.codes_ending("hgvsp", protein))
        return None

    def _with_code(self, column: str, codes: Sequence[int | None]) -> Array:
        wanted = [code for code in codes if code is not None]
        values = self._index.whole(column)
        if len(wanted) == 1:
            return np.flatnonzero(values == wanted[0])
        return np.flatnonzero(np.isin(values, wanted)) if wanted else np.zeros(0, np.int64)


_VARIANT = re.compile(
    r"(?P<chrom>[\w.]+?)[-:\s]+(?:g\.)?(?P<pos>[\d,]+)[-:\s]*(?P<ref>[ACGTN]+)[->:\s/]+(?P<alt>[ACGTN]+)", re.IGNORECASE
)
_AMINO_ACIDS = {
    "A": "Ala", "R": "Arg", "N": "Asn", "D": "Asp", "C": "Cys", "Q": "Gln", "E": "Glu", "G": "Gly", "H": "His",
    "I": "Ile", "L": "Leu", "K": "Lys", "M": "Met", "F": "Phe", "P": "Pro", "S": "Ser", "T": "Thr", "W": "Trp",
    "Y": "Tyr", "V": "Val", "*": "Ter", "X": "Ter", "U": "Sec",
}


def _protein(text: str) -> str | None:
    """`p.Val600Glu`, `p.V600E` and `V600E` as `p.Val600Glu`, with the sequence's name if one is given; else None."""
    sequence, _, name = text.rpartition(":")
    short = re.fullmatch(r"(?:p\.)?\(?([A-Z*])(\d+)([A-Z*=])\)?", name)
    if short and short[1] in _AMINO_ACIDS and (short[3] in _AMINO_ACIDS or short[3] == "="):
        name = f"p.{_AMINO_ACIDS[short[1]]}{short[2]}{_AMINO_ACIDS.get(short[3], '=')}"
    elif not name.startswith("p."):
        return None
    return f"{sequence}:{name}" if sequence else name


def row_of_key(index: Index, key: str) -> int | None:
    """Of a row's `key`, as it is spelled in the table."""
    for found in re.finditer(r"-(\d{1,10})-", key):
        rows = _rows_at(index, key[: found.start()], int(found[1]))
        for row in rows.tolist():
            if index.text("key", row) == key:
                return int(row)
    return None


def rows_of_variant(index: Index, chrom: str, pos: int, ref: str, alt: str) -> Array:
    """A sequence variant by its minimal key, however it is padded; else as the VCF of the order's first sample that has
    it wrote it, which may stand further to the right than a key that was left-aligned."""
    name = canonical(chrom)
    skipped, ref, alt = minimal(ref, alt)
    row = row_of_key(index, f"{name}-{pos + skipped}-{ref}-{alt}")
    if row is not None:
        return np.array([row], np.int64)
    return np.array([row for row in _rows_written_at(index, name, pos + skipped - LONG, pos + skipped)
                     if _as_written(index, row) == (pos + skipped, ref, alt)], np.int64)


def _as_written(index: Index, row: int) -> tuple[int, str, str]:
    """Position, ref and alt of the row, trimmed."""
    pos = int(index.array("pos/exact")[row])
    ref, alt = (index.value(column, index.array(column)[row]) or "" for column in ("ref", "alt"))
    skipped, ref, alt = minimal(ref.upper(), alt.upper())
    return pos + skipped, ref, alt


def _rows_written_at(index: Index, chrom: str, first: int, last: int) -> list[int]:
    for each in index.chromosomes:
        if each.name == chrom:
            places = index.array("pos/exact")[each.start : each.stop]
            found: list[int] = (np.flatnonzero((places >= first) & (places <= last)) + each.start).tolist()
            return found
    return []


def _rows_at(index: Index, chrom: str, key_pos: int) -> Array:
    for each in index.chromosomes:
        if each.name == chrom:
            places = index.array("key_pos/exact")[each.start : each.stop]
            first, last = np.searchsorted(places, (key_pos, key_pos + 1))
            return np.arange(each.start + first, each.start + last)
    return np.zeros(0, np.int64)


def _touching(index: Index, regions: Sequence[Region]) -> Words:
    """Rows whose allele has a base within one of the regions."""
    words = nothing(index.rows)
    for each in index.chromosomes:
        mine = [region for region in regions if region.chrom == each.name]
        if any(region.start is None for region in mine):
            words |= of_range(each.start, each.stop, index.rows)
        elif mine:
            words |= of_rows(_rows_touching(index, each, mine), index.rows)
    return words


def _rows_touching(index: Index, chromosome: Chromosome, regions: Sequence[Region]) -> Array:
    """A short allele begins near its key's position, so that only rows near a region are looked at; the few long ones
    are looked at one by one."""
    starts = np.array([region.start for region in regions], np.int64)
    ends = np.array([region.end for region in regions], np.int64)
    places = index.array("key_pos/exact")[chromosome.start : chromosome.stop]
    first = np.searchsorted(places, starts - LONG) + chromosome.start
    last = np.searchsorted(places, ends + LONG, "right") + chromosome.start
    lengths = np.maximum(last - first, 0)
    of_region = np.repeat(np.arange(len(regions)), lengths)
    rows = np.arange(len(of_region)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + first[of_region]
    pos, end, long_rows = index.array("pos/exact"), index.array("end/exact"), index.array("long_rows")
    near = rows[(pos[rows] <= ends[of_region]) & (end[rows] >= starts[of_region])]
    far = [row for row in long_rows[(long_rows >= chromosome.start) & (long_rows < chromosome.stop)].tolist()
           if ((pos[row] <= ends) & (end[row] >= starts)).any()]
    return np.concatenate((near, np.array(far, np.int64)))
