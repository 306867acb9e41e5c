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
from collections.abc import Iterator, Sequence
from math import comb
from pathlib import Path
from typing import Any
from urllib.parse import unquote

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


def declarations(path: Path, kind: str) -> dict[str, tuple[str, str]]:
    """Key -> (Number, Type), of the first declaration of each."""
    found: dict[str, tuple[str, str]] = {}
    for key, number, type_ in re.findall(rf"^##{kind}=<ID=([^,]+),Number=([^,]+),Type=([^,]+),", text_of(path), re.M):
        found.setdefault(key, (number, type_))
    return found


def info_values(path: Path, most: int) -> list[tuple[dict[str, Any], list[tuple[str, str | None]]]]:
    """(value by declared key, what is kept as text) for each of the first `most` of `sites`."""
    declared = declarations(path, "INFO")
    found: list[tuple[dict[str, Any], list[tuple[str, str | None]]]] = []
    for columns in records(path):
        pairs = [entry.partition("=") for entry in columns[7].split(";")] if columns[7] != "." else []
        for allele, alt in enumerate(alts := columns[4].split(","), 1):
            if alt not in NOT_ROWS:
                found.append(
                    _fields([(k, v if equals else None) for k, equals, v in pairs], declared, allele, alts)
                )
        if len(found) >= most:
            break
    return found[:most]


def format_values(path: Path, sample: int, most: int) -> list[tuple[dict[str, Any], list[tuple[str, str | None]]]]:
    """As `info_values`, for the FORMAT keys without columns of their own kind."""
    declared = declarations(path, "FORMAT")
    found: list[tuple[dict[str, Any], list[tuple[str, str | None]]]] = []
    for columns in records(path):
        keys = columns[8].split(":") if len(columns) > 8 else []
        values = dict(zip(keys, columns[9 + sample].split(":"), strict=False))
        ploidy = len(re.split(r"[|/]", values["GT"].lstrip("|/"))) if values.get("GT") else 0
        pairs = [
            (k, v)
            for k, v in values.items()
            if k not in ("GT", "DP", "GQ", "AD") and (k in declared or v not in (".", ""))
        ]
        for allele, alt in enumerate(alts := columns[4].split(","), 1):
            if alt not in NOT_ROWS:
                found.append(_fields(pairs, declared, allele, alts, ploidy))
        if len(found) >= most:
            break
    return found[:most]


def _fields(
    pairs: Sequence[tuple[str, str | None]],
    declared: dict[str, tuple[str, str]],
    allele: int,
    alts: Sequence[str],
    ploidy: int = 0,
) -> tuple[dict[str, Any], list[tuple[str, str | None]]]:
    values: dict[str, Any] = {}
    texts: list[tuple[str, str | None]] = []
    for key, text in pairs:
        if key not in declared or key in values:
            texts.append((key, unquote(text) if text else None))
            continue
        values[key], kept = _value(*declared[key], text, allele, alts, ploidy, raw=key in ("CSQ", "ANN", "BCSQ"))
        if kept:
            texts.append((key, unquote(text) if text else None))
    return values, texts


def _value(
    number: str, kind: str, text: str | None, allele: int, alternates: Sequence[str], ploidy: int, raw: bool
) -> tuple[Any, bool]:
    """(what the row says, whether the text has to be kept beside it: since it is not what the header says, or since no
    row has all of it)."""
    alts = len(alternates)
    if kind == "Flag":
        return text is None, text is not None
    if text is None:
        return None, True
    if text in (".", ""):
        return None, False
    if raw:
        return text, False
    parts = [text] if number == "1" else text.split(",")
    try:
        typed = [None if part == "." else _typed(kind, part) for part in parts]
    except ValueError:
        return None, True
    if number == "1":
        return typed[0], False
    picked = {"A": [allele - 1], "R": [0, allele]}.get(number)
    expected = {"A": alts, "R": alts + 1}.get(number)
    if number == "G":
        homozygous = allele * (allele + 1) // 2
        diploid = len(parts) == (alts + 1) * (alts + 2) // 2
        picked = [0, homozygous, homozygous + allele] if diploid else [0, allele]
        possible = [comb(alts + n, n) for n in ((ploidy,) if ploidy else (1, 2))]
        expected = len(parts) if len(parts) in possible else -1
    if picked is None:
        return typed, False
    if len(parts) != expected:
        return None, True
    lost = any(alt in NOT_ROWS for alt in alternates) or (number == "G" and alts > 1)
    return (typed[picked[0]] if number == "A" else [typed[i] for i in picked]), lost


def _typed(kind: str, part: str) -> Any:
    if kind == "Integer":
        if not re.fullmatch(r"-?\d+", part):
            raise ValueError(part)
        return int(part)
    if part == "":
        raise ValueError(part)
    return float(part) if kind == "Float" else unquote(part)


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
