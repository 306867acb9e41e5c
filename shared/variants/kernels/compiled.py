"""The kernels of kernels.c. A call leaves Python's lock for as long as it takes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.variants.kernels.build import LIBRARY, digest
from shared.variants.kernels.types import Bools, Bytes, Codes, Ints, Offsets

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
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, f"kernels_{name}")
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
        _C["find"](_at(text), len(text), sought, len(sought), _at(places), room, _at(n))
        most = int(n.max())
        if most <= room:
            return [array[:size] for array, size in zip(found, n, strict=True)]
        room = most


def strings(text: Bytes, starts: Ints, ends: Ints, valid: Bools | None) -> pa.Array:
    n = len(starts)
    starts, ends = _laid(starts), _laid(ends)
    offsets = np.empty(n + 1, np.int32)
    bitmap = None if valid is None else np.zeros((n + 7) // 8, np.uint8)
    total = _C["offsets"](_at(starts), _at(ends), None if valid is None else _at(valid), n, _at(offsets),
                          None if bitmap is None else _at(bitmap))
    if total < 0:
        raise OverflowError("a column of one block is longer than 2 GiB")
    data = np.empty(total + _COPIED_AT_ONCE, np.uint8)
    _C["copy"](_at(text), len(text), _at(starts), _at(offsets), n, _at(data))
    buffers = [None if bitmap is None else pa.py_buffer(bitmap), pa.py_buffer(offsets), pa.py_buffer(data[:total])]
    return pa.Array.from_buffers(pa.string(), n, buffers)


def split(found: Offsets, starts: Ints, ends: Ints) -> tuple[Ints, Ints, Ints]:
    n = len(starts)
    starts, ends = _laid(starts), _laid(ends)
    low, high = np.searchsorted(found, np.array([starts[0], ends[-1]], np.int32)) if n else (0, 0)
    within = found[low:high]
    counts, most = np.empty(n, np.int64), n + len(within)
    part_starts, part_ends = np.empty(most, np.int64), np.empty(most, np.int64)
    parts = _C["split"](_at(within), len(within), _at(starts), _at(ends), n, _at(counts), _at(part_starts),
                        _at(part_ends))
    return counts, part_starts[:parts], part_ends[:parts]


def first(found: Offsets, starts: Ints, ends: Ints) -> Ints:
    result = np.empty(len(starts), np.int64)
    starts, ends = _laid(starts), _laid(ends)
    _C["first"](_at(found), len(found), _at(starts), _at(ends), len(starts), _at(result))
    return result


def missing(text: Bytes, starts: Ints, ends: Ints) -> Bools:
    result = np.empty(len(starts), np.bool_)
    starts, ends = _laid(starts), _laid(ends)
    _C["missing"](_at(text), _at(starts), _at(ends), len(starts), _at(result))
    return result


def integers(text: Bytes, starts: Ints, ends: Ints) -> tuple[pa.Array, Bools]:
    return _numbers("integers", pa.int64(), text, starts, ends)


def floats(text: Bytes, starts: Ints, ends: Ints) -> tuple[pa.Array, Bools]:
    return _numbers("floats", pa.float64(), text, starts, ends)


def _numbers(name: str, type_: pa.DataType, text: Bytes, starts: Ints, ends: Ints) -> tuple[pa.Array, Bools]:
    n = len(starts)
    starts, ends = _laid(starts), _laid(ends)
    values, unsure, bitmap = np.empty(n, np.int64), np.empty(n, np.bool_), np.zeros((n + 7) // 8, np.uint8)
    _C[name](_at(text), _at(starts), _at(ends), n, _at(values), _at(bitmap), _at(unsure))
    return pa.Array.from_buffers(type_, n, [pa.py_buffer(bitmap), pa.py_buffer(values)]), unsure


def encode(text: Bytes, starts: Ints, ends: Ints, valid: Bools | None) -> tuple[Codes, Ints]:
    n = len(starts)
    starts, ends = _laid(starts), _laid(ends)
    codes, firsts = np.empty(n, np.int32), np.empty(n, np.int64)
    known = _C["encode"](_at(text), _at(starts), _at(ends), None if valid is None else _at(valid), n, _at(codes),
                         _at(firsts))
    if known < 0:
        raise MemoryError
    return codes, firsts[:known]
