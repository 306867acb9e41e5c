"""The first rows of a bitmap in any order, without sorting all of it.

A window of the first key's codes is widened until enough rows lie in it; where too many share one value, they are told
apart by the next key. The index has codes of each column evenly spaced by rank (`grid`), by which windows are cut.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.domain.reasons import Reason, show
from shared.variants.filters import BadQuery
from shared.variants.order_index import Index, Words, bits_at, count, nothing, rows_of, unpack

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

SORT_DEFAULT = "position"
_FEW = 5_000
"""Rows that are just sorted."""


@dataclass(frozen=True)
class Key:
    """`kind` as in order_schema.py. Values are compared as `sign * value`, nulls last both ways."""

    column: str
    kind: str
    sign: int

    def values(self, index: Index, rows: Array) -> Array:
        """float64, nan for null, ascending in the order asked for."""
        if self.kind in ("int", "float"):
            numbers: Array = self.sign * index.numbers(self.column, rows)
            return numbers
        data = index.array(self.column)
        values = bits_at(data, rows).astype(np.float64) if self.kind == "bool" else data[rows].astype(np.float64)
        if self.kind != "bool":
            values[values == 0] = np.nan
        signed: Array = self.sign * values
        return signed

    def between(self, index: Index, low: int, high: int) -> Words:
        """Rows whose codes are from `low` to `high`, both included and in the order asked for."""
        return index.between(self.column, *((low, high) if self.sign > 0 else (-high, -low)))

    def code_at(self, index: Index, value: float) -> int:
        return self.sign * index.code_at(self.column, self.sign * value)

    def grid(self, index: Index) -> Array:
        """Codes, ascending, each once, in the order asked for."""
        return np.unique(self.sign * index.array(f"{self.column}/grid").astype(np.int64))

    def number_at(self, index: Index, code: int) -> float | None:
        """The one value of a code; None if it has several."""
        number = index.number_at(self.column, self.sign * code)
        return None if number is None else self.sign * number


@dataclass(frozen=True)
class Sorting:
    """Keys in turn; what they leave equal stands in the table's order, or the other way round if `backwards`."""

    keys: tuple[Key, ...]
    backwards: bool
    text: str

    @classmethod
    def parse(cls, index: Index, text: str) -> Sorting:
        """`position`, `-af_max`, `tier,consequence,-proband_vaf`; a minus is descending. Raises BadQuery."""
        keys: list[Key] = []
        for part in text.split(","):
            name, sign = part.strip().removeprefix("-"), -1 if part.strip().startswith("-") else 1
            if name in ("position", "pos", "chrom", "contig", "key", "key_pos"):
                return cls(tuple(keys), sign < 0, text)  # nothing is equal by position, so that what follows is idle
            keys.append(_key(index, name, sign))
        return cls(tuple(keys), False, text)


def sortable(index: Index) -> list[str]:
    return ["position", *(name for name, column in index.columns.items() if column.kind not in ("text", "list"))]


def _key(index: Index, name: str, sign: int) -> Key:
    column = index.columns.get(name)
    if column is None or column.kind in ("text", "list"):
        near = difflib.get_close_matches(name, sortable(index), n=1)
        hint = f"is {near[0]!r} meant?" if near else f"there are {', '.join(sortable(index))}"
        raise BadQuery([Reason(field="sort", message=f"{show(name)} is no column to sort by; {hint}")])
    return Key(name, column.kind, sign)


def place_of(index: Index, sorting: Sorting, row: int) -> list[Any]:
    """What a cursor keeps: the row's values of the keys (None for null), and its number."""
    at = np.array([row])
    values = [float(key.values(index, at)[0]) for key in sorting.keys]
    return [*(None if np.isnan(value) else value for value in values), row]


def first_rows(index: Index, words: Words, sorting: Sorting, n: int, after: Sequence[Any] | None) -> Array:
    """Numbers of the first `n` rows of the bitmap behind the place `after`."""
    return _first(index, words, sorting, sorting.keys, n, after)


def in_order(index: Index, words: Words, sorting: Sorting) -> Array:
    """All of them."""
    return _sorted(index, rows_of(words), sorting, sorting.keys)


def _first(
    index: Index, words: Words, sorting: Sorting, keys: Sequence[Key], n: int, after: Sequence[Any] | None
) -> Array:
    if not keys:
        return _by_position(words, sorting.backwards, n, None if after is None else int(after[-1]))
    if count(words) <= _FEW:
        return _behind(index, rows_of(words), sorting, keys, after)[:n]
    parts: list[Array] = []
    begun = after is None or after[0] is not None
    if begun:
        parts = _by_windows(index, words, sorting, keys, n, after)
    wanted = n - sum(len(part) for part in parts)
    if wanted > 0:
        nulls = words & (nothing(index.rows) if keys[0].kind == "bool" else index.none(keys[0].column))
        behind = None if begun or after is None else after[1:]
        parts.append(_first(index, nulls, sorting, keys[1:], wanted, behind))
    return np.concatenate(parts)


def _by_windows(
    index: Index, words: Words, sorting: Sorting, keys: Sequence[Key], n: int, after: Sequence[Any] | None
) -> list[Array]:
    """Rows that have a value of the first key, at most `n` of them."""
    key = keys[0]
    if key.kind == "bool":
        return _by_truth(index, words, sorting, keys, n, after)
    grid = key.grid(index)
    if not len(grid):
        return []
    low = int(grid[0]) if after is None else key.code_at(index, after[0])
    step = max(1, int(2 * n * len(grid) / max(count(words), 1)))
    parts: list[Array] = []
    found = 0
    while found < n and low <= grid[-1]:
        high, chosen = _window(index, words, key, grid, low, step)
        one = key.number_at(index, low) if low == high and count(chosen) > _FEW else None
        if one is None:
            parts.append(_behind(index, rows_of(chosen), sorting, keys, after)[: n - found])
        elif after is None or one >= after[0]:
            behind = after[1:] if after is not None and one == after[0] else None
            parts.append(_first(index, chosen, sorting, keys[1:], n - found, behind))
        found = sum(map(len, parts))
        low, step, after = high + 1, step * 4, None
    return parts


def _window(index: Index, words: Words, key: Key, grid: Array, low: int, step: int) -> tuple[int, Words]:
    """The last code of a window that begins with `low`, and its rows: _FEW at most, or all of one code."""
    begin = int(np.searchsorted(grid, low, "right")) - 1
    at = min(begin + step, len(grid))
    while True:
        high = max(low, int(grid[at]) - 1) if at < len(grid) else int(grid[-1])
        chosen = words & key.between(index, low, high)
        if high == low or count(chosen) <= _FEW:
            return high, chosen
        at = (begin + at) // 2


def _by_truth(
    index: Index, words: Words, sorting: Sorting, keys: Sequence[Key], n: int, after: Sequence[Any] | None
) -> list[Array]:
    flag = index.flag(keys[0].column)
    parts: list[Array] = []
    for value in sorted((0.0, float(keys[0].sign))):
        if after is not None and value < after[0]:
            continue
        behind = after[1:] if after is not None and value == after[0] else None
        mine = words & (flag if value else ~flag)
        parts.append(_first(index, mine, sorting, keys[1:], n - sum(map(len, parts)), behind))
    return parts


def _behind(
    index: Index, rows: Array, sorting: Sorting, keys: Sequence[Key], after: Sequence[Any] | None
) -> Array:
    """`rows` in order, those at and before the place left out."""
    ordered = _sorted(index, rows, sorting, keys)
    if after is None or not len(ordered):
        return ordered
    equal, later = np.ones(len(ordered), bool), np.zeros(len(ordered), bool)
    for key, value in zip(keys, after, strict=False):
        values = np.nan_to_num(key.values(index, ordered), nan=np.inf)
        limit = np.inf if value is None else value
        later |= equal & (values > limit)
        equal &= values == limit
    later |= equal & (ordered < after[-1] if sorting.backwards else ordered > after[-1])
    return ordered[later]


def _sorted(index: Index, rows: Array, sorting: Sorting, keys: Sequence[Key]) -> Array:
    position = -rows if sorting.backwards else rows
    order = np.lexsort([position, *(key.values(index, rows) for key in reversed(keys))])
    return rows[order]


def _by_position(words: Words, backwards: bool, n: int, after: int | None) -> Array:
    """A stretch of the bitmap at a time."""
    stretch = 4096
    places = range(0, len(words), stretch)
    parts: list[Array] = []
    found = 0
    for start in reversed(places) if backwards else places:
        if after is not None and (start * 64 >= after if backwards else (start + stretch) * 64 <= after):
            continue
        piece = words[start : start + stretch]
        if not piece.any():
            continue
        rows = np.flatnonzero(unpack(piece, len(piece) * 64)) + start * 64
        if after is not None:
            rows = rows[rows < after] if backwards else rows[rows > after]
        rows = rows[::-1] if backwards else rows
        parts.append(rows[: n - found])
        found += len(parts[-1])
        if found >= n:
            break
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
