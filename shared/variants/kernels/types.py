"""Arrays of the kernels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Offsets = npt.NDArray[np.int32]  # of delimiters: there are many
Codes = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]
