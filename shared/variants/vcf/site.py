"""The eight fixed columns of a block, checked and typed. VCF 4.3, section 1.6.1."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants import kernels
from shared.variants.contigs import canonical
from shared.variants.report import Notes
from shared.variants.vcf.header import Header
from shared.variants.vcf.lines import Block, shown
from shared.variants.vcf.spans import Bools, Ints, Spans, lists
from shared.variants.vcf.values import FALSE, ONE, ZERO, holds, typed

CHROM, POS, ID, REF, ALT, QUAL, FILTER, INFO, FORMAT = range(9)

_CONTIG = re.compile(r"^(?:<[^<>\s]+>|[0-9A-Za-z!#$%&+./;?@^_|~-][0-9A-Za-z!#$%&+./;=?@^_|~-]*)$")
_LONG_RSID = re.compile(r"^rs[0-9]+$")
_LEGAL_BASES = np.zeros(256, np.bool_)
_LEGAL_BASES[list(b"ACGTNacgtn")] = True
_IUPAC_BASES = _LEGAL_BASES.copy()
_IUPAC_BASES[list(b"RYSWKMBDHVryswkmbdhv")] = True


@dataclass(frozen=True)
class Sites:
    """Arrow arrays with one value a record; `contigs` are the names in `contig` by code, in order of appearance."""

    contig_codes: Ints
    contigs: tuple[str, ...]
    pos: Ints
    ids: pa.Array
    rsid: pa.Array
    ref: pa.Array
    qual: pa.Array
    filters: pa.Array
    filter_text: pa.Array

    @property
    def contig(self) -> pa.Array:
        return pa.DictionaryArray.from_arrays(self.contig_codes.astype(np.int32), pa.array(self.contigs, pa.string()))

    @property
    def chrom(self) -> pa.Array:
        names = pa.array([canonical(contig) for contig in self.contigs], pa.string())
        return names.take(pa.array(self.contig_codes))


def read_sites(block: Block, header: Header, notes: Notes) -> Sites:
    """Raises VcfRefused for an empty column, a POS or QUAL that is no number, a REF that is not bases."""
    for j, name in enumerate(("CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")):
        column = block.column(j)
        if j != REF:
            block.refuse_first(column.sizes == 0, column, f"{name} is empty")
    codes, contigs = _contigs(block, header, notes)
    ids, rsid = _ids(block, notes)
    filters, filter_text = _filters(block, header, notes)
    return Sites(codes, contigs, _positions(block), ids, rsid, _ref(block, notes), _quality(block, notes),
                 filters, filter_text)


def _contigs(block: Block, header: Header, notes: Notes) -> tuple[Ints, tuple[str, ...]]:
    codes, names = block.column(CHROM).encode()
    for code, name in enumerate(names):
        line = block.line(int(np.argmax(codes == code)))
        if not _CONTIG.match(name):
            notes.add("contig_name", f"CHROM {shown(name)} holds a character that names may not have", line)
        if header.contigs and name not in header.contigs and name.strip("<>") not in header.contigs:
            notes.add("undeclared_contig", f"contig {shown(name)} is not declared in the header", line)
    return codes.astype(np.int64), tuple(names)


def _positions(block: Block) -> Ints:
    column = block.column(POS)
    positions, bad = typed(column, "Integer")
    block.refuse_first(bad | column.is_missing(), column, "POS is not a number: {}")
    result: Ints = positions.to_numpy(zero_copy_only=False)
    block.refuse_first(result < 0, column, "POS is negative: {}")
    return result


def _ids(block: Block, notes: Notes) -> tuple[pa.Array, pa.Array]:
    column = block.column(ID)
    present = ~column.is_missing()
    if not present.any():
        return pa.nulls(len(block), pa.list_(pa.string())), pa.nulls(len(block), pa.string())
    text = column.to_arrow(present)
    if not any(holds(text, char) for char in ";, \f\r"):
        return lists(text.drop_null(), present.astype(np.int64), present), _one_rsid(column)
    ids = pc.split_pattern(text, ";")
    rsid = pc.struct_field(pc.extract_regex(text, r"(?:^|;)(?P<rsid>rs[0-9]+)(?:;|$)"), "rsid")
    odd = pc.match_substring_regex(text, r"[\s,]|^;|;$|;;").fill_null(FALSE).to_numpy(zero_copy_only=False)
    if odd.any():
        first = int(np.argmax(odd))
        what = f"ID holds white space, a comma or an empty name: {shown(column.to_text(first))}"
        notes.add("id", what, block.line(first), int(odd.sum()))
    several = np.flatnonzero(pc.greater(pc.list_value_length(ids), ONE).fill_null(FALSE).to_numpy(zero_copy_only=False))
    for i, names in zip(several, ids.take(pa.array(several)).to_pylist(), strict=True):
        if len(set(names)) < len(names):
            notes.add("id", "an ID stands twice in one record", block.line(int(i)))
    return ids, rsid


def _one_rsid(column: Spans) -> pa.Array:
    """The fields that are `rs` and digits; null for the others."""
    text, begin = column.text.u8, column.starts
    at = np.flatnonzero((column.sizes > 2) & (text[begin] == ord("r")))
    at = at[(text[begin[at] + 1] == ord("s")) & (text[begin[at] + 2] != ord("-"))]
    digits, unsure = kernels.integers(text, begin[at] + 2, column.ends[at])
    numbered = digits.is_valid().to_numpy(zero_copy_only=False)
    for i in np.flatnonzero(unsure):
        numbered[i] = bool(_LONG_RSID.match(column.to_text(int(at[i]))))
    valid = np.zeros(len(column), np.bool_)
    valid[at[numbered]] = True
    return column.to_arrow(valid)


def check_bases(block: Block, bases: Spans, records: Ints, name: str, notes: Notes) -> None:
    """Refuses what is not letters for bases; notes ambiguity codes, which the specification does not allow.

    `records[i]` is the block's record (0-based) of `bases[i]`.
    """
    array = bases.to_arrow()
    data = np.frombuffer(array.buffers()[2] or b"", np.uint8)
    offsets = np.frombuffer(array.buffers()[1], np.int32)[: len(bases) + 1]
    for legal, refuse in ((_IUPAC_BASES, True), (_LEGAL_BASES, False)):
        odd = np.flatnonzero(~legal[data[: offsets[-1]]])
        if not len(odd):
            continue
        at = np.unique(np.searchsorted(offsets, odd, side="right") - 1)
        i = int(at[0])
        what = f"{name} is not bases: {shown(bases.to_text(i))}"
        if refuse:
            raise block.refuse(int(records[i]), what)
        line = block.line(int(records[i]))
        notes.add("ambiguous_base", f"{name} holds a letter other than A, C, G, T, N", line, len(at))


def _ref(block: Block, notes: Notes) -> pa.Array:
    column = block.column(REF)
    empty = np.flatnonzero(column.sizes == 0)
    if len(empty):
        # Manta's insertions lose their anchor base in some converters; the inserted bases are whole.
        notes.add("empty_ref", "REF is empty", block.line(int(empty[0])), len(empty))
    check_bases(block, column, np.arange(len(block)), "REF", notes)
    return column.to_arrow()


def _quality(block: Block, notes: Notes) -> pa.Array:
    column = block.column(QUAL)
    quality, bad = typed(column, "Float")
    block.refuse_first(bad, column, "QUAL is not a number: {}")
    values = quality.fill_null(ZERO).to_numpy(zero_copy_only=False)
    negative: Bools = values < 0
    if negative.any():
        i = int(np.flatnonzero(negative)[0])
        notes.add("quality", f"QUAL is negative: {shown(column.to_text(i))}", block.line(i), int(negative.sum()))
    return quality


def _filters(block: Block, header: Header, notes: Notes) -> tuple[pa.Array, pa.Array]:
    """(list of filters, null for `.`; the same as text for counting)."""
    codes, texts = block.column(FILTER).encode()
    lists: list[list[str] | None] = []
    for code, text in enumerate(texts):
        line = block.line(int(np.argmax(codes == code)))
        names = None if text == "." else text.split(";")
        lists.append(names)
        for defect in _filter_defects(names or [], header):
            notes.add("filter", defect, line, int((codes == code).sum()))
    indices = pa.array(codes)
    encoded = pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()))
    return pa.array(lists, pa.list_(pa.string())).take(indices), encoded


def _filter_defects(names: list[str], header: Header) -> list[str]:
    defects = [f"filter {shown(name)} is not declared in the header" for name in names
               if name not in header.filters and name not in ("PASS", "", ".", "0") and " " not in name]
    if "" in names:
        defects.append(f"FILTER holds an empty name: {shown(';'.join(names))}")
    if "." in names or "0" in names:
        defects.append(f"FILTER holds {'.' if '.' in names else '0'} beside other names: {shown(';'.join(names))}")
    if any(any(c.isspace() for c in name) for name in names):
        defects.append(f"a filter holds white space: {shown(';'.join(names))}")
    if len(set(names)) < len(names):
        defects.append(f"a filter stands twice: {shown(';'.join(names))}")
    if "PASS" in names and len(names) > 1:
        defects.append(f"PASS stands beside other filters: {shown(';'.join(names))}")
    return defects
