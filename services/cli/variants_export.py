"""`iflow variants ORDER|ANALYSIS --export FILE`: every row that the filter leaves; the file's ending is its format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO
from urllib.parse import urlencode

from services.cli.api import Api, NotNow
from services.cli.exits import Exit, Failed

ENDINGS = {
    ".vcf.gz": "vcf.gz", ".vcf.bgz": "vcf.gz", ".vcf": "vcf", ".tsv": "tsv", ".csv": "csv", ".xlsx": "xlsx",
    ".jsonl": "jsonl", ".parquet": "parquet",
}
CHUNK_BYTES = 1 << 20


def format_of(file: Path) -> str:
    """Raises Failed."""
    for ending, name in ENDINGS.items():
        if file.name.lower().endswith(ending):
            return name
    raise Failed(Exit.USAGE, f"{file.name!r} does not say which format is wanted; end it in {', '.join(ENDINGS)}.")


def export(api: Api, address: str, parameters: Iterable[tuple[str, str]], file: Path) -> int:
    """How many rows there are in the file, which appears whole or not at all. `address` is that of the list.

    Raises Failed: also where a file comes that holds other rows than were promised.
    """
    file_format = format_of(file)
    asked = urlencode([*parameters, ("format", file_format)])
    part = file.with_name(f".{file.name}.part")
    try:
        with api.stream(f"{address}/export?{asked}", {}) as answer, part.open("wb") as target:
            promised = int(answer.headers["X-Row-Count"])
            for chunk in answer.iter_bytes(CHUNK_BYTES):
                target.write(chunk)
        _check(part, file_format, promised)
        part.replace(file)
    except NotNow as error:
        raise Failed(Exit.NOT_REACHABLE, f"The export broke off, and {file} was not written: {error}") from None
    except OSError as error:
        raise Failed(Exit.USAGE, f"{file} cannot be written: {error.strerror}.") from None
    finally:
        part.unlink(missing_ok=True)
    return promised


def _check(file: Path, file_format: str, promised: int) -> None:
    try:
        found = _COUNTS[file_format](file)
    except Exception as error:
        raise Failed(Exit.BAD_DATA, f"What came is no whole {file_format} file: {error}.") from None
    # A record that stands twice in a VCF is one row of the list.
    if found != promised and not (file_format.startswith("vcf") and found > promised):
        raise Failed(Exit.BAD_DATA, f"{promised:,} rows were promised and {found:,} came; ask for it again.")


def _rows_of_parquet(file: Path) -> int:
    import pyarrow.parquet as pq

    return int(pq.read_metadata(file).num_rows)


def _rows_of_workbook(file: Path) -> int:
    """Every sheet but `About`, without the labels of each."""
    import zipfile

    with zipfile.ZipFile(file) as book:
        if broken := book.testzip():
            raise ValueError(f"{broken} is broken")
        names = [name for name in book.namelist() if name.startswith("xl/worksheets/")]
        return sum(_occurrences(book.open(name), b"<row>") - 1 for name in names[:-1])


def _occurrences(text: IO[bytes], wanted: bytes) -> int:
    found, held = 0, b""
    while chunk := text.read(CHUNK_BYTES):
        held += chunk
        found += held.count(wanted)
        held = held[-len(wanted) + 1 :]
    return found


def _rows_of_text(file: Path, delimiter: str) -> int:
    import csv

    csv.field_size_limit(1 << 30)
    with file.open(newline="", encoding="utf-8") as lines:
        return sum(1 for row in csv.reader(lines, delimiter=delimiter) if not row[0].startswith("# ")) - 1


def _rows_of_json(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines) - 1


def _rows_of_vcf(file: Path) -> int:
    with file.open("rb") as lines:
        return _alleles(lines)


def _rows_of_packed_vcf(file: Path) -> int:
    import gzip

    with file.open("rb") as raw:
        raw.seek(-28, 2)
        if raw.read() != bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000"):
            raise ValueError("the end-of-file block is missing")
    with gzip.open(file) as lines:
        return _alleles(lines)


def _alleles(lines: Iterable[bytes]) -> int:
    """ALT entries that make a row of the list."""
    alts: Iterator[bytes] = (line.split(b"\t", 5)[4] for line in lines if not line.startswith(b"#"))
    return sum(1 for alt in alts for each in alt.split(b",") if each not in (b"*", b"<*>", b"<NON_REF>", b"."))


_COUNTS: dict[str, Callable[[Path], int]] = {
    "vcf": _rows_of_vcf, "vcf.gz": _rows_of_packed_vcf, "parquet": _rows_of_parquet, "xlsx": _rows_of_workbook,
    "jsonl": _rows_of_json, "tsv": lambda file: _rows_of_text(file, "\t"), "csv": lambda file: _rows_of_text(file, ","),
}
