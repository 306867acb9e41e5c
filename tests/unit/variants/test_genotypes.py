"""Genotypes, depths and fractions, per allele and per sample."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.variants.report import VcfRefused
from shared.variants.vcf.genotype import parse_genotype
from tests.unit.variants.vcf_text import Built, fmt, vcf

GT, DP, GQ = fmt("GT", "1", "String"), fmt("DP", "1", "Integer"), fmt("GQ", "1", "Integer")
AD_R, AD_ANY = fmt("AD", "R", "Integer"), fmt("AD", ".", "Integer")


def test_c41_missing_values_are_null_and_never_negative(tmp_path: Path) -> None:
    """C41"""
    built = Built(
        tmp_path,
        vcf(
            "1 100 . A C,G . . . GT:AD:DP:GQ ./.:.:.:. 0/1:10,5,0:15:40 1/2:.,4,3:.:. ./.:.:.:.",
            meta=(GT, AD_R, DP, GQ),
            samples=("a", "b", "c", "d"),
        ),
    )
    c, g = built.rows
    assert [c["s1_vaf"], g["s1_vaf"]] == [pytest.approx(1 / 3), 0]
    assert [c["s2_ad_ref"], c["s2_ad_alt"], g["s2_ad_alt"], c["s2_vaf"]] == [None, 4, 3, None]
    for i in (0, 3):
        assert [c[f"s{i}_{name}"] for name in ("dp", "gq", "ad_ref", "ad_alt", "vaf")] == [None] * 5
        assert c[f"s{i}_zygosity"] == "no_call"


def test_c41_a_negative_depth_is_missing_and_its_text_is_kept(tmp_path: Path) -> None:
    """C41"""
    built = Built(
        tmp_path, vcf("1 100 . A C . . . GT:AD:DP:GQ 0/1:-1,5:-1:-1", meta=(GT, AD_R, DP, GQ), samples=("a",))
    )
    row = built.rows[0]
    assert [row[f"s0_{name}"] for name in ("dp", "gq", "ad_ref", "vaf")] == [None] * 4
    assert {(o["key"], o["value"]) for o in row["s0_fmt_other"]} == {("DP", "-1"), ("GQ", "-1"), ("AD", "-1,5")}
    assert "sample_value" in built.codes


def test_c42_partial_calls_are_not_heterozygous(tmp_path: Path) -> None:
    """C42"""
    built = Built(tmp_path, vcf("1 100 . A C . . . GT 1/. ./1 0/. ./. 0/1", meta=(GT,), samples=tuple("abcde")))
    row = built.rows[0]
    assert [row[f"s{i}_zygosity"] for i in range(5)] == ["partial_alt", "partial_alt", "partial_ref", "no_call", "het"]
    assert [row[f"s{i}_carries"] for i in range(5)] == [True, True, False, False, True]
    assert [row[f"s{i}_gt"] for i in range(5)] == ["1/.", "./1", "0/.", "./.", "0/1"]


def test_c43_haploid_calls_are_hemizygous_and_belong_to_their_allele(tmp_path: Path) -> None:
    """C43"""
    built = Built(
        tmp_path,
        vcf(
            "chrX 100 . A C . . . GT 0/1 0 1 0/0",
            "chrX 200 . A C,G . . . GT 2 2 2 2",
            meta=(GT,),
            samples=tuple("abcd"),
        ),
    )
    assert [built.rows[0][f"s{i}_zygosity"] for i in range(4)] == ["het", "hemi_ref", "hemi_alt", "hom_ref"]
    assert built.column("s0_zygosity")[1:] == ["other_alt", "hemi_alt"]
    assert built.column("s0_carries")[1:] == [False, True]


@pytest.mark.parametrize("declared", [AD_R, AD_ANY])
def test_c44_two_alternates_are_split_whatever_ad_declares(tmp_path: Path, declared: str) -> None:
    """C44"""
    built = Built(tmp_path, vcf("1 100 . T A,C . . . GT:AD 1/2:0,4,1", meta=(GT, declared), samples=("a",)))
    assert [(r["alt"], r["s0_ad_ref"], r["s0_ad_alt"], r["s0_vaf"], r["s0_zygosity"]) for r in built.rows] == [
        ("A", 0, 4, 0.8, "het_alt"),
        ("C", 0, 1, 0.2, "het_alt"),
    ]


def test_strelka_snvs_and_indels_have_fractions_from_their_own_counts(tmp_path: Path) -> None:
    meta = (
        *(fmt(f"{base}U", "2", "Integer") for base in "ACGT"),
        fmt("TAR", "2", "Integer"),
        fmt("TIR", "2", "Integer"),
    )
    built = Built(
        tmp_path,
        vcf(
            "1 100 . A T . . . AU:CU:GU:TU 30,31:0,0:0,0:10,12",
            "1 200 . A AT . . . TAR:TIR 15,15:5,6",
            meta=meta,
            samples=("tumour",),
        ),
    )
    assert [(r["s0_ad_ref"], r["s0_ad_alt"], r["s0_vaf"]) for r in built.rows] == [(30, 10, 0.25), (15, 5, 0.25)]
    assert built.column("s0_gt") == built.column("s0_zygosity") == [None, None]
    assert built.rows[0]["s0_fmt_AU"] == [30, 31]


def test_freebayes_and_varscan_reads(tmp_path: Path) -> None:
    meta = (
        GT,
        fmt("RO", "1", "Integer"),
        fmt("AO", "A", "Integer"),
        fmt("RD", "1", "Integer"),
        fmt("AD", "1", "Integer"),
    )
    built = Built(
        tmp_path,
        vcf("1 100 . A C,T . . . GT:RO:AO 1/2:2:3,5", "1 200 . A C . . . GT:RD:AD 0/1:6:2", meta=meta, samples=("a",)),
    )
    assert [(r["s0_ad_ref"], r["s0_ad_alt"], r["s0_vaf"]) for r in built.rows] == [
        (2, 3, 0.3),
        (2, 5, 0.5),
        (6, 2, 0.25),
    ]


def test_the_callers_own_fraction_wins(tmp_path: Path) -> None:
    built = Built(
        tmp_path,
        vcf("1 100 . A C . . . GT:AD:AF 0/1:90,10:0.123", meta=(GT, AD_R, fmt("AF", "A", "Float")), samples=("a",)),
    )
    assert built.column("s0_vaf") == [0.123]


def test_likelihoods_are_split_by_the_genotypes_of_the_allele(tmp_path: Path) -> None:
    """Number=G: 0/0, 0/1, 1/1, 0/2, 1/2, 2/2."""
    built = Built(
        tmp_path,
        vcf(
            "1 1 . A C,G . . . GT:PL 0/1:1,2,3,4,5,6",
            "X 1 . A C,G . . . GT:PL 1:7,8,9",
            meta=(GT, fmt("PL", "G", "Integer")),
            samples=("a",),
        ),
    )
    assert built.column("s0_fmt_PL") == [[1, 2, 3], [1, 4, 6], [7, 8], [7, 9]]


@pytest.mark.parametrize(
    ("text", "alleles", "phased"),
    [
        ("0/1", (0, 1), False),
        ("0|1", (0, 1), True),
        ("0|0|1", (0, 0, 1), True),
        ("0|1/1", (0, 1, 1), False),
        ("/0", (0,), False),
        ("|1", (1,), True),
        ("/0|1", (0, 1), False),
        (".", (None,), False),
        ("|./1", (None, 1), False),
        ("12/3", (12, 3), False),
    ],
)
def test_genotype_text(text: str, alleles: tuple[int | None, ...], phased: bool) -> None:
    found = parse_genotype(text)
    assert found is not None
    assert (found.alleles, found.phased) == (alleles, phased)


@pytest.mark.parametrize("text", ["", "0/", "a", "0/C", "0//1", "0.5", "-1", "0/1/", "0\\1"])
def test_what_is_no_genotype(text: str) -> None:
    assert parse_genotype(text) is None


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("0/C", "is not a genotype"),
        ("0/3", "names an allele that the record does not have"),
        ("0/1:5", "FORMAT names 1"),
    ],
)
def test_a_bad_genotype_refuses_the_file_at_its_record(tmp_path: Path, cell: str, reason: str) -> None:
    with pytest.raises(VcfRefused, match=reason) as refused:
        Built(tmp_path, vcf("1 1 . A C . . . GT 0/1", f"1 2 . A C . . . GT {cell}", meta=(GT,), samples=("a",)))
    assert (refused.value.record, refused.value.line) == (2, 5)


def test_a_record_without_gt_or_with_trailing_fields_dropped(tmp_path: Path) -> None:
    built = Built(
        tmp_path,
        vcf("1 1 . A C . . . GT:DP 0/1", "1 2 . A C . . . DP 7", "1 3 . A C . . . . .", meta=(GT, DP), samples=("a",)),
    )
    assert built.column("s0_gt") == ["0/1", None, None]
    assert built.column("s0_dp") == [None, 7, None]


def test_v45_cells_may_be_empty(tmp_path: Path) -> None:
    built = Built(
        tmp_path,
        vcf(
            "1 1 . A C . . . LAA:LEC '' 1:1",
            version="4.5",
            samples=("a", "b"),
            meta=(fmt("LAA", ".", "Integer"), fmt("LEC", "LA", "Integer")),
        ),
    )
    assert [built.rows[0]["s0_fmt_LAA"], built.rows[0]["s1_fmt_LAA"]] == [None, [1]]
    assert built.codes == set()


def test_each_sample_has_its_columns_and_the_names_stand_in_the_metadata(tmp_path: Path) -> None:
    names = tuple(f"sample {i}" for i in range(100))
    cells = " ".join(f"0/1:{i}" for i in range(100))
    built = Built(tmp_path, vcf(f"1 1 . A C . . . GT:DP {cells}", meta=(GT, DP), samples=names))
    assert built.metadata["samples"] == list(names)
    assert [built.rows[0][f"s{i}_dp"] for i in range(100)] == list(range(100))
    assert built.report.sample_names == names
