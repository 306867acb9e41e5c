"""A made-up contig with made-up genes, and a family's variants on it. Pure: everything follows from the generator.

Nothing here comes from a person or a species. Genes are valid for `bcftools csq`: start codon, open reading frame,
stop codon, GT-AG introns (https://samtools.github.io/bcftools/bcftools.html#csq).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

CONTIG = "demo1"
LENGTH = 80_000
"""Bases: at 30x a run of the whole trio takes seconds, and four genes have room."""

SPACING = 260
"""Bases between two variants, more than a read, so that no read has to be aligned over two of them."""

FROM_EXON_EDGE = 12
"""Bases kept free at an exon's ends: nearer ones are splice variants in the words of `bcftools csq`."""

BASES = "ACGT"
TRANSITIONS = {"A": "G", "G": "A", "C": "T", "T": "C"}
COMPLEMENT = str.maketrans("ACGT", "TGCA")
AMINO_ACIDS = "KNKNTTTTRSRSIIMIQHQHPPPPRRRRLLLLEDEDAAAAGGGGVVVV*Y*YSSSS*CWCLFLF"
CODONS = {a + b + c: AMINO_ACIDS[16 * i + 4 * j + k]
          for i, a in enumerate(BASES) for j, b in enumerate(BASES) for k, c in enumerate(BASES)}  # fmt: skip
SENSE_CODONS = [codon for codon, amino_acid in CODONS.items() if amino_acid != "*"]

Haplotypes = tuple[int, int, int, int]
"""Whether each carries the variant: father's transmitted and other, mother's transmitted and other."""


@dataclass(frozen=True)
class Gene:
    """`exons` are (start, end), 0-based and half-open, in the order of the contig; all of them is coding."""

    name: str
    strand: str
    exons: tuple[tuple[int, int], ...]

    @property
    def span(self) -> tuple[int, int]:
        return self.exons[0][0], self.exons[-1][1]

    def coding(self) -> list[int]:
        """Positions of the coding sequence, 0-based, in the order of translation."""
        positions = [p for start, end in self.exons for p in range(start, end)]
        return positions if self.strand == "+" else positions[::-1]


@dataclass(frozen=True)
class Change:
    """`start` is 0-based; `ref` and `alt` share their first base if one is longer. `de_novo`: only in the child."""

    start: int
    ref: str
    alt: str
    carried: Haplotypes
    consequence: str | None = None
    gene: str | None = None
    de_novo: bool = False


GENES = (  # name, strand, first base, exon lengths (together a multiple of 3), intron length
    ("DEMOA", "+", 6_000, (190, 260, 240), 700),
    ("DEMOB", "-", 24_000, (301, 220, 199, 180), 550),
    ("DEMOC", "+", 43_000, (400, 410), 900),
    ("DEMOD", "-", 61_000, (250, 330, 260), 640),
)

PATERNAL, MATERNAL, BOTH = (1, 0, 0, 0), (0, 0, 1, 0), (1, 0, 1, 0)
CODING_CHANGES: tuple[tuple[str, str, Haplotypes, bool], ...] = (
    ("DEMOA", "missense", (0, 0, 0, 0), True),  # what a trio is sequenced for
    ("DEMOB", "stop_gained", BOTH, False),  # recessive: the child has both copies
    ("DEMOC", "frameshift", PATERNAL, False),  # with the next: compound heterozygous
    ("DEMOC", "missense", MATERNAL, False),
    ("DEMOD", "inframe_deletion", MATERNAL, False),
    ("DEMOD", "missense", (0, 1, 0, 0), False),
    ("DEMOD", "synonymous", (1, 1, 1, 0), False),
    ("DEMOB", "synonymous", (1, 0, 1, 1), False),
    ("DEMOA", "synonymous", MATERNAL, False),
)
NON_CODING_CHANGES = 51
NON_CODING_INDELS = 17


def make_genome(rng: np.random.Generator) -> tuple[str, tuple[Gene, ...]]:
    """The contig's sequence and the genes on it, from left to right."""
    contig = [BASES[i] for i in rng.choice(4, size=LENGTH, p=(0.29, 0.21, 0.21, 0.29))]
    genes = tuple(_place(*gene) for gene in GENES)
    for gene in genes:
        _write_gene(contig, gene, rng)
    return "".join(contig), genes


def _place(name: str, strand: str, first: int, lengths: Sequence[int], intron: int) -> Gene:
    exons, start = [], first
    for length in lengths:
        exons.append((start, start + length))
        start += length + intron
    return Gene(name, strand, tuple(exons))


def _write_gene(contig: list[str], gene: Gene, rng: np.random.Generator) -> None:
    coding = gene.coding()
    middle = rng.choice(SENSE_CODONS, size=len(coding) // 3 - 2)
    strand = gene.strand
    for position, base in zip(coding, "ATG" + "".join(middle) + "TAA", strict=True):
        contig[position] = base if strand == "+" else base.translate(COMPLEMENT)
    donor, acceptor = ("GT", "AG") if strand == "+" else ("CT", "AC")
    for (_, left), (right, _) in zip(gene.exons, gene.exons[1:], strict=False):
        contig[left : left + 2], contig[right - 2 : right] = donor, acceptor


def gff3(genes: Sequence[Gene]) -> str:
    """The genes in the dialect of Ensembl that `bcftools csq` reads."""
    lines = ["##gff-version 3", f"##sequence-region {CONTIG} 1 {LENGTH}"]
    for gene in genes:
        start, end = gene.span
        where = f"{start + 1}\t{end}\t.\t{gene.strand}\t."
        row = f"{CONTIG}\tiflow-demo"
        lines.append(f"{row}\tgene\t{where}\tID=gene:{gene.name};Name={gene.name};biotype=protein_coding")
        transcript = f"transcript:{gene.name}-1"
        lines.append(f"{row}\tmRNA\t{where}\tID={transcript};Parent=gene:{gene.name};biotype=protein_coding")
        for (left, right), phase in zip(gene.exons, _phases(gene), strict=True):
            lines.append(f"{row}\texon\t{left + 1}\t{right}\t.\t{gene.strand}\t.\tParent={transcript}")
            lines.append(f"{row}\tCDS\t{left + 1}\t{right}\t.\t{gene.strand}\t{phase}\tParent={transcript}")
    return "\n".join(lines) + "\n"


def _phases(gene: Gene) -> list[int]:
    """Bases to skip in each exon until a codon begins (GFF3 column 8), in the order of the contig."""
    ordered = gene.exons if gene.strand == "+" else gene.exons[::-1]
    phases, done = [], 0
    for start, end in ordered:
        phases.append(-done % 3)
        done += end - start
    return phases if gene.strand == "+" else phases[::-1]


def make_changes(contig: str, genes: Sequence[Gene], rng: np.random.Generator) -> list[Change]:
    """The family's variants from left to right, each at least SPACING from the next."""
    taken = np.zeros(LENGTH, dtype=bool)
    taken[:1000] = taken[-1000:] = True
    changes: list[Change] = []
    by_name = {gene.name: gene for gene in genes}
    for name, consequence, carried, de_novo in CODING_CHANGES:
        change = _coding_change(contig, by_name[name], consequence, carried, de_novo, taken, rng)
        _take(taken, change.start)
        changes.append(change)
    for gene in genes:
        for start, end in gene.exons:
            taken[start - FROM_EXON_EDGE : end + FROM_EXON_EDGE] = True
    for number in range(NON_CODING_CHANGES):
        change = _non_coding_change(contig, genes, number < NON_CODING_INDELS, taken, rng)
        _take(taken, change.start)
        changes.append(change)
    return sorted(changes, key=lambda change: change.start)


def _take(taken: np.ndarray, start: int) -> None:
    taken[max(0, start - SPACING) : start + SPACING] = True


def _coding_change(
    contig: str, gene: Gene, consequence: str, carried: Haplotypes, de_novo: bool, taken: np.ndarray,
    rng: np.random.Generator,
) -> Change:  # fmt: skip
    inside = [p for s, e in gene.exons for p in range(s + FROM_EXON_EDGE, e - FROM_EXON_EDGE)]
    for start in rng.permutation([p for p in inside if not taken[p]]).tolist():
        for ref, alt in _alleles(contig, gene, start, consequence):
            return Change(start, ref, alt, carried, consequence, gene.name, de_novo)
    raise ValueError(f"no room for a {consequence} in {gene.name}")


def _alleles(contig: str, gene: Gene, start: int, consequence: str) -> Iterator[tuple[str, str]]:
    """(ref, alt) at `start` with this consequence."""
    if consequence == "frameshift":
        return _deletions(contig, start, (1, 2))
    if consequence == "inframe_deletion":
        return _deletions(contig, start, (3,))
    return _snvs(contig, gene, start, consequence)


def _snvs(contig: str, gene: Gene, start: int, consequence: str) -> Iterator[tuple[str, str]]:
    """The substitutions at `start` that have this consequence."""
    coding = gene.coding()
    offset = coding.index(start)
    codon_positions = coding[offset - offset % 3 :][:3]
    for alt in BASES.replace(contig[start], ""):
        codon = "".join(contig[p] for p in codon_positions)
        changed = "".join(alt if p == start else contig[p] for p in codon_positions)
        if gene.strand == "-":
            codon, changed = codon.translate(COMPLEMENT), changed.translate(COMPLEMENT)
        if _consequence(codon, changed) == consequence:
            yield contig[start], alt


def _consequence(codon: str, changed: str) -> str:
    before, after = CODONS[codon], CODONS[changed]
    if before == after:
        return "synonymous"
    return "stop_gained" if after == "*" else "missense"


def _deletions(contig: str, start: int, lengths: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Left-aligned deletions after `start`: the last base deleted is not the one before the first."""
    for length in lengths:
        ref = contig[start : start + length + 1]
        if ref[-1] != ref[0]:
            yield ref, ref[0]


def _non_coding_change(
    contig: str, genes: Sequence[Gene], indel: bool, taken: np.ndarray, rng: np.random.Generator
) -> Change:
    start = int(rng.choice(np.flatnonzero(~taken)))
    gene = next((gene for gene in genes if gene.span[0] <= start < gene.span[1]), None)
    ref, alt = _indel(contig, start, rng) if indel else _substitution(contig, start, rng)
    carried = (0, 0, 0, 0)
    while not any(carried):
        first, second, third, fourth = (rng.random(4) < 0.35).astype(int).tolist()
        carried = (first, second, third, fourth)
    return Change(start, ref, alt, carried, "intron" if gene else None, gene.name if gene else None)


def _substitution(contig: str, start: int, rng: np.random.Generator) -> tuple[str, str]:
    """A transition twice as often as a transversion, as in a real genome."""
    base = contig[start]
    transversions = [other for other in BASES if other not in (base, TRANSITIONS[base])]
    return base, TRANSITIONS[base] if rng.random() < 2 / 3 else str(rng.choice(transversions))


def _indel(contig: str, start: int, rng: np.random.Generator) -> tuple[str, str]:
    """A left-aligned deletion or insertion of 1 to 8 bases after `start`."""
    length = int(rng.integers(1, 9))
    if rng.random() < 0.5:
        for deletion in _deletions(contig, start, (length, *range(1, 9))):
            return deletion
    inserted = "".join(rng.choice(list(BASES), size=length - 1))
    last = str(rng.choice(list(BASES.replace(contig[start], ""))))
    return contig[start], contig[start] + inserted + last
