"""Where X and Y are single, and whether the calls look like the sex that is stated."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.variants.report import sex_doubts
from tests.unit.variants.vcf_text import Built, vcf

GRCH38 = ("X,length=156040895", "Y,length=57227415", "7,length=159345973")
GT = ('##FORMAT=<ID=GT,Number=1,Type=String,Description="">', '##FORMAT=<ID=PS,Number=1,Type=Integer,Description="">')


@pytest.mark.parametrize(
    ("contig", "pos", "region"),
    [
        ("X", 10000, "X"), ("X", 10001, "PAR"), ("X", 2781479, "PAR"), ("X", 2781480, "X"), ("X", 155701382, "X"),
        ("X", 156030895, "PAR"), ("X", 156030896, "X"), ("Y", 10001, "PAR"), ("Y", 2781480, "Y"), ("7", 20000, None),
    ],
)
def test_the_pseudoautosomal_regions_of_grch38(tmp_path: Path, contig: str, pos: int, region: str | None) -> None:
    assert Built(tmp_path, vcf(f"{contig} {pos} . A C . . .", contigs=GRCH38)).column("sex_region") == [region]


def test_by_other_names_and_without_an_assembly(tmp_path: Path) -> None:
    records = ("chrX 100000 . A C . . .", "NC_000024.10 100000 . A C . . .", "chr1 100000 . A C . . .")
    assert Built(tmp_path, vcf(*records)).column("sex_region") == ["X", "Y", None]
    found = Built(tmp_path, vcf(*records, contigs=("chrX,length=155270560",)))
    assert found.column("sex_region") == ["PAR", "PAR", None]


def test_calls_that_look_like_another_sex_than_is_stated_are_doubted(tmp_path: Path) -> None:
    """C43: a man's X is written 1 or 1/1, a woman's is heterozygous somewhere."""
    records = [f"X {5_000_000 + i} . A C . . . GT {'1' if i % 2 else '1/1'} {'0/1' if i % 2 else '1/1'} 0/1"
               for i in range(30)]
    records += ["X 20000 . A C . . . GT 0/1 0/1 0/1", "Y 5000000 . A C . . . GT 1 . ."]
    built = Built(tmp_path, vcf(*records, meta=GT, samples=("M", "F", "G"), contigs=GRCH38))
    report = built.report.to_json()
    assert [sample["sex"] for sample in report["samples"]] == [
        {"x_het": 0, "x_other": 30, "y": 1, "looks": "male"},
        {"x_het": 15, "x_other": 15, "y": 0, "looks": "female"},
        {"x_het": 30, "x_other": 0, "y": 0, "looks": "female"},
    ]
    assert sex_doubts(report, {"M": "male", "F": "female", "G": "unknown"}) == []
    doubt, other = sex_doubts(report, {"M": "female", "F": "male"})
    assert (doubt.code, doubt.message) == (
        "sex", "sample M is said to be female, its X looks male: 0 heterozygous of 30 rows, 1 on Y"
    )
    assert "sample F is said to be male" in other.message


def test_few_calls_say_nothing(tmp_path: Path) -> None:
    built = Built(tmp_path, vcf("X 5000000 . A C . . . GT 0/1", meta=GT, samples=("S",), contigs=GRCH38))
    assert sex_doubts(built.report.to_json(), {"S": "male"}) == []


def test_a_phase_set_is_a_name_whatever_its_type(tmp_path: Path) -> None:
    """C37: PS declared as a number, and P12 written."""
    records = [f"7 {i} . A C . . . GT:PS {call}" for i, call in enumerate(("0|1:12", "0|1:P12", "0|1:.", "0/1"), 1)]
    built = Built(tmp_path, vcf(*records, meta=GT, samples=("S",)))
    assert built.column("s0_phase_set") == ["12", "P12", None, None]
    assert built.column("s0_fmt_PS") == [12, None, None, None]
