"""The order table's columns as arrays in one file, mapped into memory: what queries read (engine.py).

It is made of the table alone, column by column, so that it is never more than one column in memory, and says nothing
that the table does not say. Arrays by name, N rows, every one at a multiple of 64 bytes:

    <column>            int: int32, NULL_INT for null (beyond 32 bits: the nearest that fits); float: float64, NaN for
                        null; code, few, terms: 0 for null, else 1 + the place among the values, which are
                        sorted by text, or the gravest first (impact, consequence, tier, acmg_class); bool: bitmap
    <column>/offsets, <column>/bytes    the sorted values of a code column, or (kind text) the rows' own texts: each
                        is UTF-8 and ended by TEXT_END
    <column>/grid       GRID values of a column in sorted order, evenly spaced by rank; nulls are left out
    <column>/bits       a bitmap for each value or term, of the columns that order_schema.py says
    genes/of_row_offsets, genes/of_row          codes of all genes of a row
    genes/rows_offsets, genes/rows              rows of a gene, by code - 1
    sources/offsets, sources/at                 SOURCE_TABLE << 40 | row, see order_schema.py

A bitmap is ceil(N / 64) words of 64 bits, row 0 the lowest bit of the first; what is behind the last row is 0.
The file: MAGIC, arrays, header (JSON), its length (8 bytes, little endian), MAGIC.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.domain.request import Role, Sex
from shared.variants.order_schema import Column, Group, columns_of
from shared.variants.vcf.clinical import ACMG, TIERS
from shared.variants.vcf.consequences import IMPACTS, severity

Words = npt.NDArray[np.uint64]
Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

MAGIC = b"IFLOWIX1"
NULL_INT = int(np.iinfo(np.int32).min)
TEXT_END = b"\xff"
GRID = 2048
_ALIGN = 64
_FEW_VALUES = 1000
_PIECE = 200_000


class IndexBroken(ValueError):
    """The file is no index, or not all of it."""


# -- bitmaps ----------------------------------------------------------------------------------------------------------


def pack(rows: Bools) -> Words:
    words = np.zeros(-(-len(rows) // 64), np.uint64)
    packed = np.packbits(rows, bitorder="little")
    words.view(np.uint8)[: len(packed)] = packed
    return words


def unpack(words: Words, rows: int) -> Bools:
    return np.unpackbits(words.view(np.uint8), count=rows, bitorder="little").view(bool)


def count(words: Words) -> int:
    return int(np.bitwise_count(words).sum(dtype=np.int64))


def of_rows(rows: Array, n: int) -> Words:
    """The bitmap of row numbers, in whatever order."""
    found = np.zeros(n, bool)
    found[rows] = True
    return pack(found)


def bits_at(words: Array, rows: Array) -> Bools:
    """Of each row number whether its bit is set."""
    found: Bools = ((words[rows >> 6] >> (rows & 63).astype(np.uint64)) & np.uint64(1)).astype(bool)
    return found


def counts_within(words: Words, bitmaps: Array) -> list[int]:
    """Of each bitmap how many bits it has in common with `words`."""
    both, bits = np.empty_like(words), np.empty(len(words), np.uint8)
    return [
        int(np.bitwise_count(np.bitwise_and(words, bitmap, out=both), out=bits).sum(dtype=np.int64))
        for bitmap in bitmaps
    ]


# -- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chromosome:
    name: str
    start: int
    stop: int


class Index:
    """Opened, nothing of it is read until it is asked for. Arrays are read-only."""

    def __init__(self, path: Path) -> None:
        self._bytes = np.asarray(np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8))
        if len(self._bytes) < 24 or bytes(self._bytes[:8]) != MAGIC or bytes(self._bytes[-8:]) != MAGIC:
            raise IndexBroken(f"{path.name} is no index, or it was cut short")
        length = int.from_bytes(bytes(self._bytes[-16:-8]), "little")
        header = json.loads(bytes(self._bytes[-16 - length : -16]))
        self._arrays: dict[str, tuple[str, int, list[int]]] = header["arrays"]
        self.rows: int = header["rows"]
        self.assembly: str | None = header["assembly"]
        self.groups = tuple(
            Group(g["prefix"], g["name"], Role(g["role"]), Sex(g["sex"]), tuple(g["members"])) for g in header["groups"]
        )
        self.columns = {c.name: c for c in columns_of([group.prefix for group in self.groups])}
        self.chromosomes = tuple(Chromosome(*each) for each in header["chromosomes"])
        self._terms: dict[str, list[str]] = header["terms"]
        self._opened: dict[str, Array] = {}

    def array(self, name: str) -> Array:
        if name not in self._opened:
            dtype, at, shape = self._arrays[name]
            size = math.prod(shape) * np.dtype(dtype).itemsize
            self._opened[name] = self._bytes[at : at + size].view(dtype).reshape(shape)
        return self._opened[name]

    def has(self, name: str) -> bool:
        return name in self._arrays

    @cached_property
    def every(self) -> Words:
        """The bitmap of all rows."""
        words = pack(np.ones(self.rows, bool))
        words.flags.writeable = False
        return words

    def terms(self, column: str) -> list[str]:
        """What the bitmaps of the column are of, in their order."""
        return self._terms.get(column, [])

    def bits(self, column: str, term: str) -> Words:
        """Rows that have the value or term; none where nobody has it."""
        if term not in self.terms(column):
            return np.zeros(-(-self.rows // 64), np.uint64)
        words: Words = self.array(f"{column}/bits")[self.terms(column).index(term)]
        return words

    def flag(self, column: str) -> Words:
        return self.array(column)

    def n_values(self, column: str) -> int:
        return len(self.array(f"{column}/offsets")) - 1

    def value(self, column: str, code: int) -> str | None:
        """Of a code; None for 0."""
        return self.text(column, code - 1) if code else None

    def text(self, column: str, number: int) -> str:
        offsets = self.array(f"{column}/offsets")
        return bytes(self.array(f"{column}/bytes")[offsets[number] : offsets[number + 1] - 1]).decode()

    def code(self, column: str, value: str) -> int | None:
        """By bisection: of a column that is sorted by text."""
        low, high, wanted = 0, self.n_values(column), value.encode()
        while low < high:
            middle = (low + high) // 2
            if self.text(column, middle).encode() < wanted:
                low = middle + 1
            else:
                high = middle
        return low + 1 if low < self.n_values(column) and self.text(column, low) == value else None

    @cached_property
    def gene_codes(self) -> dict[str, list[int]]:
        """Symbol in capitals -> codes of `genes` that are spelled so."""
        found: dict[str, list[int]] = {}
        ends = bytes(self.array("genes/bytes"))
        for code, symbol in enumerate(ends.split(TEXT_END)[:-1], start=1):
            found.setdefault(symbol.decode().upper(), []).append(code)
        return found

    def codes_ending(self, column: str, ending: str) -> list[int]:
        """Of values that are `ending`, or end with it behind a colon (`NM_1.2:c.3A>G` with `c.3A>G`)."""
        offsets = self.array(f"{column}/offsets")
        if len(offsets) < 2:
            return []
        text, wanted = self.array(f"{column}/bytes").data, ending.encode() + TEXT_END
        found = []
        for at in _occurrences(text, wanted):
            number = int(np.searchsorted(offsets, at, "right")) - 1
            if at == offsets[number] or text[at - 1] == ord(":"):
                found.append(number + 1)
        return found

    def facets(self) -> dict[str, dict[str, int]]:
        """Of every column with bitmaps, rows by value."""
        return {column: self.counted(column, self.every) for column in self._terms}

    def counted(self, column: str, among: Words) -> dict[str, int]:
        """Rows of `among` by value or term; those of no row are left out."""
        counts = counts_within(among, self.array(f"{column}/bits"))
        return {term: n for term, n in zip(self.terms(column), counts, strict=True) if n}

    def rows_by_chromosome(self) -> dict[str, int]:
        return {each.name: each.stop - each.start for each in self.chromosomes}

    def count_above(self, column: str, limit: int) -> int:
        return int((self.array(column) > limit).sum())

    @cached_property
    def in_genes(self) -> Words:
        """Rows that have a gene."""
        return pack(np.diff(self.array("genes/of_row_offsets")) > 0)

    @cached_property
    def long_rows(self) -> Array:
        """Rows that reach further than LONG bases from their position."""
        return np.flatnonzero(self.array("end").astype(np.int64) - self.array("pos") > LONG)


LONG = 1000


def open_index(path: Path) -> Index:
    """Raises IndexBroken."""
    return Index(path)


def _occurrences(text: memoryview, wanted: bytes) -> Iterator[int]:
    """Places of `wanted`. Pieces overlap by the length of what is looked for; a memoryview has no find."""
    piece = 8 << 20
    for start in range(0, len(text), piece):
        data = bytes(text[start : start + piece + len(wanted) - 1])
        at = data.find(wanted)
        while at >= 0:
            yield start + at
            at = data.find(wanted, at + 1)


# -- building ---------------------------------------------------------------------------------------------------------


def build_index(table: Path, out: Path, groups: Sequence[Group], assembly: str | None) -> None:
    file = pq.ParquetFile(table)
    with out.open("wb") as target:
        writer = _Writer(target)
        terms = {}
        for column in columns_of([group.prefix for group in groups]):
            if found := _index(writer, file, column):
                terms[column.name] = found
        _sources(writer, file)
        writer.finish({
            "rows": file.metadata.num_rows, "assembly": assembly, "terms": terms, "chromosomes": _chromosomes(file),
            "groups": [{"prefix": g.prefix, "name": g.name, "role": g.role, "sex": g.sex, "members": g.members}
                       for g in groups],
        })


class _Writer:
    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._arrays: dict[str, tuple[str, int, list[int]]] = {}
        target.write(MAGIC)

    def add(self, name: str, array: Array) -> None:
        at = self._target.tell()
        self._target.write(b"\0" * (-at % _ALIGN))
        self._arrays[name] = (array.dtype.str, self._target.tell(), list(array.shape))
        self._target.write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")

    def begin(self, name: str) -> None:
        """An array of bytes that comes piece by piece, before any other."""
        self.add(name, np.zeros(0, np.uint8))

    def go_on(self, name: str, piece: Array) -> None:
        dtype, at, (length,) = self._arrays[name]
        self._arrays[name] = (dtype, at, [length + len(piece)])
        self._target.write(piece.data)

    def add_texts(self, name: str, texts: pa.LargeStringArray) -> None:
        """Values in turn; null becomes the empty text."""
        end, nothing = pa.scalar(TEXT_END, pa.large_binary()), pa.scalar(b"", pa.large_binary())
        lengths = [np.zeros(1, np.int64)]
        pieces = [texts[start : start + _PIECE] for start in range(0, len(texts), _PIECE)]
        lengths += [pc.fill_null(pc.binary_length(piece), 0).to_numpy() + 1 for piece in pieces]
        self.add(f"{name}/offsets", np.cumsum(np.concatenate(lengths), dtype=np.int64))
        self.begin(f"{name}/bytes")
        for piece in pieces:
            ended = pc.binary_join_element_wise(pc.fill_null(piece, "").cast(pa.large_binary()), end, nothing)
            self.go_on(f"{name}/bytes", np.frombuffer(ended.buffers()[2] or b"", np.uint8))

    def finish(self, header: dict[str, Any]) -> None:
        text = json.dumps({**header, "arrays": self._arrays}, sort_keys=True, separators=(",", ":")).encode()
        self._target.write(text + len(text).to_bytes(8, "little") + MAGIC)


def _index(writer: _Writer, file: pq.ParquetFile, column: Column) -> list[str] | None:
    """Adds the arrays of one column; the terms that have bitmaps, if it has some."""
    if column.kind == "code" or column.has_bitmaps:
        return _codes(writer, file, column)
    if column.kind == "text":
        writer.add_texts(column.name, _large(file, column.name))
        return None
    data = file.read([column.name])[0]
    if column.kind == "bool":
        writer.add(column.name, pack(pc.fill_null(data, False).to_numpy()))
    elif column.kind == "list":
        _genes(writer, data)
    else:
        _numbers(writer, column, data)
    return None


def _numbers(writer: _Writer, column: Column, data: pa.ChunkedArray) -> None:
    if column.kind == "float":
        array = pc.fill_null(data, float("nan")).to_numpy().astype(np.float64)
        valid = array[~np.isnan(array)]
    else:
        limits = np.iinfo(np.int32)
        array = np.clip(pc.fill_null(data, NULL_INT).to_numpy(), limits.min, limits.max).astype(np.int32)
        valid = array[array != NULL_INT]
    writer.add(column.name, array)
    _grid(writer, column.name, valid)


def _grid(writer: _Writer, name: str, valid: Array) -> None:
    ordered = np.sort(valid)
    at = np.linspace(0, len(ordered) - 1, min(GRID, len(ordered))).astype(np.int64)
    writer.add(f"{name}/grid", ordered[at])


def _codes(writer: _Writer, file: pq.ParquetFile, column: Column) -> list[str] | None:
    if _is_mostly_distinct(file, column):
        values, codes = _by_sorting(_large(file, column.name))
    else:
        values, codes = _by_dictionary(column, _texts(file, column))
    dtype = np.uint8 if len(values) < 1 << 8 else np.uint16 if len(values) < 1 << 16 else np.uint32
    array: Array = codes.astype(dtype)
    writer.add(column.name, array)
    writer.add_texts(column.name, values.cast(pa.large_string()))
    _grid(writer, column.name, array[np.not_equal(array, 0)])
    return _bitmaps(writer, column, array, values) if column.has_bitmaps else None


def _texts(file: pq.ParquetFile, column: Column) -> pa.ChunkedArray:
    """Lists as their joined texts."""
    data = file.read([column.name])[0]
    if not pa.types.is_list(data.type):
        return data
    return pa.chunked_array([pc.binary_join(chunk, column.parted_by[0]) for chunk in data.chunks], pa.string())


def _is_mostly_distinct(file: pq.ParquetFile, column: Column) -> bool:
    if column.kind != "code" or not file.num_row_groups:
        return False
    first = file.read_row_group(0, columns=[column.name])[0].drop_null()
    return len(first) > _FEW_VALUES and len(first.unique()) > len(first) / 2


def _by_dictionary(column: Column, data: pa.ChunkedArray) -> tuple[pa.Array, Array]:
    """(the values in order, the code of each row)."""
    encoded = data.dictionary_encode()
    values = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.string())
    order = _value_order(column, values)
    codes = np.zeros(len(values) + 1, np.uint32)
    codes[order] = np.arange(1, len(values) + 1)  # the last one, which null has, stays 0
    parts = [codes[pc.fill_null(c.indices, len(values)).to_numpy(zero_copy_only=False)] for c in encoded.chunks]
    return values.take(pa.array(order)), np.concatenate([np.zeros(0, np.uint32), *parts])


def _by_sorting(texts: pa.LargeStringArray) -> tuple[pa.Array, Array]:
    """As _by_dictionary, in less memory where nearly every row has a value of its own. (What has been used is let go
    of at once: these are the largest things that are in memory.)"""
    n = len(texts)
    order = pc.sort_indices(texts).to_numpy()[: n - texts.null_count]
    texts = texts.take(pa.array(order))
    begins = np.ones(len(order), bool)
    begins[1:] = pc.not_equal(texts[1:], texts[:-1]).to_numpy(zero_copy_only=False)
    codes = np.zeros(n, np.uint32)
    codes[order] = np.cumsum(begins, dtype=np.uint32)
    return texts if begins.all() else texts.filter(pa.array(begins)), codes


def _value_order(column: Column, values: pa.Array) -> Array:
    """By text, but gravest first where values have a rank."""
    rank = _RANKS.get(column.name)
    if rank is None:
        order: Array = pc.sort_indices(values).to_numpy()
        return order
    ranked = [(rank(value), value) for value in values.to_pylist()]
    return np.array(sorted(range(len(ranked)), key=lambda number: ranked[number]), np.int64)


def _place_in(names: Sequence[str]) -> Callable[[str], int]:
    return lambda value: names.index(value) if value in names else len(names)


_RANKS: dict[str, Callable[[str], int]] = {
    "impact": _place_in(IMPACTS[::-1]), "worst_impact": _place_in(IMPACTS[::-1]), "consequence": severity,
    "worst_consequence": severity, "tier": _place_in(TIERS), "acmg_class": _place_in(ACMG),
}


def _bitmaps(writer: _Writer, column: Column, codes: Array, values: pa.Array) -> list[str]:
    if column.kind == "few":
        terms = {value: [number + 1] for number, value in enumerate(values.to_pylist())}
    else:
        terms = {}
        for number, value in enumerate(values.to_pylist()):
            for term in terms_of(value, column.parted_by):
                terms.setdefault(term, []).append(number + 1)
        terms = {term: terms[term] for term in sorted(terms)}
    words = -(-len(codes) // 64)
    bitmaps = np.zeros((len(terms), words), np.uint64)
    for bitmap, holding in zip(bitmaps, terms.values(), strict=True):
        chosen = np.zeros(len(values) + 1, bool)
        chosen[holding] = True
        bitmap[:] = pack(chosen[codes])
    writer.add(f"{column.name}/bits", bitmaps)
    return list(terms)


def terms_of(value: str, parted_by: str) -> list[str]:
    for mark in parted_by[1:]:
        value = value.replace(mark, parted_by[0])
    return list(dict.fromkeys(term.strip() for term in value.split(parted_by[0]) if term.strip()))


def _genes(writer: _Writer, data: pa.ChunkedArray) -> None:
    lengths = pc.fill_null(pc.list_value_length(data), 0).to_numpy().astype(np.int64)
    encoded = pc.list_flatten(data).dictionary_encode()
    values = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.string())
    order = pc.sort_indices(values).to_numpy()
    codes = np.zeros(len(values) + 1, np.int32)
    codes[order] = np.arange(1, len(values) + 1)
    parts = [codes[pc.fill_null(c.indices, len(values)).to_numpy(zero_copy_only=False)] for c in encoded.chunks]
    flat = np.concatenate([np.zeros(0, np.int32), *parts])
    writer.add_texts("genes", values.take(pa.array(order)).cast(pa.large_string()))
    writer.add("genes/of_row_offsets", np.concatenate(([0], np.cumsum(lengths))).astype(np.int64))
    writer.add("genes/of_row", flat)
    by_gene = np.argsort(flat, kind="stable")
    rows = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)[by_gene]
    starts = np.searchsorted(flat[by_gene], np.arange(1, len(values) + 2))
    writer.add("genes/rows_offsets", starts.astype(np.int64))
    writer.add("genes/rows", rows)


def _sources(writer: _Writer, file: pq.ParquetFile) -> None:
    data = file.read(["sources"])[0]
    lengths = pc.list_value_length(data).to_numpy().astype(np.int64)
    parts = [np.zeros(0, np.int64)]
    for chunk in data.chunks:
        pairs = pc.list_flatten(chunk)
        table = pc.struct_field(pairs, "table").to_numpy().astype(np.int64)
        parts.append((table << 40) + pc.struct_field(pairs, "row").to_numpy())
    writer.add("sources/offsets", np.concatenate(([0], np.cumsum(lengths))).astype(np.int64))
    writer.add("sources/at", np.concatenate(parts))


def _chromosomes(file: pq.ParquetFile) -> list[tuple[str, int, int]]:
    encoded = file.read(["chrom"])[0].dictionary_encode()
    if not encoded.num_chunks:
        return []
    codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
    starts = np.flatnonzero(np.concatenate(([True], codes[1:] != codes[:-1]))) if len(codes) else np.zeros(0, int)
    names = encoded.chunk(0).dictionary.to_pylist()
    stops = [*starts[1:].tolist(), len(codes)]
    return [(names[codes[start]], int(start), stop) for start, stop in zip(starts.tolist(), stops, strict=True)]


def _large(file: pq.ParquetFile, name: str) -> pa.LargeStringArray:
    """A column of texts in one piece, read group by group."""
    groups = range(file.num_row_groups)
    parts = [c.cast(pa.large_string()) for i in groups for c in file.read_row_group(i, columns=[name])[0].chunks]
    return pa.concat_arrays(parts or [pa.array([], pa.large_string())])
