"""The first rows of a bitmap in any order, without sorting all of it.

Rows are taken by windows of the first key's codes and sorted within them; where too many share one value, they are told
apart by the next key.
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
from shared.variants.kernels import rows_of
from shared.variants.order_index import Index, Words, bits_at, count, nothing, of_rows

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

SORT_DEFAULT = "position"
_FEW = 5_000
"""Rows that are just sorted."""

_MANY = 20
"""Times as many are looked at, to pick those in front or as a sample."""


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

    def codes(self, index: Index, rows: Array) -> Array:
        """int64, ascending in the order asked for."""
        codes: Array = self.sign * index.array(self.column)[rows].astype(np.int64)
        return codes

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
    few = max(_FEW, n)
    windows = _Windows(index, words & ~index.none(key.column), key, few)
    low = windows.first if after is None else key.code_at(index, after[0])
    parts: list[Array] = []
    found = 0
    while found < n and low <= windows.last:
        high, chosen = windows.beginning(low)
        one = key.number_at(index, high) if count(chosen) > few else None
        if one is None:
            parts.append(_behind(index, rows_of(chosen), sorting, keys, after)[: n - found])
        elif after is None or one >= after[0]:
            behind = after[1:] if after is not None and one == after[0] else None
            parts.append(_first(index, chosen, sorting, keys[1:], n - found, behind))
        found = sum(map(len, parts))
        low, after = high + 1, None
    return parts


class _Windows:
    """Rows by their codes of a key, a few at a time. Where they are many, a sample of them says how far a window has to
    reach. `first` and `last` are codes that no row is beyond."""

    def __init__(self, index: Index, words: Words, key: Key, few: int) -> None:
        self._index, self._words, self._key, self._few = index, words, key, few
        most = int(np.iinfo(index.array(key.column).dtype).max)
        self.first, self.last = (1, most) if key.sign > 0 else (-most, -1)
        many = count(words)
        every = max(1, many // (_MANY * few))
        rows = rows_of(np.ascontiguousarray(words[::every]))
        self._rows = ((rows >> 6) * every << 6) | (rows & 63)
        self._codes = key.codes(index, self._rows)
        self._is_sample = every > 1
        if self._is_sample:
            self._codes.sort()
            self._share = len(rows) / many

    def beginning(self, low: int) -> tuple[int, Words]:
        """The last code of the window that begins with `low`, and its rows: a few, or all of one code."""
        if not self._is_sample:
            return self._in_front(self._rows[self._codes >= low])
        at = int(np.searchsorted(self._codes, low) + self._few * self._share / 2)
        high = int(self._codes[at]) if at < len(self._codes) else self.last
        chosen = self._words & self._key.between(self._index, low, high)
        if high > low and count(chosen) > _MANY * self._few:  # the last has very many
            high -= 1
            chosen = self._words & self._key.between(self._index, low, high)
        if high == low or count(chosen) <= self._few:
            return high, chosen
        last, chosen = self._in_front(rows_of(chosen))
        return min(last, high), chosen

    def _in_front(self, rows: Array) -> tuple[int, Words]:
        last = self.last
        if len(rows) > self._few:
            codes = self._key.codes(self._index, rows)
            last = max(int(np.partition(codes, self._few)[self._few]) - 1, int(codes.min()))
            rows = rows[codes <= last]
        return last, of_rows(rows, self._index.rows)


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
    """A stretch of the bitmap at a time, each longer than the one before."""
    low, high = 0, len(words)
    if after is not None:
        low, high = (0, after // 64 + 1) if backwards else (after // 64, len(words))
    parts: list[Array] = []
    found, stretch = 0, max(1, n // 16)
    while found < n and low < high:
        begin, end = (max(low, high - stretch), high) if backwards else (low, min(high, low + stretch))
        rows = rows_of(words[begin:end]) + begin * 64
        if after is not None:
            rows = rows[rows < after] if backwards else rows[rows > after]
        rows = rows[::-1] if backwards else rows
        parts.append(rows[: n - found])
        found += len(parts[-1])
        low, high, stretch = (low, begin, stretch * 2) if backwards else (end, high, stretch * 2)
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
