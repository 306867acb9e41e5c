"""The basic annotation columns, from VEP's CSQ, SnpEff's ANN or bcftools' BCSQ, by the format that the header states.

All transcripts stay in the raw INFO column. The one shown is chosen among those of the row's own allele: MANE Select,
then MANE Plus Clinical, then canonical, and within each the most severe consequence; the first in the file of equals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.report import Notes
from shared.variants.vcf.alleles import Rows
from shared.variants.vcf.consequences import IMPACTS, impact, severity
from shared.variants.vcf.fields import Held, any_true
from shared.variants.vcf.header import Header
from shared.variants.vcf.lines import Block
from shared.variants.vcf.spans import Bools, Ints, Spans, ranges, take
from shared.variants.vcf.values import decoded, numbers

# What a field is called by VEP, SnpEff and bcftools csq.
_NAMES: dict[str, tuple[str, ...]] = {
    "allele": ("Allele",), "allele_number": ("ALLELE_NUM",), "consequence": ("Consequence", "Annotation"),
    "impact": ("IMPACT", "Annotation_Impact"), "gene": ("SYMBOL", "Gene_Name", "gene"),
    "transcript": ("Feature", "Feature_ID", "transcript"), "hgvsc": ("HGVSc", "HGVS.c"),
    "hgvsp": ("HGVSp", "HGVS.p"), "mane_select": ("MANE_SELECT", "MANE"), "mane_plus": ("MANE_PLUS_CLINICAL",),
    "canonical": ("CANONICAL",), "dna_change": ("dna_change",),
}
# Population frequencies: 1000 Genomes (AF, AFR_AF ...), ESP (AA_AF, EA_AF), ExAC, gnomAD in its spellings.
_MAX_AF = "MAX_AF"
_FREQUENCY = re.compile(
    r"^(?:AF|GMAF|(?:AFR|AMR|ASN|EAS|EUR|SAS|AA|EA)_(?:AF|MAF)|(?:gnomAD|ExAC).*AF.*)$", re.IGNORECASE
)
_KEYS = ("CSQ", "vep", "ANN", "BCSQ")
_INDEX_BITS = 32


@dataclass(frozen=True)
class Layout:
    """Where in an entry of INFO `key` each field stands; `frequencies` are the places of population frequencies."""

    key: str
    places: dict[str, int]
    frequencies: tuple[int, ...]


def annotation_layout(header: Header) -> Layout | None:
    """The first of CSQ, vep, ANN and BCSQ that the header declares with a format; None without one."""
    for key in _KEYS:
        if key in header.info and (names := _format(header.info[key].description)):
            places = {role: names.index(name) for role, known in _NAMES.items() for name in known if name in names}
            highest = [names.index(_MAX_AF)] if _MAX_AF in names else []
            others = [i for i, name in enumerate(names) if _FREQUENCY.match(name)]
            if "consequence" in places:
                return Layout(key, places, tuple(highest or others))
    return None


def _format(description: str) -> tuple[str, ...]:
    """The field names in `... Format: A|B|C` (VEP, bcftools) or `...: 'A | B | C'` (SnpEff)."""
    found = re.search(r"Format: *([^ ]+\|[^\"]*)", description) or re.search(r"'([^']*\|[^']*)'", description)
    return tuple(name.strip(" []'\"") for name in found[1].split("|")) if found else ()


def annotate(
    block: Block, layout: Layout, held: Held, ref: pa.Array, rows: Rows, notes: Notes
) -> dict[str, pa.Array]:
    """The annotation columns by row. `held` are the texts of the layout's key by record, `ref` is REF by row."""
    entries = _Entries(layout, held)
    chosen = _choose(entries, _pairs(entries, ref, rows), len(rows))
    lost = np.flatnonzero((chosen.index < 0) & (entries.speaking()[rows.record] > 0))
    if len(lost):
        what = f"no entry of {layout.key} is for this allele of the record"
        notes.add("annotation_allele", what, block.line(int(rows.record[lost[0]])), len(lost))
    consequence = pc.utf8_ltrim(entries.picked("consequence", chosen), "*")
    impacts = _impacts(entries.picked("impact", chosen), consequence)
    return {
        "gene": entries.picked("gene", chosen), "consequence": consequence, "impact": impacts,
        "impact_rank": pc.index_in(impacts, pa.array(IMPACTS)).cast(pa.int8()),
        "transcript": entries.picked("transcript", chosen),
        "hgvsc": decoded(entries.picked("hgvsc", chosen)), "hgvsp": decoded(entries.picked("hgvsp", chosen)),
        "af_max": _highest_frequency(entries, chosen),
    }


class _Entries:
    """The entries (one transcript each, usually) of all records of a block; fields are cut out when asked for."""

    def __init__(self, layout: Layout, held: Held) -> None:
        self.layout = layout
        self._counts, self._entries = held.texts.split(",")
        self.first, self.count = np.zeros(held.owners, np.int64), np.zeros(held.owners, np.int64)
        self.first[held.at] = np.cumsum(self._counts) - self._counts
        self.count[held.at] = self._counts
        self._bars = self._entries.text.positions("|")
        self._low = np.searchsorted(self._bars, self._entries.starts)
        self._inside = np.searchsorted(self._bars, self._entries.ends) - self._low

    def __len__(self) -> int:
        return len(self._entries)

    def field(self, place: int, which: Ints | None = None) -> Spans:
        """Field `place` of the entries (of those in `which`, ascending); empty where an entry has no such field."""
        at = np.arange(len(self)) if which is None else which
        starts, ends = self._entries.starts[at], self._entries.ends[at]
        low, inside = self._low[at], self._inside[at]
        if not len(self._bars):
            return Spans(self._entries.text, ends if place else starts, ends)
        last = len(self._bars) - 1
        begin = starts if place == 0 else self._bars[np.clip(low + place - 1, 0, last)] + 1
        end = np.where(inside > place, self._bars[np.clip(low + place, 0, last)], ends)
        there = inside >= place
        return Spans(self._entries.text, np.where(there, begin, ends), np.where(there, end, ends))

    def text(self, role: str, which: Ints | None = None) -> pa.Array | None:
        place = self.layout.places.get(role)
        return None if place is None else self.field(place, which).to_arrow()

    def filled(self, role: str) -> Bools:
        place = self.layout.places.get(role)
        if place is None:
            return np.zeros(len(self), np.bool_)
        return self.field(place).sizes > 0

    def is_pointer(self) -> Bools:
        """Entries of bcftools csq such as `@1234`, which point to another record and say nothing themselves."""
        pointers: Bools = self._entries.first_bytes() == ord("@")
        return pointers

    def speaking(self) -> Ints:
        """The number of entries of each record that are no pointers."""
        pointers = np.concatenate(([0], np.cumsum(self.is_pointer())))
        counts: Ints = self.count - (pointers[self.first + self.count] - pointers[self.first])
        return counts

    def picked(self, role: str, chosen: _Chosen) -> pa.Array:
        """The field of the entry chosen for each row, null where it is empty or none was chosen."""
        place = self.layout.places.get(role)
        return pa.nulls(len(chosen.index), pa.string()) if place is None else self.picked_at(place, chosen)

    def picked_at(self, place: int, chosen: _Chosen) -> pa.Array:
        spans = self.field(place, chosen.entries)
        values = spans.to_arrow(spans.sizes > 0)
        return values if chosen.one_each else take(values, chosen.index)


@dataclass(frozen=True)
class _Chosen:
    """Row r shows entry `entries[index[r]]`, none where the index is -1; `entries` ascend."""

    entries: Ints
    index: Ints
    one_each: bool

    @classmethod
    def of(cls, by_row: Ints) -> _Chosen:
        """From the entry of each row, -1 for none."""
        entries, back = np.unique(by_row[by_row >= 0], return_inverse=True)
        index = np.full(len(by_row), -1, np.int64)
        index[by_row >= 0] = back
        return cls(entries, index, len(entries) == len(by_row) and bool((entries == by_row).all()))


@dataclass(frozen=True)
class _Pairs:
    """Which entries may speak for which row: pair i is (row[i], entry[i]), rows ascending."""

    row: Ints
    entry: Ints


def _pairs(entries: _Entries, ref: pa.Array, rows: Rows) -> _Pairs:
    count = entries.count[rows.record]
    row = np.repeat(np.arange(len(rows)), count)
    entry = ranges(entries.first[rows.record], count)
    several = rows.n_alts[rows.record[row]] > 1
    keep = ~entries.is_pointer()[entry]
    at = np.flatnonzero(several & keep)
    if len(at):
        keep[at] = _same_allele(entries, ref, rows, row[at], entry[at])
        # Beside `*` or <NON_REF> the only allele that makes a row is the one meant, however it is spelled.
        matched = np.bincount(row[keep], minlength=len(rows))
        only = np.bincount(rows.record, minlength=len(rows.n_alts))[rows.record] == 1
        keep[at] |= (only & (matched == 0))[row[at]]
    return _Pairs(row, entry) if keep.all() else _Pairs(row[keep], entry[keep])


def _same_allele(entries: _Entries, ref: pa.Array, rows: Rows, row: Ints, entry: Ints) -> Bools:
    """Whether the entry's own allele is the row's: by ALLELE_NUM, as written, or without the first base that VEP drops
    where all alleles of a record begin alike and one differs in length."""
    if (number := entries.text("allele_number")) is not None:
        return any_true(pc.equal(number.take(pa.array(entry)), pa.array(rows.allele[row]).cast(pa.string())))
    if (allele := entries.text("allele")) is None:
        return _same_change(entries, rows, row, entry)
    alike = any_true(pc.equal(pc.utf8_slice_codeunits(ref, 0, 1), pc.utf8_slice_codeunits(rows.alt, 0, 1)))
    differs = any_true(pc.not_equal(pc.binary_length(ref), pc.binary_length(rows.alt)))
    unlike = np.bincount(rows.record[~alike], minlength=len(rows.n_alts))
    dropped = (unlike == 0) & (np.bincount(rows.record[differs], minlength=len(rows.n_alts)) > 0)
    shorter = pc.utf8_slice_codeunits(rows.alt, 1)
    shorter = pc.if_else(pc.equal(shorter, ""), "-", shorter)
    spelled = pc.if_else(pa.array(dropped[rows.record]), shorter, rows.alt)
    said = allele.take(pa.array(entry))
    whole = any_true(pc.equal(said, rows.alt.take(pa.array(row))))
    return whole | any_true(pc.equal(said, spelled.take(pa.array(row))))


def _same_change(entries: _Entries, rows: Rows, row: Ints, entry: Ints) -> Bools:
    """bcftools csq names no allele; coding changes have it in dna_change (`123A>T`), others hold for all."""
    which, back = np.unique(entry, return_inverse=True)
    changes = entries.text("dna_change", which)
    if changes is None:
        return np.ones(len(row), np.bool_)
    ending = pc.binary_join_element_wise(pa.scalar(">"), rows.alt.take(pa.array(row)), "")
    said = changes.take(pa.array(back)).to_pylist()
    return np.array([not change or change.split("+")[0].endswith(alt)
                     for change, alt in zip(said, ending.to_pylist(), strict=True)], np.bool_)


def _choose(entries: _Entries, pairs: _Pairs, rows: int) -> _Chosen:
    """The entry of each row by the stated rule."""
    chosen = np.full(rows, -1, np.int64)
    if not len(pairs.row):
        return _Chosen.of(chosen)
    score = _scores(entries)[pairs.entry]
    row_starts = np.flatnonzero(np.concatenate(([True], pairs.row[1:] != pairs.row[:-1])))
    best = np.minimum.reduceat(score << _INDEX_BITS | np.arange(len(score)), row_starts)
    winners = best & ((1 << _INDEX_BITS) - 1)
    chosen[pairs.row[row_starts]] = pairs.entry[winners]
    return _Chosen.of(chosen)


def _scores(entries: _Entries) -> Ints:
    """Lower is preferred."""
    encoded = entries.field(entries.layout.places["consequence"]).to_arrow().dictionary_encode()
    severities = np.array([severity(terms.lstrip("*")) for terms in encoded.dictionary.to_pylist()], np.int64)
    canonical, plus, select = entries.filled("canonical"), entries.filled("mane_plus"), entries.filled("mane_select")
    tier: Ints = np.where(select, 0, np.where(plus, 1, np.where(canonical, 2, 3)))
    scores: Ints = tier * 1000 + severities[encoded.indices.to_numpy()]
    return scores


def _impacts(stated: pa.Array, consequence: pa.Array) -> pa.Array:
    encoded = consequence.dictionary_encode()
    derived = pa.array([impact(terms) for terms in encoded.dictionary.to_pylist()], pa.string()).take(encoded.indices)
    return pc.coalesce(stated, derived)


def _highest_frequency(entries: _Entries, chosen: _Chosen) -> pa.Array:
    highest = pa.nulls(len(chosen.index), pa.float64())
    for place in entries.layout.frequencies:
        highest = pc.max_element_wise(highest, _frequencies(entries.picked_at(place, chosen)))
    return highest


def _frequencies(text: pa.Array) -> pa.Array:
    """Numbers; of several joined by `&` (co-located known variants) the highest. What is no number says nothing."""
    several = any_true(pc.match_substring_regex(text, "[&:]"))
    if several.any():
        highest = [_highest_of(value) for value in text.filter(pa.array(several)).to_pylist()]
        text = pc.replace_with_mask(text, pa.array(several), pa.array(highest, pa.string()))
    values, _ = numbers(text, text.is_valid().to_numpy(zero_copy_only=False), "Float")
    return values


def _highest_of(joined: str) -> str | None:
    # Up to VEP 89 an allele stands before the number, as in `T:0.01`.
    parts = [part.rpartition(":")[2] for part in joined.split("&")]
    known = [part for part in parts if re.fullmatch(r"[0-9.]+(?:[eE][-+]?[0-9]+)?", part)]
    return max(known, key=float) if known else None
