"""Contig names: as written, canonical, and which human assembly a header speaks of."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

_MAIN = {**{str(i): str(i) for i in range(1, 23)}, "X": "X", "Y": "Y", "M": "MT", "MT": "MT"}

# NCBI RefSeq accessions of the chromosomes: NC_000001 ... NC_000024 (X is 23, Y is 24), NC_012920 (mitochondrion).
_REFSEQ = re.compile(r"^NC_0000(\d\d)\.(\d+)$")
_REFSEQ_NAMES = {**{i: str(i) for i in range(1, 23)}, 23: "X", 24: "Y"}

# Length in bases of chromosome 1, by assembly (NCBI assembly reports).
_CHR1_LENGTHS = {249250621: "GRCh37", 248956422: "GRCh38", 248387328: "T2T-CHM13v2.0"}
_OTHER_LENGTHS = {
    "20": {63025520: "GRCh37", 64444167: "GRCh38"}, "22": {51304566: "GRCh37", 50818468: "GRCh38"},
    "X": {155270560: "GRCh37", 156040895: "GRCh38"}, "2": {243199373: "GRCh37", 242193529: "GRCh38"},
    "1": _CHR1_LENGTHS,
}
# Pseudoautosomal regions, 1-based and included. GRCh37, GRCh38: https://www.ensembl.org/info/genome/genebuild/human_PARS.html
# (Y of GRCh37 from the Genome Reference Consortium); T2T-CHM13v2.0: Rhie et al. 2023, table S1.
_PAR = {
    "GRCh37": {"X": ((60001, 2699520), (154931044, 155260560)), "Y": ((10001, 2649520), (59034050, 59363566))},
    "GRCh38": {"X": ((10001, 2781479), (155701383, 156030895)), "Y": ((10001, 2781479), (56887903, 57217415))},
    "T2T-CHM13v2.0": {"X": ((1, 2394410), (153925835, 154259566)), "Y": ((1, 2458320), (62122810, 62460029))},
}
SEX_REGIONS = ("X", "Y", "PAR")

_REFSEQ_VERSION_OF_1 = {10: "GRCh37", 11: "GRCh38"}


def canonical(contig: str) -> str:
    """`chr1`, `1` and `NC_000001.11` are `1`; `chrM`, `M` and `NC_012920.1` are `MT`; other contigs stay as written."""
    bare = contig[3:] if contig[:3].lower() == "chr" else contig
    if bare.upper() in _MAIN:
        return _MAIN[bare.upper()]
    if found := _REFSEQ.match(contig):
        return _REFSEQ_NAMES.get(int(found[1]), contig)
    return "MT" if contig.startswith("NC_012920.") else contig


def sex_regions(chrom: str, positions: Ints, build: str | None) -> npt.NDArray[np.int8] | None:
    """For each position of a chromosome (canonical name) its place in SEX_REGIONS; None where it is neither X nor Y.
    Where the assembly is not known all of X is X, and all of Y is Y."""
    if chrom not in ("X", "Y"):
        return None
    found = np.full(len(positions), SEX_REGIONS.index(chrom), np.int8)
    for start, end in _PAR.get(build or "", {}).get(chrom, ()):
        found[(positions >= start) & (positions <= end)] = SEX_REGIONS.index("PAR")
    return found


def assembly(lengths: Mapping[str, int | None], header_text: str) -> str | None:
    """GRCh37, GRCh38 or T2T-CHM13v2.0, from contig lengths, then accessions, then the header's own words; else None."""
    for contig, length in lengths.items():
        known = _OTHER_LENGTHS.get(canonical(contig), {})
        if length in known:
            return known[length]
        found = _REFSEQ.match(contig)
        if found and found[1] == "01" and int(found[2]) in _REFSEQ_VERSION_OF_1:
            return _REFSEQ_VERSION_OF_1[int(found[2])]
    said = " ".join(re.findall(r"^##(?:reference|contig|assembly)=.*$", header_text, re.MULTILINE))
    if re.search(r"GRCh38|hg38|hs38", said, re.IGNORECASE):
        return "GRCh38"
    if re.search(r"GRCh37|hg19|b37|hs37|g1k_v37", said, re.IGNORECASE):
        return "GRCh37"
    return None
