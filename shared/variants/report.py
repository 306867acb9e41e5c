"""What was found while a VCF became a table: the refusal, the notes, and the report that proves the counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shared.domain.errors import Permanent

NO_ALTERNATE = "no alternate allele"
REFERENCE_BLOCK = "reference block"

# Distinct notes kept: the report goes into the analysis document, which has to stay small.
NOTES_KEPT = 200


class VcfRefused(Permanent):
    """This file can never become a table. `record` and `line` are 1-based and say where, when there is a place."""

    def __init__(self, reason: str, record: int | None = None, line: int | None = None) -> None:
        place = "" if line is None else f" (line {line})" if record is None else f" (record {record}, line {line})"
        super().__init__(reason + place)
        self.reason = reason
        self.record = record
        self.line = line


class CountsDoNotAdd(AssertionError):
    """Alleles read are not rows plus skipped: a defect of ours, and nothing may become visible."""


@dataclass(frozen=True)
class Note:
    """A defect that was repaired or tolerated. `record` and `line` are the first that show it (no record for one in the
    header), `times` how many do."""

    code: str
    message: str
    line: int | None
    times: int
    record: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "record": self.record, "line": self.line,
                "times": self.times}

    def placed(self, header_lines: int) -> Note:
        """With its record: each has one line, behind the header's."""
        known = self.line is not None and self.line > header_lines
        return replace(self, record=self.line - header_lines) if known and self.line else self


@dataclass
class Notes:
    """Collects notes: one per (code, message), with its first line and a count; a bounded number of them."""

    _first_line: dict[tuple[str, str], int | None] = field(default_factory=dict)
    _times: Counter[tuple[str, str]] = field(default_factory=Counter)
    _left_out: int = 0

    def add(self, code: str, message: str, line: int | None, times: int = 1) -> None:
        key = (code, message)
        if key not in self._first_line:
            if len(self._first_line) >= NOTES_KEPT:
                self._left_out += times
                return
            self._first_line[key] = line
        self._times[key] += times

    def extend(self, others: Notes) -> None:
        """Adds what was found later in the file."""
        for note in others:
            self.add(note.code, note.message, note.line, note.times)

    def __iter__(self) -> Iterator[Note]:
        for (code, message), line in self._first_line.items():
            yield Note(code, message, line, self._times[(code, message)])
        if self._left_out:
            yield Note("more", f"{self._left_out} further findings of other kinds are not listed", None, self._left_out)


# Below and above these shares of heterozygous rows on X (outside the pseudoautosomal regions) a sample looks male or
# female: chosen wide, so that what is between says nothing, as do fewer calls than FEWEST_X.
_MALE_AT_MOST, _FEMALE_AT_LEAST, FEWEST_X = 0.1, 0.3, 20


@dataclass(frozen=True)
class SexCalls:
    """Rows that a sample carries outside the pseudoautosomal regions: on X heterozygous, on X else, on Y."""

    x_het: int = 0
    x_other: int = 0
    y: int = 0

    def __add__(self, more: SexCalls) -> SexCalls:
        return SexCalls(self.x_het + more.x_het, self.x_other + more.x_other, self.y + more.y)

    @property
    def looks(self) -> str | None:
        """`male`, `female`, or None where the calls do not say."""
        calls = self.x_het + self.x_other
        if calls < FEWEST_X:
            return None
        share = self.x_het / calls
        return "male" if share <= _MALE_AT_MOST else "female" if share >= _FEMALE_AT_LEAST else None

    def to_json(self) -> dict[str, Any]:
        return {"x_het": self.x_het, "x_other": self.x_other, "y": self.y, "looks": self.looks}


def sex_doubts(report: Mapping[str, Any], stated: Mapping[str, str]) -> list[Note]:
    """Of a report as JSON: samples whose calls look like another sex than is stated (`male`, `female`; others pass)."""
    doubts = []
    for sample in report["samples"]:
        looks, said = sample.get("sex", {}).get("looks"), stated.get(sample["name"])
        if looks and said in ("male", "female") and said != looks:
            calls = sample["sex"]
            message = (f"sample {sample['name']} is said to be {said}, its X looks {looks}: "
                       f"{calls['x_het']} heterozygous of {calls['x_het'] + calls['x_other']} rows, {calls['y']} on Y")
            doubts.append(Note("sex", message, None, 1))
    return doubts


@dataclass(frozen=True)
class SampleCounts:
    """Rows by zygosity for one sample column, named as in the file."""

    name: str
    zygosity: dict[str, int]
    sex: SexCalls = SexCalls()

    def to_json(self) -> dict[str, Any]:
        het = self.zygosity.get("het", 0) + self.zygosity.get("het_alt", 0)
        hom = self.zygosity.get("hom_alt", 0)
        return {"name": self.name, "zygosity": self.zygosity, "het": het, "hom": hom,
                "het_hom": round(het / hom, 3) if hom else None, "sex": self.sex.to_json()}


@dataclass(frozen=True)
class TableReport:
    """The whole account of one file.

    The identity that is checked: `alleles == rows + sum(skipped) - skipped["no alternate allele"]`. A record with no
    alternate allele (`.`) holds no ALT entry, so it is counted in `records` and under its own reason, not in `alleles`.
    `left_aligned` is the number of rows whose key the reference moved, None where none was at hand.
    """

    records: int
    alleles: int
    rows: int
    skipped: dict[str, int]
    samples: tuple[SampleCounts, ...]
    warnings: tuple[Note, ...]
    types: dict[str, int]
    filters: dict[str, int]
    transitions: int
    transversions: int
    contigs: dict[str, int]
    assembly: str | None
    left_aligned: int | None = None

    def check(self) -> None:
        """Raises CountsDoNotAdd unless every ALT entry of the file is a row or was skipped for a reason."""
        skipped_alleles = sum(n for reason, n in self.skipped.items() if reason != NO_ALTERNATE)
        if self.alleles != self.rows + skipped_alleles:
            raise CountsDoNotAdd(f"{self.alleles} alleles, but {self.rows} rows and {skipped_alleles} skipped")

    @property
    def sample_names(self) -> tuple[str, ...]:
        return tuple(sample.name for sample in self.samples)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, as it stands in the analysis document and in the Parquet file's metadata."""
        titv = round(self.transitions / self.transversions, 3) if self.transversions else None
        return {
            "records": self.records, "alleles": self.alleles, "rows": self.rows, "skipped": self.skipped,
            "samples": [sample.to_json() for sample in self.samples],
            "warnings": [note.to_json() for note in self.warnings],
            "types": self.types, "filters": self.filters,
            "transitions": self.transitions, "transversions": self.transversions, "titv": titv,
            "contigs": self.contigs, "assembly": self.assembly, "left_aligned": self.left_aligned,
        }
