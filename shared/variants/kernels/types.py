"""Arrays of the kernels."""

from __future__ import annotations

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
