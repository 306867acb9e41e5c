"""VEP, SnpEff and bcftools csq, read by the header's own format."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.variants.vcf_text import Built, info, vcf

VEP = (
    "Consequence annotations from Ensembl VEP. Format: "
    "Allele|Consequence|IMPACT|SYMBOL|Feature|HGVSc|HGVSp|CANONICAL|MANE_SELECT|gnomADe_AF|gnomADg_AF"
)
CSQ = info("CSQ", ".", "String", VEP)
ANN = info(
    "ANN",
    ".",
    "String",
    "Functional annotations: 'Allele | Annotation | Annotation_Impact | Gene_Name | Gene_ID |"
    " Feature_Type | Feature_ID | Transcript_BioType | Rank | HGVS.c | HGVS.p'",
)
BCSQ = info(
    "BCSQ",
    ".",
    "String",
    "Haplotype-aware consequence annotation from BCFtools/csq. Format: "
    "Consequence|gene|transcript|biotype|strand|amino_acid_change|dna_change",
)


def test_the_transcript_shown_is_mane_then_canonical_then_most_severe(tmp_path: Path) -> None:
    worst, canonical, mane = (
        "C|stop_gained|HIGH|G1|T1|||||0.1|0.2",
        "C|missense_variant|MODERATE|G2|T2|||YES|||",
        "C|synonymous_variant|LOW|G3|T3|T3:c.1A>C|P3:p.%3D||NM_1|0.3|",
    )
    built = Built(
        tmp_path,
        vcf(
            *(
                f"1 {i} . A C . . CSQ={','.join(entries)}"
                for i, entries in enumerate(
                    ([worst, canonical, mane], [canonical, worst], [worst, worst.replace("stop_gained", "start_lost")]),
                    1,
                )
            ),
            meta=(CSQ,),
        ),
    )
    assert built.column("transcript") == ["T3", "T2", "T1"]
    assert built.column("gene") == ["G3", "G2", "G1"]
    assert built.column("impact_rank") == [1, 2, 3]
    assert [built.rows[0][c] for c in ("consequence", "hgvsc", "hgvsp", "af_max")] == [
        "synonymous_variant",
        "T3:c.1A>C",
        "P3:p.=",
        0.3,
    ]
    assert built.column("af_max") == [0.3, None, 0.2]


def test_vep_alleles_without_their_first_base_find_their_row(tmp_path: Path) -> None:
    entries = "T|intron_variant|MODIFIER|INS|t|||||0.1|,-|frameshift_variant|HIGH|DEL|t|||||0.2|"
    built = Built(
        tmp_path,
        vcf(
            f"1 1 . CA CTA,C . . CSQ={entries.replace('T|', 'TA|', 1)}",
            "1 9 . A C,G . . CSQ=G|stop_lost|HIGH|GG|t||||||,C|intron_variant|MODIFIER|CC|t||||||",
            meta=(CSQ,),
        ),
    )
    assert [(r["alt"], r["gene"], r["af_max"]) for r in built.rows] == [
        ("CTA", "INS", 0.1),
        ("C", "DEL", 0.2),
        ("C", "CC", None),
        ("G", "GG", None),
    ]


def test_the_only_real_allele_of_a_record_takes_the_annotation(tmp_path: Path) -> None:
    entry = "CSQ=C|stop_lost|HIGH|GG|t||||||"
    built = Built(tmp_path, vcf(f"1 1 . CA C,<NON_REF> . . {entry}", f"1 9 . CA C,CT . . {entry}", meta=(CSQ,)))
    assert [(r["pos"], r["alt"], r["gene"]) for r in built.rows] == [(1, "C", "GG"), (9, "C", "GG"), (9, "CT", None)]
    assert [(note.code, note.line, note.times) for note in built.report.warnings] == [("annotation_allele", 5, 1)]


def test_allele_number_decides_where_there_is_one(tmp_path: Path) -> None:
    meta = (info("CSQ", ".", "String", "Format: Allele|ALLELE_NUM|Consequence|SYMBOL"),)
    built = Built(tmp_path, vcf("1 1 . A C,G . . CSQ=x|2|stop_gained|TWO,x|1|intron_variant|ONE", meta=meta))
    assert built.column("gene") == ["ONE", "TWO"]


def test_snpeff(tmp_path: Path) -> None:
    built = Built(
        tmp_path,
        vcf(
            "1 1 . A C . . ANN=C|missense_variant|MODERATE|G|GID|transcript|NM_1|coding|1/2|c.1A>C|p.Ala1%3D",
            meta=(ANN,),
        ),
    )
    assert [built.rows[0][c] for c in ("gene", "consequence", "impact", "transcript", "hgvsc", "hgvsp")] == [
        "G",
        "missense_variant",
        "MODERATE",
        "NM_1",
        "c.1A>C",
        "p.Ala1=",
    ]


def test_bcftools_csq_has_impacts_by_its_terms_and_alleles_by_its_change(tmp_path: Path) -> None:
    built = Built(
        tmp_path,
        vcf(
            "1 1 . A C,G . . BCSQ=missense|G|T1|coding|+|1A>1B|1A>C,*stop_gained|G|T1|coding|+|1A>1*|1A>G",
            "1 5 . A C . . BCSQ=intron|G2|T2|lincRNA",
            "1 6 . A C . . BCSQ=@5",
            meta=(BCSQ,),
        ),
    )
    assert [(r["gene"], r["consequence"], r["impact"]) for r in built.rows] == [
        ("G", "missense", "MODERATE"),
        ("G", "stop_gained", "HIGH"),
        ("G2", "intron", "MODIFIER"),
        (None, None, None),
    ]


@pytest.mark.parametrize(
    ("stated", "found"), [("0.1&0.3", 0.3), ("T:0.25", 0.25), ("", None), ("abc", None), ("1e-05", 1e-5)]
)
def test_frequencies(tmp_path: Path, stated: str, found: float | None) -> None:
    meta = (info("CSQ", ".", "String", "Format: Allele|Consequence|gnomAD_AF"),)
    assert Built(tmp_path, vcf(f"1 1 . A C . . CSQ=C|x|{stated}", meta=meta)).column("af_max") == [found]


def test_a_file_without_annotation_has_empty_annotation_columns(tmp_path: Path) -> None:
    row = Built(tmp_path, vcf("1 1 . A C . . .")).rows[0]
    assert [row[c] for c in ("gene", "consequence", "impact", "impact_rank", "af_max")] == [None] * 5
