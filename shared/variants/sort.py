"""The rows of a draft table in the table's order, in bounded memory, however shuffled they are.

Only contig and position of all rows are in memory at once (12 bytes a row). Rows are dealt out to files that each take
one stretch of the sorted order, and each such stretch is then sorted by itself. (DuckDB's own sort of whole rows runs
out of a memory limit that is a small multiple of a row group.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shared.variants.parquet import ROW_GROUP_BYTES, ROW_GROUP_ROWS
from shared.variants.vcf.spans import Ints

_MOST_STRETCHES = 256  # files that are open at a time
_ORDER = [(name, "ascending") for name in ("contig_index", "pos", "record", "allele")]


def sorted_batches(draft: Path, schema: pa.Schema, scratch: Path) -> Iterator[pa.RecordBatch]:
    """`draft` holds the rows in another order; files are put into `scratch`, for the caller to remove."""
    file = pq.ParquetFile(draft)
    stretches = _stretches(file)
    names = [scratch / f"stretch{i}.arrow" for i in range(int(stretches.max(initial=-1)) + 1)]
    with ExitStack() as stack:
        writers = [stack.enter_context(pa.ipc.new_stream(str(name), schema)) for name in names]
        first = 0
        for group in range(file.num_row_groups):
            table = file.read_row_group(group)
            mine = stretches[first : first + table.num_rows]
            for stretch in np.unique(mine):
                writers[stretch].write_table(table.take(pa.array(np.flatnonzero(mine == stretch))).cast(schema))
            first += table.num_rows
    for name in names:
        with pa.ipc.open_stream(str(name)) as reader:
            table = reader.read_all().combine_chunks()
        yield from table.take(pc.sort_indices(table, sort_keys=_ORDER)).to_batches()
        name.unlink()


def _stretches(file: pq.ParquetFile) -> Ints:
    """The number of the stretch of the sorted order that each row of the file belongs to."""
    keys = file.read(["contig_index", "pos"])
    order = np.lexsort((keys["pos"].to_numpy(), keys["contig_index"].to_numpy()))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
    fitting = ROW_GROUP_BYTES * len(order) // max(size, 1)
    rows = max(min(ROW_GROUP_ROWS, fitting), len(order) // _MOST_STRETCHES + 1)
    result: Ints = rank // rows
    return result
