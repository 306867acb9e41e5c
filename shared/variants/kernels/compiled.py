"""The kernels of kernels.c and bits.c. A call leaves Python's lock for as long as it takes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.variants.kernels.build import LIBRARY, digest
from shared.variants.kernels.types import Bools, Bytes, Classes, Codes, Ints, Keyed, Offsets, Rows, Words

_P, _N = ctypes.c_void_p, ctypes.c_int64
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "find": (None, (_P, _N, ctypes.c_char_p, _N, _P, _N, _P)),
    "offsets": (_N, (_P, _P, _P, _N, _P, _P)),
    "copy": (None, (_P, _N, _P, _P, _N, _P)),
    "split": (_N, (_P, _N, _P, _P, _N, _P, _P, _P)),
    "first": (None, (_P, _N, _P, _P, _N, _P)),
    "missing": (None, (_P, _P, _P, _N, _P)),
    "integers": (_N, (_P, _P, _P, _N, _P, _P, _P)),
    "floats": (_N, (_P, _P, _P, _N, _P, _P, _P)),
    "encode": (_N, (_P, _P, _P, _P, _N, _P, _P)),
    "keyed": (_N, (_P, _P, _N, _P, _N, _P, _P, _N, _N, *[_P] * 7)),
}
_OF_BITS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "within": (None, (_P, _N, _N, ctypes.c_uint32, ctypes.c_uint32, _P)),
    "common": (None, (_P, _P, _N, _N, _P, _P)),
    "rows": (_N, (_P, _N, _P)),
    "paired": (None, (_P, _P, _P, _N, _P, ctypes.c_int, _P)),
}
_COPIED_AT_ONCE = 16


def load() -> dict[str, Callable[..., int]]:
    """Empty where the library is not there, or is not this source's."""
    try:
        library = ctypes.CDLL(str(LIBRARY))
        library.kernels_digest.restype = ctypes.c_char_p
        if library.kernels_digest().decode() != digest():
            return {}
    except (OSError, AttributeError):
        return {}
    functions = {}
    signatures = {f"kernels_{name}": each for name, each in _SIGNATURES.items()}
    signatures |= {f"bits_{name}": each for name, each in _OF_BITS.items()}
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
        functions[name] = function
    return functions


_C = load()


def is_there() -> bool:
    return bool(_C)


def _at(array: npt.NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _laid(ints: Ints) -> Ints:
    return np.ascontiguousarray(ints, np.int64)


def find(text: Bytes, sought: bytes) -> list[Offsets]:
    room = len(text) // 4 + 64
    while True:
        found = [np.empty(room, np.int32) for _ in sought]
        n, places = np.zeros(len(sought), np.int64), np.array([_at(array) for array in found], np.uintp)
        _C["kernels_find"](_at(text), len(text), sought, len(sought), _at(places), room, _at(n))
        most = int(n.max())
        if most <= room:
            return [array[:size] for array, size in zip(found, n, strict=True)]
        room = most


def strings(text: Bytes, starts: Ints, ends: Ints, valid: Bools | None) -> pa.Array:
    n = len(starts)
    starts, ends = _laid(starts), _laid(ends)
    offsets = np.empty(n + 1, np.int32)
    bitmap = None if valid is None else np.zeros((n + 7) // 8, np.uint8)
    total = _C["kernels_offsets"](_at(starts), _at(ends), None if valid is None else _at(valid), n, _at(offsets),
                          None if bitmap is None else _at(bitmap))
    if total < 0:
        raise OverflowError("a column of one block is longer than 2 GiB")
    data = np.empty(total + _COPIED_AT_ONCE, np.uint8)
    _C["kernels_copy"](_at(text), len(text), _at(starts), _at(offsets), n, _at(data))
    buffers = [None if bitmap is None else pa.py_buffer(bitmap), pa.py_buffer(offsets), pa.py_buffer(data[:total])]
    return pa.Array.from_buffers(pa.string(), n, buffers)


def split(found: Offsets, starts: Ints, ends: Ints) -> tuple[Ints, Ints, Ints]:
    n = len(starts)
    starts, ends = _laid(starts), _laid(ends)
    low, high = np.searchsorted(found, np.array([starts[0], ends[-1]], np.int32)) if n else (0, 0)
    within = found[low:high]
    counts, most = np.empty(n, np.int64), n + len(within)
    part_starts, part_ends = np.empty(most, np.int64), np.empty(most, np.int64)
    parts = _C["kernels_split"](_at(within), len(within), _at(starts), _at(ends), n, _at(counts), _at(part_starts),
                        _at(part_ends))
    return counts, part_starts[:parts], part_ends[:parts]


def first(found: Offsets, starts: Ints, ends: Ints) -> Ints:
    result = np.empty(len(starts), np.int64)
    starts, ends = _laid(starts), _laid(ends)
    _C["kernels_first"](_at(found), len(found), _at(starts), _at(ends), len(starts), _at(result))
    return result


def missing(text: Bytes, starts: Ints, ends: Ints) -> Bools:
    result = np.empty(len(starts), np.bool_)
    starts, ends = _laid(starts), _laid(ends)
    _C["kernels_missing"](_at(text), _at(starts), _at(ends), len(starts), _at(result))
    return result


def integers(text: Bytes, starts: Ints, ends: Ints) -> tuple[pa.Array, Bools]:
    return _numbers("integers", pa.int64(), text, starts, ends)


def floats(text: Bytes, starts: Ints, ends: Ints) -> tuple[pa.Array, Bools]:
    return _numbers("floats", pa.float64(), text, starts, ends)


def _numbers(name: str, type_: pa.DataType, text: Bytes, starts: Ints, ends: Ints) -> tuple[pa.Array, Bools]:
    n = len(starts)
    starts, ends = _laid(starts), _laid(ends)
    values, unsure, bitmap = np.empty(n, np.int64), np.empty(n, np.bool_), np.zeros((n + 7) // 8, np.uint8)
    _C[f"kernels_{name}"](_at(text), _at(starts), _at(ends), n, _at(values), _at(bitmap), _at(unsure))
    return pa.Array.from_buffers(type_, n, [pa.py_buffer(bitmap), pa.py_buffer(values)]), unsure


def encode(text: Bytes, starts: Ints, ends: Ints, valid: Bools | None) -> tuple[Codes, Ints]:
    n = len(starts)
    starts, ends = _laid(starts), _laid(ends)
    codes, firsts = np.empty(n, np.int32), np.empty(n, np.int64)
    known = _C["kernels_encode"](_at(text), _at(starts), _at(ends), None if valid is None else _at(valid), n,
                                 _at(codes), _at(firsts))
    if known < 0:
        raise MemoryError
    return codes, firsts[:known]


def keyed(text: Bytes, semicolons: Offsets, equals: Offsets, starts: Ints, ends: Ints) -> Keyed:
    n = len(starts)
    starts, ends = _laid(starts), _laid(ends)
    low, high = np.searchsorted(semicolons, np.array([starts[0], ends[-1]], np.int32)) if n else (0, 0)
    within, room = semicolons[low:high], n + int(high - low)
    owners, value_starts, value_ends, key_starts, key_ends = (np.empty(room, np.int64) for _ in range(5))
    valued, bounds = np.empty(room, np.bool_), np.empty(room + 1, np.int64)
    known = _C["kernels_keyed"](_at(text), _at(within), len(within), _at(equals), len(equals), _at(starts), _at(ends),
                                n, room, _at(owners), _at(value_starts), _at(value_ends), _at(valued), _at(bounds),
                                _at(key_starts), _at(key_ends))
    if known < 0:
        raise MemoryError
    n_parts = int(bounds[known])
    return Keyed(owners[:n_parts], value_starts[:n_parts], value_ends[:n_parts], valued[:n_parts], bounds[: known + 1],
                 key_starts[:known], key_ends[:known])


# -- bitmaps ----------------------------------------------------------------------------------------------------------


def within(codes: npt.NDArray[Any], first: int, last: int) -> Words:
    words = np.zeros(-(-len(codes) // 64), np.uint64)
    if first <= last:
        codes = np.ascontiguousarray(codes)
        _C["bits_within"](_at(codes), codes.itemsize, len(codes), first, last - first, _at(words))
    return words


def common(words: Words, bitmaps: Words) -> list[int]:
    bitmaps = np.ascontiguousarray(bitmaps)
    room, found = np.empty(len(words), np.int32), np.empty(len(bitmaps), np.int64)
    _C["bits_common"](_at(words), _at(bitmaps), len(words), len(bitmaps), _at(room), _at(found))
    result: list[int] = found.tolist()
    return result


def rows_of(words: Words) -> Ints:
    words = np.ascontiguousarray(words)
    rows = np.empty(int(np.bitwise_count(words).sum(dtype=np.int64)), np.int64)
    _C["bits_rows"](_at(words), len(words), _at(rows))
    return rows


def paired(words: Words, rows: Rows, starts: Ints, classes: Classes, in_trans: bool) -> Words:
    marked, sets, sides = np.zeros_like(words), int(classes[2].max(initial=0)) + 1, int(classes[3].max(initial=0)) + 1
    counts = [np.zeros(size, np.int64) for size in (len(starts), sets, sides, 3 * sets)]
    kept = [np.ascontiguousarray(each) for each in classes]
    parts = np.array([*map(_at, kept), *map(_at, counts)], np.uintp)
    stops = np.append(starts, len(rows)).astype(np.int64)
    _C["bits_paired"](_at(words), _at(rows), _at(stops), len(starts), _at(parts), in_trans, _at(marked))
    return marked
