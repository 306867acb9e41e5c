"""The annotation columns, from VEP's CSQ, SnpEff's ANN or bcftools' BCSQ, and from INFO keys of their own.

All transcripts stay in the raw INFO column. The one shown is chosen among those of the row's own allele: MANE Select,
then MANE Plus Clinical, then canonical, and within each the most severe consequence; the first in the file of equals.
The worst is the most severe of them all, by the same order.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.report import Notes
from shared.variants.vcf.alleles import Rows
from shared.variants.vcf.consequences import IMPACTS, impact, ontology_terms, severity, unknown_terms
from shared.variants.vcf.entries import Chosen, Entries, Layout
from shared.variants.vcf.fields import Held
from shared.variants.vcf.lines import Block, shown
from shared.variants.vcf.pairs import Pairs, pairs_of
from shared.variants.vcf.scores import highest
from shared.variants.vcf.spans import Ints, lists
from shared.variants.vcf.values import decoded

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
    pairs = pairs_of(entries, ref, rows)
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

    def __init__(self, block: Block, entries: Entries, rows: Rows, pairs: Pairs, notes: Notes) -> None:
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


def _genes(entries: Entries, pairs: Pairs, rows: int) -> pa.Array:
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


def _choose(pairs: Pairs, score: Ints, rows: int) -> Ints:
    """The entry of each row with the lowest score (by entry), the first of equals; -1 without one."""
    best = np.full(rows, -1, np.int64)
    if len(pairs.row):
        starts = np.flatnonzero(np.concatenate(([True], pairs.row[1:] != pairs.row[:-1])))
        lowest = np.minimum.reduceat(score[pairs.entry] << _INDEX_BITS | np.arange(len(pairs.row)), starts)
        best[pairs.row[starts]] = pairs.entry[lowest & ((1 << _INDEX_BITS) - 1)]
    return best
