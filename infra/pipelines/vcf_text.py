"""VCF as text: checked line by line, put in order, compressed and read back, with not one byte of a record changed.

htslib is lenient and lossy where a laboratory must not be: it reads short without an error, and rewrites values
that do not fit its types (../shared/PLATFORM.md). So completeness is proven here, on the bytes.

Formats: VCF 4.x (https://samtools.github.io/hts-specs/), BGZF (SAM specification, section 4.1).
"""

from __future__ import annotations

import gzip
import re
import shutil
import struct
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pysam

from infra.pipelines.runnable import PipelineError, bcftools

BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends a BGZF file; a file without it may have been cut at the end of a block."""

BOM = b"\xef\xbb\xbf"
FIXED_COLUMNS = b"#CHROM POS ID REF ALT QUAL FILTER INFO".split()
GENOTYPE = re.compile(rb"[/|]?(?:\.|\d+)(?:[/|](?:\.|\d+))*")
REF = re.compile(rb"[ACGTNacgtnRYSWKMBDHVryswkmbdhv]*")
"""IUPAC letters. Empty too: DRAGEN writes insertions so, against the specification, and nothing else is lost."""

EMPTY_REF = "some records have an empty REF, which was left so"
CONTIG_LINE = re.compile(rb"##contig=<(?:.*,)?ID=([^,>]+)")
MAX_TBI_POSITION = 2**29
"""A .tbi holds no position past this; a .csi does (tabix manual)."""


@dataclass
class Text:
    """A VCF that was read to its end. Counts: data lines, and alternates as written (`.` counts none).

    `split_records` is the number of lines once each alternate has its own. `remarks` says, in sentences, what was
    put right or is odd. `header` holds the lines, without line ends.
    """

    header: list[bytes] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    records: int = 0
    alleles: int = 0
    split_records: int = 0
    largest_position: int = 0
    remarks: list[str] = field(default_factory=list)
    was_sorted: bool = True


def arrange(source: Path, target: Path, scratch: Path) -> Text:
    """Check `source` (VCF: text, gzip or BGZF) and write it to `target`: sorted, BGZF, each record as it was.

    Sorted by contig (order of the header, then of appearance) and position; equal positions keep their order.
    `scratch` needs room for the uncompressed text; memory grows by 32 bytes a record. Raises PipelineError with the
    line at fault when the file is not whole.
    """
    text = Text()
    lines = scratch / "records.vcf"
    contigs, positions, ends = array("q"), array("q"), array("q", [0])
    ranks: dict[bytes, int] = {}
    with opened(source) as stream, lines.open("wb") as kept:
        numbered = enumerate(_whole_lines(stream, text), start=1)
        _read_header(numbered, text, ranks)
        for number, line in numbered:
            contig, position = _check_record(line, number, text)
            contigs.append(ranks.setdefault(contig, len(ranks)))
            positions.append(position)
            ends.append(ends[-1] + kept.write(line + b"\n"))
    order = np.lexsort((np.frombuffer(positions, np.int64), np.frombuffer(contigs, np.int64)))
    text.was_sorted = bool(np.all(np.diff(order) == 1))
    text.largest_position = max(positions, default=0)
    _write(target, text, lines, ends, order)
    lines.unlink()
    return text


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The uncompressed bytes of `path`. Damaged or cut compression raises PipelineError, at the latest at its end."""
    with path.open("rb") as stream:
        compressed = stream.read(2) == b"\x1f\x8b"
    if compressed:
        _check_end(path)
    with cast(BinaryIO, gzip.open(path)) if compressed else path.open("rb") as stream:
        try:
            try:
                yield stream
            except PipelineError:  # a line that is none may be what damaged compression looks like: that is said first
                while compressed and stream.read(1 << 20):
                    pass
                raise
        except EOFError:
            raise PipelineError(f"{path.name} is truncated: its compressed data ends before its end") from None
        except (zlib.error, gzip.BadGzipFile) as error:
            raise PipelineError(f"{path.name} is corrupt: its compressed data cannot be read ({error})") from None


def _check_end(path: Path) -> None:
    with path.open("rb") as stream:
        is_bgzf = stream.read(18)[10:16] == b"\x06\x00BC\x02\x00"
        stream.seek(-min(len(BGZF_END), path.stat().st_size), 2)
        if is_bgzf and stream.read() != BGZF_END:
            raise PipelineError(f"{path.name} has no BGZF end block, so it may have been cut; write or copy it anew")


def _whole_lines(stream: BinaryIO, text: Text) -> Iterator[bytes]:
    """Lines without their ends. The first without its byte-order mark."""
    line = b"\n"
    for number, line in enumerate(stream):
        if number == 0 and line.startswith(BOM):
            text.remarks.append("the byte-order mark before the header was removed")
            yield line[len(BOM) :].rstrip(b"\r\n")
        else:
            yield line.rstrip(b"\r\n")
    if not line.endswith(b"\n"):
        text.remarks.append("the last line had no end; its columns are complete")


def _read_header(numbered: Iterator[tuple[int, bytes]], text: Text, ranks: dict[bytes, int]) -> None:
    for number, line in numbered:
        if number == 1 and not line.startswith(b"##fileformat=VCF"):
            raise PipelineError("the file does not begin with ##fileformat=VCF, so it is not a VCF")
        if not line.startswith(b"#"):
            raise PipelineError(f"line {number} is a record, but the #CHROM line has not come yet")
        text.header.append(line)
        if found := CONTIG_LINE.match(line):
            ranks.setdefault(found.group(1), len(ranks))
        if not line.startswith(b"##"):
            return _read_columns(line, number, text)
    raise PipelineError("the file ends before its #CHROM line, so it is truncated")


def _read_columns(line: bytes, number: int, text: Text) -> None:
    if line != (line := line.rstrip(b"\t ")):
        text.remarks.append("blanks at the end of the #CHROM line were removed")
        text.header[-1] = line
    columns = line.split(b"\t")
    if columns[:8] != FIXED_COLUMNS or (len(columns) > 8 and columns[8] != b"FORMAT"):
        raise PipelineError(f"line {number}: the #CHROM line does not name the columns of a VCF")
    text.samples = [name.decode(errors="replace") for name in columns[9:]]
    if twice := sorted({name for name in text.samples if text.samples.count(name) > 1}):
        raise PipelineError(f"line {number}: sample name {twice[0]} stands more than once")


def _check_record(line: bytes, number: int, text: Text) -> tuple[bytes, int]:
    """Count the record and return its contig and position. Raises PipelineError if it is not a whole record."""
    columns = line.split(b"\t")
    wanted = 8 if not text.samples else 9 + len(text.samples)
    if len(columns) != wanted and not (not text.samples and len(columns) == 9):
        raise PipelineError(f"line {number} has {len(columns)} columns, not {wanted}: it is cut short or not a record")
    contig, position, _, ref, alt = columns[:5]
    if not contig or not position.isdigit() or not REF.fullmatch(ref) or not alt:
        shown = b" ".join(columns[:5])[:80].decode(errors="replace")
        raise PipelineError(f"line {number} is not a record: CHROM, POS, REF or ALT is wrong in {shown!r}")
    if not ref and EMPTY_REF not in text.remarks:
        text.remarks.append(EMPTY_REF)
    alternates = 0 if alt == b"." else alt.count(b",") + 1
    if text.samples and (columns[8] == b"GT" or columns[8].startswith(b"GT:")):
        _check_genotypes(columns[9:], alternates, number, text)
    text.records += 1
    text.alleles += alternates
    text.split_records += max(1, alternates)
    return contig, int(position)


def _check_genotypes(columns: Sequence[bytes], alternates: int, number: int, text: Text) -> None:
    for sample, column in zip(text.samples, columns, strict=True):
        if fault := _genotype_fault(column.partition(b":")[0], alternates):
            raise PipelineError(f"line {number}: {fault} (sample {sample})")


@lru_cache(maxsize=10_000)
def _genotype_fault(genotype: bytes, alternates: int) -> str:
    """What is wrong with it; empty when nothing is. A file holds few different ones, hence the cache."""
    shown = genotype[:40].decode(errors="replace")
    if not GENOTYPE.fullmatch(genotype):
        return f"{shown!r} is not a genotype"
    if max((int(allele) for allele in re.findall(rb"\d+", genotype)), default=0) > alternates:
        return f"genotype {shown} names an allele that is not in ALT"
    return ""


def _write(target: Path, text: Text, lines: Path, ends: Sequence[int], order: np.ndarray) -> None:
    with pysam.BGZFile(str(target), "w", None) as out, lines.open("rb") as kept:
        out.write(b"\n".join(text.header) + b"\n")
        if text.was_sorted:
            shutil.copyfileobj(kept, out, 1 << 20)
            return
        for row in order:
            kept.seek(ends[row])
            out.write(kept.read(ends[row + 1] - ends[row]))


def index(vcf: Path, into: Path, text: Text) -> str:
    """Write the index of a BGZF VCF and return its suffix: .tbi, or .csi where positions are too large for that."""
    suffix = ".csi" if text.largest_position >= MAX_TBI_POSITION else ".tbi"
    bcftools("index", "-f", "--csi" if suffix == ".csi" else "--tbi", "-o", into, vcf)
    return suffix


def count_records(vcf: Path) -> int:
    """Data lines of a VCF, counted without htslib. Raises PipelineError if it is cut or damaged."""
    with opened(vcf) as stream:
        return sum(not line.startswith(b"#") for line in stream)


def is_bcf(path: Path) -> bool:
    """Whether it is BCF of any version, compressed or not."""
    with opened(path) as stream:
        return stream.read(3) == b"BCF"


def count_bcf_records(path: Path) -> int:
    """Records of a BCF 2.2 file by the lengths that stand before each. PipelineError if it is cut or damaged."""
    with opened(path) as stream:
        if (magic := stream.read(5)) != b"BCF\x02\x02":
            raise PipelineError(f"{path.name} is BCF {magic[3]}.{magic[4]}, and only BCF 2.2 can be read")
        (header_length,) = struct.unpack("<I", _exactly(stream, 4, path))
        _exactly(stream, header_length, path)
        records = 0
        while lengths := stream.read(8):
            shared, individual = struct.unpack("<II", lengths.ljust(8, b"\xff"))
            _exactly(stream, shared + individual, path)
            records += 1
        return records


def _exactly(stream: BinaryIO, length: int, path: Path) -> bytes:
    if len(data := stream.read(length)) != length:
        raise PipelineError(f"{path.name} is truncated: its last record is cut short")
    return data
