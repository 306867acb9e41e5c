"""Known pathogenic variants among others: each is found by exactly the filters that should find it."""

from __future__ import annotations

import pytest

from shared.variants.reference import Reference
from tests.unit.variants.orders import FIELDS, Joined, csq, table
from tests.unit.variants.vcf_text import fasta

REF, HET, HOM, NONE = "0/0:30,0:30:99", "0/1:15,15:30:99", "1/1:0,30:30:99", "./.:.:.:."
FROM_FATHER, FROM_MOTHER = (HET, REF, HET), (HET, HET, REF)

DE_NOVO = "1-1000-A-C"
TRANS_1, TRANS_2 = "2-1000-A-C", "2-2000-A-C"
CIS_1, CIS_2 = "3-1000-A-C", "3-2000-A-C"
HEMIZYGOUS = "X-5000000-A-C"
RECESSIVE = "4-1000-A-C"
MOSAIC = "5-1000-A-C"
DELETION = "6-1000-CAG-C"
REPEATED = "7-500-TCA-T"


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Joined:
    """proband (male), mother, father; the rest of the hay is common, silent, or not carried."""

    def record(
        place: str, ref: str, alt: str, what: str, gene: str, genotypes: tuple[str, str, str], af: str = "0.0001",
        impact: str = "MODERATE", clinvar: str = "pathogenic",
    ) -> str:
        said = csq(alt, what, impact, gene, af=af, clinvar=clinvar)
        return f"{place} . {ref} {alt} 90 PASS {said} {FIELDS} {' '.join(genotypes)}"

    hay = [
        record(f"chr{n} {place}", "A", "G", "intron_variant", f"HAY{n}", genotypes, af, "MODIFIER", "benign")
        for n in range(1, 8) for place, genotypes, af in (
            (500, FROM_FATHER, "0.3"), (600, FROM_MOTHER, "0.2"), (700, (REF, HET, HET), "0.1"),
            (800, (HOM, HOM, HET), "0.4"),
        )
    ]
    needles = [
        record("chr1 1000", "A", "C", "missense_variant", "DENOVO", (HET, REF, REF)),
        record("chr2 1000", "A", "C", "missense_variant", "TRANS", FROM_FATHER),
        record("chr2 2000", "A", "C", "stop_gained", "TRANS", FROM_MOTHER, impact="HIGH"),
        record("chr3 1000", "A", "C", "missense_variant", "CIS", FROM_FATHER),
        record("chr3 2000", "A", "C", "missense_variant", "CIS", FROM_FATHER),
        record("chr4 1000", "A", "C", "missense_variant", "RECESSIVE", (HOM, HET, HET)),
        record("chr5 1000", "A", "C", "missense_variant", "MOSAIC", ("0/1:95,5:100:40", REF, REF)),
        record("chrX 5000000", "A", "C", "missense_variant", "LINKED", (HOM, HET, REF)),
    ]
    # One deletion of AG in CAGAGT..., written in three ways in three files: with its neighbours, trimmed, and padded.
    deletion = [
        table(f"chr6 1000 . CAG C 90 PASS {csq('-', 'frameshift_variant', 'HIGH', 'DEL', af='0.0001')} {FIELDS} {HET}",
              samples=["P2"]),
        table(f"chr6 999 . TCAG TC 90 PASS . {FIELDS} {HET}", samples=["M2"]),
        table(f"chr6 1000 . CAGTT CTT 90 PASS . {FIELDS} {HET}", samples=["F2"]),
    ]
    # Of TCACACAG the first, the second and the third CA: one deletion, which only the reference tells.
    repeated = [
        table(f"chr7 502 . ACA A 90 PASS {csq('-', 'frameshift_variant', 'HIGH', 'REP', af='0.0001')} {FIELDS} {HET}",
              samples=["P3"]),
        table(f"chr7 500 . TCA T 90 PASS . {FIELDS} {HET}", samples=["M3"]),
        table(f"chr7 505 . CAG G 90 PASS . {FIELDS} {HET}", samples=["F3"]),
    ]
    by_place = sorted(hay + needles, key=lambda r: (["1", "2", "3", "4", "5", "6", "7", "X"].index(
        r.split()[0].removeprefix("chr")), int(r.split()[1])))
    folder = tmp_path_factory.mktemp("needle")
    reference = fasta(folder, chr6="N" * 998 + "TCAGTTGT", chr7="N" * 499 + "TCACACAG" + "N" * 400)
    return Joined(folder, [
        (table(*by_place, samples=["P", "M", "F"]),
         {"P": ("proband", "male"), "M": ("mother", "female"), "F": ("father", "male")}),
        *((text, {name: "sibling"}) for text, name in zip(deletion, ("P2", "M2", "F2"), strict=True)),
        *((text, {name: "sibling"}) for text, name in zip(repeated, ("P3", "M3", "F3"), strict=True)),
    ], reference=Reference(reference))


RARE = {"frequency_max": 0.01, "consequence": ["coding", "splice"], "genotype": ["proband:carries"]}


@pytest.mark.parametrize(
    ("inheritance", "found"),
    [
        ("de_novo", {DE_NOVO, MOSAIC}),
        ("compound_het", {TRANS_1, TRANS_2}),
        ("recessive", {RECESSIVE}),
        ("x_linked", {HEMIZYGOUS}),
        ("dominant", {TRANS_1, TRANS_2, CIS_1, CIS_2}),
    ],
)
def test_each_is_found_by_its_inheritance_and_by_no_other(trio: Joined, inheritance: str, found: set[str]) -> None:
    """C57, C58: a compound pair in cis is never one; a hemizygous 1/1 is found with the mother as carrier."""
    assert set(trio.keys(**RARE, inheritance=inheritance)) == found


def test_a_mosaic_is_told_from_a_germline_de_novo_by_its_fraction(trio: Joined) -> None:
    """C64: 0.05 is a fraction."""
    assert trio.keys(**RARE, inheritance="de_novo", vaf_max=0.1) == [MOSAIC]
    assert trio.keys(**RARE, inheritance="de_novo", vaf_min=0.2) == [DE_NOVO]
    assert set(trio.keys(**RARE, inheritance="de_novo", vaf_min=0.05)) == {DE_NOVO, MOSAIC}


def test_all_are_found_together_and_no_hay_with_them(trio: Joined) -> None:
    found = trio.keys(clinvar="pathogenic")
    assert set(found) == {DE_NOVO, TRANS_1, TRANS_2, CIS_1, CIS_2, RECESSIVE, MOSAIC, HEMIZYGOUS}
    assert trio.result(**RARE).total == len(found)


@pytest.mark.parametrize("text", ["6-1000-CAG-C", "6-999-TCAG-TC", "chr6-1000-CAGTT-CTT", "6:1000 CAG>C"])
def test_a_deletion_is_one_row_however_it_is_written_and_asked_for(trio: Joined, text: str) -> None:
    (row,) = trio.shown(q=text).values()
    assert row["key"] == DELETION
    assert [row["samples"][f"sibling{n}"]["gt"] for n in (1, 2, 3)] == ["0/1"] * 3
    assert row["gene"] == "DEL"


@pytest.mark.parametrize("text", ["7-500-TCA-T", "7-499-NTCA-NT", "7-502-ACA-A", "7:502 ACAG>AG"])
def test_a_deletion_in_a_repeat_is_one_row_wherever_it_is_written(trio: Joined, text: str) -> None:
    (row,) = trio.shown(q=text).values()
    assert row["key"] == REPEATED
    assert [row["samples"][f"sibling{n}"]["gt"] for n in (4, 5, 6)] == ["0/1"] * 3
    assert row["gene"] == "REP"
    assert trio.keys(gene=["REP"], impact=["HIGH"], frequency_max=0.01) == [REPEATED]


def test_what_a_compound_pair_is_made_of_is_said(trio: Joined) -> None:
    rows = trio.shown(**RARE, inheritance="compound_het")
    assert rows[TRANS_1]["partners"] == [{"key": TRANS_2, "phase": "trans"}]
    assert rows[TRANS_2]["inheritance"] == ["dominant", "compound_het"]
