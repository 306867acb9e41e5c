"""Rows of an order table as JSON and as Arrow, taken out of the index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic_core import to_json

from shared.variants.order_index import Index, bits_at
from shared.variants.order_schema import ANNOTATION, OF_ORDER, SAMPLE, SITE, Column

Array = npt.NDArray[Any]

SOURCE_ROW = (1 << 40) - 1


def rows_as_json(index: Index, rows: Array) -> list[dict[str, Any]]:
    """{field: value, ..., "samples": {group: {field: value}}}: the columns of order_schema.py; lists as lists; null
    where there is none, never 0 (C63). `graver_elsewhere`: another transcript has a higher impact than the one that is
    shown (C69)."""
    site = {c.name: _values(index, c, c.name, rows) for c in (*SITE, *ANNOTATION, *OF_ORDER)}
    samples = {g.prefix: {c.name: _values(index, c, g.column(c.name), rows) for c in SAMPLE} for g in index.groups}
    result = []
    each_sample = [_as_dicts(columns) for columns in samples.values()]
    for number, row in enumerate(_as_dicts(site)):
        row["graver_elsewhere"] = row["impact"] != row["worst_impact"]
        row["samples"] = {prefix: each[number] for prefix, each in zip(samples, each_sample, strict=True)}
        result.append(row)
    return result


def _as_dicts(columns: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def json_text(answer: Any) -> bytes:
    """A number that JSON has no word for becomes a text, such as `"Infinity"`."""
    return to_json(answer, inf_nan_mode="strings")


def sources_of(index: Index, row: int) -> list[tuple[int, int]]:
    """(number of the table, number of the row in its file) of every row behind this one."""
    offsets = index.array("sources/offsets")
    found = index.array("sources/at")[offsets[row] : offsets[row + 1]].tolist()
    return [(at >> 40, at & SOURCE_ROW) for at in found]


def batches(index: Index, rows: Array, columns: Sequence[str], size: int = 10_000) -> Iterator[pa.RecordBatch]:
    """The rows in the order in which they are given, `size` at a time; `columns` by their names in order_schema.py."""
    schema = pa.schema([(name, index.columns[name].type) for name in columns])
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        arrays = [pa.array(_values(index, index.columns[name], name, part), index.columns[name].type)
                  for name in columns]
        yield pa.record_batch(arrays, schema=schema)


def _values(index: Index, column: Column, name: str, rows: Array) -> list[Any]:
    if column.kind == "text":
        return index.texts(name, rows)
    if column.kind == "list":
        return _listed(index, name, rows)
    if column.kind == "float":
        return [None if value != value else value for value in index.numbers(name, rows).tolist()]
    if column.kind == "int":
        return [None if value != value else int(value) for value in index.numbers(name, rows).tolist()]
    data = index.array(name)
    if column.kind == "bool":
        return list(bits_at(data, rows).tolist())
    values: list[Any] = data[rows].tolist()
    texts = _texts(index, name, values)
    if pa.types.is_list(column.type):
        return [None if (text := texts[code]) is None else text.split(column.parted_by) for code in values]
    return [texts[code] for code in values]


def _listed(index: Index, name: str, rows: Array) -> list[list[str]]:
    offsets, codes = index.array(f"{name}/of_row_offsets"), index.array(f"{name}/of_row")
    found = [codes[offsets[row] : offsets[row + 1]].tolist() for row in rows.tolist()]
    texts = _texts(index, name, (code for each in found for code in each))
    return [[text for code in each if (text := texts[code])] for each in found]


def _texts(index: Index, name: str, codes: Iterable[int]) -> dict[int, str | None]:
    """Each once; None for 0."""
    each = np.array(sorted(set(codes) - {0}), np.int64)
    return {0: None, **dict(zip(each.tolist(), index.texts(name, each - 1), strict=True))}
