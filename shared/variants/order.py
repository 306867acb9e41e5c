"""The order of the records of a file: is it the table's, is a contig in one piece, is a record there twice."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from shared.variants.report import Notes
from shared.variants.vcf.convert import Converted
from shared.variants.vcf.spans import Ints

# Rows of the last batch in which a duplicate is looked for: the same allele can be spelled at positions some way apart.
_REMEMBERED = 200


class Order:
    """Fed with the blocks of a file in turn. `contigs` are the names in order of first appearance."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._index: dict[str, int] = {}
        self._rows: list[int] = []
        self._last = (-1, -1)
        self._recent = pa.array([], pa.string())
        self.is_sorted = True

    @property
    def contigs(self) -> tuple[str, ...]:
        return tuple(self._index)

    def rows_by_contig(self) -> dict[str, int]:
        return dict(zip(self._index, self._rows, strict=True))

    def add(self, converted: Converted) -> pa.Array:
        """The block's `contig_index` column, by row."""
        for name in converted.contigs:
            if name not in self._index:
                self._index[name] = len(self._index)
                self._rows.append(0)
        ranks = np.array([self._index[name] for name in converted.contigs], np.int64)[converted.contig_codes]
        self._check(ranks, converted.positions, converted.first_line)
        by_row = ranks[converted.row_records].astype(np.int32)
        for rank, n in enumerate(np.bincount(by_row, minlength=len(self._rows))):
            self._rows[rank] += int(n)
        return pa.array(by_row)

    def _check(self, ranks: Ints, positions: Ints, first_line: int) -> None:
        before_ranks = np.concatenate(([self._last[0]], ranks[:-1]))
        before = np.concatenate(([self._last[1]], positions[:-1]))
        split, back = ranks < before_ranks, (ranks == before_ranks) & (positions < before)
        for found, code, message in (
            (split, "contig_in_pieces", "the records of a contig do not stand together; they were sorted"),
            (back, "unsorted", "records are not sorted by position; they were sorted"),
        ):
            if found.any():
                self.is_sorted = False
                self._notes.add(code, message, first_line + int(np.argmax(found)), int(found.sum()))
        self._last = (int(ranks[-1]), int(positions[-1]))

    def note_duplicates(self, batch: pa.RecordBatch) -> None:
        """Batches in the table's order: notes rows whose key stands there already, in the same batch or near its end
        in the batch before."""
        keys = pa.concat_arrays([self._recent, batch["key"].cast(pa.string())])
        codes = keys.dictionary_encode().indices.to_numpy()
        _, first = np.unique(codes, return_index=True)
        if len(first) < len(codes):
            again = np.setdiff1d(np.arange(len(codes)), first) - len(self._recent)
            again = again[again >= 0]
            if len(again):
                line = batch["line"][int(again[0])].as_py()
                self._notes.add("duplicate", "an allele stands more than once; all are kept", line, len(again))
        self._recent = keys[-_REMEMBERED:]
