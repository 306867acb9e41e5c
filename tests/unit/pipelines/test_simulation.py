"""The simulated trio: the same for a seed, sound as a genome, and compared as an allele is."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pysam
import pytest

from infra.pipelines.simulate_genome import CODONS, COMPLEMENT, LENGTH, SPACING, make_changes, make_genome
from infra.pipelines.simulate_reads import GENES, REFERENCE, TRUTH, simulate
from infra.pipelines.truth import Found, TrueVariant, Truth, compare


def test_the_same_seed_gives_the_same_files_and_another_seed_others(tmp_path: Path) -> None:
    truths = [simulate(seed, tmp_path / str(n)) for n, seed in enumerate((5, 5, 6))]
    paths = [REFERENCE, GENES, TRUTH, *(entry["path"] for entry in truths[0].inputs["alignments"])]
    first, second, other = ([(tmp_path / str(n) / path).read_bytes() for path in paths] for n in range(3))
    assert truths[0] == truths[1] != truths[2]
    assert first == second != other
    told = json.loads((tmp_path / "0" / TRUTH).read_text())
    assert [variant["key"] for variant in told["variants"]] == [variant.key for variant in truths[0].variants]


@pytest.mark.parametrize("seed", range(8))
def test_every_seed_gives_sound_genes_and_left_aligned_variants_far_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    contig, genes = make_genome(rng)
    changes = make_changes(contig, genes, rng)
    assert len(contig) == LENGTH
    for gene in genes:
        coding = "".join(contig[position] for position in gene.coding())
        coding = coding if gene.strand == "+" else coding.translate(COMPLEMENT)
        protein = "".join(CODONS[coding[at : at + 3]] for at in range(0, len(coding), 3))
        assert (protein[0], protein.index("*")) == ("M", len(protein) - 1)
    assert all(after.start - before.start >= SPACING for before, after in pairwise(changes))
    for change in changes:
        assert contig.startswith(change.ref, change.start)
        assert change.ref[-1] != change.alt[-1]
        assert min(len(change.ref), len(change.alt)) == 1
    assert [change.consequence for change in changes if change.de_novo] == ["missense"]
    assert {"stop_gained", "frameshift", "inframe_deletion", "synonymous"} <= {c.consequence for c in changes}


def test_a_vcf_is_compared_allele_by_allele_and_only_what_passed(tmp_path: Path) -> None:
    vcf = tmp_path / "calls.vcf"
    vcf.write_text(
        "##fileformat=VCFv4.3\n##contig=<ID=c>\n##FILTER=<ID=LowQual,Description=x>\n"
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\tS2\n"
        "c\t10\t.\tA\tC,G\t50\tPASS\t.\tGT\t0/1\t1|2\n"
        "c\t20\t.\tA\tC\t50\tPASS\t.\tGT\t0/1\t0/0\n"
        "c\t30\t.\tA\tC\t50\tLowQual\t.\tGT\t0/1\t0/0\n"
        "c\t40\t.\tA\tC\t50\tPASS\t.\tGT\t./.\t0/0\n"
    )

    def true(position: int, alt: str, first: str, second: str) -> TrueVariant:
        return TrueVariant("c", position, "A", alt, {"S1": first, "S2": second}, "father", None, None)

    variants = [true(10, "C", "0/1", "0/1"), true(20, "C", "1/1", "0/0"), true(30, "C", "0/1", "0/0")]
    assert compare(Truth(0, [], {}, variants), vcf) == Found(
        found=("c:10:A:C", "c:20:A:C"), missed=("c:30:A:C",), extra=("c:10:A:G",), wrong_genotype=("c:20:A:C",)
    )


def test_reads_are_whole_pairs_of_their_sample(tmp_path: Path) -> None:
    truth = simulate(1, tmp_path)
    for sample, entry in zip(truth.samples, truth.inputs["alignments"], strict=True):
        with pysam.AlignmentFile(str(tmp_path / entry["path"])) as bam:
            reads = list(bam)
            assert bam.header.to_dict()["RG"][0]["SM"] == sample["name"]
        assert len(reads) == 16_000
        assert all(read.query_length == read.infer_query_length() == 150 for read in reads)
        assert all(read.is_proper_pair and read.is_reverse != read.mate_is_reverse for read in reads)
