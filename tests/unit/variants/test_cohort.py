"""The cohort copy: one schema whatever the VCF, questions over many tables, and their SQL as BigQuery's."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.qualify import qualify

from shared.variants.cohort import (
    COLUMNS,
    FOLDER,
    QUESTIONS,
    TableBroken,
    ask,
    bigquery_schema,
    cohort_path,
    write_cohort,
)
from tests.unit.variants.vcf_text import Built, fmt, info, vcf

TERRAFORM = Path(__file__).parents[3] / "infra" / "terraform"
ANN = info("ANN", ".", "String", "Functional annotations: 'Allele | Annotation | Annotation_Impact | Gene_Name'")
META = (fmt("GT", "1", "String"), ANN)
HIGH, LOW = ("ANN=C|stop_gained|HIGH|BRCA2", "ANN=C|synonymous_variant|LOW|BRCA2")


def put(folder: Path, project: str, assembly: str, analysis: str, text: str) -> Path:
    built = Built(folder, text, f"{analysis}.vcf")
    out = folder / project / cohort_path(project, assembly, analysis, 0)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_cohort(built.path, analysis, built.report.sample_names, out)
    return folder / project / FOLDER


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    a = put(tmp_path, "germline", "GRCh38", "a1", vcf(
        f"chr13 32 . A C 50 PASS {HIGH};X=1 GT 0/1 1/1 0/0", "chr13 40 . A C,G . . . GT 1/2 0/1 ./.",
        meta=(*META, info("X", "1", "Integer")), samples=("kid", "mum", "dad")))
    put(tmp_path, "germline", "GRCh38", "a2", vcf(f"13 32 . A C 50 PASS {HIGH} GT 0/1", meta=META, samples=("kid",)))
    put(tmp_path, "germline", "GRCh37", "a3", vcf(f"13 32 . A C 5 q;r {LOW} GT 1", meta=META, samples=("old",)))
    b = put(tmp_path, "tumour", "GRCh38", "b1", vcf(f"13 32 . A C 50 PASS {HIGH} GT 0/1", meta=META, samples=("kid",)))
    return [a, b]


def test_every_file_has_the_schema_that_terraform_declares(folders: list[Path]) -> None:
    """BigQuery takes files of one schema alone: the same columns at the same places, of types that it reads."""
    kinds = {"STRING": pa.string(), "INT64": pa.int64(), "FLOAT64": pa.float64()}
    wanted = pa.schema([(name, kinds[kind]) for name, (kind, _) in COLUMNS.items()])
    files = [file for folder in folders for file in folder.rglob("*.parquet")]
    assert len(files) == 4
    for file in files:
        assert pq.ParquetFile(file).schema_arrow.equals(wanted)
        group = pq.read_metadata(file).row_group(0)
        used = {encoding for i in range(group.num_columns) for encoding in group.column(i).encodings}
        assert used <= {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY"}
    assert json.loads((TERRAFORM / "cohort_schema.json").read_text()) == bigquery_schema()


def test_an_allele_is_counted_by_people_and_by_assembly(folders: list[Path]) -> None:
    """A sample of two analyses is one carrier; one of the same name in another project is another."""
    assert ask(folders, "allele_count", {"key": "13-32-A-C"}) == [
        {"assembly": "GRCh37", "carriers": 1, "alleles": 1, "homozygous": 0},
        {"assembly": "GRCh38", "carriers": 3, "alleles": 4, "homozygous": 1},
    ]
    assert ask(folders, "allele_count", {"key": "13-40-A-G"}) == [
        {"assembly": "GRCh38", "carriers": 1, "alleles": 1, "homozygous": 0},
    ]
    assert ask(folders, "allele_count", {"key": "' OR 1=1 --"}) == []


def test_carriers_of_a_genes_high_impact_variants_are_named(folders: list[Path]) -> None:
    found = ask(folders, "carriers_of_high_impact", {"gene": "BRCA2"})
    assert [(row["assembly"], row["project"], row["sample"], row["zygosity"]) for row in found] == [
        ("GRCh38", "germline", "kid", "het"), ("GRCh38", "germline", "mum", "hom_alt"),
        ("GRCh38", "tumour", "kid", "het"),
    ]


def test_what_is_common_here_and_rare_elsewhere(folders: list[Path]) -> None:
    (first, *_) = ask(folders, "common_here_rare_elsewhere", {"least": 2, "rare": 0.01})
    assert (first["assembly"], first["key"], first["carriers"], first["people"]) == ("GRCh38", "13-32-A-C", 3, 3)


def test_without_files_there_is_no_answer(tmp_path: Path) -> None:
    assert ask([tmp_path], "allele_count", {"key": "x"}) == []


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_sql_is_bigquerys_too(question: str) -> None:
    """Transpiled, parsed again as BigQuery's, and asking for no column that the table does not have."""
    (sql,) = sqlglot.transpile(QUESTIONS[question], read="duckdb", write="bigquery")
    tree = sqlglot.parse_one(sql, read="bigquery", error_level=sqlglot.ErrorLevel.RAISE)
    assert tree.sql("bigquery") == sql
    assert {found.name for found in tree.find_all(exp.Parameter)} or "@" in sql
    schema = {"variants": {**{name: kind for name, (kind, _) in COLUMNS.items()}, "project": "STRING",
                           "assembly": "STRING"}}
    qualify(tree, dialect="bigquery", schema=schema, validate_qualify_columns=True)


def test_a_table_that_was_cut_is_no_copy(tmp_path: Path) -> None:
    table = Built(tmp_path, vcf("13 32 . A C 50 PASS . GT 0/1", meta=META, samples=("kid",)), "x.vcf").path
    table.write_bytes(table.read_bytes()[:-8])
    with pytest.raises(TableBroken, match=table.name):
        write_cohort(table, "x", ["kid"], tmp_path / "copy.parquet")
