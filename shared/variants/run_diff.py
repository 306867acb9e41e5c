"""What two runs of the same samples found that the other did not, and where genotype or allele fraction differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.variants.order_index import TEXT_END, Array, Index
from shared.variants.order_rows import rows_as_json

MOST_ROWS = 500_000
"""Of either table: their keys are held in memory."""

SHOWN = 50
VAF_DIFFERS = 0.05
"""Smaller changes of an allele fraction are not told."""


class TooMany(ValueError):
    """A table is too large to be compared while somebody waits."""


@dataclass(frozen=True)
class Differs:
    """`what` in words: the genotype or allele fraction of a sample, before and after; empty for one of one run only."""

    row: dict[str, Any]
    what: str


@dataclass(frozen=True)
class RunDiff:
    """Counts are of all; rows (order_rows.py) of each kind are the first SHOWN by position."""

    same: int
    gained_total: int
    lost_total: int
    changed_total: int
    gained: list[Differs]
    lost: list[Differs]
    changed: list[Differs]


def run_diff(before: Index, after: Index) -> RunDiff:
    """Raises TooMany, and for runs of two assemblies, whose positions do not compare, too."""
    if before.assembly != after.assembly:
        raise TooMany(f"One is on {before.assembly or 'an unknown assembly'}, the other on "
                      f"{after.assembly or 'an unknown assembly'}: their positions do not compare.")
    if (rows := max(before.rows, after.rows)) > MOST_ROWS:
        raise TooMany(f"{rows:,} variants are more than the {MOST_ROWS:,} that are compared here.")
    old, new = ({key: row for row, key in enumerate(_keys(each))} for each in (before, after))
    gained = np.array([row for key, row in new.items() if key not in old], np.int64)
    lost = np.array([row for key, row in old.items() if key not in new], np.int64)
    both = np.array([(old[key], row) for key, row in new.items() if key in old], np.int64).reshape(-1, 2)
    notes = _changes(before, after, both)
    places = sorted(notes)[:SHOWN]
    rows_shown = rows_as_json(after, both[places, 1]) if places else []
    return RunDiff(
        len(both) - len(notes), len(gained), len(lost), len(notes),
        [Differs(row, "") for row in rows_as_json(after, gained[:SHOWN])],
        [Differs(row, "") for row in rows_as_json(before, lost[:SHOWN])],
        [Differs(row, "; ".join(notes[place])) for place, row in zip(places, rows_shown, strict=True)],
    )


def _keys(index: Index) -> list[bytes]:
    return bytes(index.whole("key/bytes")).split(TEXT_END)[: index.rows]


def _changes(before: Index, after: Index, both: Array) -> dict[int, list[str]]:
    """By the place in `both` what differs there, of each sample that both have."""
    found: dict[int, list[str]] = {}
    old_groups = {group.name: group for group in before.groups}
    for new in after.groups:
        if (old := old_groups.get(new.name)) is None:
            continue
        genotypes = _texts(before, old.column("gt"), both[:, 0]), _texts(after, new.column("gt"), both[:, 1])
        fractions = before.numbers(old.column("vaf"), both[:, 0]), after.numbers(new.column("vaf"), both[:, 1])
        for place in np.flatnonzero(genotypes[0] != genotypes[1]):
            found.setdefault(int(place), []).append(
                f"{new.name} {genotypes[0][place] or '–'} → {genotypes[1][place] or '–'}"
            )
        for place in np.flatnonzero(np.abs(fractions[0] - fractions[1]) > VAF_DIFFERS):
            found.setdefault(int(place), []).append(
                f"{new.name} VAF {fractions[0][place]:.2f} → {fractions[1][place]:.2f}"
            )
    return found


def _texts(index: Index, column: str, rows: Array) -> Array:
    """Of a code column, by row; empty where there is none."""
    codes = index.array(column)[rows]
    texts = np.array(["", *(index.value(column, code) or "" for code in range(1, index.n_values(column) + 1))], object)
    return texts[codes]
