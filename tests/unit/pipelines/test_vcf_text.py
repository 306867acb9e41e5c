"""VCF as text: what is whole passes byte by byte, what is not is refused with its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pysam
import pytest

from infra.pipelines.runnable import PipelineError
from infra.pipelines.vcf_text import BGZF_END, arrange, count_bcf_records, count_records, index

HEADER = """##fileformat=VCFv4.3
##contig=<ID=chr2>
##contig=<ID=chr10>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\tS2
"""
RECORDS = [
    "chr10\t5\t.\tA\tC\t.\t.\tNOTE=café\tGT\t0/1\t./.",
    "chr2\t9\tsecond\tA\tC,<DEL>\t.\t.\t.\tGT:AD\t1/2:1,2\t0|1",
    "chr2\t9\tfirst\tA\t.\t.\t.\t.\tGT\t/0\t.",
    "odd\t1\t.\tA\tG\t.\t.\tUNDECLARED=1\tGT\t1\t0/0/1",
]


def written(folder: Path, text: str, name: str = "in.vcf") -> Path:
    path = folder / name
    path.write_bytes(text.encode("latin-1"))
    return path


def body(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="latin-1") as stream:
        return [line.rstrip("\n") for line in stream if not line.startswith("#")]


def bgzipped(source: Path) -> bytes:
    pysam.tabix_compress(str(source), str(source) + ".gz", force=True)
    return Path(f"{source}.gz").read_bytes()


def test_records_are_sorted_by_the_headers_contigs_and_kept_byte_by_byte(tmp_path: Path) -> None:
    out = tmp_path / "out.vcf.gz"
    text = arrange(written(tmp_path, HEADER + "\n".join(RECORDS) + "\n"), out, tmp_path)
    assert body(out) == [RECORDS[1], RECORDS[2], RECORDS[0], RECORDS[3]]
    assert (text.records, text.alleles, text.split_records) == (4, 4, 5)
    assert (text.samples, text.was_sorted, text.remarks) == (["S1", "S2"], False, [])
    assert count_records(out) == 4
    assert out.read_bytes().endswith(BGZF_END)


def test_byte_order_mark_crlf_and_a_missing_last_line_end_are_put_right(tmp_path: Path) -> None:
    out = tmp_path / "out.vcf.gz"
    source = tmp_path / "in.vcf"
    text = HEADER.replace("S2\n", "S2\t\n") + "\n".join(RECORDS[1:3])
    source.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert len(arrange(source, out, tmp_path).remarks) == 3
    assert body(out) == RECORDS[1:3]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("##fileformat=VCFv4.3\n", "", "does not begin with ##fileformat"),
        ("#CHROM", "CHROM", "line 5 is a record, but the #CHROM line has not come"),
        ("S1\tS2", "S1\tS1", "sample name S1 stands more than once"),
        ("ALT\tQUAL", "QUAL\tALT", "does not name the columns"),
        ("\tGT\t/0\t.", "\tGT\t/0", "line 8 has 10 columns, not 11"),
        ("\tGT\t/0\t.", "", "line 8 has 8 columns, not 11"),
        ("\t9\tfirst", "\t.\tfirst", "line 8 is not a record"),
        ("\tfirst\tA\t", "\tfirst\t<X>\t", "line 8 is not a record"),
        ("GT\t/0", "GT\tx/0", "line 8: 'x/0' is not a genotype (sample S1)"),
        ("GT\t/0", "GT\t0/1", "line 8: genotype 0/1 names an allele that is not in ALT"),
    ],
)
def test_what_is_no_whole_record_is_refused_with_its_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = HEADER + "\n".join(RECORDS) + "\n"
    assert text.count(old) == 1
    with pytest.raises(PipelineError) as caught:
        arrange(written(tmp_path, text.replace(old, new)), tmp_path / "out.vcf.gz", tmp_path)
    assert message in str(caught.value)


def test_every_cut_of_a_bgzf_file_is_refused(tmp_path: Path) -> None:
    """Also the cut right before the last block, which htslib reads with no more than a warning."""
    whole = bgzipped(written(tmp_path, HEADER + "\n".join(RECORDS * 40) + "\n"))
    cut = tmp_path / "cut.vcf.gz"
    for length in {*range(1, len(whole), 7), len(whole) - len(BGZF_END)}:
        cut.write_bytes(whole[:length])
        with pytest.raises(PipelineError):
            arrange(cut, tmp_path / "out.vcf.gz", tmp_path)


def test_every_flipped_byte_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    whole = bgzipped(written(tmp_path, HEADER + "\n".join(RECORDS * 40) + "\n"))
    records = gzip.decompress(whole)
    damaged = tmp_path / "damaged.vcf.gz"
    for at in range(18, len(whole) - len(BGZF_END), 5):
        damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            arrange(damaged, tmp_path / "out.vcf.gz", tmp_path)
        except PipelineError:
            continue
        assert gzip.decompress(damaged.read_bytes()) == records


def test_a_cut_bcf_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "in.bcf"
    header = pysam.VariantHeader()
    header.contigs.add("chr1", length=1000)
    with pysam.VariantFile(str(source), "wb", header=header) as out:
        for start in range(3):
            out.write(header.new_record(contig="chr1", start=start, alleles=("A", "C")))
    assert count_bcf_records(source) == 3
    raw = tmp_path / "raw.bcf"
    raw.write_bytes(gzip.decompress(source.read_bytes())[:-1])
    with pytest.raises(PipelineError, match="truncated"):
        count_bcf_records(raw)


@pytest.mark.parametrize(("position", "suffix"), [(1000, ".tbi"), (2**29 + 5, ".csi")])
def test_large_positions_get_the_index_that_can_hold_them(tmp_path: Path, position: int, suffix: str) -> None:
    out = tmp_path / "out.vcf.gz"
    text = arrange(written(tmp_path, HEADER + f"chr2\t{position}\t.\tA\tC\t.\t.\t.\tGT\t0/1\t0/0\n"), out, tmp_path)
    assert index(out, tmp_path / "index", text) == suffix
    assert (tmp_path / "index").stat().st_size > 0
