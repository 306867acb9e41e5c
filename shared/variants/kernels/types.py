"""Arrays of the kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Offsets = npt.NDArray[np.int32]  # of delimiters: there are many
Codes = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]  # bitmaps: row i is bit i & 63 of word i >> 6
Rows = npt.NDArray[np.int32]
Classes = tuple[Rows, Rows, Rows, Rows]  # gene, origin, set and side of each class (inheritance.py)


class Keyed(NamedTuple):
    """Parts such as `DP=3` or `DB` of some fields, sorted by key, those of one key in the text's order.

    Parts bounds[k] to bounds[k + 1] have key k, which is spelled text[key_starts[k]:key_ends[k]]; keys are counted in
    order of appearance. Part i is of field owners[i]; its value, which is empty where it has no `=` (not `valued`), is
    text[starts[i]:ends[i]].
    """

    owners: Ints
    starts: Ints
    ends: Ints
    valued: Bools
    bounds: Ints
    key_starts: Ints
    key_ends: Ints
