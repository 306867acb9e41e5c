"""Small VCFs for tests, and their tables as plain Python."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pysam

from shared.variants.mapping import NOTHING_MAPPED, AnnotationMapping
from shared.variants.reference import Reference
from shared.variants.report import TableReport
from shared.variants.table import build_table

BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def vcf(
    *records: str,
    meta: tuple[str, ...] = (),
    samples: tuple[str, ...] = (),
    version: str = "4.3",
    contigs: tuple[str, ...] = (),
) -> str:
    """A whole VCF; white space within a record becomes tabs, and '' an empty column."""
    columns = [
        "#CHROM",
        "POS",
        "ID",
        "REF",
        "ALT",
        "QUAL",
        "FILTER",
        "INFO",
        *(("FORMAT", *samples) if samples else ()),
    ]
    lines = [
        f"##fileformat=VCFv{version}",
        *(f"##contig=<ID={contig}>" for contig in contigs),
        *meta,
        "\t".join(columns),
    ]
    return "\n".join([*lines, *("\t".join(record.split()).replace("''", "") for record in records)]) + "\n"


def info(key: str, number: str, kind: str, description: str = "") -> str:
    return f'##INFO=<ID={key},Number={number},Type={kind},Description="{description}">'


def fmt(key: str, number: str, kind: str) -> str:
    return f'##FORMAT=<ID={key},Number={number},Type={kind},Description="">'


def bgzip(text: bytes, block: int = 200, end: bool = True) -> bytes:
    """BGZF, in blocks of `block` bytes of text (SAM specification, section 4.1)."""
    parts = []
    for at in range(0, len(text), block):
        piece = text[at : at + block]
        deflate = zlib.compressobj(wbits=-15)
        data = deflate.compress(piece) + deflate.flush()
        head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff" + struct.pack("<H2sHH", 6, b"BC", 2, len(data) + 25)
        parts.append(head + data + struct.pack("<II", zlib.crc32(piece), len(piece)))
    return b"".join(parts) + (BGZF_END if end else b"")


def fasta(folder: Path, *, packed: bool = False, width: int = 61, **sequences: str) -> Path:
    """A reference with its indexes."""
    text = "".join(f">{name}\n" + "".join(f"{bases[i : i + width]}\n" for i in range(0, len(bases), width))
                   for name, bases in sequences.items())
    path = folder / ("ref.fa.gz" if packed else "ref.fa")
    path.write_bytes(bgzip(text.encode(), block=5000) if packed else text.encode())
    pysam.faidx(str(path))
    return path


class Built:
    """A table read back: `rows` as dictionaries, `report`, and the metadata."""

    def __init__(self, folder: Path, content: str | bytes, name: str = "x.vcf",
                 mapping: AnnotationMapping = NOTHING_MAPPED, reference: Reference | None = None) -> None:
        self.source = folder / name
        self.source.write_bytes(content if isinstance(content, bytes) else content.encode())
        self.path = folder / f"{name}.parquet"
        self.report: TableReport = build_table(self.source, self.path, mapping=mapping, reference=reference)
        self.rows: list[dict[str, Any]] = pq.read_table(self.path).to_pylist()

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]

    @property
    def codes(self) -> set[str]:
        return {note.code for note in self.report.warnings}

    @property
    def metadata(self) -> dict[str, Any]:
        found = pq.read_metadata(self.path).metadata
        return {
            "samples": json.loads(found[b"samples"]),
            "columns": json.loads(found[b"columns"]),
            "report": json.loads(found[b"report"]),
            "header": found[b"header"].decode(),
        }
