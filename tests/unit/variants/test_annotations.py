"""VEP, SnpEff and bcftools csq, read by the header's own format."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.variants.mapping import AnnotationMapping
from shared.variants.vcf.clinical import tier
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
        ("G", "missense_variant", "MODERATE"),
        ("G", "stop_gained", "HIGH"),
        ("G2", "intron_variant", "MODIFIER"),
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


RICH = info(
    "CSQ", ".", "String",
    "Format: Allele|Consequence|IMPACT|SYMBOL|Gene|Feature|EXON|CANONICAL|SIFT|PolyPhen|CLIN_SIG|CADD_PHRED|REVEL|"
    "SpliceAI_pred_DS_AG|SpliceAI_pred_DS_DL|gnomADe_AF|gnomADg_AF|HGVSg",
)


def test_c69_a_row_tells_the_worst_of_its_transcripts_and_why_another_is_shown(tmp_path: Path) -> None:
    shown = "C|upstream_gene_variant|MODIFIER|NEAR|G1|T1||YES||||||||||"
    worst = "C|splice_donor_variant|HIGH|HIT|G2|T2|||||||||||"
    row = Built(tmp_path, vcf(f"1 1 . A C . . CSQ={shown},{worst},{shown}", meta=(RICH,))).rows[0]
    assert (row["impact"], row["impact_rank"], row["transcript"], row["transcript_rule"]) == (
        "MODIFIER", 0, "T1", "canonical",
    )
    assert [row[f"worst_{name}"] for name in ("impact_rank", "consequence", "gene", "transcript")] == [
        3, "splice_donor_variant", "HIT", "T2",
    ]
    assert row["genes"] == ["NEAR", "HIT"]


def test_scores_significance_and_frequencies_are_columns_of_their_own(tmp_path: Path) -> None:
    entry = (
        "C|missense_variant|MODERATE|G|ENSG1|T|5/12||deleterious(0.02)|benign|likely_pathogenic&pathogenic|24.1|0.3&0.7|"
        "0.1|0.91|0.001|0.002|1:g.1A>C"
    )
    row = Built(tmp_path, vcf(f"1 1 . A C . . CSQ={entry}", meta=(RICH,))).rows[0]
    expected = {
        "gene_id": "ENSG1", "exon": "5/12", "sift": "deleterious", "sift_score": 0.02, "polyphen": "benign",
        "polyphen_score": None, "clinvar": ["likely_pathogenic", "pathogenic"], "cadd_phred": 24.1, "revel": 0.7,
        "spliceai_max": 0.91, "af_gnomad_exome": 0.001, "af_gnomad_genome": 0.002, "af_max": 0.002,
        "hgvsg": "1:g.1A>C", "transcript_rule": "most_severe",
    }
    assert {name: row[name] for name in expected} == expected


def test_without_an_annotation_info_keys_of_their_own_say_it(tmp_path: Path) -> None:
    meta = (info("CLNSIG", ".", "String", "x"), *(info(key, "A", "Float", "x") for key in ("gnomADg_AF", "CADD_PHRED")))
    significance = "Conflicting_classifications_of_pathogenicity|Pathogenic,_low_penetrance"
    text = f"CLNSIG={significance};gnomADg_AF=0.1,0.2;CADD_PHRED=1,2"
    built = Built(tmp_path, vcf(f"1 1 . A C,G . . {text}", "1 2 . A C . . CLNSIG=Bening", meta=meta))
    assert built.column("clinvar") == [["conflicting", "pathogenic_low_penetrance"]] * 2 + [["bening"]]
    assert built.column("af_max") == built.column("af_gnomad_genome") == [0.1, 0.2, None]
    assert built.column("cadd_phred") == [1, 2, None]
    assert [note.line for note in built.report.warnings if note.code == "classification"] == [7]


def test_the_pipelines_own_classification_is_read_by_its_mapping(tmp_path: Path) -> None:
    meta = (*(info(key, "A" if key == "ACMG" else "1", "String", "x") for key in ("AMP", "REPORT_GENE", "ACMG")), RICH)
    entry = "C|missense_variant|MODERATE|G|ENSG1|T||||||||||||"
    built = Built(
        tmp_path,
        vcf(
            f"1 1 . A C . . AMP=Tier_IA;REPORT_GENE=BRAF;ACMG=LP;CSQ={entry}",
            f"1 2 . A C . . AMP=tier_2;CSQ={entry}",
            "1 3 . A C,G . . AMP=high;ACMG=5,VUS",
            meta=meta,
        ),
        mapping=AnnotationMapping("AMP", "ACMG", "REPORT_GENE"),
    )
    assert built.column("tier") == ["IA", "II", "high", "high"]
    assert built.column("acmg_class") == ["likely_pathogenic", None, "pathogenic", "uncertain_significance"]
    assert built.column("gene") == ["BRAF", "G", None, None]
    assert "'high' is no class" in next(n.message for n in built.report.warnings if n.code == "classification")


def test_unknown_words_are_counted_with_their_first_record_in_the_report(tmp_path: Path) -> None:
    """A vocabulary that changes under a filter is told at ingest: terms of consequence, and ClinVar's significance."""
    said = ("missense_variant", "stop_gained&new_term", "new_term", "missense_variant")
    clnsig = ("Pathogenic", "Benign", "Newly_named", "Newly_named|Benign")
    built = Built(tmp_path, vcf(
        *(f"1 {n} . A C . . CSQ=C|{term}{'|' * 16};CLNSIG={word}"
          for n, (term, word) in enumerate(zip(said, clnsig, strict=True), 1)),
        meta=(RICH, info("CLNSIG", ".", "String")),
    ))
    found = [note.to_json() for note in built.report.warnings]
    assert [(note["code"], note["message"], note["record"], note["line"], note["times"]) for note in found] == [
        ("consequence", "'new_term' is no consequence that is known", 2, 6, 2),
        ("classification", "'newly_named' is no significance of ClinVar", 3, 7, 2),
    ]


def test_an_unknown_consequence_is_kept_and_noted_with_its_line(tmp_path: Path) -> None:
    built = Built(tmp_path, vcf("1 1 . A C . . CSQ=C|missense_variant&mistake_variant||||||||||||||||", meta=(RICH,)))
    assert built.column("consequence") == ["missense_variant&mistake_variant"]
    assert [(note.code, note.times) for note in built.report.warnings] == [("consequence", 1)]


@pytest.mark.parametrize(
    ("written", "read"),
    [("IA", "IA"), ("Tier IB", "IB"), ("tier_1a", "IA"), ("AMP Tier I - Level A", "IA"), ("3", "III"), ("IV", "IV"),
     ("Tier IIC", "II"), ("V", None), ("IIA", None), ("", None)],
)
def test_tiers(written: str, read: str | None) -> None:
    assert tier(written) == read


def test_the_format_that_bcftools_csq_writes_is_read(tmp_path: Path) -> None:
    said = (
        "Local consequence annotation from BCFtools/csq. Format: '[*]consequence|gene|transcript|biotype[|strand|"
        "amino_acid_change|dna_change]' or, for consequences of variants split across multiple sites, a pointer"
    )
    built = Built(tmp_path, vcf("1 1 . A C . . BCSQ=*frameshift|G|T|coding", meta=(info("BCSQ", ".", "String", said),)))
    assert (built.rows[0]["gene"], built.rows[0]["consequence"]) == ("G", "frameshift_variant")


SPLICEAI = info("SpliceAI", ".", "String", "SpliceAIv1.3.1 variant annotation. Format: ALLELE|SYMBOL|DS_AG|DS_AL|DS_DG|"
                "DS_DL|DP_AG|DP_AL|DP_DG|DP_DL")


def test_scores_are_those_of_the_rows_own_allele(tmp_path: Path) -> None:
    """SpliceAI's own INFO key: by ALT as written, the highest of several genes; what is of another allele is not."""
    built = Built(
        tmp_path,
        vcf(
            "1 10 . C A,T . . SpliceAI=A|G1|0.01|0.2|0.0|0.0|1|2|3|4,A|G2|0.91|.|.|.|1|2|3|4,T|G1|0.30|0|0|0|1|2|3|4",
            "1 20 . CAG C,CAGG . . SpliceAI=CAGG|G1|0.5|0|0|0|1|2|3|4,C|G1|0|0|0.7|0|1|2|3|4",
            "1 30 . C T . . SpliceAI=A|G1|0.9|0|0|0|1|2|3|4,T|G1|0.1|0|0|0|1|2|3|4",
            "1 40 . C T . . SpliceAI=T|G1|.|.|.|.|.|.|.|.",
            "1 50 . C T . . .",
            meta=(SPLICEAI,),
        ),
    )
    assert built.column("spliceai_max") == [0.91, 0.3, 0.7, 0.5, 0.1, None, None]


def test_alleles_are_told_as_vep_trims_them(tmp_path: Path) -> None:
    """VEP's Allele drops the first base of all where they begin alike and differ in length; alternates that were parted
    from one record keep the entries of all of it."""
    meta = (info("CSQ", ".", "String", "Format: Allele|Consequence|SYMBOL|CADD_PHRED"),)
    built = Built(
        tmp_path,
        vcf(
            "1 10 . CAG C,CAGTT,CTG . . CSQ=TG|missense_variant|M|3,-|frameshift_variant|D|1,AGTT|stop_gained|I|2",
            "1 20 . CAG C . . CSQ=AGTT|stop_gained|I|2,-|frameshift_variant|D|1",
            "1 30 . C G,T . . CSQ=T|stop_gained|T|20,G|missense_variant|G|10",
            "1 40 . C G . . CSQ=T|stop_gained|T|20,G|missense_variant|G|10",
            meta=meta,
        ),
    )
    assert built.column("gene") == ["D", "I", "M", "D", "G", "T", "G"]
    assert built.column("cadd_phred") == [1, 2, 3, 1, 10, 20, 10]
    assert "annotation_allele" not in built.codes
