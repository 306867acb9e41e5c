"""Rows as Parquet and as JSON lines, piece by piece."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.variants.to_cells import lines_of, pieces

GROUP_ROWS = 50_000


class Sink(io.RawIOBase):
    """Takes what a writer of files writes, for `taken` to hand on."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override]
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        found, self._parts = b"".join(self._parts), []
        return found


def parquet(schema: pa.Schema, batches: Iterable[pa.RecordBatch], about: Mapping[str, str]) -> Iterator[bytes]:
    """`about` is the file's metadata. Without its footer, which comes last, nothing reads it."""
    sink = Sink()
    with pq.ParquetWriter(sink, schema.with_metadata(None), compression="zstd", version="2.6") as writer:
        yield sink.taken()
        for table in _groups(batches, schema):
            writer.write_table(table)
            yield sink.taken()
        writer.add_key_value_metadata(dict(about))
    yield sink.taken()


def _groups(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(each.num_rows for each in held) >= GROUP_ROWS:
            yield pa.Table.from_batches(held, schema)
            held = []
    if held:
        yield pa.Table.from_batches(held, schema)


def json_lines(schema: pa.Schema, batches: Iterable[pa.RecordBatch], about: Mapping[str, str]) -> Iterator[bytes]:
    """First `{"export": {...}}`, then an object a row, with every column, null where there is no value. What is no
    finite number is null, since JSON has none."""
    yield json.dumps({"export": dict(about)}).encode() + b"\n"
    with duckdb.connect(":memory:") as connection:
        for batch in pieces(batches):
            rows = pa.Table.from_arrays([_finite(batch[name]) for name in schema.names], names=schema.names)
            connection.register("exported", rows)
            found = connection.sql("SELECT to_json(exported)::VARCHAR FROM exported").to_arrow_table()
            yield lines_of(pa.concat_arrays(found.column(0).chunks), "\n")


def _finite(array: pa.Array) -> pa.Array:
    if pa.types.is_floating(array.type):
        return pc.if_else(pc.is_finite(array), array, None)
    return array
