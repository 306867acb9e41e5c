"""Sorting a draft table on disk."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from shared.variants import parquet, sort
from tests.unit.variants.vcf_text import Built, info, vcf


@pytest.mark.parametrize("rows_at_a_time", [7, 1000])
def test_any_order_of_records_gives_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_at_a_time: int
) -> None:
    monkeypatch.setattr(sort, "ROW_GROUP_ROWS", rows_at_a_time)
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", rows_at_a_time)
    records = [f"{contig} {pos} . A C . . S={contig}x{pos}" for contig in (1, 2) for pos in range(1, 60)]
    shuffled = [records[0], *random.Random(1).sample(records[1:], len(records) - 1)]
    meta = (info("S", "1", "String"),)
    columns = ("contig", "pos", "info_S")
    whole, mixed = Built(tmp_path, vcf(*records, meta=meta)), Built(tmp_path, vcf(*shuffled, meta=meta), "mixed.vcf")
    assert [[row[c] for c in columns] for row in mixed.rows] == [[row[c] for c in columns] for row in whole.rows]
    assert [f"{r['contig']} {r['pos']} . A C . . {'S=' + r['info_S']}" for r in mixed.rows] == records
    assert [shuffled[r["record"] - 1].split()[1] for r in mixed.rows] == [str(r["pos"]) for r in mixed.rows]
    assert list(tmp_path.glob(".*")) == []


def test_rows_of_one_position_keep_the_order_of_the_file(tmp_path: Path) -> None:
    built = Built(tmp_path, vcf("1 9 . A C . . .", "1 5 . A T,G . . .", "1 5 . A C . . ."))
    assert [(r["record"], r["alt"]) for r in built.rows] == [(2, "T"), (2, "G"), (3, "C"), (1, "C")]
