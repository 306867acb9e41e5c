"""What a simulated trio really carries, and how much of it a run found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pysam


@dataclass(frozen=True)
class TrueVariant:
    """`position` is 1-based; `ref` and `alt` are left-aligned and parsimonious, as in a normalised VCF.

    `genotypes`: sample -> `0/0`, `0/1` or `1/1`. `inherited`: `father`, `mother`, `both`, `de_novo`, or
    `not_transmitted` when the child does not carry it. `consequence` is in the words of `bcftools csq`, None
    between genes.
    """

    contig: str
    position: int
    ref: str
    alt: str
    genotypes: Mapping[str, str]
    inherited: str
    consequence: str | None
    gene: str | None

    @property
    def key(self) -> str:
        return f"{self.contig}:{self.position}:{self.ref}:{self.alt}"


@dataclass(frozen=True)
class Truth:
    """`samples` as a submit request names them; `inputs` of germline-calls, relative to the folder written."""

    seed: int
    samples: Sequence[Mapping[str, str]]
    inputs: Mapping[str, Any]
    variants: Sequence[TrueVariant]

    def write(self, path: Path) -> None:
        """One JSON object; each variant with its `key` added."""
        data = asdict(self)
        data["variants"] = [{"key": variant.key} | asdict(variant) for variant in self.variants]
        path.write_text(json.dumps(data, indent=1) + "\n")


@dataclass(frozen=True)
class Found:
    """Keys `contig:position:ref:alt`, in the truth's and in the VCF's order.

    `wrong_genotype` is the part of `found` in which the genotype of one of the samples is not the true one.
    """

    found: tuple[str, ...]
    missed: tuple[str, ...]
    extra: tuple[str, ...]
    wrong_genotype: tuple[str, ...]


def compare(truth: Truth, vcf_path: Path) -> Found:
    """The calls of a normalised VCF that passed its filters against the truth. OSError if it cannot be read."""
    called = _called(vcf_path)
    true = {variant.key: variant for variant in truth.variants}
    found = tuple(key for key in true if key in called)
    return Found(
        found=found,
        missed=tuple(key for key in true if key not in called),
        extra=tuple(key for key in called if key not in true),
        wrong_genotype=tuple(key for key in found if called[key] != true[key].genotypes),
    )


def _called(vcf_path: Path) -> dict[str, dict[str, str]]:
    """Key -> sample -> unphased genotype with other alternates as 0; only alleles that some sample carries."""
    calls: dict[str, dict[str, str]] = {}
    pysam.set_verbosity(0)  # htslib's remarks on a header are not for whoever reads the comparison
    with pysam.VariantFile(str(vcf_path)) as vcf:
        for record in vcf:
            if set(record.filter.keys()) - {"PASS"}:
                continue
            for number, alt in enumerate(record.alts or (), start=1):
                genotypes = {s.name: _genotype(s.allele_indices, number) for s in record.samples.values()}
                if any("1" in genotype for genotype in genotypes.values()):
                    calls[f"{record.contig}:{record.pos}:{record.ref}:{alt}"] = genotypes
    return calls


def _genotype(alleles: Sequence[int | None] | None, number: int) -> str:
    return "/".join(sorted("." if a is None else str(int(a == number)) for a in alleles or (None, None)))
