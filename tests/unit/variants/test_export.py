"""Rows of an order in every format and in the order asked for; harmless cells; one VCF of several."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.domain.cache import Member
from shared.variants.export import Selection, UnknownColumns, exported
from shared.variants.order_schema import groups_of
from shared.variants.order_table import build_order_table
from shared.variants.to_cells import delimited
from shared.variants.to_vcf_merged import SampleGroup
from shared.variants.to_xlsx import workbook
from tests.unit.variants.vcf_text import Built, fmt, info, vcf

ABOUT = {"filter": '{"gene":["MARCH1"]}', "user": "=ann@lab", "rows": "3 of 9"}
META = (
    fmt("GT", "1", "String"), fmt("AD", "R", "Integer"), info("DP", "1", "Integer"), info("AC", "A", "Integer"),
)
ROWS = pa.RecordBatch.from_pydict({
    "sample": ["=HYPERLINK(1)", "a\tb", 'say "x"\nnow'], "gene": ["+x", "MARCH1", "BRCA2"],
    "note": ["@y", None, "-"], "score": [-1.5, None, 2.0], "count": pa.array([-3, 1, None], pa.int64()),
    "terms": [["a", None], ["=b"], None], "depths": [[-1, 2], [], None],
})


def text(comma: bool) -> str:
    return b"".join(delimited(ROWS.schema, [ROWS], ABOUT, ROWS.schema.names, comma=comma)).decode()


@pytest.mark.parametrize("comma", [True, False])
def test_text_cells_are_made_harmless_and_numbers_are_left(comma: bool) -> None:
    """C78."""
    lines = text(comma).split("\n", 3)
    assert all(line.lstrip('"').startswith("# ") for line in lines[:3])
    read = list(csv.DictReader(io.StringIO(lines[3]), delimiter="," if comma else "\t"))
    assert [row["sample"] for row in read] == ["'=HYPERLINK(1)", "a\tb", 'say "x"\nnow']
    assert [row["gene"] for row in read] == ["'+x", "MARCH1", "BRCA2"]
    assert [row["note"] for row in read] == ["'@y", "", "'-"]
    assert [row["score"] for row in read] == ["-1.5", "", "2"]
    assert [row["count"] for row in read] == ["-3", "1", ""]
    assert [row["terms"] for row in read] == ["a,.", "'=b", ""]
    assert [row["depths"] for row in read] == ["-1,2", "", ""]
    assert '"MARCH1"' in lines[3]
    assert "-1.5" in lines[3]
    assert '"-1.5' not in lines[3]


@pytest.mark.parametrize(("sheet_rows", "sheets"), [(100, 1), (3, 2), (2, 3)])
def test_a_workbook_has_text_as_text_and_numbers_as_numbers(sheet_rows: int, sheets: int) -> None:
    """C78, read by openpyxl; and what does not fit on a sheet stands on the next."""
    content = b"".join(workbook(ROWS.schema, [ROWS], ABOUT, ROWS.schema.names, sheet_rows=sheet_rows))
    book = openpyxl.load_workbook(io.BytesIO(content))
    assert book.sheetnames == [*(f"Variants {i}" if i > 1 else "Variants" for i in range(1, sheets + 1)), "About"]
    found: list[Sequence[Any]] = []
    for name in book.sheetnames[:-1]:
        head, *rows = book[name].iter_rows()
        assert [cell.value for cell in head] == ROWS.schema.names
        assert len(rows) < sheet_rows
        found += rows
    assert [row[0].value for row in found] == ["=HYPERLINK(1)", "a\tb", 'say "x"\nnow']
    assert {row[0].data_type for row in found} <= {"s", "inlineStr"}
    assert [row[1].value for row in found] == ["+x", "MARCH1", "BRCA2"]
    assert found[1][1].number_format == "@"
    assert [(row[3].value, row[3].data_type) for row in found] == [(-1.5, "n"), (None, "n"), (2, "n")]
    assert [tuple(cell.value for cell in row) for row in book["About"].iter_rows()] == list(ABOUT.items())


def order_of(folder: Path, files: Sequence[tuple[str, str]], roles: Sequence[str]) -> Selection:
    """An order over VCFs of one sample each, or over one VCF of all of them."""
    built = [Built(folder, content, f"{name}.vcf").path for name, content in files]
    members, paths = [], []
    for number, role in enumerate(roles):
        table = built[number if len(built) > 1 else 0]
        names = json.loads(pq.read_metadata(table).metadata[b"samples"])
        column = 0 if len(built) > 1 else number
        members.append(Member(name=names[column], role=role, sex="unknown", table=table.name, column=column,
                              analysis="a"))
        paths.append(table)
    manifest = build_order_table(list(zip(members, paths, strict=True)), folder / "order.parquet")
    tables = [each["table"] for each in manifest["tables"]]
    groups = [SampleGroup(g.prefix, g.name, {tables.index(members[n].table): members[n].column for n in g.members})
              for g in groups_of(members)]
    rows = np.arange(manifest["rows"])
    return Selection(folder / "order.parquet", rows, [folder / table for table in tables], groups)


def records(content: bytes) -> list[str]:
    return [line for line in content.decode().splitlines() if not line.startswith("#")]


TRIO = vcf("1 10 . A C,G 5 PASS DP=7;AC=1,2 GT:AD 1/2:1,2,3 0/1:4,5,0 0/0:9,0,0",
           "1 20 rs2 A T 6 . DP=8 GT 0/1 0/0 1/1", "2 5 . G C 7 . DP=9 GT 0/0 0/1 0/1",
           meta=META, samples=("kid", "mum", "dad"), contigs=("1", "2"))


def test_an_order_over_one_vcf_is_its_records(tmp_path: Path) -> None:
    """C47: everything gives the original file, a part of the rows the alleles that were asked for."""
    selection = order_of(tmp_path, [("trio", TRIO)], ["proband", "mother", "father"])
    assert b"".join(exported(selection, "vcf", {})).decode() == TRIO
    part = Selection(selection.table, np.array([3, 1]), selection.tables, selection.groups)
    assert [record.split("\t")[:5] for record in records(b"".join(exported(part, "vcf", {})))] == [
        ["1", "10", ".", "A", "G"], ["2", "5", ".", "G", "C"],
    ]


def test_an_order_over_several_vcfs_is_one_with_a_column_for_each_sample(tmp_path: Path) -> None:
    """Names of contigs are the first table's; an allele's number is that of its own file no longer."""
    kid = vcf("chr1 10 . A C,G 5 PASS DP=7;AC=1,2;X=%2C GT:AD 1|2:1,2,3", "chr1 20 . A T 5 . DP=8 GT 0/1", meta=META,
              samples=("kid",), contigs=("chr1", "chr2"))
    mum = vcf("2 5 . G C 7 . DP=w GT 0/1", "1 10 . A G 9 q10 DP=4;AC=3 GT:AD 0/1:4,5",
              meta=(*META[:2], info("DP", "1", "String"), META[3], "##other=1"), samples=("mum",), contigs=("1", "2"))
    selection = order_of(tmp_path, [("kid", kid), ("mum", mum)], ["proband", "mother"])
    content = b"".join(exported(selection, "vcf", {"user": "x"}))
    head = [line for line in content.decode().splitlines() if line.startswith("#")]
    assert head[-1].endswith("FORMAT\tkid\tmum")
    assert [line for line in head if "contig" in line] == [
        "##contig=<ID=chr1>", "##contig=<ID=chr2>", "##contig=<ID=1>", "##contig=<ID=2>",
    ]
    assert "##other=1" in head
    assert "##iflow_export_left_out=INFO/DP" in head
    assert [record.split("\t") for record in records(content)] == [
        ["chr1", "10", ".", "A", "C", "5", "PASS", "AC=1;X=%2C".replace("%2C", ","), "GT:DP:GQ:AD:PS",
         "1|.:.:.:1,2:.", "./.:.:.:.:."],
        ["chr1", "10", ".", "A", "G", "5", "PASS", "AC=2;X=,", "GT:DP:GQ:AD:PS", ".|1:.:.:1,3:.", "0/1:.:.:4,5:."],
        ["chr1", "20", ".", "A", "T", "5", ".", ".", "GT:DP:GQ:AD:PS", "0/1:.:.:.:.", "./.:.:.:.:."],
        ["chr2", "5", ".", "G", "C", "7", ".", ".", "GT:DP:GQ:AD:PS", "./.:.:.:.:.", "0/1:.:.:.:."],
    ]
    again = Built(tmp_path, content, "again.vcf")
    assert again.report.rows == len(selection.rows)
    assert again.report.sample_names == ("kid", "mum")


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 0, 2], []], ids=str)
def test_every_format_has_the_rows_in_the_order_asked_for(tmp_path: Path, order: list[int]) -> None:
    """C60, C61: with the columns asked for."""
    whole = order_of(tmp_path, [("trio", TRIO)], ["proband", "mother", "father"])
    selection = Selection(whole.table, np.array(order, np.int64))
    columns = ["pos", "alt", "mother_gt"]
    wanted = [tuple(row.values()) for row in pq.read_table(whole.table, columns=columns).take(
        pa.array(order, pa.int64())).select(columns).to_pylist()]

    def content(file_format: str) -> bytes:
        return b"".join(exported(selection, file_format, ABOUT, columns))

    table = pq.read_table(io.BytesIO(content("parquet")))
    assert [tuple(row.values()) for row in table.to_pylist()] == wanted
    first, *lines = content("jsonl").decode().splitlines()
    assert json.loads(first)["export"] == ABOUT
    assert [tuple(json.loads(line).values()) for line in lines] == wanted
    rows = list(csv.reader(io.StringIO(content("tsv").decode().split("\n", 3)[3]), delimiter="\t"))
    assert rows == [columns, *([str(pos), alt, gt] for pos, alt, gt in wanted)]
    book = openpyxl.load_workbook(io.BytesIO(content("xlsx")))
    assert list(book["Variants"].iter_rows(values_only=True)) == [tuple(columns), *wanted]


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    selection = order_of(tmp_path, [("trio", TRIO)], ["proband", "mother", "father"])
    with pytest.raises(UnknownColumns, match="genee"):
        exported(selection, "tsv", {}, ["pos", "genee"])
