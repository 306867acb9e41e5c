"""Rows of a variant table as a VCF: the original header, and one record for each record that a row came from.

A record holds the alternates whose rows are there, and those that never make a row (`*`, `<NON_REF>`): genotypes and
values per allele are renumbered, and an alternate that was left out is `.` in a genotype. With all its rows there the
record's alternates and genotypes are the original ones. Records that made no row (reference blocks) are not there.

INFO and FORMAT keys stand in the order of the header's declarations, undeclared ones behind them by name. A key whose
values are all missing is left out. Text is percent-encoded once. Records stand in the table's order. The export of a
table of an export is the same bytes, unless a key stood twice in one record.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.variants.report import Notes
from shared.variants.schema import KeyColumn, TableSchema, table_schema
from shared.variants.to_cells import lines_of
from shared.variants.to_vcf_values import Encoding, Records, Written, by_record, joined, of_alleles, whole_lists
from shared.variants.vcf.header import FIXED_COLUMNS, Header, parse_header
from shared.variants.vcf.spans import Bools, Ints, spread

CELLS_AT_A_TIME = 400_000
ABOUT = "##iflow_export_"
_AD = KeyColumn("ad", "AD", "ref_and_allele", "Integer", None)
_DP, _GQ = (KeyColumn(key.lower(), key, "value", kind, 1) for key, kind in (("DP", "Integer"), ("GQ", "Float")))
_OTHER_DEPTHS = frozenset({"RD", "AO", "TAR", "TIR", "AU", "CU", "GU", "TU"})

Removed = dict[int, dict[str, str]]
"""For each record without some of its alternates: allele numbers as written -> as they are now."""

_OTHER_FIRST = frozenset({"DP", "GQ", "AD"})
"""What is taken as missing though something was written stands in `fmt_other`."""


def vcf_text(header: Header, batches: Iterable[pa.RecordBatch], about: Mapping[str, str]) -> Iterator[bytes]:
    """The file's text: `batches` are rows of one variant table, with all its columns, in its order; `header` is its
    header. `about` stands in the header as `##iflow_export_<key>`, in the place of what an earlier export said."""
    yield _header_text(header, about)
    writer = VcfWriter(header)
    for rows in _whole_records(batches, max(500, CELLS_AT_A_TIME // (len(header.samples) + 1))):
        yield writer.text(rows)


def header_of(table: Path) -> Header:
    """The header of the VCF that a variant table was made of."""
    text = pq.read_metadata(table).metadata[b"header"].decode()
    return parse_header(text.split("\n")[:-1], Notes())


def _header_text(header: Header, about: Mapping[str, str]) -> bytes:
    lines = [line for line in header.text.split("\n")[:-2] if not line.startswith(ABOUT)]
    if not lines or not lines[0].startswith("##fileformat=VCFv4."):
        lines.insert(0, "##fileformat=VCFv{}.{}".format(*header.version))
    return header_lines(lines, header.samples, about)


def header_lines(lines: Sequence[str], samples: Sequence[str], about: Mapping[str, str]) -> bytes:
    """With what `about` says and the #CHROM line behind them."""
    said = [f"{ABOUT}{key}=" + re.sub(r"\s+|^<", " ", value) for key, value in about.items()]
    columns = [*FIXED_COLUMNS, *(("FORMAT", *samples) if samples else ())]
    return ("\n".join([*lines, *said, "#" + "\t".join(columns)]) + "\n").encode()


def _whole_records(batches: Iterable[pa.RecordBatch], most: int) -> Iterator[pa.RecordBatch]:
    """The rows in pieces of about `most`, the rows of one record always together."""
    held: pa.RecordBatch | None = None
    for batch in batches:
        for at in range(0, batch.num_rows, most):
            piece = batch.slice(at, most)
            if held is not None:
                piece = pa.concat_batches([held, piece])
            record = piece["record"].to_numpy(zero_copy_only=False)
            last = _last_run(record)
            if last:
                yield piece.slice(0, last)
            held = piece.slice(last)
    if held is not None:
        yield held


def _last_run(record: Ints) -> int:
    """Where the rows of the last record begin."""
    changes = np.flatnonzero(np.diff(record))
    return int(changes[-1]) + 1 if len(changes) else 0


class VcfWriter:
    """`version` is that of the file that is written; INFO keys in `without` are left out."""

    def __init__(
        self, header: Header, version: tuple[int, int] | None = None, without: frozenset[str] = frozenset()
    ) -> None:
        self._schema: TableSchema = table_schema(header)
        self._header, self._without = header, without
        self._info = Encoding.of("INFO", version or header.version)
        self._format = Encoding.of("FORMAT", version or header.version)

    def text(self, rows: pa.RecordBatch) -> bytes:
        records, alts, removed = _records(rows)
        columns = [
            records.by_record(rows["contig"]), records.by_record(rows["pos"]).cast(pa.string()),
            joined_list(records.by_record(rows["ids"])), _ref(records.by_record(rows["ref"])), alts,
            records.by_record(rows["qual"]).cast(pa.string()).fill_null("."),
            joined_list(records.by_record(rows["filters"])), self.info_text(rows, records),
        ]
        if self._header.samples:
            columns += self._sample_text(rows, records, removed)
        return lines_of(pc.binary_join_element_wise(*columns, "\t"), "\n")

    def info_text(self, rows: pa.RecordBatch | pa.Table, records: Records) -> pa.Array:
        """The INFO column of each record."""
        others = _others(records.by_record(rows["info_other"]), self._info, "=", frozenset(self._schema.info))
        pieces = []
        for key in self._without:
            others.pop(key, None)
        for key, column in self._schema.info.items():
            if key in self._without:
                continue
            values = rows[column.name]
            told: pa.Array | None = None
            if key in others:
                told = others[key] = _with_whole(column, others[key], records)
            if column.kind == "Flag":
                pieces.append(pc.if_else(records.by_record(values).fill_null(False), key, pa.scalar(None, pa.string())))
            elif values.null_count < len(values):
                text = by_record(column, values, records, self._info)
                if told is not None:
                    text = pc.if_else(pc.and_(told.is_valid(), pa.array(records.written.has_whole(column))), None, text)
                pieces.append(pc.binary_join_element_wise(key, text, "="))
            if key in others:
                pieces.append(others.pop(key))
        pieces += [others[key] for key in sorted(others)]
        # Arrow drops rows of which every piece is null, so that the first piece is one that never is.
        text = pc.binary_join_element_wise(pa.repeat("", len(records)), *pieces, ";", null_handling="skip")
        return pc.if_else(pc.equal(text, ""), ".", pc.ascii_ltrim(text, ";"))

    def _sample_text(self, rows: pa.RecordBatch, records: Records, removed: Removed) -> list[pa.Array]:
        """The FORMAT column and one for each sample."""
        cells = [self._cells(rows, i, records, removed) for i in range(len(self._header.samples))]
        keys = self._keys(cells)
        if not keys:
            return [pa.repeat(".", len(records))] * (len(cells) + 1)
        present = np.column_stack([_any_valid([cell[key] for cell in cells if key in cell]) for key in keys])
        patterns, which = np.unique(present, axis=0, return_inverse=True)
        which = which.ravel()
        parts: list[list[pa.Array]] = [[] for _ in range(len(cells) + 1)]
        order = []
        for number, pattern in enumerate(patterns):
            at = np.flatnonzero(which == number)
            order.append(at)
            named = [key for key, there in zip(keys, pattern, strict=True) if there]
            parts[0].append(pa.repeat(":".join(named) or ".", len(at)))
            for part, cell in zip(parts[1:], cells, strict=True):
                part.append(_cell_text([cell.get(key) for key in named], at, len(records)))
        back = pa.array(np.argsort(np.concatenate(order), kind="stable"))
        return [part[0] if len(part) == 1 else pa.concat_arrays(part).take(back) for part in parts]

    def _keys(self, cells: list[dict[str, pa.Array]]) -> list[str]:
        there = {key for cell in cells for key in cell}
        declared = [key for key in ("GT", *(key for key in self._header.format if key != "GT")) if key in there]
        return [*declared, *sorted(there.difference(declared))]

    def _cells(self, rows: pa.RecordBatch, sample: int, records: Records, removed: Removed) -> dict[str, pa.Array]:
        """The texts of one sample by key, for each record; null where it has none."""
        def of(name: str) -> pa.Array:
            return rows[self._schema.sample_column(sample, name)]

        found = {"GT": _genotypes(records.by_record(of("gt")), removed)}
        if self._writes_depths and of("ad_ref").null_count + of("ad_alt").null_count < 2 * len(rows):
            found["AD"] = self._depths(of, records)
        for column in (_DP, _GQ, *self._schema.format.values()):
            values = of(column.name)
            if values.null_count < len(values):
                found[column.key] = by_record(column, values, records, self._format)
        for key, text in _others(records.by_record(of("fmt_other")), self._format).items():
            declared = _AD if key == "AD" else self._schema.format.get(key)
            if declared is not None:
                whole = whole_lists(declared, text, records)
                text = pc.coalesce(whole, text)
                if key in found and whole.null_count < len(whole):
                    found[key] = pc.coalesce(whole, found[key])
            first, second = (text, found.get(key)) if key in _OTHER_FIRST else (found.get(key), text)
            found[key] = text if first is None or second is None else pc.coalesce(first, second)
        return {key: text for key, text in found.items() if text.null_count < len(text)}

    @property
    def _writes_depths(self) -> bool:
        """What other keys say of reads (depths.py) is written as those keys."""
        return "AD" in self._header.format or not _OTHER_DEPTHS.intersection(self._header.format)

    def _depths(self, of: Callable[[str], pa.Array], records: Records) -> pa.Array:
        ref, alt = of("ad_ref"), of("ad_alt")
        if "RD" in self._header.format:  # VarScan's AD is of the alternate alone
            return pc.if_else(pa.array(records.n_alts == 1), records.by_record(alt.cast(pa.string())), None)
        if "AO" in self._schema.format:  # and without a number for the reference it is AO's
            theirs = pc.and_(ref.is_null(), of(self._schema.format["AO"].name).is_valid())
            alt = pc.if_else(theirs, None, alt)
        return of_alleles(ref.cast(pa.string()), alt.cast(pa.string()), records)


def _records(rows: pa.RecordBatch) -> tuple[Records, pa.Array, Removed]:
    """(how the rows make records, their ALT, what became of allele numbers)."""
    number = rows["record"].to_numpy(zero_copy_only=False)
    starts = np.concatenate(([True], np.diff(number) != 0))
    first, of = np.flatnonzero(starts), np.cumsum(starts) - 1
    allele = rows["allele"].to_numpy(zero_copy_only=False).astype(np.int64)
    text = rows["alts"].take(pa.array(first))
    written, names = Written.of(text, allele, of)
    counts, kept = written.counts, written.kept
    if kept.all():
        return Records(first, of, allele, counts, written), text, {}
    begin = np.cumsum(counts) - counts
    owner = np.repeat(np.arange(len(first)), counts)
    through = np.cumsum(kept)
    new: Ints = through - (through - kept)[begin][owner]
    left = np.bincount(owner[kept], minlength=len(first))
    alts = joined(names.filter(pa.array(kept)), left)
    removed = {
        int(r): {str(i + 1): str(new[begin[r] + i]) if kept[begin[r] + i] else "." for i in range(counts[r])}
        for r in np.flatnonzero(left < counts)
    }
    return Records(first, of, new[begin[of] + allele - 1], left, written), alts, removed


def _genotypes(text: pa.Array, removed: Removed) -> pa.Array:
    if not removed:
        return text
    at = np.array(sorted(removed), np.int64)
    old = text.take(pa.array(at)).to_pylist()
    new = [None if gt is None else _renumbered(gt, removed[int(r)]) for r, gt in zip(at, old, strict=True)]
    mask = np.zeros(len(text), np.bool_)
    mask[at] = True
    return pc.replace_with_mask(text, pa.array(mask), pa.array(new, pa.string()))


def _renumbered(gt: str, numbers: Mapping[str, str]) -> str:
    return re.sub(r"\d+", lambda found: numbers.get(found[0], found[0]), gt)


def _others(
    other: pa.Array, encoding: Encoding, equals: str | None = None, declared: frozenset[str] = frozenset()
) -> dict[str, pa.Array]:
    """What stands in an `..._other` column, by key: `key=value` pieces joined by `;`, or bare values (the first of a
    key) without `equals`. A comma there parts values. Of declared keys what says nothing (`.`) is left out."""
    if other.null_count == len(other):
        return {}
    counts = pc.list_value_length(other).fill_null(0).to_numpy(zero_copy_only=False)
    at, entries = np.repeat(np.arange(len(other)), counts), other.flatten()
    keys = pc.struct_field(entries, "key")
    values = encoding.encoded(pc.struct_field(entries, "value"), with_commas=False)
    if equals:
        silent = pc.and_(pc.match_substring_regex(values.fill_null(""), r"^\.(?:,\.)*$"),
                         pc.is_in(keys, pa.array(sorted(declared), pa.string())))
        bare = pc.equal(values.fill_null(""), "")
        values = pc.if_else(bare, keys, pc.binary_join_element_wise(keys, values.fill_null(""), equals))
        told = pc.invert(silent)
        keys, values, at = keys.filter(told), values.filter(told), at[told.to_numpy(zero_copy_only=False)]
    table = pa.table({"at": at, "text": values})
    order = pc.sort_indices(table, sort_keys=[("at", "ascending"), ("text", "ascending")])
    keys, values, at = keys.take(order), values.take(order), at[order.to_numpy()]
    found = {}
    for key in pc.unique(keys).to_pylist():
        mine = np.flatnonzero(pc.equal(keys, key).to_numpy(zero_copy_only=False))
        owners, firsts, repeats = np.unique(at[mine], return_index=True, return_counts=True)
        text = values.take(pa.array(mine))
        text = joined(text, repeats, ";") if equals else text.take(pa.array(firsts))
        found[key] = spread(text, owners, len(other))
    return found


def _with_whole(column: KeyColumn, text: pa.Array, records: Records) -> pa.Array:
    """Of `key=value` texts; a key that stood twice stays as it was written."""
    alone = pc.if_else(pc.match_substring(text, ";"), None, pc.replace_substring_regex(text, "^[^=]*=", ""))
    return pc.coalesce(pc.binary_join_element_wise(column.key, whole_lists(column, alone, records), "="), text)


def joined_list(array: pa.Array) -> pa.Array:
    return pc.binary_join(array, ";").fill_null(".")


def _ref(array: pa.Array) -> pa.Array:
    """A record without REF bases, which some callers write, cannot be read by others: one base, unknown."""
    return pc.if_else(pc.equal(array, ""), "N", array)


def _any_valid(arrays: list[pa.Array]) -> Bools:
    found: Bools = np.logical_or.reduce([array.is_valid().to_numpy(zero_copy_only=False) for array in arrays])
    return found


def _cell_text(values: list[pa.Array | None], at: Ints, n: int) -> pa.Array:
    """The values of a cell, one a key, for the records `at` of `n`."""
    if not values or all(array is None for array in values):
        return pa.repeat(":".join("." for _ in values) or ".", len(at))
    whole = len(at) == n
    texts = ["." if array is None else (array if whole else array.take(pa.array(at))).fill_null(".")
             for array in values]
    return pc.binary_join_element_wise(*texts, ":")
