"""germline-calls: aligned reads of one or more samples to one joint, filtered, normalised and indexed VCF.

Inputs: `alignments`, a list of {path} of BAM or CRAM files with their indexes, one sample each; `reference`, a FASTA
with .fai; optional `genes` (GFF3 in Ensembl's dialect, for consequences), `ploidy` and `region`.
Steps: samtools quickcheck, bcftools mpileup, call, norm, filter, csq. Each sample gets a quality report.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pysam

from infra.pipelines.runnable import (
    TOOL_VERSIONS,
    PipelineError,
    Run,
    bcftools,
    printed_by,
    run_pipeline,
    say,
)
from infra.pipelines.vcf_text import Text, arrange, count_records, index, opened
from shared.domain.files import file_stem

OUTPUT = "calls.vcf.gz"
MIN_MAPPING_QUALITY = 20
MIN_BASE_QUALITY = 13
MAX_DEPTH = 1000
"""Reads of one sample looked at in one place; more do not make a germline call better."""

LOW_QUALITY = "QUAL<20"
"""What gets the filter LowQual; everything else is PASS."""


@dataclass(frozen=True)
class Alignment:
    """A BAM or CRAM of one sample; `path` as in the inputs."""

    path: str
    sample: str


def call_variants(run: Run) -> None:
    """Raises PipelineError, and leaves no VCF, when inputs do not belong together or a step does not add up."""
    # The tools write the names they are given into headers: relative ones are the same on every machine.
    with contextlib.chdir(run.bucket), tempfile.TemporaryDirectory() as temporary:
        alignments = [_alignment(run, str(entry["path"])) for entry in run.required("alignments")]
        reference = _reference(run, alignments)
        samples = _samples(run, alignments)
        say(f"{len(alignments)} alignments of {', '.join(samples)}")
        warnings: list[str] = []
        scratch = Path(temporary)
        called = _call(run, alignments, reference, scratch, warnings)
        final = scratch / OUTPUT
        text = arrange(_annotate(run, called, reference, scratch, warnings), final, scratch)
        _check(text, samples, final)
        _publish_vcf(run, final, text)
        _report(run, alignments, reference, final, warnings)


def _local(path: str) -> str:
    """Relative to the bucket, and never to be taken for an option."""
    return f"./{path}"


def _alignment(run: Run, path: str) -> Alignment:
    run.file(path)
    try:
        printed_by("samtools", "quickcheck", "-v", _local(path))
        with pysam.AlignmentFile(_local(path), check_sq=False) as file:
            groups = file.header.to_dict().get("RG", [])
    except (PipelineError, OSError, ValueError):
        raise PipelineError(f"{path} is no whole BAM or CRAM file; it may be truncated") from None
    names = sorted({group["SM"] for group in groups if "SM" in group})
    if len(names) != 1:
        raise PipelineError(f"{path} must name one sample in its @RG lines (SM); it names {', '.join(names) or 'none'}")
    return Alignment(path, names[0])


def _reference(run: Run, alignments: Iterable[Alignment]) -> str:
    """The reference's path, once it is sure that the reads were aligned to it."""
    reference = str(run.required("reference"))
    run.file(reference)
    rows = [line.split("\t") for line in run.file(f"{reference}.fai").read_text().splitlines()]
    known = {row[0]: int(row[1]) for row in rows}
    for alignment in alignments:
        with pysam.AlignmentFile(_local(alignment.path), check_sq=False) as file:
            contigs = dict(zip(file.references, file.lengths, strict=True))
        for contig, length in contigs.items():
            if known.get(contig) != length:
                has = f"has it with {known[contig]}" if contig in known else "does not have it"
                raise PipelineError(
                    f"{alignment.path} was aligned to another reference: contig {contig} has {length} bases there, "
                    f"and {reference} {has}"
                )
    return reference


def _samples(run: Run, alignments: Iterable[Alignment]) -> list[str]:
    """The samples' names in the order of the alignments; they must be those of the request, if it names any."""
    present = list(dict.fromkeys(alignment.sample for alignment in alignments))
    requested = [sample["name"] for sample in run.samples]
    if requested and set(requested) != set(present):
        raise PipelineError(
            f"the request names the samples {', '.join(sorted(requested))}, "
            f"but the alignments hold {', '.join(sorted(present))}"
        )
    return present


def _call(
    run: Run, alignments: Sequence[Alignment], reference: str, scratch: Path, warnings: list[str]
) -> Path:
    piled, called = scratch / "piled.bcf", scratch / "called.bcf"
    region = ["--regions", str(run.inputs["region"])] if "region" in run.inputs else []
    say("bcftools mpileup")
    bcftools(
        "mpileup", "--no-version", "-Ou", "-o", piled, "--fasta-ref", _local(reference), *region,
        "--annotate", "FORMAT/AD,FORMAT/DP", "--min-MQ", str(MIN_MAPPING_QUALITY),
        "--min-BQ", str(MIN_BASE_QUALITY), "--max-depth", str(MAX_DEPTH),
        *(_local(alignment.path) for alignment in alignments),
    )  # fmt: skip
    say("bcftools call")
    bcftools(
        "call", "--no-version", "-Ou", "-o", called, "--multiallelic-caller", "--variants-only",
        "--annotate", "FORMAT/GQ", *_ploidy(run, scratch, warnings), piled,
    )  # fmt: skip
    piled.unlink()
    return called


def _ploidy(run: Run, scratch: Path, warnings: list[str]) -> list[str]:
    """Options for X and Y. Without an assembly's name every contig counts as an autosome."""
    if (assembly := run.inputs.get("ploidy", "diploid")) == "diploid":
        return []
    if not run.samples:
        raise PipelineError(f"ploidy {assembly} needs the samples and their sex in the request")
    rows = []
    for sample in run.samples:
        if sample.get("sex") not in ("male", "female"):
            warnings.append(f"the sex of {sample['name']} is not known; X was called with two copies")
        rows.append(f"{sample['name']}\t{'M' if sample.get('sex') == 'male' else 'F'}\n")
    sexes = scratch / "sexes.txt"
    sexes.write_text("".join(rows))
    return ["--ploidy", str(assembly), "--samples-file", str(sexes)]


def _annotate(run: Run, called: Path, reference: str, scratch: Path, warnings: list[str]) -> Path:
    """Left-aligned, filtered and, with genes, with consequences (INFO/BCSQ)."""
    normed, filtered, consequences = (scratch / name for name in ("normed.bcf", "filtered.vcf", "csq.vcf"))
    say("bcftools norm, filter")
    bcftools("norm", "--no-version", "-Ou", "-o", normed, "--fasta-ref", _local(reference), called)
    bcftools(
        "filter", "--no-version", "-Ov", "-o", filtered, "--soft-filter", "LowQual", "--exclude", LOW_QUALITY, normed
    )
    if "genes" not in run.inputs:
        return filtered
    genes = str(run.inputs["genes"])
    run.file(genes)
    say("bcftools csq")
    # Each record by itself (--local-csq): genotypes are not phased, and a made-up phase would join variants.
    bcftools(
        "csq", "--no-version", "-Ov", "-o", consequences, "--local-csq", "--fasta-ref", _local(reference),
        "--gff-annot", _local(genes), filtered,
    )  # fmt: skip
    with opened(consequences) as lines:
        annotated = any(b"BCSQ=" in line for line in lines)
    if not annotated:
        warnings.append(f"no variant lies in a gene of {genes}; do its contigs have the names of the reference?")
    return consequences


def _check(text: Text, samples: Sequence[str], final: Path) -> None:
    if set(text.samples) != set(samples):
        raise PipelineError(f"the VCF has the samples {', '.join(text.samples)} instead of {', '.join(samples)}")
    if (written := count_records(final)) != text.records:
        raise PipelineError(f"{text.records} records were written, but {written} can be read back")


def _publish_vcf(run: Run, final: Path, text: Text) -> None:
    made = final.with_name("index")
    suffix = index(final, made, text)
    run.publish({f"{OUTPUT}{suffix}": made, OUTPUT: final}, instead_of=[f"{OUTPUT}.tbi", f"{OUTPUT}.csi"])


def _report(
    run: Run, alignments: Sequence[Alignment], reference: str, vcf: Path, warnings: list[str]
) -> None:
    """qc/{sample}.json for each sample, and metrics.json over all."""
    stats = _stats(vcf)
    samples = {}
    for name in dict.fromkeys(alignment.sample for alignment in alignments):
        paths = [_local(alignment.path) for alignment in alignments if alignment.sample == name]
        samples[name] = _read_metrics(paths, reference) | stats.samples.get(name, {})
        run.write_json(f"qc/{file_stem(name)}.json", {"sample": name} | samples[name])
    run.write_metrics(
        {
            "pipeline": "germline-calls",
            "tools": TOOL_VERSIONS,
            "reference": reference,
            "variants": stats.totals,
            "samples": samples,
            "warnings": warnings,
        }
    )


def _read_metrics(paths: Sequence[str], reference: str) -> dict[str, Any]:
    """Counts of reads, and depth over all contigs (reads that are duplicates, secondary or failed left out)."""
    flags = [json.loads(printed_by("samtools", "flagstat", "-O", "json", path))["QC-passed reads"] for path in paths]
    table = printed_by("samtools", "coverage", "--no-header", "--reference", _local(reference), *paths)
    rows = [line.split("\t") for line in table.splitlines()]
    bases = sum(int(row[2]) for row in rows)
    reads = sum(flag["primary"] for flag in flags)
    return {
        "reads": reads,
        "mapped_fraction": _fraction(sum(flag["primary mapped"] for flag in flags), reads),
        "duplicate_fraction": _fraction(sum(flag["primary duplicates"] for flag in flags), reads),
        "mean_depth": _fraction(sum(float(row[6]) * int(row[2]) for row in rows), bases, digits=2),
        "covered_fraction": _fraction(sum(int(row[4]) for row in rows), bases),
    }


def _fraction(part: float, whole: float, digits: int = 4) -> float | None:
    return round(part / whole, digits) if whole else None


@dataclass(frozen=True)
class Stats:
    """Counts over the records that passed: all together, and per sample."""

    totals: Mapping[str, Any]
    samples: Mapping[str, dict[str, Any]]


def _stats(vcf: Path) -> Stats:
    """From the lines SN, TSTV and PSC of `bcftools stats` (their columns stand in comments of its output)."""
    printed = printed_by("bcftools", "stats", "--apply-filters", "PASS", "--samples", "-", vcf)
    rows = [line.split("\t") for line in printed.splitlines() if not line.startswith("#")]
    numbers = {row[2].removeprefix("number of ").rstrip(":"): int(row[3]) for row in rows if row[0] == "SN"}
    ti_tv = next((float(row[4]) for row in rows if row[0] == "TSTV"), None)
    totals = {"records": count_records(vcf), "passed": numbers["records"], "snvs": numbers["SNPs"],
              "indels": numbers["indels"], "multiallelic": numbers["multiallelic sites"], "ti_tv": ti_tv}  # fmt: skip
    return Stats(totals, {row[2]: _sample_counts(row) for row in rows if row[0] == "PSC"})


def _sample_counts(row: Sequence[str]) -> dict[str, Any]:
    return {
        "hom_alt_snvs": int(row[4]),
        "het_snvs": int(row[5]),
        "transitions": int(row[6]),
        "transversions": int(row[7]),
        "indels": int(row[8]),
        "mean_depth_at_variants": float(row[9]),
        "missing": int(row[13]),
    }


if __name__ == "__main__":
    run_pipeline(call_variants)
