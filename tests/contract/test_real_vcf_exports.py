"""Every real file of ../shared/data/vcf: table -> VCF -> table -> VCF, and what bcftools reads of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pysam
import pysam.bcftools
import pytest

from shared.domain.cache import Member
from shared.domain.request import Role, Sex
from shared.variants.bgzf import compressed
from shared.variants.export import Selection, exported
from shared.variants.order_schema import groups_of
from shared.variants.order_table import build_order_table
from shared.variants.table import build_table
from shared.variants.to_vcf import header_of, vcf_text
from shared.variants.to_vcf_merged import SampleGroup
from tests.contract.test_real_vcfs import ACCEPTED, FILES, needs_files

pytestmark = needs_files

NOT_FOR_BCFTOOLS = {"alt_utf8_bom.vcf", "germline_trailing_tab_header_NA12878.vcf.bgz"}
"""It cannot read the originals (PLATFORM.md)."""

REPAIRED = {"alt_latin1.vcf", "sv_dragen_HG002.vcf"}
"""Text that is not UTF-8, and records without REF: what is read is the repair."""

UNSORTED = {"unsorted_two_trios.vcf", "phased_1kg_v43_100samples.vcf", "v45_local_alleles.vcf"}

ROLES = (Role.PROBAND, Role.MOTHER, Role.FATHER)

Record = tuple[tuple[str, ...], dict[str, str], tuple[dict[str, str], ...]]


def export(table: Path, out: Path) -> Path:
    batches = pq.ParquetFile(table).iter_batches(10_000)
    with out.open("wb") as file:
        for piece in compressed(vcf_text(header_of(table), batches, {"filter": "none"})):
            file.write(piece)
    return out


@pytest.mark.parametrize("name", ACCEPTED)
def test_export_ingest_export_is_a_fixed_point(tmp_path: Path, name: str) -> None:
    """C47, C52: with as many rows as the first table has."""
    report = build_table(FILES / name, tmp_path / "1.parquet")
    first = export(tmp_path / "1.parquet", tmp_path / "1.vcf.gz")
    again = build_table(first, tmp_path / "2.parquet")
    second = export(tmp_path / "2.parquet", tmp_path / "2.vcf.gz")
    assert again.rows == report.rows
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", [name for name in ACCEPTED if name not in NOT_FOR_BCFTOOLS])
def test_bcftools_reads_the_original_records_back(tmp_path: Path, name: str) -> None:
    """C52. Every value, those of `*` and `<NON_REF>` and of genotypes of two alternates among them."""
    build_table(FILES / name, tmp_path / "t.parquet")
    exported = list(viewed(export(tmp_path / "t.parquet", tmp_path / "x.vcf.gz"), tmp_path / "x.vcf"))
    numbers = set(pq.read_table(tmp_path / "t.parquet", columns=["record"])["record"].to_pylist())
    assert len(exported) == len(numbers)
    if name in REPAIRED:
        return
    every = enumerate(viewed(FILES / name, tmp_path / "o.vcf"), 1)
    original = [record for number, record in every if number in numbers]
    if name in UNSORTED:
        original, exported = (sorted(each, key=str) for each in (original, exported))
    for theirs, ours in zip(original, exported, strict=True):
        assert ours[0] == theirs[0]
        assert differing(theirs[1], ours[1]) == [], theirs[0]
        for cell, our_cell in zip(theirs[2], ours[2], strict=True):
            assert differing(cell, our_cell) == [], theirs[0]


@pytest.mark.parametrize("names", [
    ("germline_gatk_dragenmode_NA12878.vcf", "trio_giab_ashkenazim.vcf.gz"),
    ("snpeff_ann_NA12878.vcf.gz", "vep_csq_panel_NA12878.vcf", "gvcf_gatk4_NA12878.g.vcf"),
    ("somatic_mutect2_dream3_chr20.vcf", "sv_bnd_crlf_v43_HG008T.vcf.gz"),
], ids=str)
def test_an_order_over_several_files_is_one_that_bcftools_reads(tmp_path: Path, names: tuple[str, ...]) -> None:
    """C47: a record for each row, and each sample's genotype of it by an independent reader of the new file."""
    members, tables = [], [tmp_path / f"{name}.parquet" for name in names]
    for number, (name, table) in enumerate(zip(names, tables, strict=True)):
        build_table(FILES / name, table)
        members.append(Member(name=f"sample{number}", role=ROLES[number], sex=Sex.UNKNOWN, table=table.name, column=0,
                              analysis="a"))
    manifest = build_order_table(list(zip(members, tables, strict=True)), tmp_path / "order.parquet")
    in_order = [each["table"] for each in manifest["tables"]]
    groups = [SampleGroup(group.prefix, group.name, {in_order.index(members[n].table): 0 for n in group.members})
              for group in groups_of(members)]
    rows = pq.read_table(tmp_path / "order.parquet").to_pylist()
    selection = Selection(tmp_path / "order.parquet", np.arange(len(rows)), [tmp_path / t for t in in_order], groups)
    merged = tmp_path / "merged.vcf.gz"
    merged.write_bytes(b"".join(exported(selection, "vcf.gz", {})))
    found = list(viewed(merged, tmp_path / "viewed.vcf"))
    assert len(found) == len(rows)
    assert build_table(merged, tmp_path / "again.parquet").rows == len(rows)
    for number, group in enumerate(groups):
        carried = sum(bool(row[f"{group.prefix}_carries"]) for row in rows)
        assert sum("1" in record[2][number]["GT"] for record in found) == carried


def viewed(file: Path, out: Path) -> Iterator[Record]:
    """What bcftools makes of a file: without keys that have no value."""
    pysam.bcftools.view("--no-version", "-Ov", "-o", str(out), str(file), catch_stdout=False)
    with out.open() as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            site, cells = line.rstrip("\n").split("\t")[:8], line.rstrip("\n").split("\t")[8:]
            info = dict(entry.partition("=")[::2] for entry in site[7].split(";"))
            keys = cells[0].split(":") if cells else []
            calls = tuple(said(dict(zip(keys, cell.split(":"), strict=False))) for cell in cells[1:])
            yield tuple(site[:7]), said(info), calls


def said(values: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in values.items() if key == "GT" or not re.fullmatch(r"[.,]+", value)}


def differing(theirs: dict[str, str], ours: dict[str, str]) -> list[tuple[str, str | None, str | None]]:
    keys = sorted({*theirs, *ours})
    return [(key, theirs.get(key), ours.get(key)) for key in keys if theirs.get(key) != ours.get(key)]
