"""The pseudoautosomal regions of X and Y, where a male has two copies.

1-based and included, from the Genome Reference Consortium's region lists of each assembly
(https://www.ncbi.nlm.nih.gov/grc/human) and, for T2T-CHM13v2.0, from the assembly's own description.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_REGIONS: dict[str, dict[str, tuple[tuple[int, int], ...]]] = {
    "GRCh37": {"X": ((60001, 2699520), (154931044, 155260560)), "Y": ((10001, 2649520), (59034050, 59363566))},
    "GRCh38": {"X": ((10001, 2781479), (155701383, 156030895)), "Y": ((10001, 2781479), (56887903, 57217415))},
    "T2T-CHM13v2.0": {"X": ((1, 2394410), (153925835, 154259566)), "Y": ((1, 2458320), (62122810, 62460029))},
}


def outside(assembly: str | None, chrom: str, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """For each position of X or Y, whether it is outside them; of other chromosomes none is. Where the assembly is not
    known all are: the regions are 2 % of X."""
    if chrom not in ("X", "Y"):
        return np.zeros(len(positions), bool)
    result = np.ones(len(positions), bool)
    for start, end in _REGIONS.get(assembly or "", {}).get(chrom, ()):
        result &= (positions < start) | (positions > end)
    return result
