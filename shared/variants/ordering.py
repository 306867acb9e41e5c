"""The first rows of a bitmap in any order, without sorting all of it.

A window of the first key's values is widened until enough rows lie in it; where too many share one value, they are told
apart by the next key. The index has values of each column evenly spaced by rank (`grid`), by which windows are cut.
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
from shared.variants.order_index import NULL_INT, Index, Words, count, pack, unpack

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

SORT_DEFAULT = "position"
_FEW = 50_000
"""Rows that are just sorted."""


@dataclass(frozen=True)
class Key:
    """`kind` as in order_schema.py. Values are compared as `sign * value`, nulls last both ways."""

    column: str
    kind: str
    sign: int

    def values(self, index: Index, rows: Array) -> Array:
        """float64, nan for null, ascending in the order asked for."""
        data = index.array(self.column)
        if self.kind == "bool":
            bits = (data[rows >> 6] >> (rows & 63).astype(np.uint64)) & np.uint64(1)
            truth: Array = self.sign * bits.astype(np.float64)
            return truth
        values: Array = data[rows].astype(np.float64)
        if self.kind != "float":
            values[values == self._null] = np.nan
        signed: Array = self.sign * values
        return signed

    @property
    def _null(self) -> int:
        return NULL_INT if self.kind == "int" else 0

    def between(self, index: Index, low: float, high: float) -> Bools:
        """Of all rows those from `low` to `high`, both included and in the order asked for."""
        data = index.array(self.column)
        first, last = (low, high) if self.sign > 0 else (-high, -low)
        if self.kind != "float":
            first, last = int(first), int(last)
        found: Bools = (data >= first) & (data <= last) if first < last else data == first
        return found

    def next_value(self, value: float) -> float:
        return float(np.nextafter(value, np.inf)) if self.kind == "float" else value + 1

    def without_value(self, index: Index) -> Bools:
        data = index.array(self.column)
        found: Bools = np.isnan(data) if self.kind == "float" else data == self._null
        return found

    def grid(self, index: Index) -> Array:
        """Ascending, each value once, in the order asked for."""
        return np.unique(self.sign * index.array(f"{self.column}/grid").astype(np.float64))


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
    return _sorted(index, np.flatnonzero(unpack(words, index.rows)), sorting, sorting.keys)


def _first(
    index: Index, words: Words, sorting: Sorting, keys: Sequence[Key], n: int, after: Sequence[Any] | None
) -> Array:
    if not keys:
        return _by_position(words, sorting.backwards, n, None if after is None else int(after[-1]))
    if count(words) <= _FEW:
        return _behind(index, np.flatnonzero(unpack(words, index.rows)), sorting, keys, after)[:n]
    parts: list[Array] = []
    begun = after is None or after[0] is not None
    if begun:
        parts = _by_windows(index, words, sorting, keys, n, after)
    wanted = n - sum(len(part) for part in parts)
    if wanted > 0:
        nulls = words & pack(_of_rows_without(index, keys[0]))
        behind = None if begun or after is None else after[1:]
        parts.append(_first(index, nulls, sorting, keys[1:], wanted, behind))
    return np.concatenate(parts)


def _of_rows_without(index: Index, key: Key) -> Bools:
    return np.zeros(index.rows, bool) if key.kind == "bool" else key.without_value(index)


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
    mine = unpack(words, index.rows)
    low = float(grid[0]) if after is None else float(after[0])
    step = max(1, int(2 * n * len(grid) / max(count(words), 1)))
    parts: list[Array] = []
    found = 0
    while found < n and low <= grid[-1]:
        at = int(np.searchsorted(grid, low, "right")) - 1
        high = float(grid[min(at + step, len(grid) - 1)])
        chosen = mine & key.between(index, low, high)
        many = int(np.count_nonzero(chosen))
        if many > _FEW and step > 1:
            step //= 2
            continue
        if many > _FEW:  # one value has very many rows
            low = high = float(key.values(index, np.flatnonzero(chosen)).min())
            chosen = mine & key.between(index, low, low)
        behind = after if after is not None and float(after[0]) == low else None
        parts.append(_of_window(index, chosen, sorting, keys, n - found, behind, tied=high == low))
        found += len(parts[-1])
        low, step = key.next_value(high), step * 4
    return parts


def _of_window(
    index: Index, chosen: Bools, sorting: Sorting, keys: Sequence[Key], n: int, after: Sequence[Any] | None, *,
    tied: bool,
) -> Array:
    if tied:
        return _first(index, pack(chosen), sorting, keys[1:], n, None if after is None else after[1:])
    return _behind(index, np.flatnonzero(chosen), sorting, keys, after)[:n]


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
