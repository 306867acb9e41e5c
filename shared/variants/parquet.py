"""Writing the variant table's Parquet file: row groups of bounded size, the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

# A row group is what a reader skips or takes by position, and what is held in memory while it is written.
ROW_GROUP_ROWS = 50_000
ROW_GROUP_BYTES = 96 << 20

_SORT_MEMORY = "512MB"  # beyond it DuckDB spills to the scratch folder
_SORT_BATCH_ROWS = 20_000


class TableWriter:
    """Gathers batches into row groups. Closed without an error it leaves a complete file."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._held: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", compression_level=1, version="2.6")

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def add(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        self._held.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= ROW_GROUP_ROWS or self._bytes >= ROW_GROUP_BYTES:
            self._flush()

    def describe(self, metadata: Mapping[str, str]) -> None:
        """Key-value metadata of the file, which may only be known at its end."""
        self._writer.add_key_value_metadata(dict(metadata))

    def _flush(self) -> None:
        if self._held:
            table = pa.Table.from_batches(self._held, self._schema)
            self._writer.write_table(table, row_group_size=max(self._rows, 1))
        self._held, self._rows, self._bytes = [], 0, 0


def sorted_batches(draft: Path, schema: pa.Schema, scratch: Path) -> Iterator[pa.RecordBatch]:
    """The draft's rows in the table's order, in bounded memory."""
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET temp_directory = ?", [str(scratch / "sort")])
        connection.execute("SET memory_limit = ?", [_SORT_MEMORY])
        found = connection.sql(
            "SELECT * FROM read_parquet($draft) ORDER BY contig_index, pos, record, allele",
            params={"draft": str(draft)},
        )
        for batch in found.to_arrow_reader(_SORT_BATCH_ROWS):
            yield pa.RecordBatch.from_arrays(
                [array.cast(field.type) for array, field in zip(batch.columns, schema, strict=True)], schema=schema
            )
