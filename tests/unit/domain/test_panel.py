"""Gene panels are read whole, or refused with every line at fault."""

from __future__ import annotations

import pytest

from shared.domain.panel import kind_of, regions_of, symbols_of, version_of
from shared.domain.request import RequestRefused


def faults(read: object, content: bytes) -> list[tuple[str, str]]:
    with pytest.raises(RequestRefused) as refused:
        read(content)  # type: ignore[operator]
    return [(reason.field, reason.message) for reason in refused.value.reasons]


def test_symbols_stand_one_a_line_or_several_each_once_and_comments_say_nothing() -> None:
    content = "\ufeff# Cardiomyopathy\r\nMYH7\tMYBPC3, TNNT2\r\n\r\nmyh7  # again\nHLA-A\nC9orf72\n".encode()
    assert symbols_of(content) == ("MYH7", "MYBPC3", "TNNT2", "HLA-A", "C9orf72")


def test_a_fault_names_its_line_and_the_symbol() -> None:
    assert faults(symbols_of, b"MYH7\nTTN\nB RCA1!\n\n=SUM(A1)\n") == [
        ("line 3", '"RCA1!" is no gene symbol'), ("line 5", '"=SUM(A1)" is no gene symbol')
    ]
    assert faults(symbols_of, b"MYH7\nT\xffN\n") == [("line 2", "it is not UTF-8 at byte 6")]
    assert faults(symbols_of, b"# nothing\n") == [("content", "there is no gene symbol in it")]


def test_regions_of_a_bed_file() -> None:
    content = b"track name=x\nchr7\t140753335\t140753336\tBRAF\t0\t+\n# c\n17 7668402 7687550 TP53\n"
    assert [(r.contig, r.start, r.end, r.name) for r in regions_of(content)] == [
        ("chr7", 140753335, 140753336, "BRAF"), ("17", 7668402, 7687550, "TP53")
    ]


def test_a_region_that_is_none_names_its_line() -> None:
    assert faults(regions_of, b"chr1\t10\nchr1\t20\t10\nchr1\ta\t9\nchr1\t1\t9\n") == [
        ("line 1", "2 columns; contig, start and end are wanted"),
        ("line 2", "chr1: it ends at 10, and that is not behind its start 20"),
        ("line 3", '"a" to "9" are no positions'),
    ]
    assert faults(regions_of, b"#\n") == [("content", "there is no region in it")]


def test_a_version_is_the_content_and_the_ending_says_the_kind() -> None:
    assert version_of(b"MYH7\n") == version_of(b"MYH7\n") != version_of(b"TTN\n")
    assert (kind_of("x/exome.BED"), kind_of("x/genes.txt")) == ("regions", "symbols")
