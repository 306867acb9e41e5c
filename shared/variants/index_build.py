"""Makes the index of an order table (order_index.py), column by column: never more than one of them is in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.domain.request import Role
from shared.variants.inheritance import pairing
from shared.variants.order_index import (
    LONG,
    MAGIC,
    NULL_INT,
    TEXT_END,
    Array,
    Index,
    nothing,
    open_index,
    pack,
)
from shared.variants.order_schema import Column, Group, columns_of
from shared.variants.vcf.clinical import ACMG, TIERS
from shared.variants.vcf.consequences import IMPACTS, severity

_ALIGN = 64
_FEW_VALUES = 1000
_PIECE = 200_000
_NARROW = 1 << 16
_EDGES = _NARROW // 2 - 1
_RARE = 192
"""A value is rare if fewer than one row of so many has it: then its rows are counted sooner than its bitmap's bits."""

_PLACES = ("pos", "end", "key_pos")


def build_index(table: Path, out: Path, groups: Sequence[Group], assembly: str | None) -> None:
    file = pq.ParquetFile(table)
    with out.open("wb") as target:
        writer = _Writer(target)
        terms = {}
        for column in columns_of([group.prefix for group in groups]):
            if found := _index(writer, file, column):
                terms[column.name] = found
        _long_rows(writer, file)
        _sources(writer, file)
        writer.finish({
            "rows": file.metadata.num_rows, "assembly": assembly, "terms": terms, "chromosomes": _chromosomes(file),
            "groups": [{"prefix": g.prefix, "name": g.name, "role": g.role, "sex": g.sex, "members": g.members}
                       for g in groups],
        })
    if any(group.role is Role.PROBAND for group in groups):
        index = open_index(out)
        _append(out, index, pairing(index))


def _append(path: Path, index: Index, arrays: Mapping[str, Array]) -> None:
    """Adds arrays that are made of the others."""
    with path.open("r+b") as target:
        target.seek(-16, 2)
        target.seek(-16 - int.from_bytes(target.read(8), "little"), 2)
        writer = _Writer(target, index.header["arrays"])
        for name, array in arrays.items():
            writer.add(name, array)
        writer.finish(index.header)


class _Writer:
    def __init__(self, target: BinaryIO, arrays: Mapping[str, tuple[str, int, list[int]]] | None = None) -> None:
        """`arrays`: those that are there; without them a new file is begun."""
        self._target = target
        self._arrays = dict(arrays or {})
        if arrays is None:
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


def _index(writer: _Writer, file: pq.ParquetFile, column: Column) -> dict[str, Any] | None:
    """Adds the arrays of one column; its Terms, if it has bitmaps."""
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
        there = ~np.isnan(array)
    else:
        limits = np.iinfo(np.int32)
        array = np.clip(pc.fill_null(data, NULL_INT).to_numpy(), limits.min, limits.max).astype(np.int32)
        there = array != NULL_INT
    ordered = np.sort(array[there])
    values = _distinct(ordered)
    if len(values) < _NARROW and column.name not in _PLACES:
        writer.add(f"{column.name}/values", values)
    else:
        values = _edges(ordered)
        writer.add(f"{column.name}/edges", values)
        writer.add(f"{column.name}/exact", array)
    del ordered
    _add_codes(writer, column, _places(values, array, there))


def _distinct(ordered: Array) -> Array:
    keep = np.ones(len(ordered), bool)
    keep[1:] = ordered[1:] != ordered[:-1]
    return ordered[keep]


def _edges(ordered: Array) -> Array:
    """A value that has many rows is alone between two of them."""
    edges = ordered[np.linspace(0, len(ordered) - 1, min(_EDGES, len(ordered))).astype(np.int64)]
    often = np.unique(edges[1:][edges[1:] == edges[:-1]])
    often = often[often < edges[-1:]] if len(often) else often
    behind = np.nextafter(often, np.inf) if ordered.dtype.kind == "f" else often + 1
    return np.unique(np.concatenate((edges, behind.astype(ordered.dtype))))


def _places(values: Array, array: Array, there: Array) -> Array:
    """Of each row the number of the last value that is not above its own, from 1; 0 where there is none."""
    codes = np.zeros(len(array), _dtype(len(values)))
    for start in range(0, len(array), _PIECE):
        part = slice(start, start + _PIECE)
        codes[part] = np.searchsorted(values, array[part], "right")
    codes[~there] = 0
    return codes


def _dtype(most: int) -> type[np.unsignedinteger[Any]]:
    return np.uint8 if most < 1 << 8 else np.uint16 if most < 1 << 16 else np.uint32


def _add_codes(writer: _Writer, column: Column, codes: Array) -> None:
    """With the bitmap of those without one."""
    writer.add(column.name, codes)
    none = codes == 0
    if none.any() and not column.has_bitmaps:
        writer.add(f"{column.name}/none", pack(none))


def _codes(writer: _Writer, file: pq.ParquetFile, column: Column) -> dict[str, Any] | None:
    if _is_mostly_distinct(file, column):
        values, codes = _by_sorting(_large(file, column.name))
    else:
        values, codes = _by_dictionary(column, _texts(file, column))
    codes = codes.astype(_dtype(len(values)))
    _add_codes(writer, column, codes)
    writer.add_texts(column.name, values.cast(pa.large_string()))
    return _bitmaps(writer, column, codes, values) if column.has_bitmaps and column.name != "chrom" else None


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


def _bitmaps(writer: _Writer, column: Column, codes: Array, values: pa.Array) -> dict[str, Any]:
    terms: dict[str | None, list[int]] = {}
    for number, value in enumerate(values.to_pylist()):
        for term in [value] if column.kind == "few" else terms_of(value, column.parted_by):
            terms.setdefault(term, []).append(number + 1)
    if column.kind == "terms":
        terms = {term: terms[term] for term in sorted(terms, key=str)}
    ordered = list(terms)
    rows_of_code = np.bincount(codes, minlength=len(values) + 1)
    if rows_of_code[0]:
        terms[None] = [0]
    n = {term: int(rows_of_code[holding].sum()) for term, holding in terms.items()}
    frequent = sorted((term for term in terms if n[term] * _RARE >= len(codes)), key=lambda term: n[term])
    rare = [term for term in terms if term not in frequent]

    def having(term: str | None) -> Array:
        chosen = np.zeros(len(values) + 1, bool)
        chosen[terms[term]] = True
        return chosen[codes]

    bitmaps = np.zeros((len(frequent), len(nothing(len(codes)))), np.uint64)
    for bitmap, term in zip(bitmaps, frequent, strict=True):
        bitmap[:] = pack(having(term))
    writer.add(f"{column.name}/bits", bitmaps)
    rows = [np.flatnonzero(having(term)).astype(np.int32) for term in rare]
    writer.add(f"{column.name}/rows_offsets", np.cumsum([0, *map(len, rows)], dtype=np.int64))
    writer.add(f"{column.name}/rows", np.concatenate([np.zeros(0, np.int32), *rows]))
    whole = bool(frequent) and sum(n.values()) == len(codes)
    return {"ordered": ordered, "frequent": frequent, "rare": rare, "whole": whole}


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
    writer.add("genes/any", pack(lengths > 0))
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


def _long_rows(writer: _Writer, file: pq.ParquetFile) -> None:
    pos, end, key_pos = (file.read([name])[0].to_numpy() for name in ("pos", "end", "key_pos"))
    writer.add("long_rows", np.flatnonzero((end - key_pos > LONG) | (abs(pos - key_pos) > LONG)))


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
