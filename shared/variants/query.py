"""Questions to one variant table, answered by DuckDB. What a caller passes in is a parameter, never part of the SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from shared.variants.contigs import canonical

# What a list of variants shows; everything else of a row is in the table for the page of one variant.
SHOWN = ("key", "contig", "pos", "ref", "alt", "variant_type", "length", "rsid", "qual", "filters", "gene",
         "consequence", "impact", "hgvsc", "hgvsp", "af_max", "allele", "record")
SHOWN_PER_SAMPLE = ("gt", "zygosity", "dp", "ad_ref", "ad_alt", "vaf", "gq")

_REGION = re.compile(r"^(?P<contig>[^\s]+?)(?::(?P<start>[0-9,]+)(?:-(?P<end>[0-9,]+))?)?$")


class BadRegion(ValueError):
    """A text that is no region; the message says what one looks like."""


@dataclass(frozen=True)
class Region:
    """`start` and `end` are 1-based and included; None means as far as the contig goes. `chrom` is canonical."""

    chrom: str
    start: int | None = None
    end: int | None = None

    @classmethod
    def parse(cls, text: str) -> Region:
        """`chr7`, `7:140753336`, `chr7:140,753,336-140,753,400`. Raises BadRegion."""
        found = _REGION.match(text.strip())
        if not found:
            raise BadRegion(f"{text!r} is no region; write chr7, 7:140753336 or chr7:140,753,336-140,753,400")
        start = int(found["start"].replace(",", "")) if found["start"] else None
        end = int(found["end"].replace(",", "")) if found["end"] else start
        if start is not None and end is not None and end < start:
            raise BadRegion(f"{text!r} ends before it begins")
        return cls(canonical(found["contig"]), start, end)


def counts(table: Path) -> dict[str, Any]:
    """{"rows": n, "by_type": {...}, "by_impact": {...}, "by_contig": {...}}; rows without impact stand under "none"."""
    by_type = _grouped(table, "variant_type")
    return {"rows": sum(by_type.values()), "by_type": by_type, "by_impact": _grouped(table, "coalesce(impact, 'none')"),
            "by_contig": _grouped(table, "contig")}


def top(table: Path, n: int = 10) -> list[dict[str, Any]]:
    """The `n` rows that matter most: by impact (HIGH first), then those that no filter has marked, then rarer first
    (an unknown frequency counts as never seen), then by quality."""
    return _rows(
        table,
        "ORDER BY impact_rank DESC NULLS LAST, coalesce(filters, ['PASS']) <> ['PASS'], "
        "coalesce(af_max, 0), qual DESC NULLS LAST, contig_index, pos, record, allele LIMIT $limit",
        {"limit": n},
    )


def rows(table: Path, *, region: str | None = None, offset: int = 0, limit: int = 50) -> list[dict[str, Any]]:
    """Rows in the table's order, those whose alleles touch `region` if one is given. Raises BadRegion."""
    wanted = Region.parse(region) if region else None
    condition, parameters = _where(wanted)
    return _rows(
        table,
        f"{condition} ORDER BY contig_index, pos, record, allele LIMIT $limit OFFSET $offset",
        {**parameters, "limit": limit, "offset": offset},
    )


def samples(table: Path) -> list[str]:
    """Names of the table's samples; number i has the columns `s<i>_...`."""
    names: list[str] = json.loads(pq.read_metadata(table).metadata[b"samples"])
    return names


def _where(region: Region | None) -> tuple[str, dict[str, Any]]:
    if region is None:
        return "", {}
    if region.start is None:
        return "WHERE chrom = $chrom", {"chrom": region.chrom}
    return ('WHERE chrom = $chrom AND pos <= $stop AND "end" >= $start',
            {"chrom": region.chrom, "start": region.start, "stop": region.end})


def _grouped(table: Path, expression: str) -> dict[str, int]:
    found = _fetch(
        f"SELECT {expression} AS name, count(*) AS n FROM read_parquet($table) GROUP BY name ORDER BY n DESC, name",
        {"table": str(table)},
    )
    return {row["name"]: row["n"] for row in found}


def _rows(table: Path, ending: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    columns = [*SHOWN, *(f"s{i}_{name}" for i in range(len(samples(table))) for name in SHOWN_PER_SAMPLE)]
    listed = ", ".join(f'"{name}"' for name in columns)
    return _fetch(f"SELECT {listed} FROM read_parquet($table) {ending}", {**parameters, "table": str(table)})


def _fetch(sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with duckdb.connect(":memory:") as connection:
        found = connection.execute(sql, parameters)
        names: Sequence[str] = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
