"""From records to rows: which ALT entries become a row, what each is, and the key by which it is the same elsewhere."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.contigs import canonical
from shared.variants.report import NO_ALTERNATE, REFERENCE_BLOCK, Notes
from shared.variants.vcf.lines import Block, shown
from shared.variants.vcf.site import ALT, INFO, Sites, check_bases
from shared.variants.vcf.spans import Ints, Spans

SEQUENCE, SYMBOLIC, BREAKEND = 0, 1, 2
_SKIPPED_FROM = 3  # every kind from here on makes no row
_SPANNING, _UNSPECIFIED, _MISSING, _INVALID = 3, 4, 5, 6

VARIANT_TYPES = ("snv", "insertion", "deletion", "mnv", "complex", "identical", "sv", "breakend")

# "Any other allele": VCF 4.3 section 5.5, GATK's and samtools' spellings.
_UNSPECIFIED_ALLELES = {"<*>", "<NON_REF>", "<X>"}
_SYMBOLIC = re.compile(r"^<[^<>\s,]+>$")
# VCF 4.3, section 5.4: t[p[ t]p] ]p]t [p[t, where p is contig:position; and single breakends `.t` and `t.`.
_BREAKEND = re.compile(r"^(?:([A-Za-z.]*)([\[\]])([^\[\]]+)\2([A-Za-z.]*)|\.[A-Za-z]+|[A-Za-z]+\.)$")
_MATE = re.compile(r"^(<[^<>]+>|.+):(\d+)$")


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
    return BREAKEND if _BREAKEND.match(alt) else _INVALID


def _note_breakends(block: Block, spellings: list[str], records: Ints, codes: Ints, notes: Notes) -> None:
    for code, spelling in enumerate(spellings):
        found = _BREAKEND.match(spelling)
        if not found or not found[2]:
            continue
        if bool(found[1]) == bool(found[4]) or not _MATE.match(found[3]):
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


@dataclass(frozen=True)
class Keys:
    """By row: what the allele is, and its minimal spelling. `end` is the last base it covers, `length` in bases."""

    type: pa.Array
    sv_type: pa.Array
    end: pa.Array
    length: pa.Array
    pos: pa.Array
    ref: pa.Array
    alt: pa.Array
    text: pa.Array
    type_codes: npt.NDArray[np.int8]


def read_keys(block: Block, sites: Sites, rows: Rows, notes: Notes) -> Keys:
    """Trims sequence alleles to their minimal form; gives symbolic ones and breakends their type, end and length."""
    draft = _Draft(block, sites, rows)
    draft.trim()
    same = np.flatnonzero(draft.codes == VARIANT_TYPES.index("identical"))
    if len(same):
        notes.add("alt_is_ref", "ALT is the same as REF", block.line(int(rows.record[same[0]])), len(same))
    draft.structural()
    return draft.keys()


class _Draft:
    """The rows' keys while they are worked out: whole columns first, then the rows that need more."""

    def __init__(self, block: Block, sites: Sites, rows: Rows) -> None:
        self.block, self.rows = block, rows
        self.chrom = rows.expand(sites.chrom)
        self.pos = sites.pos[rows.record]
        self.ref = pc.ascii_upper(rows.expand(sites.ref))
        self.alt = pc.if_else(pa.array(rows.kind == SEQUENCE), pc.ascii_upper(rows.alt), rows.alt)
        self.ref_size: Ints = pc.binary_length(self.ref).to_numpy().astype(np.int64)
        self.alt_size: Ints = pc.binary_length(self.alt).to_numpy().astype(np.int64)
        self.end = self.pos + self.ref_size - 1
        self.key_pos = self.pos.copy()
        self.codes = np.zeros(len(rows), np.int8)
        self.length = np.ones(len(rows), np.int64)
        self.length_known = np.ones(len(rows), np.bool_)
        self.sv_types: dict[int, str] = {}
        self.suffix: dict[int, str] = {}

    def trim(self) -> None:
        sequence = self.rows.kind == SEQUENCE
        at = np.flatnonzero(sequence & (self.ref_size > 1) & (self.alt_size > 1))
        if len(at):
            # Both longer than one base is rare, and a shared end can be any length: these go one by one.
            pairs = zip(self.ref.take(pa.array(at)).to_pylist(), self.alt.take(pa.array(at)).to_pylist(), strict=True)
            trimmed = [minimal(ref, alt) for ref, alt in pairs]
            self.ref = self._replaced(self.ref, at, [ref for _, ref, _ in trimmed])
            self.alt = self._replaced(self.alt, at, [alt for _, _, alt in trimmed])
            self.key_pos[at] += np.array([moved for moved, _, _ in trimmed])
            self.ref_size[at] = [len(ref) for _, ref, _ in trimmed]
            self.alt_size[at] = [len(alt) for _, _, alt in trimmed]
        self._classify(sequence)

    def _replaced(self, array: pa.Array, at: Ints, values: list[str]) -> pa.Array:
        mask = np.zeros(len(array), np.bool_)
        mask[at] = True
        return pc.replace_with_mask(array, pa.array(mask), pa.array(values, pa.string()))

    def _classify(self, sequence: npt.NDArray[np.bool_]) -> None:
        r, a = self.ref_size, self.alt_size
        same_start = pc.equal(pc.utf8_slice_codeunits(self.ref, 0, 1), pc.utf8_slice_codeunits(self.alt, 0, 1))
        anchored = same_start.to_numpy(zero_copy_only=False)
        equal = pc.equal(self.ref, self.alt).to_numpy(zero_copy_only=False)
        chosen = np.select(
            [equal, (r == 1) & (a == 1), r == a, r == 0, (r == 1) & anchored, (a == 1) & anchored],
            [VARIANT_TYPES.index(name) for name in ("identical", "snv", "mnv", "insertion", "insertion", "deletion")],
            VARIANT_TYPES.index("complex"),
        )
        lengths = np.select([r == a, (r == 1) & anchored, (a == 1) & anchored], [r, a - 1, r - 1], np.maximum(r, a))
        self.codes = np.where(sequence, chosen, self.codes).astype(np.int8)
        self.length = np.where(sequence, lengths, 0)

    def structural(self) -> None:
        at = np.flatnonzero(self.rows.kind != SEQUENCE)
        if not len(at):
            return
        info = self.block.column(INFO)
        for i, alt in zip(at, self.rows.alt.take(pa.array(at)).to_pylist(), strict=True):
            record = int(self.rows.record[i])
            if self.rows.kind[i] == BREAKEND:
                self._breakend(int(i))
            else:
                self._symbolic(int(i), alt, info.to_text(record), int(self.rows.n_alts[record]))

    def _breakend(self, i: int) -> None:
        self.codes[i] = VARIANT_TYPES.index("breakend")
        self.sv_types[i] = "BND"
        self.length_known[i] = False

    def _symbolic(self, i: int, alt: str, info: str, n_alts: int) -> None:
        self.codes[i] = VARIANT_TYPES.index("sv")
        self.sv_types[i] = alt[1:-1]
        end = _info_number(info, "END", 0, 1)
        length = _info_number(info, "SVLEN", int(self.rows.allele[i]) - 1, n_alts)
        pos = int(self.pos[i])
        inserted = alt.startswith("<INS")
        if end is not None and end >= pos:
            self.end[i] = end
        elif length is not None and not inserted:
            self.end[i] = pos + abs(length)
        if length is None and end is not None and not inserted and end >= pos:
            length = end - pos
        self.length_known[i] = length is not None
        self.length[i] = abs(length or 0)
        self.suffix[i] = f"-{self.end[i]}-{'' if length is None else abs(length)}"

    def keys(self) -> Keys:
        alt = self._alt_of_keys()
        text = pc.binary_join_element_wise(self.chrom, pa.array(self.key_pos).cast(pa.string()), self.ref, alt, "-")
        if self.suffix:
            at = np.array(sorted(self.suffix))
            bases = text.take(pa.array(at)).to_pylist()
            text = self._replaced(text, at, [base + self.suffix[int(i)] for base, i in zip(bases, at, strict=True)])
        sv_type = pa.nulls(len(self.rows), pa.string())
        if self.sv_types:
            at = np.array(sorted(self.sv_types))
            sv_type = self._replaced(sv_type, at, [self.sv_types[int(i)] for i in at])
        return Keys(
            type=pa.DictionaryArray.from_arrays(self.codes, pa.array(VARIANT_TYPES)),
            sv_type=sv_type,
            end=pa.array(self.end),
            length=pa.array(self.length, mask=~self.length_known),
            pos=pa.array(self.key_pos), ref=self.ref, alt=alt, text=text, type_codes=self.codes,
        )

    def _alt_of_keys(self) -> pa.Array:
        at = np.flatnonzero(self.rows.kind == BREAKEND)
        if not len(at):
            return self.alt
        canonical_alts = [canonical_breakend(alt) for alt in self.alt.take(pa.array(at)).to_pylist()]
        return self._replaced(self.alt, at, canonical_alts)


def minimal(ref: str, alt: str) -> tuple[int, str, str]:
    """(bases by which the position moves, ref, alt): common suffix, then common prefix removed, at least one base kept.

    Tan, Abecasis and Kang 2015, "Unified representation of genetic variants", without the step that needs a reference.
    """
    if ref == alt:
        return 0, ref[:1], alt[:1]
    most = min(len(ref), len(alt)) - 1
    tail = min(_shared_start(ref[::-1], alt[::-1]), most)
    ref, alt = ref[: len(ref) - tail], alt[: len(alt) - tail]
    head = min(_shared_start(ref, alt), min(len(ref), len(alt)) - 1)
    return head, ref[head:], alt[head:]


def _shared_start(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def canonical_breakend(alt: str) -> str:
    """The mate's contig by its canonical name, so that `N[chr2:5[` and `N[2:5[` meet."""
    found = _BREAKEND.match(alt)
    mate = _MATE.match(found[3]) if found and found[3] else None
    if not found or not mate:
        return alt
    before, bracket, after = found[1] or "", found[2], found[4] or ""
    return f"{before}{bracket}{canonical(mate[1])}:{mate[2]}{bracket}{after}"


def _info_number(info: str, key: str, index: int, n_alts: int) -> int | None:
    """Value number `index` of an INFO key that holds one value an allele, or its only value."""
    found = re.search(rf"(?:^|;){key}=([^;]*)", info)
    if not found:
        return None
    values = found[1].split(",")
    value = values[index] if len(values) == n_alts else values[0]
    return int(value) if re.fullmatch(r"-?\d{1,18}", value) else None
