"""Cutting text into fields without touching it: a field is a pair of byte offsets, a column is two NumPy arrays.

Everything a VCF holds is found by where its delimiters are. Offsets of all delimiters of one kind come from one pass
over a block (about 0.2 ns a byte); fields are copied once, when they become an Arrow array.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DOT = ord(".")
_NO_STRINGS = pa.array([], pa.string())


@dataclass(frozen=True)
class Text:
    """A piece of UTF-8 text and where its delimiters are."""

    data: bytes
    u8: npt.NDArray[np.uint8] = field(init=False, repr=False)
    _found: dict[int, Ints] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "u8", np.frombuffer(self.data, np.uint8))

    def positions(self, char: str) -> Ints:
        """Offsets of `char` (one ASCII character), ascending."""
        code = ord(char)
        if code not in self._found:
            self._found[code] = np.flatnonzero(self.u8 == code)
        return self._found[code]


@dataclass(frozen=True)
class Spans:
    """n fields of `text`: bytes `starts[i]:ends[i]`. Ascending, and none overlaps the next."""

    text: Text
    starts: Ints
    ends: Ints

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, which: Ints | Bools) -> Spans:
        """A selection, which has to keep the order."""
        return Spans(self.text, self.starts[which], self.ends[which])

    @property
    def sizes(self) -> Ints:
        return self.ends - self.starts

    def first_bytes(self) -> npt.NDArray[np.uint8]:
        """The byte at each start; of an empty field that is the delimiter that ends it."""
        return self.text.u8[self.starts]

    def is_missing(self) -> Bools:
        """True where the field is `.`"""
        missing: Bools = (self.sizes == 1) & (self.first_bytes() == DOT)
        return missing

    def to_text(self, i: int) -> str:
        return self.text.data[self.starts[i] : self.ends[i]].decode()

    def to_arrow(self, valid: Bools | None = None) -> pa.Array:
        """A string array with n values, null where `valid` is false."""
        n = len(self)
        if n == 0:
            return _NO_STRINGS
        if valid is not None and (at := np.flatnonzero(valid)).size * 4 < n:
            return spread(self[at].to_arrow(), at, n)
        # Field, gap, field, gap ... is a string array over the text as it lies; every second value is a field.
        offsets = np.empty(2 * n, np.int32)
        offsets[0::2] = self.starts
        offsets[1::2] = self.ends
        lying = pa.StringArray.from_buffers(2 * n - 1, pa.py_buffer(offsets), pa.py_buffer(self.text.data))
        fields = lying.take(pa.array(np.arange(0, 2 * n - 1, 2, dtype=np.int32)))
        return fields if valid is None else with_nulls(fields, valid)

    def split(self, delimiter: str) -> tuple[Ints, Spans]:
        """Cuts each field at `delimiter`: (number of parts of each field, at least 1; all parts in order)."""
        found = self.text.positions(delimiter)
        low = np.searchsorted(found, self.starts)
        inside = np.searchsorted(found, self.ends) - low
        counts = inside + 1
        n_parts = int(counts.sum())
        if n_parts == len(self):
            return counts, self
        last = np.cumsum(counts) - 1
        first = last - inside
        cuts = found[ranges(low, inside)]
        starts = np.empty(n_parts, np.int64)
        ends = np.empty(n_parts, np.int64)
        is_first = np.zeros(n_parts, np.bool_)
        is_last = np.zeros(n_parts, np.bool_)
        is_first[first] = True
        is_last[last] = True
        starts[first] = self.starts
        starts[~is_first] = cuts + 1
        ends[last] = self.ends
        ends[~is_last] = cuts
        return counts, Spans(self.text, starts, ends)


def ranges(starts: Ints, counts: Ints) -> Ints:
    """starts[0], starts[0] + 1, ... (counts[0] of them), starts[1], ..."""
    total = int(counts.sum())
    before = np.cumsum(counts) - counts
    result: Ints = np.arange(total, dtype=np.int64) + np.repeat(starts - before, counts)
    return result


def with_nulls(array: pa.Array, valid: Bools) -> pa.Array:
    """The same array without nulls of its own, null where `valid` is false."""
    if valid.all():
        return array
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(array.type, len(array), [bitmap, *array.buffers()[1:]])


def spread(array: pa.Array, at: Ints, n: int) -> pa.Array:
    """`n` values: `array[i]` at `at[i]` (ascending, without repeats), null elsewhere."""
    if len(array) == n:
        return array
    index = np.full(n, -1, np.int64)
    index[at] = np.arange(len(at))
    return take(array, index)


def take(array: pa.Array, index: Ints) -> pa.Array:
    """`array[index]`, null where the index is -1."""
    missing = index < 0
    return array.take(pa.array(index, mask=missing) if missing.any() else pa.array(index))


def lists(values: pa.Array, counts: Ints, valid: Bools | None = None) -> pa.Array:
    """A list array: `counts[i]` of the values each, null where `valid` is false (where counts has to be 0)."""
    offsets = np.zeros(len(counts) + 1, np.int32)
    np.cumsum(counts, out=offsets[1:])
    array = pa.ListArray.from_arrays(pa.array(offsets), values)
    if valid is None or valid.all():
        return array
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(array.type, len(array), [bitmap, array.buffers()[1]], children=[array.values])
