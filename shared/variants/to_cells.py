"""Typed columns as the text of cells, for tables that people open in a spreadsheet or read with a script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shared.variants.vcf.spans import Ints, lists

ROWS_AT_A_TIME = 10_000

# What a spreadsheet takes for a formula (OWASP, "CSV Injection"), and gene symbols that it takes for a date.
_FORMULA = r"^[=+\-@\t\r]"
_DATE_LIKE = r"^(?i:jan|feb|mar|march|apr|may|jun|jul|aug|sep|sept|oct|nov|dec)[- ./]?[0-9]+$"
_QUOTED_IN_TSV = rf'["\t\r\n]|{_DATE_LIKE}'


@dataclass(frozen=True)
class Cells:
    """A column's cells: null where there is no value. Numbers (and lists of them) are as they are; all else is text."""

    text: pa.Array
    is_text: bool


def cells(array: pa.Array) -> Cells:
    """Lists are joined by commas, and the pairs of `..._other` columns are `key=value;key=value`."""
    kind = array.type
    if pa.types.is_list(kind):
        counts = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        values = array.flatten()
        if pa.types.is_struct(kind.value_type):
            fields = [cells(pc.struct_field(values, i)).text for i in range(kind.value_type.num_fields)]
            fields[1:] = [field.fill_null("") for field in fields[1:]]
            return Cells(_joined(pc.binary_join_element_wise(*fields, "="), counts, array, ";"), True)
        inner = cells(values)
        return Cells(_joined(inner.text.fill_null("."), counts, array, ","), inner.is_text)
    if pa.types.is_string(kind):
        return Cells(array, True)
    return Cells(array.cast(pa.string()), False)


def _joined(values: pa.Array, counts: Ints, array: pa.Array, delimiter: str) -> pa.Array:
    text = pc.binary_join(lists(values, counts), delimiter)
    return pc.if_else(array.is_valid(), text, None) if array.null_count else text


def delimited(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], about: Mapping[str, str], labels: Sequence[str],
    *, comma: bool,
) -> Iterator[bytes]:
    """CSV or TSV in UTF-8: what `about` says in lines that begin with `#`, the columns' labels, the rows.

    Text that a spreadsheet would run as a formula gets a `'` before it. Text is quoted (RFC 4180): in CSV always, in
    TSV where it holds a tab, a line end or a quote, or would be read as a date. No value is an empty cell.
    """
    delimiter = "," if comma else "\t"
    for key, value in about.items():
        line = f"# {key}: {' '.join(value.split())}"
        yield (_quoted_word(line) if comma and ("," in line or '"' in line) else line).encode() + b"\n"
    head = pa.array(list(labels), pa.string())
    yield delimiter.join(_safe(head, always=comma).to_pylist()).encode() + b"\n"
    for rows in pieces(batches):
        columns = []
        for name in schema.names:
            columns.append(_cell(rows[name], comma).fill_null(""))
        yield lines_of(pc.binary_join_element_wise(*columns, delimiter), "\n")


def lines_of(lines: pa.Array, end: str) -> bytes:
    """All of them as one text, each with `end` behind it."""
    if not len(lines):
        return b""
    ended = pc.binary_join_element_wise(lines, end, "")
    return bytes(pc.binary_join(pa.ListArray.from_arrays([0, len(ended)], ended), "")[0].as_buffer())


def pieces(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for at in range(0, batch.num_rows, ROWS_AT_A_TIME):
            yield batch.slice(at, ROWS_AT_A_TIME)


def _cell(array: pa.Array, comma: bool) -> pa.Array:
    found = cells(array)
    if found.is_text:
        return _safe(found.text, always=comma)
    if comma and pa.types.is_list(array.type):
        return pc.binary_join_element_wise('"', found.text, '"', "")
    return found.text


def _quoted_word(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _safe(text: pa.Array, *, always: bool) -> pa.Array:
    """(Each distinct text is looked at once.)"""
    encoded = text.dictionary_encode()
    words = encoded.dictionary
    words = pc.if_else(pc.match_substring_regex(words, _FORMULA), pc.binary_join_element_wise("'", words, ""), words)
    quoted = pc.binary_join_element_wise('"', pc.replace_substring(words, '"', '""'), '"', "")
    if not always:
        quoted = pc.if_else(pc.match_substring_regex(words, _QUOTED_IN_TSV), quoted, words)
    return quoted.take(encoded.indices)
