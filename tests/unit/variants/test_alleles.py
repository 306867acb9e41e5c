"""Which ALT entries make a row, what each row is, and its key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.variants.vcf.keys import canonical_breakend, minimal
from tests.unit.variants.vcf_text import Built, fmt, info, vcf

GT = fmt("GT", "1", "String")


def test_c45_unspecified_alleles_make_no_row(tmp_path: Path) -> None:
    """C45"""
    built = Built(
        tmp_path,
        vcf(
            "1 100 . A C,<NON_REF> . . . GT 0/1",
            "1 101 . A <NON_REF> . . END=900 GT 0/0",
            "1 950 . A <*> . . . GT 0/0",
            meta=(GT, info("END", "1", "Integer")),
            samples=("a",),
        ),
    )
    assert [(r["pos"], r["alt"]) for r in built.rows] == [(100, "C")]
    assert built.report.skipped == {"<NON_REF>": 1, "reference block": 2}
    assert built.report.alleles == 4
    assert built.report.types == {"snv": 1}


def test_c40_a_record_without_alternate_is_counted_apart(tmp_path: Path) -> None:
    """C40"""
    built = Built(
        tmp_path,
        vcf(
            "NC_000004.12 10 . A C . PASS . GT:SM:CN 0/1:1:2",
            "NC_000004.12 5000 seg1 N . 77 PASS END=9000;REFLEN=4000 GT:SM:CN ./.:0.98:2",
            "NC_000004.12 9100 . A C . PASS . GT:SM:CN 0/1:1:2",
            samples=("a",),
            meta=(GT,),
        ),
    )
    assert built.report.skipped == {"no alternate allele": 1}
    assert (built.report.records, built.report.alleles, built.report.rows) == (3, 2, 2)
    assert set(built.column("contig")) == {"NC_000004.12"}
    assert set(built.column("chrom")) == {"4"}


def test_c46_symbolic_alleles_at_one_position_are_told_apart(tmp_path: Path) -> None:
    """C46"""
    meta = (GT, info("SVLEN", ".", "Integer"), info("END", "1", "Integer"))
    built = Built(
        tmp_path,
        vcf(
            *(f"1 100 d{i} N <DEL> . . SVLEN=-{i}000 GT {gt}" for i, gt in ((1, "0/1"), (2, "1/1"), (3, "0/0"))),
            "1 200 b1 N N[2:500[ . . . GT 0/1",
            "1 200 b2 N N[chr3:500[ . . . GT 1/1",
            meta=meta,
            samples=("a",),
        ),
    )
    keys = built.column("key")
    assert len(set(keys)) == 5
    assert keys[0] == "1-100-N-<DEL>-1100-1000"
    assert keys[4] == "1-200-N-N[3:500["
    assert built.column("s0_zygosity") == ["het", "hom_alt", "hom_ref", "het", "hom_alt"]
    assert built.column("variant_type") == ["sv"] * 3 + ["breakend"] * 2
    assert built.column("sv_type") == ["DEL"] * 3 + ["BND"] * 2
    assert built.column("length") == [1000, 2000, 3000, None, None]
    assert "duplicate" not in built.codes


def test_c47_every_alternate_is_a_row_or_counted_under_a_reason(tmp_path: Path) -> None:
    """C47"""
    built = Built(
        tmp_path,
        vcf(
            "1 1 . A C . . .",
            "1 1 . A C . . .",
            "1 2 . A *,C . . .",
            "1 3 . A . . . .",
            "1 4 . A <NON_REF> . . .",
            "1 5 . A G,T,<X> . . .",
        ),
    )
    report = built.report
    assert report.skipped == {"*": 1, "<X>": 1, "no alternate allele": 1, "reference block": 1}
    assert (report.records, report.alleles, report.rows) == (6, 8, 5)
    assert "duplicate" in built.codes


ALTS = st.lists(st.sampled_from(["C", "G", "CC", "*", "<NON_REF>", "<*>", "<DEL>", "N[2:5["]), min_size=1, max_size=4)


@settings(deadline=None)
@given(st.lists(st.one_of(st.just(["."]), ALTS), max_size=12))
def test_c47_the_counts_add_up_for_any_file(tmp_path_factory: pytest.TempPathFactory, records: list[list[str]]) -> None:
    """C47: alleles == rows + skipped alleles, and `no alternate allele` counts the records whose ALT is `.`"""
    text = vcf(*(f"1 {i} . A {','.join(alts)} . . ." for i, alts in enumerate(records, 1)))
    report = Built(tmp_path_factory.mktemp("counts"), text).report
    written = [alt for alts in records for alt in alts]
    assert report.records == len(records)
    assert report.alleles == len(written) - written.count(".")
    assert report.rows == sum(alt in ("C", "G", "CC", "<DEL>", "N[2:5[") for alt in written)
    skipped = dict(report.skipped)
    assert skipped.pop("no alternate allele", 0) == written.count(".")
    assert report.alleles == report.rows + sum(skipped.values())


@pytest.mark.parametrize(
    ("ref", "alt", "key", "kind", "length"),
    [
        ("A", "C", (100, "A", "C"), "snv", 1),
        ("AT", "AC", (101, "T", "C"), "snv", 1),
        ("AC", "GT", (100, "AC", "GT"), "mnv", 2),
        ("A", "ATT", (100, "A", "ATT"), "insertion", 2),
        ("CAA", "CA", (100, "CA", "C"), "deletion", 1),
        ("AT", "G", (100, "AT", "G"), "complex", 2),
        ("a", "g", (100, "A", "G"), "snv", 1),
        ("A", "A", (100, "A", "A"), "identical", 1),
        ("TAT", "TGT", (101, "A", "G"), "snv", 1),
        ("GCACA", "GCA", (100, "GCA", "G"), "deletion", 2),
    ],
)
def test_minimal_key_and_type(
    tmp_path: Path, ref: str, alt: str, key: tuple[int, str, str], kind: str, length: int
) -> None:
    row = Built(tmp_path, vcf(f"chr1 100 . {ref} {alt} . . .")).rows[0]
    assert (row["key_pos"], row["key_ref"], row["key_alt"]) == key
    assert (row["variant_type"], row["length"], row["ref"], row["alt"]) == (kind, length, ref, alt)
    assert row["key"] == "1-" + "-".join(map(str, key))


BASES = st.text("ACGT", min_size=1, max_size=12)


@settings(deadline=None)
@given(BASES, BASES, BASES, BASES)
def test_padding_an_allele_does_not_change_its_key(before: str, ref: str, alt: str, after: str) -> None:
    moved, small_ref, small_alt = minimal(before + ref + after, before + alt + after)
    assert (small_ref, small_alt) == minimal(small_ref, small_alt)[1:]
    assert small_ref
    assert small_alt
    whole_ref, whole_alt = before + ref + after, before + alt + after
    if whole_ref != whole_alt:
        tail = len(whole_ref) - moved - len(small_ref)
        assert whole_ref == whole_ref[:moved] + small_ref + whole_ref[len(whole_ref) - tail :]
        assert whole_alt == whole_ref[:moved] + small_alt + whole_ref[len(whole_ref) - tail :]
        assert (
            len(small_ref) == 1
            or len(small_alt) == 1
            or (small_ref[0] != small_alt[0] and small_ref[-1] != small_alt[-1])
        )


@pytest.mark.parametrize(
    ("alt", "found"),
    [("G]chr17:198982]", "G]17:198982]"), ("[chrM:1[T", "[MT:1[T"), (".ACG", ".ACG"), ("N[<asm1>:5[", "N[<asm1>:5[")],
)
def test_breakend_mate_is_named_canonically(alt: str, found: str) -> None:
    assert canonical_breakend(alt) == found


@pytest.mark.parametrize(
    ("info_text", "end", "length"),
    [
        ("END=200;SVLEN=-100", 200, 100),
        ("SVLEN=50", 150, 50),
        ("END=180", 180, 80),
        (".", 100, None),
        ("END=5", 100, None),
    ],
)
def test_end_and_length_of_a_deletion(tmp_path: Path, info_text: str, end: int, length: int | None) -> None:
    row = Built(tmp_path, vcf(f"1 100 . N <DEL> . . {info_text}")).rows[0]
    assert (row["end"], row["length"]) == (end, length)


def test_an_insertion_has_a_length_and_no_extent(tmp_path: Path) -> None:
    row = Built(tmp_path, vcf("1 100 . N <INS> . . SVLEN=70")).rows[0]
    assert (row["end"], row["length"]) == (100, 70)


def test_alleles_of_a_record_share_its_number_and_keep_their_own(tmp_path: Path) -> None:
    built = Built(tmp_path, vcf("1 5 . A C . . .", "1 7 . A *,C,G . . ."))
    assert [(r["record"], r["line"], r["allele"], r["alts"]) for r in built.rows] == [
        (1, 3, 1, "C"),
        (2, 4, 2, "*,C,G"),
        (2, 4, 3, "*,C,G"),
    ]


def test_transitions_and_transversions(tmp_path: Path) -> None:
    report = Built(tmp_path, vcf("1 1 . A G . . .", "1 2 . C T . . .", "1 3 . A C . . .", "1 4 . N C . . .")).report
    assert (report.transitions, report.transversions) == (2, 1)
