"""A family with known variants on a stack: what reviewers look for, ingested by a real run and joined in an order."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pysam

from shared.domain import paths
from shared.steps.register import register_pipeline
from tests.flow.stack import ADA, Stack
from tests.flow.stacks import shell_pipeline
from tests.unit.variants.orders import FIELDS, csq, table

REF, HET, HOM = "0/0:30,0:30:99", "0/1:15,15:30:99", "1/1:0,30:30:99"
ROLES = (("proband", "male"), ("mother", "female"), ("father", "male"))
NEEDLE = "1-1000-A-C"
"""The one that is de novo."""


def _record(place: str, what: str, gene: str, calls: tuple[str, str, str], af: str, impact: str, clinvar: str) -> str:
    said = csq("C", what, impact, gene, af=af, clinvar=clinvar)
    return f"{place} . A C 90 PASS {said} {FIELDS} {' '.join(calls)}"


def family_vcf(names: Sequence[str] = ("P", "M", "F"), common: int = 250) -> bytes:
    """Proband, mother, father: five rare damaging ones among `common` others."""
    rare = ("0.0001", "MODERATE", "pathogenic")
    rows = [
        _record("chr1 1000", "missense_variant", "DENOVO", (HET, REF, REF), *rare),
        *(_record(f"chr1 {2000 + n}", "intron_variant", f"HAY{n % 7}", (HET, HET, REF), "0.3", "MODIFIER", "benign")
          for n in range(common)),
        _record("chr2 1000", "missense_variant", "TRANS", (HET, REF, HET), *rare),
        _record("chr2 2000", "stop_gained", "TRANS", (HET, HET, REF), "0.0001", "HIGH", "likely_pathogenic"),
        _record("chr4 1000", "missense_variant", "RECESSIVE", (HOM, HET, HET), *rare),
        _record("chrX 5000000", "missense_variant", "LINKED", (HOM, HET, REF), *rare),
    ]
    return table(*rows, samples=list(names)).encode()


REFERENCE = "client-resources/reference/family.fa"


def family_reference() -> tuple[bytes, bytes]:
    """The beginning of each chromosome, all A, and its index: as long as the variants need it."""
    lengths = {"chr1": 3000, "chr2": 3000, "chr4": 3000, "chrX": 5_001_000}
    text, index = b"", b""
    for name, length in lengths.items():
        text += f">{name}\n".encode()
        index += f"{name}\t{length}\t{len(text)}\t{length}\t{length + 1}\n".encode()
        text += b"A" * length + b"\n"
    return text, index


def family_reads() -> tuple[bytes, bytes]:
    """A BAM of the proband's reads around the needle, every other one with its allele, and its index."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/p.bam"
        header = {"HD": {"VN": "1.6", "SO": "coordinate"}, "SQ": [{"SN": "chr1", "LN": 248_956_422}],
                  "RG": [{"ID": "P", "SM": "P"}]}
        with pysam.AlignmentFile(path, "wb", header=header) as file:
            for number in range(40):
                read = pysam.AlignedSegment(file.header)
                start = 900 + number * 2
                bases = ["A"] * 100
                if number % 2:
                    bases[999 - start] = "C"
                read.query_name, read.query_sequence, read.flag = f"read{number}", "".join(bases), 0
                read.reference_id, read.reference_start, read.mapping_quality = 0, start, 60
                read.cigarstring, read.query_qualities = "100M", pysam.qualitystring_to_array("I" * 100)
                read.set_tag("RG", "P")
                file.write(read)
        pysam.index(path)
        return Path(path).read_bytes(), Path(f"{path}.bai").read_bytes()


FAMILY = shell_pipeline(
    "family", 'cp "$IFLOW_BUCKET_DIR/$(sed -n \'s/.*"folder": "\\(.*\\)".*/\\1/p\' "$IFLOW_INPUTS")"/* "$OUT"',
    [{"glob": glob, "kind": kind, "required": True}
     for glob, kind in (("*.vcf", "vcf"), ("*.bam", "bam"), ("*.bai", "index"))],
    inputs={"type": "object", "properties": {"folder": {"type": "string"}}}, reference=REFERENCE,
)
"""Leaves the files of a folder as they are."""


def family_files(stack: Stack, name: str, names: Sequence[str] = ("P", "M", "F")) -> str:
    """The folder that `FAMILY` takes, with the family's VCF and the proband's reads; the reference is there, too."""
    folder = f"samples/{name}/uploads"
    for ending, content in zip(("", ".fai"), family_reference(), strict=True):
        stack.ports.objects.write(stack.project, REFERENCE + ending, content)
    bam, index = family_reads()
    for file, content in (("calls.vcf", family_vcf(names)), ("p.bam", bam), ("p.bam.bai", index)):
        stack.ports.objects.write(stack.project, f"{folder}/{file}", content)
    return folder


def ingested_family(
    stack: Stack, name: str = "Family 7", names: Sequence[str] = ("P", "M", "F")
) -> dict[str, Any]:
    """The document of the analysis, once its variants can be browsed."""
    register_pipeline(stack.ports, stack.project, FAMILY, by=ADA)
    folder = family_files(stack, paths.slug(name), names)
    samples = [{"name": n, "role": role, "sex": sex} for n, (role, sex) in zip(names, ROLES, strict=True)]
    body = {"display_id": name, "pipeline": "family", "inputs": {"folder": folder}, "samples": samples}
    answer = stack.client.post("/analyses", json=body)
    assert answer.status_code == 201, answer.text
    analysis = answer.json()["id"]
    stack.until(lambda: stack.document(analysis)["ingest"]["status"] == "ready" or None, within_s=90)
    return dict(stack.document(analysis))
