"""What an allele is, and the key by which it is the same in another file."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.contigs import canonical
from shared.variants.reference import Reference
from shared.variants.report import Notes
from shared.variants.vcf.align import Located, leftmost, locate, movable
from shared.variants.vcf.alleles import ALT_BREAKEND, BREAKEND, MATE, SEQUENCE, Rows
from shared.variants.vcf.lines import Block
from shared.variants.vcf.site import INFO, Sites
from shared.variants.vcf.spans import Ints
from shared.variants.vcf.values import DASH

VARIANT_TYPES = ("snv", "insertion", "deletion", "mnv", "complex", "identical", "sv", "breakend")
_TYPES = pa.array(VARIANT_TYPES)


@dataclass(frozen=True)
class Keys:
    """By row: what the allele is, and its minimal spelling. `end` is the last base it covers, `length` in bases;
    `moved` is the number of rows that the reference moved."""

    type: pa.Array
    sv_type: pa.Array
    end: pa.Array
    length: pa.Array
    pos: pa.Array
    ref: pa.Array
    alt: pa.Array
    text: pa.Array
    type_codes: npt.NDArray[np.int8]
    moved: int


def read_keys(block: Block, sites: Sites, rows: Rows, notes: Notes, reference: Reference | None = None) -> Keys:
    """Trims sequence alleles to their minimal form, left-aligned where the reference is at hand; gives symbolic ones
    and breakends their type, end and length."""
    draft = _Draft(block, sites, rows)
    draft.trim()
    if reference:
        draft.align(locate(reference, block, sites, notes), sites)
    draft.classify()
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
        self.moved = 0

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

    def align(self, located: Located, sites: Sites) -> None:
        """To the left as far as it goes; rows whose REF the reference does not confirm stay as they are."""
        agrees = (self.rows.kind == SEQUENCE) & located.agrees[self.rows.record]
        at = np.flatnonzero(agrees & movable(self.ref, self.alt, self.ref_size, self.alt_size))
        if not len(at):
            return
        moved = []
        for i, ref, alt in zip(at, *(text.take(pa.array(at)).to_pylist() for text in (self.ref, self.alt)),
                               strict=True):
            sequence = located.sequences[sites.contig_codes[self.rows.record[i]]]
            assert sequence is not None  # or the record would not agree
            moved.append(leftmost(located.reference, sequence, int(self.key_pos[i]), ref, alt))
        places = np.array([pos for pos, _, _ in moved])
        self.moved = int((places != self.key_pos[at]).sum())
        self.key_pos[at] = places
        self.ref = self._replaced(self.ref, at, [ref for _, ref, _ in moved])
        self.alt = self._replaced(self.alt, at, [alt for _, _, alt in moved])

    def _replaced(self, array: pa.Array, at: Ints, values: list[str]) -> pa.Array:
        mask = np.zeros(len(array), np.bool_)
        mask[at] = True
        return pc.replace_with_mask(array, pa.array(mask), pa.array(values, pa.string()))

    def classify(self) -> None:
        sequence = self.rows.kind == SEQUENCE
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
        text = pc.binary_join_element_wise(self.chrom, pa.array(self.key_pos).cast(pa.string()), self.ref, alt, DASH)
        if self.suffix:
            at = np.array(sorted(self.suffix))
            bases = text.take(pa.array(at)).to_pylist()
            text = self._replaced(text, at, [base + self.suffix[int(i)] for base, i in zip(bases, at, strict=True)])
        sv_type = pa.nulls(len(self.rows), pa.string())
        if self.sv_types:
            at = np.array(sorted(self.sv_types))
            sv_type = self._replaced(sv_type, at, [self.sv_types[int(i)] for i in at])
        return Keys(
            type=pa.DictionaryArray.from_arrays(self.codes, _TYPES),
            sv_type=sv_type,
            end=pa.array(self.end),
            length=pa.array(self.length, mask=~self.length_known),
            pos=pa.array(self.key_pos), ref=self.ref, alt=alt, text=text, type_codes=self.codes,
            moved=self.moved,
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
    found = ALT_BREAKEND.match(alt)
    mate = MATE.match(found[3]) if found and found[3] else None
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
