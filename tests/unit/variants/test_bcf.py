"""BCF through htslib in a child process."""

from __future__ import annotations

from pathlib import Path

import pysam.bcftools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.variants.check import check
from shared.variants.report import VcfRefused
from shared.variants.vcf.source import read_text
from tests.unit.variants.test_reader import SMALL
from tests.unit.variants.vcf_text import Built, bgzip


def as_bcf(folder: Path, text: str) -> bytes:
    (folder / "small.vcf").write_text(text.replace("##INFO", "##contig=<ID=1>\n##INFO", 1))
    packed = folder / "small.bcf"
    pysam.bcftools.view("--no-version", "-Ob", "-o", str(packed), str(folder / "small.vcf"), catch_stdout=False)
    return packed.read_bytes()


def without(rows: list[dict[str, object]], *names: str) -> list[dict[str, object]]:
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


def test_bcf_and_text_give_the_same_rows(tmp_path: Path) -> None:
    """But for the line, since htslib adds one for PASS to the header."""
    packed = Built(tmp_path, as_bcf(tmp_path, SMALL), "x.bcf")
    assert without(packed.rows, "line") == without(Built(tmp_path, SMALL).rows, "line")


def test_the_name_of_the_file_does_not_matter(tmp_path: Path) -> None:
    assert Built(tmp_path, as_bcf(tmp_path, SMALL), "x.vcf.gz").report.rows == 40


def test_c38_a_cut_bcf_is_refused(tmp_path: Path) -> None:
    """C38"""
    with pytest.raises(VcfRefused, match="truncated"):
        Built(tmp_path, as_bcf(tmp_path, SMALL)[:-40], "x.bcf")


def test_another_version_is_refused_by_its_number(tmp_path: Path) -> None:
    with pytest.raises(VcfRefused, match=r"BCF 2\.1"):
        Built(tmp_path, bgzip(b"BCF\x02\x01" + bytes(100)), "x.bcf")


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2000), st.integers(1, 255))
def test_a_damaged_record_never_ends_this_process(
    tmp_path_factory: pytest.TempPathFactory, at: int, change: int
) -> None:
    """With right checksums, so that htslib meets the damage."""
    folder = tmp_path_factory.mktemp("damage")
    (folder / "whole.bcf").write_bytes(as_bcf(folder, SMALL))
    content = bytearray(b"".join(read_text(folder / "whole.bcf")))
    content[at % len(content)] ^= change
    (folder / "x.bcf").write_bytes(bgzip(bytes(content)))
    assert check(folder / "x.bcf")["file"]


def test_a_child_that_is_killed_by_the_file_is_a_refusal(tmp_path: Path) -> None:
    content = b"BCF\x02\x02" + (1 << 30).to_bytes(4, "little") + b"##fileformat=VCFv4.2\n"
    with pytest.raises(VcfRefused, match="corrupt BCF"):
        Built(tmp_path, bgzip(content), "x.bcf")
