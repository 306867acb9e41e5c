"""Writing the variant table's Parquet file: row groups of bounded size, the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shared.variants.schema import ANNOTATION_KEYS

# A row group is what a reader skips or takes by position, and what is held in memory while it is written.
ROW_GROUP_ROWS = 50_000
ROW_GROUP_BYTES = 96 << 20


class TableWriter:
    """Gathers batches into row groups. Closed without an error it leaves a complete file."""

    def __init__(self, path: Path, schema: pa.Schema, statistics: Sequence[str] | None = None) -> None:
        """`statistics` are the columns whose least and greatest value each row group tells; None for all."""
        self._schema = schema
        self._held: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0
        self._writer = pq.ParquetWriter(
            path, schema, write_statistics=True if statistics is None else list(statistics), **_encodings(schema)
        )
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush()
                self._wait()
        finally:
            self._thread.shutdown()
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
            self._wait()
            self._writing = self._thread.submit(self._writer.write_table, table, row_group_size=self._rows)
        self._held, self._rows, self._bytes = [], 0, 0

    def _wait(self) -> None:
        """One row group at a time is encoded, beside the work on the next."""
        if self._writing:
            self._writing.result()


# Numbers that grow row by row are stored as differences; where nearly each value is its own, a dictionary is in vain.
_GROWING = frozenset({"pos", "end", "key_pos", "record", "line"})
_RAW_ANNOTATIONS = frozenset(f"info_{key}" for key in ANNOTATION_KEYS)
_NEVER_TWICE = frozenset({"key", "qual", "rsid", "ids", "transcript", "hgvsc", "hgvsp"}) | _RAW_ANNOTATIONS
# By the least and greatest of these a reader skips row groups of a variant table; in other columns each row group has
# about every value.
SKIPPED_BY = ("contig", "chrom", "contig_index", "pos", "end", "key_pos", "record", "line", "qual", "impact_rank",
               "worst_impact_rank", "af_max")


def _encodings(schema: pa.Schema) -> dict[str, Any]:
    leaves = [leaf for field in schema for leaf in _leaves(field.name, field.type)
              if field.name not in _GROWING | _NEVER_TWICE]
    return {"version": "2.6", "compression": "zstd", "compression_level": 1, "use_dictionary": leaves,
            "column_encoding": dict.fromkeys(sorted(_GROWING), "DELTA_BINARY_PACKED")}


def _leaves(path: str, type_: pa.DataType) -> list[str]:
    """Parquet's names of the columns that a field becomes."""
    if pa.types.is_list(type_):
        return _leaves(f"{path}.list.element", type_.value_type)
    if pa.types.is_struct(type_):
        return [leaf for field in type_ for leaf in _leaves(f"{path}.{field.name}", field.type)]
    return [path]
