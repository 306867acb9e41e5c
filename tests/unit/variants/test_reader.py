"""Packing and text: what is repaired with a note, what is refused and where, and that nothing is ever half there."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.variants import parallel
from shared.variants.check import check
from shared.variants.report import VcfRefused
from shared.variants.table import build_table
from shared.variants.vcf import lines, source
from tests.examples import examples
from tests.unit.variants.vcf_text import BGZF_END, Built, bgzip, fmt, info, vcf

SMALL = vcf(
    *(f"1 {i} rs{i} A C {i}.5 PASS DP={i} GT:DP 0/1:{i}" for i in range(1, 41)),
    samples=("a",),
    meta=(info("DP", "1", "Integer"), fmt("GT", "1", "String"), fmt("DP", "1", "Integer")),
)
PACKED = bgzip(SMALL.encode())


@pytest.mark.parametrize(
    "content",
    [SMALL.encode(), gzip.compress(SMALL.encode()), PACKED, bgzip(SMALL.encode()[:900]) + bgzip(SMALL.encode()[900:])],
)
def test_plain_gzip_and_bgzf_give_the_same_table(tmp_path: Path, content: bytes) -> None:
    assert Built(tmp_path, content).rows == Built(tmp_path, SMALL, "plain.vcf").rows


def test_the_same_vcf_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = Built(tmp_path, SMALL), Built(tmp_path, PACKED, "other.vcf.gz")
    assert first.path.read_bytes() == second.path.read_bytes()


def test_the_bytes_do_not_depend_on_the_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 300)
    monkeypatch.setattr(source, "_READ_BYTES", 150)
    tables = []
    for threads in (1, 2, 8):
        monkeypatch.setattr(parallel, "threads", lambda n=threads: n)
        tables.append(Built(tmp_path, SMALL).path.read_bytes())
    assert tables[0] == tables[1] == tables[2]


def test_rows_do_not_depend_on_the_size_of_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Built(tmp_path, SMALL)
    monkeypatch.setattr(lines, "BLOCK_BYTES", 300)
    monkeypatch.setattr(source, "_READ_BYTES", 150)
    pieces = Built(tmp_path, SMALL, "pieces.vcf")
    assert (pieces.rows, pieces.report) == (whole.rows, whole.report)


def test_c38_a_file_cut_at_60_percent_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """C38"""
    (tmp_path / "x.vcf.gz").write_bytes(PACKED[: len(PACKED) * 6 // 10])
    with pytest.raises(VcfRefused, match="truncated") as refused:
        build_table(tmp_path / "x.vcf.gz", tmp_path / "out.parquet")
    assert refused.value.record is not None
    assert [path.name for path in tmp_path.iterdir()] == ["x.vcf.gz"]


def test_c38_a_missing_end_of_file_block_is_a_truncation(tmp_path: Path) -> None:
    """C38"""
    with pytest.raises(VcfRefused, match="truncated: the BGZF end-of-file block is missing") as refused:
        Built(tmp_path, bgzip(SMALL.encode(), end=False))
    assert (refused.value.record, refused.value.line) == (41, 46)


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(0, len(PACKED) - 1))
def test_a_bgzf_file_cut_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, at: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "x.vcf.gz"
    path.write_bytes(PACKED[:at])
    assert "error" in check(path)


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(0, len(PACKED) * 8 - 1))
def test_a_flipped_bit_never_changes_a_row(tmp_path_factory: pytest.TempPathFactory, bit: int) -> None:
    """Refused, or the bit says nothing (a time stamp, a flag of the operating system)."""
    damaged = bytearray(PACKED)
    damaged[bit // 8] ^= 1 << bit % 8
    folder = tmp_path_factory.mktemp("flip")
    try:
        rows = Built(folder, bytes(damaged)).rows
    except VcfRefused:
        return
    assert rows == Built(folder, SMALL, "whole.vcf").rows


def test_an_empty_block_in_the_middle_is_legal(tmp_path: Path) -> None:
    text = SMALL.encode()
    assert Built(tmp_path, bgzip(text[:500], end=False) + BGZF_END + bgzip(text[500:])).report.rows == 40


@pytest.mark.parametrize(
    ("content", "reason", "record", "line"),
    [
        (b"", "empty file", None, None),
        (b"hello\n", "this is no VCF", None, 1),
        (b"##fileformat=VCFv4.2\n", "no #CHROM line", None, 1),
        (b"##fileformat=VCFv4.2\nfree text\n", "does not begin with ##", None, 2),
        (vcf("1 1 . A C . . .", "1 2 . A C . .").encode(), "7 columns, the header 8", 2, 4),
        (vcf("1 1 . A C . . .", "slurmstepd:").encode(), "not a record", 2, 4),
        (vcf("1 1 . A C . . .", "", "1 2 . A C . . .").encode(), "an empty line", 2, 4),
        (vcf("1 . . A C . . .").encode(), "POS is not a number", 1, 3),
        (vcf("1 1 . A C . . .", "1 2 . A C . . .", "1 NOTANUMBER . A C . . .").encode(), "POS is not a number", 3, 5),
        (vcf("1 -1 . A C . . .").encode(), "POS is negative", 1, 3),
        (vcf("1 1 . A C high . .").encode(), "QUAL is not a number", 1, 3),
        (vcf("1 1 . 7 C . . .").encode(), "REF is not bases", 1, 3),
        (vcf("1 1 . A C,, . . .").encode(), "is no allele", 1, 3),
        (vcf("1 1 . A C,. . . .").encode(), "is no allele", 1, 3),
        (vcf("1 1 . A <DEL . . .").encode(), "is no allele", 1, 3),
        (vcf("1 1 . A C . . .", "#1 2 . A C . . .").encode(), "header line among the records", 2, 4),
        (vcf("1 1 . A C . . .", "1 2 . A\0 C . . .").encode(), "NUL byte", 2, 4),
        (vcf(samples=("a", "b", "a")).encode(), "a sample name occurs twice: a", None, 2),
        (vcf("1 1 . A C . . .", samples=("a",)).encode(), "genotype columns are missing", 1, 3),
        (SMALL.encode()[:-12], "the last record is cut short", 40, 45),
        (SMALL.encode()[:-4], "the last cell has 1 of 2 values", 40, 45),
    ],
)
def test_c37_what_is_refused_and_where(
    tmp_path: Path, content: bytes, reason: str, record: int | None, line: int | None
) -> None:
    """C37 and others: never a crash, never a short table."""
    with pytest.raises(VcfRefused, match=reason) as refused:
        Built(tmp_path, content)
    assert (refused.value.record, refused.value.line) == (record, line)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda text: b"\xef\xbb\xbf" + text, "byte_order_mark"),
        (lambda text: text.replace(b"FORMAT\ta\n", b"FORMAT\ta\t\n"), "trailing_tab"),
        (lambda text: text.replace(b"\n", b"\r\n"), "crlf"),
        (lambda text: text[:-1], "no_final_newline"),
        (lambda text: text + b"\n\n", "blank_line"),
    ],
)
def test_what_is_repaired_without_doubt_is_noted(tmp_path: Path, change: object, code: str) -> None:
    assert callable(change)
    built = Built(tmp_path, change(SMALL.encode()))
    assert built.codes == {code}
    assert built.rows == Built(tmp_path, SMALL, "whole.vcf").rows


def test_latin1_text_is_read_and_noted_with_its_line(tmp_path: Path) -> None:
    text = vcf("1 1 . A C . . S=caf\u00e9", "1 2 . A C . . S=x", meta=(info("S", "1", "String"),))
    built = Built(tmp_path, text.encode("latin-1"))
    assert built.column("info_S") == ["caf\u00e9", "x"]
    assert [(note.code, note.line) for note in built.report.warnings] == [("not_utf8", 4)]


def test_unsorted_records_are_sorted_and_noted(tmp_path: Path) -> None:
    built = Built(tmp_path, vcf("2 5 . A C . . .", "2 3 . A C . . .", "1 9 . A C . . .", "2 4 . A G,T . . ."))
    assert [(r["contig"], r["pos"], r["alt"], r["record"]) for r in built.rows] == [
        ("2", 3, "C", 2),
        ("2", 4, "G", 4),
        ("2", 4, "T", 4),
        ("2", 5, "C", 1),
        ("1", 9, "C", 3),
    ]
    assert built.codes == {"unsorted", "contig_in_pieces"}


def test_duplicates_are_kept_and_noted(tmp_path: Path) -> None:
    built = Built(tmp_path, vcf("1 1 . A C . . .", "1 1 . A C . . .", "1 5 . TAT TGT . . .", "1 6 . A G . . ."))
    assert built.report.rows == 4
    assert [(note.code, note.line, note.times) for note in built.report.warnings] == [("duplicate", 4, 2)]


def test_positions_beyond_32_bits_and_long_alleles(tmp_path: Path) -> None:
    built = Built(
        tmp_path, vcf(f"1 10010000110 . {'A' * 26714} A . . END=10010000200", meta=(info("END", "1", "Integer"),))
    )
    row = built.rows[0]
    assert (row["pos"], row["length"], len(row["ref"]), row["info_END"]) == (10010000110, 26713, 26714, 10010000200)


def test_an_info_value_of_a_megabyte(tmp_path: Path) -> None:
    value = "x" * 1_300_000
    assert Built(tmp_path, vcf(f"1 1 . A C . . S={value}", meta=(info("S", "1", "String"),))).column("info_S") == [
        value
    ]


@pytest.mark.parametrize(("contigs", "codes"), [
    ((), []), (("1", "2"), []), (("9",), ["undeclared_contig"] * 2), (("1", "2,length=xyz"), ["header"]),
])
def test_c39_records_of_any_contig_are_rows(tmp_path: Path, contigs: tuple[str, ...], codes: list[str]) -> None:
    """C39: at most one note per contig."""
    built = Built(tmp_path, vcf(*(f"{c} {i} . A C . . ." for c in (1, 2) for i in range(1, 5)), contigs=contigs))
    assert (built.report.rows, [note.code for note in built.report.warnings]) == (8, codes)


def test_c49_a_header_alone_is_an_empty_table(tmp_path: Path) -> None:
    """C49 (b)"""
    built = Built(tmp_path, vcf(samples=("a",)))
    assert (built.rows, built.report.records, built.report.sample_names) == ([], 0, ("a",))


def earlier(tmp_path: Path) -> bytes:
    """The .tbi of the same file with a tenth of its records."""
    path = tmp_path / "earlier.vcf.gz"
    path.write_bytes(bgzip(("\n".join(SMALL.split("\n")[:-37]) + "\n").encode()))
    pysam.tabix_index(str(path), preset="vcf")
    return path.with_name("earlier.vcf.gz.tbi").read_bytes()


def without_counts(tmp_path: Path) -> bytes:
    """A .tbi less its pseudo-bins (SAM specification, section 5.2), which hold the number of records."""
    text = gzip.decompress(earlier(tmp_path))
    l_names = int.from_bytes(text[32:36], "little")
    head, at, parts = text[: 36 + l_names], 36 + l_names, []
    for _ in range(int.from_bytes(text[4:8], "little")):
        bins, at = int.from_bytes(text[at : at + 4], "little"), at + 4
        kept = []
        for _ in range(bins):
            number, chunks = (int.from_bytes(text[at + i : at + i + 4], "little") for i in (0, 4))
            if number != 37450:
                kept.append(text[at : at + 8 + 16 * chunks])
            at += 8 + 16 * chunks
        intervals = 4 + 8 * int.from_bytes(text[at : at + 4], "little")
        parts += [len(kept).to_bytes(4, "little"), *kept, text[at : at + intervals]]
        at += intervals
    assert len(kept) < bins
    return bgzip(head + b"".join(parts))


@pytest.mark.parametrize("index", [earlier, without_counts, lambda folder: b"", lambda folder: b"not an index at all"])
def test_c51_an_index_beside_the_file_is_of_no_account(tmp_path: Path, index: Callable[[Path], bytes]) -> None:
    """C51: of an earlier version of the file, without record counts, or none at all: every record is a row."""
    (tmp_path / "x.vcf.gz.tbi").write_bytes(index(tmp_path))
    assert Built(tmp_path, PACKED, "x.vcf.gz").report.rows == 40


def test_progress_tells_the_records_read(tmp_path: Path) -> None:
    (tmp_path / "x.vcf").write_text(SMALL)
    seen: list[int] = []
    build_table(tmp_path / "x.vcf", tmp_path / "x.parquet", progress=seen.append)
    assert seen[-1] == 40


def test_check_never_raises(tmp_path: Path) -> None:
    (tmp_path / "folder.vcf").mkdir()
    assert check(tmp_path / "absent.vcf")["error"].startswith("cannot be read")
    assert check(tmp_path / "folder.vcf")["error"].startswith("cannot be read")
    (tmp_path / "x.vcf").write_bytes(b"\xff\xfe\x00\x01" * 100)
    assert set(check(tmp_path / "x.vcf")) == {"file", "error", "record", "line"}


@settings(max_examples=examples(150), deadline=None)
@given(st.integers(0, len(SMALL)), st.binary(max_size=6))
def test_check_survives_any_bytes_put_anywhere(tmp_path_factory: pytest.TempPathFactory, at: int, noise: bytes) -> None:
    path = tmp_path_factory.mktemp("noise") / "x.vcf"
    path.write_bytes(SMALL.encode()[:at] + noise + SMALL.encode()[at:])
    assert check(path)["file"] == str(path)


def test_check_says_what_the_design_says(tmp_path: Path) -> None:
    (tmp_path / "x.vcf").write_text(vcf("1 1 . A C,* . . .", "1 2 . A . . . .", samples=()))
    found = check(tmp_path / "x.vcf")
    assert {key: found[key] for key in ("records", "alleles", "rows", "skipped", "samples", "warnings")} == {
        "records": 2,
        "alleles": 2,
        "rows": 1,
        "skipped": {"*": 1, "no alternate allele": 1},
        "samples": 0,
        "warnings": [],
    }
    assert found["report"]["transversions"] == 1
