"""Independent readers that the variant table is compared with: plain text line by line, and cyvcf2 in a child process.

They share no code with the product. `python -m tests.contract.vcf_reference FILE...` is the child, with one JSON line a
file.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NOT_ROWS = {".", "*", "<*>", "<NON_REF>", "<X>"}


def text_of(path: Path) -> str:
    """The file's text, without byte-order mark; Latin-1 where a line is not UTF-8. BCF through pysam, in a child."""
    if path.suffix == ".bcf":
        code = "import pysam, sys; f = pysam.VariantFile(sys.argv[1]); print(f.header, *f, sep='', end='')"
        run = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
        return run.stdout
    raw = path.read_bytes()
    data = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    return "\n".join(_line(line) for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))


def _line(line: bytes) -> str:
    line = line.removesuffix(b"\r")
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def records(path: Path) -> Iterator[list[str]]:
    for line in text_of(path).split("\n"):
        if line and not line.startswith("#"):
            yield line.split("\t")


def sites(path: Path) -> list[tuple[Any, ...]]:
    """(record, allele, contig, pos, ref, alt, qual, filters, ids) of each ALT entry that makes a row."""
    found = []
    for number, columns in enumerate(records(path), 1):
        contig, pos, ids, ref, alts, qual, filters = columns[:7]
        for allele, alt in enumerate(alts.split(","), 1):
            if alt not in NOT_ROWS:
                found.append(
                    (
                        number,
                        allele,
                        contig,
                        int(pos),
                        ref,
                        alt,
                        None if qual == "." else float(qual),
                        None if filters == "." else filters.split(";"),
                        None if ids == "." else ids.split(";"),
                    )
                )
    return found


def genotypes(path: Path, sample: int) -> list[tuple[Any, ...]]:
    """(gt, dp, gq, ad_ref, ad_alt) of one sample for each of `sites`."""
    found = []
    for columns in records(path):
        keys = columns[8].split(":") if len(columns) > 8 else []
        values = dict(zip(keys, columns[9 + sample].split(":"), strict=False))
        alts = columns[4].split(",")
        for allele, alt in enumerate(alts, 1):
            if alt not in NOT_ROWS:
                depths = values.get("AD", ".").split(",")
                fits = len(depths) == len(alts) + 1
                found.append(
                    (
                        values.get("GT") or None,
                        _whole(values.get("DP")),
                        _number(values.get("GQ")),
                        _whole(depths[0]) if fits else None,
                        _whole(depths[allele]) if fits else None,
                    )
                )
    return found


def _whole(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"\d+", text) else None


def _number(text: str | None) -> float | None:
    return float(text) if text and re.fullmatch(r"[-+.\deE]*\d[-+.\deE]*", text) else None


def by_cyvcf2(paths: list[Path]) -> dict[str, list[list[Any]]]:
    """For each file the records as cyvcf2 has them: [contig, pos, ref, alts, allele numbers of all samples]."""
    command = [sys.executable, "-m", "tests.contract.vcf_reference", *map(str, paths)]
    run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    return {Path(found["file"]).name: found["records"] for found in map(json.loads, run.stdout.splitlines())}


def _child(paths: list[str]) -> None:
    from cyvcf2 import VCF

    for path in paths:
        read = [
            [v.CHROM, v.POS, v.REF, v.ALT, [call[:-1] for call in v.genotypes] if "GT" in (v.FORMAT or []) else []]
            for v in VCF(path)
        ]
        sys.stdout.write(json.dumps({"file": path, "records": read}) + "\n")


if __name__ == "__main__":
    _child(sys.argv[1:])
