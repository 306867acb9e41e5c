"""vcf-normalize: one VCF, checked to its last byte, then left-aligned (with a reference), sorted, indexed.

Inputs: `vcf`, a bucket path (VCF as text, gzip or BGZF, or BCF); optional `reference` (FASTA with .fai) and
`split_multiallelics`. Without a reference nothing can be left-aligned: then each record stays as it is written,
byte by byte. No record is ever dropped: the records out are counted against the records in.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from infra.pipelines.runnable import TOOL_VERSIONS, PipelineError, Run, bcftools, run_pipeline, say
from infra.pipelines.vcf_declare import declare
from infra.pipelines.vcf_text import Text, arrange, count_bcf_records, count_records, index, is_bcf

OUTPUT = "normalized.vcf.gz"
NOT_ALIGNED = "no reference was given, so indels are not left-aligned"


@dataclass
class Report:
    """What was done, for report.txt and metrics.json. `realigned` is None when nothing could be left-aligned."""

    vcf: str
    reference: str | None
    before: Text
    after: Text
    realigned: int | None = None
    notes: list[str] = field(default_factory=list)

    def metrics(self) -> dict[str, object]:
        return {
            "pipeline": "vcf-normalize",
            "tools": TOOL_VERSIONS,
            "records_in": self.before.records,
            "records_out": self.after.records,
            "alternates_in": self.before.alleles,
            "alternates_out": self.after.alleles,
            "samples": self.before.samples,
            "left_aligned": self.reference is not None,
            "records_realigned": self.realigned,
            "was_sorted": self.before.was_sorted,
            "notes": self.notes,
        }

    def text(self) -> str:
        """A page for people."""
        lines = [
            f"input           {self.vcf}",
            f"reference       {self.reference or 'none'}",
            f"samples         {len(self.before.samples)}",
            f"records         {self.before.records} read, {self.after.records} written",
            f"alternates      {self.before.alleles} read, {self.after.alleles} written",
            f"realigned       {'not possible' if self.realigned is None else self.realigned}",
            f"input sorted    {'yes' if self.before.was_sorted else 'no, it is now'}",
            *(f"note            {note}" for note in self.notes),
        ]
        return "\n".join(lines) + "\n"


def normalize(run: Run) -> None:
    """Raises PipelineError, and leaves no output, when the input is not whole or the result does not add up."""
    vcf, reference = str(run.required("vcf")), run.inputs.get("reference")
    split = bool(run.inputs.get("split_multiallelics", False))
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary)
        clean = scratch / "clean.vcf.gz"
        before = arrange(_as_text(run.file(vcf), scratch), clean, scratch)
        say(f"{vcf}: {before.records} records of {len(before.samples)} samples are whole")
        after, result, realigned = before, clean, None
        notes = [*before.remarks, "" if reference else NOT_ALIGNED]
        if reference is not None or split:
            declared, normed = scratch / "declared.vcf.gz", scratch / "normed.vcf.gz"
            notes.append(declare(clean, declared))
            realigned = _norm(run, declared, normed, reference, split)
            result = scratch / "result.vcf.gz"
            after = arrange(normed, result, scratch)
        report = Report(vcf, reference, before, after, realigned, [note for note in notes if note])
        _check_counts(before, after, result, split)
        _publish(run, result, report)
    say(report.text())


def _as_text(source: Path, scratch: Path) -> Path:
    """`source`, or for BCF its translation, with its records counted before and after."""
    if not is_bcf(source):
        return source
    translated = scratch / "translated.vcf"
    records = count_bcf_records(source)
    bcftools("view", "--no-version", "-Ov", "-o", translated, source)
    if (written := count_records(translated)) != records:
        raise PipelineError(f"{source.name} holds {records} records, but bcftools read {written} of them")
    return translated


def _norm(run: Run, source: Path, target: Path, reference: str | None, split: bool) -> int | None:
    """Returns how many records were moved or trimmed, None without a reference."""
    options: list[str | Path] = ["--no-version", "-Oz", "-o", target]
    if reference is not None:
        run.file(f"{reference}.fai")
        options += ["--fasta-ref", run.file(reference), "--check-ref", "e"]
    if split:
        options += ["--multiallelics", "-any"]
    messages = bcftools("norm", *options, source)
    if reference is None:
        return None
    return _realigned(messages)


def _realigned(messages: list[str]) -> int:
    """The count in `Lines   total/split/joined/realigned/...:  10/0/0/2/...`, which bcftools norm ends with."""
    for line in messages:
        if found := re.search(r"Lines\s+(total/\S+):\s*(\S+)", line):
            counts: dict[str, int] = dict(zip(found[1].split("/"), map(int, found[2].split("/")), strict=True))
            return counts["realigned"]
    raise PipelineError("bcftools norm did not say how many records it realigned, so it may not have ended")


def _check_counts(before: Text, after: Text, result: Path, split: bool) -> None:
    wanted = before.split_records if split else before.records
    if after.records != wanted or after.alleles != before.alleles:
        raise PipelineError(
            f"{wanted} records with {before.alleles} alternates were expected after normalisation, "
            f"but there are {after.records} with {after.alleles}"
        )
    if (written := count_records(result)) != after.records:
        raise PipelineError(f"{after.records} records were written, but {written} can be read back")


def _publish(run: Run, result: Path, report: Report) -> None:
    made = result.with_name("index")
    suffix = index(result, made, report.after)
    run.publish({f"{OUTPUT}{suffix}": made, OUTPUT: result}, instead_of=[f"{OUTPUT}.tbi", f"{OUTPUT}.csi"])
    run.write_text("report.txt", report.text())
    run.write_metrics(report.metrics())


if __name__ == "__main__":
    run_pipeline(normalize)
