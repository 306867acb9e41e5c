"""The variant tables of some samples, joined on the minimal key: one row an allele, a group of columns a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from shared.domain.cache import Member

SITE = ("chrom", "pos", "ref", "alt", "variant_type", "gene", "consequence", "impact", "af_max", "qual", "filters")
GENOTYPE = ("gt", "zygosity", "carries", "dp", "gq", "vaf")


def join_tables(members: Sequence[tuple[Member, Path]], out: Path, seen: Path | None) -> Mapping[str, Any]:
    """Writes `out`; the manifest has `rows` and, for each sample, the prefix of its columns."""
    tables = [str(table) for table in dict.fromkeys(table for _, table in members)]
    shown = ", ".join(f"any_value({name}) AS {name}" for name in SITE)
    sites = f"SELECT key, {shown} FROM read_parquet($tables, union_by_name = true) GROUP BY key"
    sql, joins, parameters = f"WITH site AS ({sites}) SELECT site.*", "", {"tables": tables}
    for number, (member, table) in enumerate(members):
        parameters[f"m{number}"] = [str(table)]
        sql += "".join(f", m{number}.{name} AS m{number}_{name}" for name in GENOTYPE)
        columns = ", ".join(f"any_value(s{member.column}_{name}) AS {name}" for name in GENOTYPE)
        joins += f" LEFT JOIN (SELECT key, {columns} FROM read_parquet($m{number}) GROUP BY key) m{number} USING (key)"
    if seen is not None:
        parameters["seen"] = [str(seen)]
        sql, joins = f"{sql}, coalesce(seen.n, 0) AS seen", f"{joins} LEFT JOIN read_parquet($seen) seen USING (key)"
    target = str(out).replace("'", "''")
    with duckdb.connect(":memory:", config={"temp_directory": str(out.parent)}) as connection:
        select = f"{sql} FROM site{joins} ORDER BY chrom, pos, key"
        connection.execute(f"COPY ({select}) TO '{target}' (FORMAT parquet)", parameters)
        counted = connection.execute("SELECT count(*) FROM read_parquet($out)", {"out": str(out)}).fetchone()
    samples = [{**member.model_dump(mode="json"), "prefix": f"m{n}_"} for n, (member, _) in enumerate(members)]
    return {"rows": counted[0] if counted else 0, "samples": samples}
