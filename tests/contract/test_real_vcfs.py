"""Every real file of ../shared/data: the verdicts of expected.tsv, every allele and genotype, the conformance files."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from shared.variants.check import check
from shared.variants.table import build_table
from tests.contract import vcf_reference as reference

SHARED = Path(os.environ.get("IFLOW_SHARED") or Path(__file__).resolve().parents[3] / "shared")
FILES = SHARED / "data" / "vcf"
CONFORMANCE = SHARED / "data" / "vcf-spec"

# cyvcf2 cannot read these though they are right or repaired without doubt (PLATFORM.md), or has 32 bits for POS.
NOT_FOR_CYVCF2 = {
    "alt_utf8_bom.vcf",
    "germline_trailing_tab_header_NA12878.vcf.bgz",
    "v44_partial_phase.vcf",
    "sv_dragen_HG002.vcf",
    "huge_positions_1e10.vcf",
}

needs_files = pytest.mark.skipif(
    not FILES.is_dir() and os.environ.get("CI") != "true", reason=f"{FILES} is not there; set IFLOW_SHARED to run this"
)
pytestmark = needs_files


def expected() -> list[dict[str, str]]:
    if not FILES.is_dir():
        return []
    with (FILES / "expected.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


ACCEPTED = [row["file"] for row in expected() if row["verdict"] == "accept"]
REFUSED = [row["file"] for row in expected() if row["verdict"] == "refuse"]


def test_the_files_are_there() -> None:
    """Fails, in CI, where the folder is absent."""
    assert len(ACCEPTED) >= 30
    assert len(REFUSED) >= 10


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Each accepted file's table, in the order of the file's records."""
    folder = tmp_path_factory.mktemp("tables")
    found = {}
    for name in ACCEPTED:
        build_table(FILES / name, folder / f"{name}.parquet")
        file = pq.ParquetFile(folder / f"{name}.parquet")
        table = file.read().replace_schema_metadata(file.metadata.metadata)
        found[name] = table.sort_by([("record", "ascending"), ("allele", "ascending")])
    yield found


@pytest.mark.parametrize("row", expected(), ids=lambda row: row["file"])
def test_verdict_and_counts_are_as_expected(row: dict[str, str]) -> None:
    """C38, C39, C49 (b) among others: accepted with exactly these counts, or refused with a reason."""
    found = check(FILES / row["file"])
    if row["verdict"] == "refuse":
        assert found["error"]
        assert set(found) == {"file", "error", "record", "line"}
    else:
        assert "error" not in found
        assert [str(found[key]) for key in ("records", "alleles", "samples")] == [
            row["records"],
            row["alleles"],
            row["samples"],
        ]


@pytest.mark.parametrize(
    ("name", "reason", "record"),
    [
        ("alt_bgzf_cut_at_block_boundary.vcf.gz", "truncated", 2548),
        ("alt_bgzf_cut_at_line_end_no_eof.vcf.gz", "truncated", 2001),
        ("alt_bgzf_cut_mid_block.vcf.gz", "truncated", 2986),
        ("alt_bgzf_flipped_byte.vcf.gz", "corrupt compressed data", 1),
        ("alt_garbage_line_in_body.vcf", "not a record", 121),
        ("alt_gzip_truncated.vcf.gz", "truncated", 701),
        ("alt_text_cut_mid_record.vcf", "cut short", 151),
        ("bgzf_no_eof_block.vcf.gz", "end-of-file block is missing", 5),
        ("bcf21_uncompressed.bcf", "BCF 2.1", None),
        ("corrupt_duplicate_sample_names.vcf", "sample name occurs twice", None),
        ("corrupt_malformed_record.vcf", "164 columns", 2),
        ("corrupt_pos_missing.vcf", "POS is not a number", 1),
        ("empty_zero_bytes.vcf", "empty file", None),
        ("wrong_columns_no_genotypes.vcf", "genotype columns are missing", 1),
    ],
)
def test_refusal_names_the_reason_and_the_record(name: str, reason: str, record: int | None) -> None:
    found = check(FILES / name)
    assert reason in found["error"]
    assert found["record"] == record


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("germline_trailing_tab_header_NA12878.vcf.bgz", "trailing_tab"),
        ("alt_utf8_bom.vcf", "byte_order_mark"),
        ("alt_latin1.vcf", "not_utf8"),
        ("sv_bnd_crlf_v43_HG008T.vcf.gz", "crlf"),
        ("unsorted_two_trios.vcf", "unsorted"),
        ("duplicate_variants_NA12878.vcf", "duplicate"),
        ("undeclared_info.vcf", "undeclared_info"),
        ("germline_dragen_NA12891.gzip.vcf.gz", "no_final_newline"),
        ("sv_dragen_HG002.vcf", "empty_ref"),
    ],
)
def test_a_repair_is_noted(name: str, code: str) -> None:
    assert code in {note["code"] for note in check(FILES / name)["warnings"]}


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_allele_is_what_a_plain_reader_sees(tables: dict[str, Any], name: str) -> None:
    table = tables[name]
    columns = ("record", "allele", "contig", "pos", "ref", "alt", "qual", "filters", "ids")
    rows = list(zip(*(table[column].to_pylist() for column in columns), strict=True))
    assert rows == reference.sites(FILES / name)


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_genotype_is_what_a_plain_reader_sees(tables: dict[str, Any], name: str) -> None:
    table = tables[name]
    samples = sum(1 for column in table.column_names if re.fullmatch(r"s\d+_gt", column))
    for sample in range(min(samples, 12)):
        columns = (f"s{sample}_{field}" for field in ("gt", "dp", "gq", "ad_ref", "ad_alt"))
        rows = zip(*(table[column].to_pylist() for column in columns), strict=True)
        seen = reference.genotypes(FILES / name, sample)
        # Reads may come from other keys than AD, which the plain reader does not know.
        assert [
            row if their[3:] != (None, None) else (*row[:3], None, None) for row, their in zip(rows, seen, strict=True)
        ] == seen


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_info_value_is_what_a_plain_reader_sees(tables: dict[str, Any], name: str) -> None:
    """Typed, split per allele, and what does not fit kept as text: nothing is lost and nothing is made up."""
    table = tables[name].slice(0, MOST_ROWS)
    columns = {key: column for column, key in keys_of(table).items() if column.startswith("info_")}
    flags = {key for key, (_, kind) in reference.declarations(FILES / name, "INFO").items() if kind == "Flag"}
    for row, (values, texts) in zip(table.to_pylist(), reference.info_values(FILES / name, MOST_ROWS), strict=True):
        ours = {key: row[column] for key, column in columns.items() if row[column] is not None}
        assert same(ours, {**dict.fromkeys(flags, False), **values}), row["line"]
        assert sorted(pairs(row["info_other"])) == sorted(texts, key=str), row["line"]


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_format_value_is_what_a_plain_reader_sees(tables: dict[str, Any], name: str) -> None:
    table = tables[name].slice(0, MOST_ROWS)
    columns = {key: column[3:] for column, key in keys_of(table).items() if column.startswith("s*_")}
    samples = sum(1 for column in table.column_names if re.fullmatch(r"s\d+_gt", column))
    for sample in range(min(samples, 4)):
        for row, (values, texts) in zip(
            table.to_pylist(), reference.format_values(FILES / name, sample, MOST_ROWS), strict=True
        ):
            found = {key: row[f"s{sample}_{column}"] for key, column in columns.items()}
            assert same({key: value for key, value in found.items() if value is not None}, values), row["line"]
            other = [pair for pair in pairs(row[f"s{sample}_fmt_other"]) if pair[0] not in ("DP", "GQ", "AD")]
            assert sorted(other) == sorted(texts, key=str), row["line"]


MOST_ROWS = 1500


def keys_of(table: Any) -> dict[str, str]:
    """Column -> INFO or FORMAT key."""
    found = json.loads(table.schema.metadata[b"columns"])
    return {column: key.partition("/")[2] for column, key in found.items()}


def pairs(other: list[dict[str, Any]] | None) -> list[tuple[str, str | None]]:
    return [(pair["key"], pair["value"]) for pair in other or ()]


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Equal but for keys without a value, and with NaN equal to NaN."""
    return str(sorted(ours.items())) == str(sorted((k, v) for k, v in theirs.items() if v is not None))


def test_every_allele_and_genotype_is_what_cyvcf2_sees(tables: dict[str, Any]) -> None:
    names = [name for name in ACCEPTED if name not in NOT_FOR_CYVCF2]
    found = reference.by_cyvcf2([FILES / name for name in names])
    for name in names:
        table = tables[name]
        samples = [column for column in table.column_names if re.fullmatch(r"s\d+_gt", column)]
        columns = ("record", "allele", "contig", "pos", "ref", "alt")
        keys = list(zip(*(table[column].to_pylist() for column in columns), strict=True))
        assert keys == [
            (number, allele, contig, pos, ref, alt)
            for number, (contig, pos, ref, alts, _) in enumerate(found[name], 1)
            for allele, alt in enumerate(alts, 1)
            if alt not in reference.NOT_ROWS
        ], name
        for sample, column in enumerate(samples):
            for key, text in zip(keys, table[column].to_pylist(), strict=True):
                calls = found[name][key[0] - 1][4]
                if text is not None:
                    assert _alleles(text) == [a for a in calls[sample] if a != -2], (name, key, column)


def _alleles(text: str) -> list[int]:
    return [-1 if part == "." else int(part) for part in re.split(r"[|/]", text)]


def conformance(kind: str) -> list[Path]:
    return sorted(CONFORMANCE.glob(f"*/{kind}/*.vcf"))


def test_every_valid_conformance_file_is_taken_with_its_counts() -> None:
    files = conformance("passed")
    assert len(files) == 75
    for path in files:
        found = check(path)
        alts = [record[4] for record in reference.records(path)]
        assert "error" not in found, (path, found)
        assert found["records"] == len(alts), path
        assert found["alleles"] == sum(len(alt.split(",")) for alt in alts if alt != "."), path


def test_no_invalid_conformance_file_is_taken_in_silence() -> None:
    """Refused, with a line where there is one, or taken with a note that says more than that a key is undeclared."""
    files = conformance("failed")
    assert len(files) == 607
    silent = []
    for path in files:
        found = check(path)
        telling = [note for note in found.get("warnings", ()) if not note["message"].endswith("declared; kept as text")]
        if "error" not in found and not telling:
            silent.append(f"{path.parts[-3]}/{path.name}")
    assert silent == []
