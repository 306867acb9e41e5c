"""Cutting text into fields without touching it: a field is a pair of byte offsets, a column is two NumPy arrays.

Everything a VCF holds is found by where its delimiters are. Offsets of all delimiters of one kind come from one pass
over a block; fields are copied once, when they become an Arrow array. The passes over bytes are the kernels'.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from shared.variants import kernels
from shared.variants.kernels.types import Bools, Bytes, Codes, Ints, Offsets

__all__ = ("Bools", "Codes", "Ints", "Offsets", "Spans", "Text", "lists", "ranges", "spread", "take", "with_nulls")

_DELIMITERS = "\n\t;=,|:"


@dataclass(frozen=True)
class Text:
    """A piece of UTF-8 text and where its delimiters are."""

    data: bytes
    u8: Bytes = field(init=False, repr=False)
    _found: dict[str, Offsets] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "u8", np.frombuffer(self.data, np.uint8))

    def positions(self, char: str) -> Offsets:
        """Offsets of `char`, one of the delimiters of VCF, ascending."""
        if not self._found:
            self._found.update(zip(_DELIMITERS, kernels.find(self.u8, _DELIMITERS.encode()), strict=True))
        return self._found[char]


@dataclass(frozen=True)
class Spans:
    """n fields of `text`: bytes `starts[i]:ends[i]`. To be cut they have to ascend, and none to overlap the next."""

    text: Text
    starts: Ints
    ends: Ints

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, which: Ints | Bools) -> Spans:
        return Spans(self.text, self.starts[which], self.ends[which])

    @property
    def sizes(self) -> Ints:
        return self.ends - self.starts

    def first_bytes(self) -> Bytes:
        """The byte at each start; of an empty field that is the delimiter that ends it."""
        return self.text.u8[self.starts]

    def is_missing(self) -> Bools:
        """True where the field is `.`"""
        missing: Bools = kernels.missing(self.text.u8, self.starts, self.ends)
        return missing

    def to_text(self, i: int) -> str:
        return self.text.data[self.starts[i] : self.ends[i]].decode()

    def to_arrow(self, valid: Bools | None = None) -> pa.Array:
        """A string array with n values, null where `valid` is false."""
        return kernels.strings(self.text.u8, self.starts, self.ends, valid)

    def encode(self, valid: Bools | None = None) -> tuple[Codes, list[str]]:
        """(which of the spellings each field is, -1 where `valid` is false; the spellings, in order of appearance)."""
        codes, firsts = kernels.encode(self.text.u8, self.starts, self.ends, valid)
        return codes, [self.to_text(int(i)) for i in firsts]

    def split(self, delimiter: str) -> tuple[Ints, Spans]:
        """Cuts each field at `delimiter`: (number of parts of each field, at least 1; all parts in order)."""
        counts, starts, ends = kernels.split(self.text.positions(delimiter), self.starts, self.ends)
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
