"""From records to rows: which ALT entries become a row, and how many are skipped for which reason."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.report import NO_ALTERNATE, REFERENCE_BLOCK, Notes
from shared.variants.vcf.lines import Block, shown
from shared.variants.vcf.site import ALT, check_bases
from shared.variants.vcf.spans import Ints, Spans

SEQUENCE, SYMBOLIC, BREAKEND = 0, 1, 2
_SKIPPED_FROM = 3  # every kind from here on makes no row
_SPANNING, _UNSPECIFIED, _MISSING, _INVALID = 3, 4, 5, 6

# "Any other allele": VCF 4.3 section 5.5, GATK's and samtools' spellings.
_UNSPECIFIED_ALLELES = {"<*>", "<NON_REF>", "<X>"}
_SYMBOLIC = re.compile(r"^<[^<>\s,]+>$")
# VCF 4.3, section 5.4: t[p[ t]p] ]p]t [p[t, where p is contig:position; and single breakends `.t` and `t.`.
ALT_BREAKEND = re.compile(r"^(?:([A-Za-z.]*)([\[\]])([^\[\]]+)\2([A-Za-z.]*)|\.[A-Za-z]+|[A-Za-z]+\.)$")
MATE = re.compile(r"^(<[^<>]+>|.+):(\d+)$")


@dataclass(frozen=True)
class Rows:
    """Which rows the block's n records make. `record[r]` is the block's record of row r, `allele[r]` the 1-based number
    of its ALT entry, `kind[r]` SEQUENCE, SYMBOLIC or BREAKEND; `n_alts[i]` is the number of ALT entries of record i."""

    record: Ints
    allele: Ints
    kind: npt.NDArray[np.int8]
    alt: pa.Array
    n_alts: Ints
    skipped: Counter[str]

    def __len__(self) -> int:
        return len(self.record)

    @property
    def one_each(self) -> bool:
        """Whether every record makes exactly one row, so that arrays by record are arrays by row."""
        n = len(self.n_alts)
        return len(self) == n and bool((self.record == np.arange(n)).all())

    @property
    def n_rows(self) -> Ints:
        """By record."""
        return np.bincount(self.record, minlength=len(self.n_alts))

    def expand(self, by_record: pa.Array) -> pa.Array:
        """An array with one value a record as one with one value a row."""
        return by_record if self.one_each else by_record.take(pa.array(self.record))


def read_alleles(block: Block, notes: Notes) -> Rows:
    """Raises VcfRefused for an ALT entry that is no allele."""
    column = block.column(ALT)
    counts, entries = column.split(",")
    records = np.repeat(np.arange(len(block)), counts)
    kinds, alone = _kinds(block, entries, records, notes), np.repeat(counts == 1, counts)
    no_alternate = (kinds == _MISSING) & alone
    bad = (kinds == _INVALID) | ((kinds == _MISSING) & ~alone)
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise block.refuse(int(records[i]), f"ALT {shown(entries.to_text(i))} is no allele")
    numbers = np.arange(len(entries)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    kept = kinds < _SKIPPED_FROM
    n_alts = counts - np.bincount(records[no_alternate], minlength=len(block))
    check_bases(block, entries[kinds == SEQUENCE], records[kinds == SEQUENCE], "ALT", notes)
    return Rows(records[kept], numbers[kept], kinds[kept], entries[kept].to_arrow(), n_alts,
                _skipped(entries, kinds, alone))


def _kinds(block: Block, entries: Spans, records: Ints, notes: Notes) -> npt.NDArray[np.int8]:
    """Letters alone are a sequence; the few others are told apart by name, each spelling once."""
    kinds = np.zeros(len(entries), np.int8)
    text = entries.to_arrow()
    data = np.frombuffer(text.buffers()[2] or b"", np.uint8)
    offsets = np.frombuffer(text.buffers()[1], np.int32)[: len(entries) + 1]
    letters = ((data | 0x20) >= ord("a")) & ((data | 0x20) <= ord("z"))
    odd = np.searchsorted(offsets, np.flatnonzero(~letters[: offsets[-1]]), side="right") - 1
    marked = np.zeros(len(entries), np.bool_)
    marked[odd] = True
    marked |= entries.sizes == 0
    at = np.flatnonzero(marked)
    if len(at):
        encoded = text.take(pa.array(at)).dictionary_encode()
        codes = encoded.indices.to_numpy()
        spellings = encoded.dictionary.to_pylist()
        kinds[at] = np.array([_kind(spelling) for spelling in spellings], np.int8)[codes]
        _note_breakends(block, spellings, records[at], codes, notes)
    return kinds


def _kind(alt: str) -> int:
    if alt == ".":
        return _MISSING
    if alt == "*":
        return _SPANNING
    if alt in _UNSPECIFIED_ALLELES:
        return _UNSPECIFIED
    if _SYMBOLIC.match(alt):
        return SYMBOLIC
    return BREAKEND if ALT_BREAKEND.match(alt) else _INVALID


def _note_breakends(block: Block, spellings: list[str], records: Ints, codes: Ints, notes: Notes) -> None:
    for code, spelling in enumerate(spellings):
        found = ALT_BREAKEND.match(spelling)
        if not found or not found[2]:
            continue
        if bool(found[1]) == bool(found[4]) or not MATE.match(found[3]):
            line = block.line(int(records[np.argmax(codes == code)]))
            notes.add("breakend", f"{shown(spelling)} is not bases, bracket, contig:position, bracket", line)


def _skipped(entries: Spans, kinds: npt.NDArray[np.int8], alone: npt.NDArray[np.bool_]) -> Counter[str]:
    skipped: Counter[str] = Counter()
    skipped[NO_ALTERNATE] = int((kinds == _MISSING).sum())
    skipped["*"] = int((kinds == _SPANNING).sum())
    unspecified = kinds == _UNSPECIFIED
    skipped[REFERENCE_BLOCK] = int((unspecified & alone).sum())
    others = entries[unspecified & ~alone].to_arrow()
    for spelling in pc.value_counts(others):
        skipped[spelling["values"].as_py()] += spelling["counts"].as_py()
    return +skipped
