"""Counts, the variants that matter most, and rows by region."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.variants import query
from shared.variants.contigs import assembly, canonical
from shared.variants.query import BadRegion, Region
from tests.unit.variants.vcf_text import Built, fmt, info, vcf

CSQ = info("CSQ", ".", "String", "Format: Allele|Consequence|IMPACT|SYMBOL|gnomAD_AF")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return Built(
        tmp_path,
        vcf(
            "chr1 10 . A C 50 PASS CSQ=C|missense_variant|MODERATE|A|0.2 GT 0/1",
            "chr1 20 . A C 50 PASS CSQ=C|stop_gained|HIGH|B|0.3 GT 0/1",
            "chr1 30 . A C 50 PASS CSQ=C|stop_gained|HIGH|C|0.001 GT 0/1",
            "chr1 40 . ATTTT A 50 PASS CSQ=-|stop_gained|HIGH|D|0.001 GT 0/1",
            "chr1 50 . A C 99 LowQ CSQ=C|stop_gained|HIGH|E| GT 0/1",
            "chr2 10 . A C 10 . CSQ=C|intron_variant|MODIFIER|F| GT 0/1",
            "chr2 60 . A <DEL> 10 . END=500 GT 0/1",
            meta=(CSQ, info("END", "1", "Integer"), fmt("GT", "1", "String")),
            samples=("a",),
        ),
    ).path


def test_counts(table: Path) -> None:
    found = query.counts(table)
    assert found["rows"] == 7
    assert found["by_impact"] == {"HIGH": 4, "MODERATE": 1, "MODIFIER": 1, "none": 1}
    assert found["by_type"] == {"snv": 5, "deletion": 1, "sv": 1}
    assert found["by_contig"] == {"chr1": 5, "chr2": 2}


def test_top_is_by_impact_filter_rarity_and_quality(table: Path) -> None:
    assert [row["gene"] for row in query.top(table, 6)] == ["C", "D", "B", "E", "A", "F"]
    assert query.top(table, 1)[0]["s0_gt"] == "0/1"


@pytest.mark.parametrize(
    ("region", "positions"),
    [
        ("chr1", [10, 20, 30, 40, 50]),
        ("1", [10, 20, 30, 40, 50]),
        ("1:20", [20]),
        ("chr1:15-30", [20, 30]),
        ("1:44-45", [40]),
        ("2:400-401", [60]),
        ("chr3", []),
        ("1:1,000-2,000", []),
    ],
)
def test_c39_rows_are_found_by_region_without_an_index(table: Path, region: str, positions: list[int]) -> None:
    """C39: and an allele is found wherever it reaches."""
    assert [row["pos"] for row in query.rows(table, region=region)] == positions


def test_rows_in_pages(table: Path) -> None:
    pages = [query.rows(table, offset=offset, limit=3) for offset in (0, 3, 6, 9)]
    assert [len(page) for page in pages] == [3, 3, 1, 0]
    assert [row["pos"] for page in pages for row in page] == [10, 20, 30, 40, 50, 10, 60]


@pytest.mark.parametrize("region", ["chr1:9-3", "", "chr 1"])
def test_what_is_no_region(table: Path, region: str) -> None:
    with pytest.raises(BadRegion):
        Region.parse(region)


def test_a_region_is_never_sql(table: Path) -> None:
    assert query.rows(table, region="1'OR'1'='1") == []


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("chr1", "1"),
        ("1", "1"),
        ("CHRX", "X"),
        ("chrM", "MT"),
        ("MT", "MT"),
        ("NC_000001.11", "1"),
        ("NC_000023.10", "X"),
        ("NC_012920.1", "MT"),
        ("chr1_KI270706v1_random", "chr1_KI270706v1_random"),
        ("GL000192.1", "GL000192.1"),
        ("chr23", "chr23"),
    ],
)
def test_canonical_contig_names(written: str, found: str) -> None:
    assert canonical(written) == found


@pytest.mark.parametrize(
    ("lengths", "header", "found"),
    [
        ({"chr1": 248956422}, "", "GRCh38"),
        ({"1": 249250621}, "", "GRCh37"),
        ({"NC_000001.11": None}, "", "GRCh38"),
        ({"1": None}, "##reference=file:///ref/hs37d5.fa", "GRCh37"),
        ({"1": None}, "", None),
        ({"chr1": 1000}, "", None),
    ],
)
def test_assembly(lengths: dict[str, int | None], header: str, found: str | None) -> None:
    assert assembly(lengths, header) == found
