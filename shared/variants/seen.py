"""Which alleles were seen in how many analyses: sorted files of 64-bit hashes of the key, joined and merged by DuckDB.

A *key file* has one column `hash`: the alleles that somebody carries, once each. A *run* is a key file with a weight
(1: these were seen once more; -1: once less), or a merged file with columns `hash` and `n`. The hash is the lower half
of the key's MD5, which every version of DuckDB computes alike; two of 50 million alleles share one with a chance of
1 in 10,000. Memory is bounded; what does not fit is sorted on disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MEMORY = "512MB"
_HASH = "md5_number_lower(key)"


@dataclass(frozen=True)
class Run:
    """`weight` None: a merged file, which has its own numbers."""

    file: Path
    weight: int | None


def write_keys(table: Path, column: int, out: Path) -> None:
    """The key file of one sample: every allele of a variant table that its genotype holds."""
    carries = f's{int(column)}_carries'
    _write(f"SELECT DISTINCT {_HASH} AS hash FROM read_parquet($table) WHERE {carries} ORDER BY hash", out,
           table=str(table))


def unite(files: Sequence[Path], out: Path) -> None:
    """The key file of several samples: what any of them carries."""
    _write("SELECT DISTINCT hash FROM read_parquet($files) ORDER BY hash", out, files=[str(file) for file in files])


def merge(runs: Sequence[Run], out: Path) -> None:
    """One merged file in the place of `runs`. What cancels out is left out."""
    sql, parameters = _union(runs)
    _write(f"SELECT hash, sum(n)::INTEGER AS n FROM ({sql}) GROUP BY hash HAVING sum(n) <> 0 ORDER BY hash", out,
           **parameters)


def counts(tables: Sequence[Path], runs: Sequence[Run], out: Path) -> None:
    """Columns `key`, `n`: the alleles of these variant tables that were seen, ordered by key."""
    sql, parameters = _union(runs)
    _write(
        f"WITH wanted AS (SELECT DISTINCT key, {_HASH} AS hash FROM read_parquet($tables, union_by_name = true)), "
        f"seen AS (SELECT hash, sum(n)::INTEGER AS n FROM ({sql}) "
        "WHERE hash IN (SELECT hash FROM wanted) GROUP BY hash) "
        "SELECT key, n FROM wanted JOIN seen USING (hash) WHERE n > 0 ORDER BY key", out,
        tables=[str(table) for table in tables], **parameters,
    )


def _union(runs: Sequence[Run]) -> tuple[str, dict[str, Any]]:
    if not runs:
        return "SELECT 0::UBIGINT AS hash, 0 AS n WHERE false", {}
    parts, parameters = [], {}
    for number, run in enumerate(runs):
        parameters[f"run{number}"] = str(run.file)
        n = "n" if run.weight is None else f"{int(run.weight)} AS n"
        parts.append(f"SELECT hash, {n} FROM read_parquet($run{number})")
    return " UNION ALL ".join(parts), parameters


def _write(select: str, out: Path, **parameters: Any) -> None:
    """(COPY takes no parameter for its target: it is a path of ours, quoted.)"""
    import duckdb  # here, since functions that only ask for a count must start without it

    target = str(out).replace("'", "''")
    with duckdb.connect(":memory:", config={"memory_limit": MEMORY, "temp_directory": str(out.parent)}) as connection:
        connection.execute(f"COPY ({select}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)", parameters)
