"""The annotation columns, from VEP's CSQ, SnpEff's ANN or bcftools' BCSQ, and from INFO keys of their own.

All transcripts stay in the raw INFO column. The one shown is chosen among those of the row's own allele: MANE Select,
then MANE Plus Clinical, then canonical, and within each the most severe consequence; the first in the file of equals.
The worst is the most severe of them all, by the same order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.report import Notes
from shared.variants.vcf.alleles import Rows
from shared.variants.vcf.consequences import IMPACTS, impact, ontology_terms, severity, unknown_terms
from shared.variants.vcf.entries import Chosen, Entries, Layout
from shared.variants.vcf.fields import Held, any_true
from shared.variants.vcf.lines import Block, shown
from shared.variants.vcf.scores import highest
from shared.variants.vcf.spans import Bools, Ints, lists, ranges
from shared.variants.vcf.values import DASH, NO_TEXT, decoded

_INDEX_BITS = 32
_RANKED = pa.array(IMPACTS)
RULES = pa.array(("mane_select", "mane_plus_clinical", "canonical", "most_severe"))


def annotate(
    block: Block, layout: Layout, held: Held, ref: pa.Array, rows: Rows, notes: Notes
) -> tuple[dict[str, pa.Array], Chosen]:
    """(the columns of transcripts by row; the entries that are shown, for what else is read of them).

    `held` are the texts of the layout's key by record, `ref` is REF by row.
    """
    entries = Entries(layout, held)
    pairs = _pairs(entries, ref, rows)
    kinds = _Consequences(block, entries, rows, pairs, notes)
    chosen = Chosen(entries, _choose(pairs, kinds.preference(), len(rows)))
    worst = Chosen(entries, _choose(pairs, kinds.severity, len(rows)))
    lost = np.flatnonzero((chosen.entry < 0) & (entries.speaking()[rows.record] > 0))
    if len(lost):
        what = f"no entry of {layout.key} is for this allele of the record"
        notes.add("annotation_allele", what, block.line(int(rows.record[lost[0]])), len(lost))
    columns = {name: chosen.text(name) for name in ("gene", "gene_id", "transcript", "exon")}
    columns |= {name: decoded(chosen.text(name)) for name in ("hgvsc", "hgvsp", "hgvsg")}
    columns["genes"] = _genes(entries, pairs, len(rows))
    columns["transcript_rule"] = kinds.rules(chosen)
    columns["consequence"], columns["impact"] = kinds.of(chosen)
    columns["impact_rank"] = _rank(columns["impact"])
    columns["worst_consequence"], worst_impact = kinds.of(worst)
    columns["worst_impact_rank"] = pc.max_element_wise(_rank(worst_impact), columns["impact_rank"])
    columns["worst_gene"] = worst.text("gene")
    columns["worst_transcript"] = worst.text("transcript")
    columns["af_max"] = highest(chosen, layout.frequencies)
    return columns, chosen


class _Consequences:
    """The consequences of all entries, each spelling looked at once: `severity` by entry, 0 the most severe."""

    def __init__(self, block: Block, entries: Entries, rows: Rows, pairs: _Pairs, notes: Notes) -> None:
        codes, spellings = entries.field(entries.layout.places["consequence"]).encode()
        self._codes: Ints = codes.astype(np.int64)
        terms = [ontology_terms(text) for text in spellings]
        self._terms = pa.array([text or None for text in terms], pa.string())
        self._impacts = pa.array([impact(text) for text in terms], pa.string())
        self.severity: Ints = np.array([severity(text) for text in terms], np.int64)[self._codes]
        self._tiers = _tiers(entries)
        for code, text in enumerate(terms):
            if (odd := unknown_terms(text)) and (at := np.flatnonzero(self._codes[pairs.entry] == code)).size:
                line = block.line(int(rows.record[pairs.row[at[0]]]))
                notes.add("consequence", f"{', '.join(map(shown, odd))} is no consequence that is known", line, len(at))

    def preference(self) -> Ints:
        """By entry; lower is preferred."""
        preferred: Ints = self._tiers * 1000 + self.severity
        return preferred

    def rules(self, chosen: Chosen) -> pa.Array:
        """Why each row's entry was chosen."""
        return RULES.take(pa.array(np.append(self._tiers, 0)[chosen.entry], mask=chosen.entry < 0))

    def of(self, chosen: Chosen) -> tuple[pa.Array, pa.Array]:
        """(consequence, impact) by row: the impact that the entry states, else that of its terms."""
        codes = pa.array(np.append(self._codes, 0)[chosen.entry], mask=chosen.entry < 0)
        return self._terms.take(codes), pc.coalesce(chosen.text("impact"), self._impacts.take(codes))


def _tiers(entries: Entries) -> Ints:
    """By entry the place in RULES of what it is."""
    select, plus, canonical = (entries.filled(role) for role in ("mane_select", "mane_plus", "canonical"))
    tiers: Ints = np.where(select, 0, np.where(plus, 1, np.where(canonical, 2, 3)))
    return tiers


def _rank(impacts: pa.Array) -> pa.Array:
    return pc.index_in(impacts, _RANKED).cast(pa.int8())


def _genes(entries: Entries, pairs: _Pairs, rows: int) -> pa.Array:
    """Every symbol once, in the file's order; null without any."""
    place = entries.layout.places.get("gene")
    if place is None or not len(pairs.row):
        return pa.nulls(rows, pa.list_(pa.string()))
    spans = entries.field(place)
    by_entry, symbols = spans.encode(spans.sizes > 0)
    codes = by_entry.astype(np.int64)[pairs.entry]
    both = pairs.row << _INDEX_BITS | (codes + 1)
    fresh = np.flatnonzero((codes >= 0) & np.concatenate(([True], both[1:] != both[:-1])))
    if (np.diff(pairs.row[fresh]) == 0).any():
        _, first = np.unique(both[fresh], return_index=True)
        fresh = fresh[np.sort(first)]
    counts = np.bincount(pairs.row[fresh], minlength=rows)
    return lists(pa.array(symbols, pa.string()).take(pa.array(codes[fresh])), counts, counts > 0)


def _choose(pairs: _Pairs, score: Ints, rows: int) -> Ints:
    """The entry of each row with the lowest score (by entry), the first of equals; -1 without one."""
    best = np.full(rows, -1, np.int64)
    if len(pairs.row):
        starts = np.flatnonzero(np.concatenate(([True], pairs.row[1:] != pairs.row[:-1])))
        lowest = np.minimum.reduceat(score[pairs.entry] << _INDEX_BITS | np.arange(len(pairs.row)), starts)
        best[pairs.row[starts]] = pairs.entry[lowest & ((1 << _INDEX_BITS) - 1)]
    return best


@dataclass(frozen=True)
class _Pairs:
    """Which entries may speak for which row: pair i is (row[i], entry[i]), rows ascending."""

    row: Ints
    entry: Ints


def _pairs(entries: Entries, ref: pa.Array, rows: Rows) -> _Pairs:
    count = entries.count[rows.record]
    row = np.repeat(np.arange(len(rows)), count)
    entry = ranges(entries.first[rows.record], count)
    several = np.repeat(rows.n_alts[rows.record] > 1, count)
    keep = ~entries.is_pointer()[entry]
    at = np.flatnonzero(several & keep)
    if len(at):
        keep[at] = _same_allele(entries, ref, rows, row[at], entry[at])
        # Beside `*` or <NON_REF> the only allele that makes a row is the one meant, however it is spelled.
        matched = np.bincount(row[keep], minlength=len(rows))
        only = np.bincount(rows.record, minlength=len(rows.n_alts))[rows.record] == 1
        keep[at] |= (only & (matched == 0))[row[at]]
    return _Pairs(row, entry) if keep.all() else _Pairs(row[keep], entry[keep])


def _same_allele(entries: Entries, ref: pa.Array, rows: Rows, row: Ints, entry: Ints) -> Bools:
    """Whether the entry's own allele is the row's: by ALLELE_NUM, as written, or without the first base that VEP drops
    where all alleles of a record begin alike and one differs in length."""
    if (number := entries.text("allele_number")) is not None:
        return any_true(pc.equal(number.take(pa.array(entry)), pa.array(rows.allele[row]).cast(pa.string())))
    which, back = np.unique(entry, return_inverse=True)
    if (allele := entries.text("allele", which)) is None:
        return _same_change(entries, rows, row, entry)
    asked, of = np.unique(row, return_inverse=True)
    record, alt = rows.record[asked], rows.alt.take(pa.array(asked))
    ref = ref.take(pa.array(asked))
    alike = any_true(pc.equal(pc.utf8_slice_codeunits(ref, 0, 1), pc.utf8_slice_codeunits(alt, 0, 1)))
    differs = any_true(pc.not_equal(pc.binary_length(ref), pc.binary_length(alt)))
    unlike = np.bincount(record[~alike], minlength=len(rows.n_alts))
    dropped = (unlike == 0) & (np.bincount(record[differs], minlength=len(rows.n_alts)) > 0)
    shorter = pc.utf8_slice_codeunits(alt, 1)
    shorter = pc.if_else(pc.equal(shorter, NO_TEXT), DASH, shorter)
    spelled = pc.if_else(pa.array(dropped[record]), shorter, alt)
    said = allele.take(pa.array(back))
    whole = any_true(pc.equal(said, alt.take(pa.array(of))))
    return whole | any_true(pc.equal(said, spelled.take(pa.array(of))))


def _same_change(entries: Entries, rows: Rows, row: Ints, entry: Ints) -> Bools:
    """bcftools csq names no allele; coding changes have it in dna_change (`123A>T`), others hold for all."""
    which, back = np.unique(entry, return_inverse=True)
    changes = entries.text("dna_change", which)
    if changes is None:
        return np.ones(len(row), np.bool_)
    ending = pc.binary_join_element_wise(pa.scalar(">"), rows.alt.take(pa.array(row)), "")
    said = changes.take(pa.array(back)).to_pylist()
    return np.array([not change or change.split("+")[0].endswith(alt)
                     for change, alt in zip(said, ending.to_pylist(), strict=True)], np.bool_)
