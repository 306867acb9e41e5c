"""What differs between two runs: how they were made, what went in, what came out, and the variants, where both have
theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.miner.caches import CACHES, of_analysis
from services.miner.pages.leaves import Difference, differences
from services.miner.problems import Refusal
from shared.domain.analysis import Analysis
from shared.domain.pipeline import Pipeline, definition_digest
from shared.ports import Ports
from shared.steps.inputs import whole_inputs
from shared.steps.outputs import some_outputs
from shared.variants.run_diff import RunDiff, TooMany, run_diff

MOST_OUTPUTS = 2_000
LARGEST_INPUTS_BYTES = 1_000_000


@dataclass(frozen=True)
class Part:
    """One section of the comparison; without differences it is said that there are none."""

    title: str
    differences: list[Difference]
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """`variants` None: `why_no_variants` says why they are not compared."""

    parts: list[Part]
    variants: RunDiff | None
    why_no_variants: str


def compare(ports: Ports, before: Analysis, after: Analysis) -> Comparison:
    variants, why = _variants(ports, before, after)
    return Comparison([
        Part("Pipeline", differences(_pipeline(before), _pipeline(after))),
        Part("Inputs", differences(_inputs(ports, before), _inputs(ports, after))),
        Part("Samples", differences(_samples(before), _samples(after))),
        _outputs(ports, before, after),
        Part("Metrics", differences(_metrics(before), _metrics(after))),
    ], variants, why)


def digest_of(analysis: Analysis) -> str:
    """Of the definition that was run."""
    return definition_digest(Pipeline.model_validate(analysis.pipeline.definition))


def _pipeline(analysis: Analysis) -> dict[str, Any]:
    return {"pipeline": analysis.pipeline.slug, "version": analysis.pipeline.version, "digest": digest_of(analysis),
            **{name: value for name, value in analysis.pipeline.definition.items()
               if name in ("runnables", "resources", "retries", "max_run_seconds", "task_count", "parallelism")}}


def _inputs(ports: Ports, analysis: Analysis) -> Any:
    """With the generation of each file, so that one which was replaced under its name is another."""
    whole = analysis.inputs_size <= LARGEST_INPUTS_BYTES
    files = {file.path: file.generation for file in analysis.input_files}
    return {**(whole_inputs(ports, analysis) if whole else analysis.inputs), "version of file": files}


def _samples(analysis: Analysis) -> dict[str, str]:
    return {sample.name: f"{sample.role}, sex {sample.sex}" for sample in analysis.samples}


def _outputs(ports: Ports, before: Analysis, after: Analysis) -> Part:
    seen = [{output.path.removeprefix(each.folder): f"{output.size:,} bytes, crc32c {output.crc32c or 'unknown'}"
             for output in some_outputs(ports, each, 0, min(each.outputs_total, MOST_OUTPUTS))}
            for each in (before, after)]
    cut = max(before.outputs_total, after.outputs_total) > MOST_OUTPUTS
    names = sorted(seen[0].keys() | seen[1].keys())
    found = [Difference(name, seen[0].get(name), seen[1].get(name)) for name in names
             if seen[0].get(name) != seen[1].get(name)]
    return Part("Outputs", found, f"The first {MOST_OUTPUTS:,} files of each." if cut else "")


def _metrics(analysis: Analysis) -> dict[str, Any]:
    return {**analysis.metrics.pipeline, "variant rows": analysis.ingest.rows}


def _variants(ports: Ports, before: Analysis, after: Analysis) -> tuple[RunDiff | None, str]:
    try:
        old, new = (CACHES.queries(ports, of_analysis(each)).index for each in (before, after))
    except Refusal as refusal:
        return None, str(refusal)
    try:
        return run_diff(old, new), ""
    except TooMany as error:
        return None, str(error)
