"""Rows of an order table, in any order and as many as there are, as a file of any format: made while it is sent.

Formats and what each holds
    vcf, vcf.gz     one table behind the order: its records as in to_vcf.py; several: to_vcf_merged.py. By position,
                    whatever order was asked for
    tsv, csv, xlsx, jsonl, parquet    a row each, in the order asked for: the columns asked for, or all but `sources`
What the file is of (`about`) stands in its first lines or its metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared.variants.bgzf import compressed
from shared.variants.to_cells import delimited
from shared.variants.to_files import json_lines, parquet
from shared.variants.to_vcf import header_of, vcf_text
from shared.variants.to_vcf_merged import SampleGroup, merged_vcf
from shared.variants.to_xlsx import workbook
from shared.variants.vcf.spans import Ints

FORMATS = {
    "vcf": "text/x-vcf", "vcf.gz": "application/gzip", "tsv": "text/tab-separated-values", "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
}
"""Ending of the file -> media type."""

_SCATTERED_ROWS = 10_000
"""At a time, of rows in another order than the table's."""


class UnknownColumns(ValueError):
    """Columns that the order table does not have; the message names them."""


@dataclass(frozen=True)
class Selection:
    """`rows` are numbers of rows of the order table `table`, in the order asked for. `tables` are the variant tables
    behind it, as its `sources` count them, and `groups` its samples; both are for a VCF alone."""

    table: Path
    rows: Ints
    tables: Sequence[Path] = ()
    groups: Sequence[SampleGroup] = ()

    def schema(self, columns: Sequence[str] = ()) -> pa.Schema:
        """Raises UnknownColumns."""
        schema = pq.read_schema(self.table)
        if missing := [name for name in columns if name not in schema.names]:
            raise UnknownColumns(f"there are no columns {', '.join(missing)}")
        names = columns or [name for name in schema.names if name != "sources"]
        return pa.schema([schema.field(name) for name in names])

    def batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        if (np.diff(self.rows) > 0).all():
            return taken(self.table, schema, self.rows)
        return self._scattered(schema)

    def _scattered(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """By way of an Arrow file on disk, which can be read at any place."""
        lying = np.sort(self.rows)
        with TemporaryDirectory(prefix="iflow-export-") as folder:
            path = f"{folder}/rows.arrow"
            with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
                for batch in taken(self.table, schema, lying):
                    writer.write_batch(batch)
            with pa.memory_map(path) as source:
                table = pa.ipc.open_file(source).read_all()
                for at in range(0, len(self.rows), _SCATTERED_ROWS):
                    places = np.searchsorted(lying, self.rows[at : at + _SCATTERED_ROWS])
                    yield from table.take(pa.array(places)).combine_chunks().to_batches()


def taken(table: Path, schema: pa.Schema, rows: Ints) -> Iterator[pa.RecordBatch]:
    """Rows of a Parquet file by their numbers, which ascend; a row group at a time."""
    file = pq.ParquetFile(table)
    first = 0
    for group in range(file.num_row_groups):
        end = first + file.metadata.row_group(group).num_rows
        low, high = np.searchsorted(rows, (first, end))
        if low < high:
            found = file.read_row_group(group, columns=schema.names).select(schema.names)
            if high - low < end - first:
                found = found.take(pa.array(rows[low:high] - first))
            yield from found.combine_chunks().to_batches()
        first = end


def exported(
    selection: Selection, file_format: str, about: Mapping[str, str], columns: Sequence[str] = ()
) -> Iterator[bytes]:
    """The file, piece by piece. Raises UnknownColumns, KeyError for an unknown format, before the first piece."""
    FORMATS[file_format]
    if file_format in ("vcf", "vcf.gz"):
        text = _vcf(selection, about)
        return compressed(text) if file_format == "vcf.gz" else text
    schema = selection.schema(columns)
    rows = selection.batches(schema)
    if file_format == "xlsx":
        return workbook(schema, rows, about, schema.names)
    if file_format == "parquet":
        return parquet(schema, rows, about)
    if file_format == "jsonl":
        return json_lines(schema, rows, about)
    return delimited(schema, rows, about, schema.names, comma=file_format == "csv")


def _vcf(selection: Selection, about: Mapping[str, str]) -> Iterator[bytes]:
    if len(selection.tables) != 1:
        return merged_vcf(selection.table, selection.rows, selection.tables, selection.groups, about)
    (table,) = selection.tables
    return vcf_text(header_of(table), _source_batches(selection, table), about)


def _source_batches(selection: Selection, table: Path) -> Iterator[pa.RecordBatch]:
    yield from taken(table, pq.read_schema(table), _source_rows(selection))


def _source_rows(selection: Selection) -> Ints:
    """Of the only variant table, every row behind the rows: also those that hold an allele a second time."""
    schema = pq.read_schema(selection.table)
    parts = [np.zeros(0, np.int64)]
    for batch in taken(selection.table, pa.schema([schema.field("sources")]), np.sort(selection.rows)):
        parts.append(batch["sources"].flatten().field("row").to_numpy(zero_copy_only=False))
    return np.unique(np.concatenate(parts))
