"""Contig names and assemblies."""

from __future__ import annotations

import pytest

from shared.variants.contigs import assembly, canonical


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
