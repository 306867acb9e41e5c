"""A trio's reads with known variants, from a seed: what the demo runs and what tests measure calls against.

All of it is synthetic. Reads carry the alignment that a perfect aligner would give; their sequencing errors follow
their base qualities. The same seed gives the same reads on every machine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import pysam

from infra.pipelines.simulate_genome import CONTIG, LENGTH, Change, gff3, make_changes, make_genome
from infra.pipelines.truth import TrueVariant, Truth

SAMPLES = (
    {"name": "demo-child", "role": "proband", "sex": "female"},
    {"name": "demo-father", "role": "father", "sex": "male"},
    {"name": "demo-mother", "role": "mother", "sex": "female"},
)
CHILD, FATHER, MOTHER = (sample["name"] for sample in SAMPLES)

DEPTH = 30
READ_LENGTH = 150
FRAGMENT_MEAN, FRAGMENT_SD, FRAGMENT_MIN = 390, 60, 220
QUALITIES = np.array([37, 33, 25, 12], dtype=np.uint8)
QUALITY_SHARES = (0.86, 0.08, 0.04, 0.02)
MAPPING_QUALITY = 60

REFERENCE = f"references/{CONTIG}/{CONTIG}.fa"
GENES = f"references/{CONTIG}/{CONTIG}.gff3"
TRUTH = f"references/{CONTIG}/truth.json"


@dataclass(frozen=True)
class Haplotype:
    """`bases`: ASCII codes. `positions`: 0-based place of each base on the contig, -1 for an inserted one."""

    bases: np.ndarray
    positions: np.ndarray


@dataclass(frozen=True)
class Reads:
    """One array entry (or row) per read, a mate's entry being half of the length away."""

    start: np.ndarray
    cigar: Sequence[str]
    bases: np.ndarray
    qualities: np.ndarray
    flag: np.ndarray


def simulate(seed: int, into: Path) -> Truth:
    """Write the trio into `into`, laid out as in a project bucket, and return what it carries.

    `references/demo1/` gets the FASTA with its .fai, the genes and the truth; `samples/{name}/uploads/` a sorted
    BAM with its .bai, about 30x over 80 kb. What lies there already under these names is written over.
    """
    rng = np.random.default_rng(seed)
    contig, genes = make_genome(rng)
    changes = make_changes(contig, genes, rng)
    _write_reference(into, contig, gff3(genes))
    for sample in SAMPLES:
        haplotypes = [_haplotype(contig, changes, sample["name"], copy) for copy in (0, 1)]
        _write_bam(into / _bam(sample["name"]), sample["name"], _reads(haplotypes, rng))
    truth = Truth(seed, SAMPLES, _inputs(), [_true_variant(change) for change in changes])
    truth.write(into / TRUTH)
    return truth


def _inputs() -> dict[str, object]:
    alignments = [{"path": _bam(sample["name"])} for sample in SAMPLES]
    return {"alignments": alignments, "reference": REFERENCE, "genes": GENES}


def _bam(sample: str) -> str:
    return f"samples/{sample}/uploads/{sample}.bam"


def _copies(change: Change, sample: str) -> tuple[int, int]:
    """Whether each of the sample's two haplotypes carries the change; the child has one of each parent."""
    father, father_other, mother, mother_other = change.carried
    if sample == CHILD:
        return (1, 0) if change.de_novo else (father, mother)
    return (father, father_other) if sample == FATHER else (mother, mother_other)


def _true_variant(change: Change) -> TrueVariant:
    genotypes = {s["name"]: f"0/{n}" if (n := sum(_copies(change, s["name"]))) < 2 else "1/1" for s in SAMPLES}
    from_parents = {(0, 0): "not_transmitted", (1, 0): "father", (0, 1): "mother", (1, 1): "both"}
    inherited = "de_novo" if change.de_novo else from_parents[_copies(change, CHILD)]
    return TrueVariant(
        CONTIG, change.start + 1, change.ref, change.alt, genotypes, inherited, change.consequence, change.gene
    )


def _write_reference(into: Path, contig: str, genes: str) -> None:
    fasta = into / REFERENCE
    fasta.parent.mkdir(parents=True, exist_ok=True)
    lines = [contig[at : at + 60] for at in range(0, LENGTH, 60)]
    fasta.write_text(f">{CONTIG} synthetic, not of any species\n" + "\n".join(lines) + "\n")
    (into / GENES).write_text(genes)
    pysam.faidx(str(fasta))


def _haplotype(contig: str, changes: Sequence[Change], sample: str, copy: int) -> Haplotype:
    bases, positions, at = [], [], 0
    for change in changes:
        if not _copies(change, sample)[copy]:
            continue
        end = change.start + len(change.ref)
        kept = min(len(change.ref), len(change.alt))
        bases += [contig[at : change.start], change.alt]
        positions += [np.arange(at, change.start + kept), np.full(len(change.alt) - kept, -1)]
        at = end
    bases.append(contig[at:])
    positions.append(np.arange(at, LENGTH))
    return Haplotype(np.frombuffer("".join(bases).encode(), dtype=np.uint8), np.concatenate(positions))


def _reads(haplotypes: Sequence[Haplotype], rng: np.random.Generator) -> Reads:
    """Pairs of reads, half of them from each haplotype: the left ends of all pairs, then the right ends."""
    lefts: list[tuple[np.ndarray, np.ndarray]] = []
    rights: list[tuple[np.ndarray, np.ndarray]] = []
    for haplotype in haplotypes:
        pairs = LENGTH * DEPTH // (2 * READ_LENGTH * len(haplotypes))
        fragment = np.maximum(rng.normal(FRAGMENT_MEAN, FRAGMENT_SD, pairs).astype(int), FRAGMENT_MIN)
        left = (rng.random(pairs) * (len(haplotype.bases) - fragment)).astype(int)
        for ends, at in ((lefts, left), (rights, left + fragment - READ_LENGTH)):
            index = at[:, None] + np.arange(READ_LENGTH)
            ends.append((haplotype.bases[index], haplotype.positions[index]))
    bases, positions = (np.concatenate(parts) for parts in zip(*lefts, *rights, strict=True))
    qualities = rng.choice(QUALITIES, p=QUALITY_SHARES, size=bases.shape)
    left_is_first = np.tile(rng.random(len(bases) // 2) < 0.5, 2)
    is_left = np.arange(len(bases)) < len(bases) // 2
    flag = np.where(is_left, np.where(left_is_first, 99, 163), np.where(left_is_first, 147, 83))
    start, cigar = _alignments(positions)
    return Reads(start, cigar, _with_errors(bases, qualities, rng), qualities, flag)


def _with_errors(bases: np.ndarray, qualities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each base is wrong with the probability that its Phred quality says."""
    wrong = rng.random(bases.shape) < 10 ** (qualities / -10.0)
    alphabet = np.frombuffer(b"ACGT", dtype=np.uint8)
    number = np.searchsorted(alphabet, bases[wrong])
    changed = bases.copy()
    changed[wrong] = alphabet[(number + rng.integers(1, 4, len(number))) % 4]
    return changed


def _alignments(positions: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """First aligned position (0-based) and CIGAR of each row."""
    cigars = [f"{READ_LENGTH}M"] * len(positions)
    plain = (positions[:, -1] - positions[:, 0] == READ_LENGTH - 1) & (positions.min(axis=1) >= 0)
    for row in np.flatnonzero(~plain).tolist():
        cigars[row] = _cigar(positions[row].tolist())
    return np.where(positions >= 0, positions, LENGTH).min(axis=1), cigars


def _cigar(positions: list[int]) -> str:
    """Inserted bases at an end of the read cannot be placed, so they are clipped (S) instead of inserted (I)."""
    operations, last = [], None
    for position in positions:
        if position >= 0 and last is not None and position > last + 1:
            operations += ["D"] * (position - last - 1)
        operations.append("I" if position < 0 else "M")
        last = position if position >= 0 else last
    runs = [[len(list(group)), operation] for operation, group in groupby(operations)]
    for end in (0, -1):
        if runs[end][1] == "I":
            runs[end][1] = "S"
    return "".join(f"{length}{operation}" for length, operation in runs)


def _write_bam(bam: Path, sample: str, reads: Reads) -> None:
    bam.parent.mkdir(parents=True, exist_ok=True)
    header = (
        f"@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:{CONTIG}\tLN:{LENGTH}\n"
        f"@RG\tID:{sample}\tSM:{sample}\tLB:{sample}\tPL:ILLUMINA\n@CO\tsynthetic reads of the iflow demo\n"
    )
    with tempfile.TemporaryDirectory() as scratch:
        sam = Path(scratch, "reads.sam")
        sam.write_text(header + "\n".join(_sam_lines(sample, reads)) + "\n")
        pysam.samtools.view("-b", "--no-PG", "-o", str(bam), str(sam), catch_stdout=False)
    pysam.samtools.index(str(bam))


def _sam_lines(sample: str, reads: Reads) -> list[str]:
    pairs = len(reads.start) // 2
    mate = np.roll(reads.start, pairs)
    start, flag, mates = reads.start.tolist(), reads.flag.tolist(), mate.tolist()
    bases, qualities = reads.bases.tobytes().decode(), (reads.qualities + 33).tobytes().decode()
    lines = []
    for row in np.argsort(reads.start, kind="stable").tolist():
        text = slice(row * READ_LENGTH, (row + 1) * READ_LENGTH)
        span = abs(mates[row] - start[row]) + READ_LENGTH
        lines.append(
            f"{sample}.{row % pairs}\t{flag[row]}\t{CONTIG}\t{start[row] + 1}\t{MAPPING_QUALITY}\t{reads.cigar[row]}"
            f"\t=\t{mates[row] + 1}\t{span if row < pairs else -span}\t{bases[text]}\t{qualities[text]}\tRG:Z:{sample}"
        )
    return lines
