"""The kernels in NumPy and Arrow."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from shared.variants.kernels.types import Bools, Bytes, Codes, Ints, Offsets

_DOT = ord(".")


def find(text: Bytes, sought: bytes) -> list[Offsets]:
    return [np.flatnonzero(text == byte).astype(np.int32) for byte in sought]


def strings(text: Bytes, starts: Ints, ends: Ints, valid: Bools | None) -> pa.Array:
    at = np.arange(len(starts)) if valid is None else np.flatnonzero(valid)
    if not len(at):
        return pa.nulls(len(starts), pa.string())
    lying, order = _lying(text, starts[at], ends[at])
    index = np.full(len(starts), -1, np.int64)
    index[at] = order
    missing = index < 0
    return lying.take(pa.array(2 * index, mask=missing) if missing.any() else pa.array(2 * index))


def _lying(text: Bytes, starts: Ints, ends: Ints) -> tuple[pa.Array, Ints]:
    """Field, gap, field, gap ... is a string array over the text as it lies: (that array; the field among its fields
    that each of the given ones is)."""
    order = np.arange(len(starts))
    if (starts[1:] < ends[:-1]).any():
        both, order = np.unique(np.stack((starts, ends)), axis=1, return_inverse=True)
        starts, ends, order = both[0], both[1], order.ravel()
    offsets = np.empty(2 * len(starts), np.int32)
    offsets[0::2] = starts
    offsets[1::2] = ends
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(text)), order


def split(found: Offsets, starts: Ints, ends: Ints) -> tuple[Ints, Ints, Ints]:
    low = np.searchsorted(found, starts)
    inside = np.searchsorted(found, ends) - low
    counts = inside + 1
    total = int(counts.sum())
    last = np.cumsum(counts) - 1
    cut = np.ones(total, np.bool_)
    cut[last] = False
    cuts = found[np.arange(int(inside.sum())) + np.repeat(low - (np.cumsum(inside) - inside), inside)]
    part_starts, part_ends = np.empty(total, np.int64), np.empty(total, np.int64)
    part_starts[last - inside] = starts
    part_starts[1:][cut[:-1]] = cuts + 1
    part_ends[last] = ends
    part_ends[cut] = cuts
    return counts, part_starts, part_ends


def first(found: Offsets, starts: Ints, ends: Ints) -> Ints:
    if not len(found):
        return np.full(len(starts), -1, np.int64)
    at = found[np.minimum(np.searchsorted(found, starts), len(found) - 1)]
    result: Ints = np.where((at >= starts) & (at < ends), at, -1)
    return result


def missing(text: Bytes, starts: Ints, ends: Ints) -> Bools:
    result: Bools = ends - starts == 1
    result[result] = text[starts[result]] == _DOT
    return result


def integers(text: Bytes, starts: Ints, ends: Ints) -> tuple[pa.Array, Bools]:
    return pa.nulls(len(starts), pa.int64()), (ends > starts) & ~missing(text, starts, ends)


def floats(text: Bytes, starts: Ints, ends: Ints) -> tuple[pa.Array, Bools]:
    return pa.nulls(len(starts), pa.float64()), (ends > starts) & ~missing(text, starts, ends)


def encode(text: Bytes, starts: Ints, ends: Ints, valid: Bools | None) -> tuple[Codes, Ints]:
    encoded = strings(text, starts, ends, valid).dictionary_encode()
    codes: Codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    firsts = np.full(len(encoded.dictionary), len(codes), np.int64)
    np.minimum.at(firsts, codes[codes >= 0], np.flatnonzero(codes >= 0))
    return codes, firsts
