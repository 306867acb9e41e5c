"""The kernels in NumPy and Arrow."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.variants.kernels.types import Bools, Bytes, Classes, Codes, Ints, Keyed, Offsets, Rows, Words

_DOT = ord(".")
_PIECE = 1 << 20
"""Codes that are compared at a time, so that what is between lies in the processor's cache."""


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


def keyed(text: Bytes, semicolons: Offsets, equals: Offsets, starts: Ints, ends: Ints) -> Keyed:
    counts, part_starts, part_ends = split(semicolons, starts, ends)
    signs = first(equals, part_starts, part_ends)
    valued: Bools = signs >= 0
    key_ends = np.where(valued, signs, part_ends)
    codes, firsts = encode(text, part_starts, key_ends, None)
    order = np.argsort(codes, kind="stable")
    values = np.where(valued, signs + 1, part_ends)
    return Keyed(np.repeat(np.arange(len(starts)), counts)[order], values[order], part_ends[order], valued[order],
                 np.searchsorted(codes[order], np.arange(len(firsts) + 1)), part_starts[firsts], key_ends[firsts])


# -- bitmaps ----------------------------------------------------------------------------------------------------------


def within(codes: npt.NDArray[Any], first: int, last: int) -> Words:
    words = np.zeros(-(-len(codes) // 64), np.uint64)
    octets = words.view(np.uint8)
    for start in range(0, len(codes), _PIECE):
        piece = codes[start : start + _PIECE]
        packed = np.packbits((piece >= first) & (piece <= last), bitorder="little")
        octets[start >> 3 : (start >> 3) + len(packed)] = packed
    return words


def common(words: Words, bitmaps: Words) -> list[int]:
    both, bits = np.empty_like(words), np.empty(len(words), np.uint8)
    return [
        int(np.bitwise_count(np.bitwise_and(words, bitmap, out=both), out=bits).sum(dtype=np.uint32))
        for bitmap in bitmaps
    ]


def rows_of(words: Words) -> Ints:
    some = np.flatnonzero(words)
    bits = np.flatnonzero(np.unpackbits(words[some].view(np.uint8), bitorder="little"))
    rows: Ints = (some[bits >> 6] << 6) | (bits & 63)
    return rows


def paired(words: Words, rows: Rows, starts: Ints, classes: Classes, in_trans: bool) -> Words:
    there = (words.view(np.uint8)[rows >> 3] >> (rows & 7).astype(np.uint8)) & np.uint8(1)
    n = np.add.reduceat(there, starts, dtype=np.int64)
    some = np.flatnonzero(n)
    fits = np.zeros(len(n), bool)
    fits[some] = _partners([each[some].astype(np.int64) for each in classes], n[some], in_trans) > 0
    mine, marked = rows[np.repeat(fits, np.diff(starts, append=len(rows))) & (there > 0)], np.zeros_like(words)
    np.bitwise_or.at(marked, mine >> 6, np.uint64(1) << (mine & 63).astype(np.uint64))
    return marked


def _partners(classes: list[Ints], n: Ints, in_trans: bool) -> Ints:
    """Of a row of each class how many partners are in trans or, if not `in_trans`, not in cis; `n` rows a class."""
    gene, origin, sets, side = classes
    phased, known, other = sets > 0, origin > 0, (3 - origin) % 3
    of_origin, of_both = gene * 3 + origin, sets * 3 + origin
    same_origin = np.where(known, _how_many(of_origin, of_origin, n), 0)
    same_set = np.where(phased, _how_many(sets, sets, n), 0)
    same_side = np.where(phased, _how_many(side, side, n), 0)
    if in_trans:
        other_origin = np.where(known, _how_many(of_origin, gene * 3 + other, n), 0)
        other_in_set = np.where(phased & known, _how_many(of_both, sets * 3 + other, n), 0)
        found: Ints = same_set - same_side + other_origin - other_in_set
    else:
        same_both = np.where(phased & known, _how_many(of_both, of_both, n), 0)
        cis = same_side + same_origin - same_both + (~phased & ~known)  # a row itself is among them
        found = _how_many(gene, gene, n) - cis
    return found


def _how_many(have: Ints, asked: Ints, n: Ints) -> Ints:
    """Of each of `asked` how many rows are in the classes that have the same; small numbers from 0."""
    most = int(max(have.max(initial=0), asked.max(initial=0))) + 1
    found: Ints = np.bincount(have, n, most).astype(np.int64)[asked]
    return found
