"""What a job that ended left behind: its outputs, the metrics that the pipeline wrote, and its logs.

Nothing here may change a status but a required output that is missing: logs and metrics that cannot be read are
noted and passed over (C21, C34).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from shared.domain.analysis import HEAD_OF_OUTPUTS, Analysis
from shared.domain.errors import NotFound, Unavailable
from shared.domain.job import JobSeen, JobState
from shared.domain.json_text import read_json
from shared.domain.outputs import Collected, classify
from shared.domain.part import shorten
from shared.domain.pipeline import Pipeline
from shared.logs import why
from shared.ports import Ports

LARGEST_METRICS_BYTES = 50_000
"""Of a pipeline's metrics.json kept in the document; a larger one stays a file among the outputs."""

LOG_BYTES = 10_000_000
"""The last part of each task's log that is kept with the outputs, where people without a cloud role can read it."""

LOGS_OF_TASKS = 20

log = logging.getLogger(__name__)


def collect(ports: Ports, analysis: Analysis, job: JobSeen) -> Collected:
    last_line = _keep_logs(ports, analysis, job)
    declared = Pipeline.model_validate(analysis.pipeline.definition).outputs
    names = [sample.name for sample in analysis.samples]
    files = ports.objects.list(analysis.bucket, analysis.folder)
    outputs, missing = classify(declared, names, analysis.folder, files)
    path = None
    if len(outputs) > HEAD_OF_OUTPUTS:
        path = f"cache/outputs/{analysis.id}.json"
        whole = [output.model_dump(mode="json") for output in outputs]
        ports.objects.write(analysis.bucket, path, json.dumps(whole).encode())
    metrics, note = _metrics(ports, analysis)
    return Collected(
        outputs=tuple(outputs[:HEAD_OF_OUTPUTS]), total=len(outputs), path=path,
        missing=tuple(missing) if job.state is JobState.SUCCEEDED else (),
        metrics=metrics, metrics_note=note, last_log_line=last_line,
    )


def _keep_logs(ports: Ports, analysis: Analysis, job: JobSeen) -> str | None:
    """Copies each task's log beside the outputs; the last line of the first task that has one."""
    last_line = None
    for task in job.tasks[:LOGS_OF_TASKS]:
        try:
            tail = ports.logs.tail(job.uid, task.index, max_bytes=LOG_BYTES).text
            if tail:
                ports.objects.write(analysis.bucket, f"{analysis.folder}logs/task-{task.index}.txt", tail)
        except Unavailable as error:
            log.warning("log not kept", extra={"analysis_id": analysis.id, "reason": why(error)})
            return last_line
        lines = tail.decode(errors="replace").strip().splitlines()
        last_line = last_line or (shorten(lines[-1], 300) if lines else None)
    return last_line


def _metrics(ports: Ports, analysis: Analysis) -> tuple[Mapping[str, Any] | None, str | None]:
    path = f"{analysis.folder}metrics.json"
    try:
        data = ports.objects.read(analysis.bucket, path, length=LARGEST_METRICS_BYTES + 1)
    except NotFound:
        return None, None
    if len(data) > LARGEST_METRICS_BYTES:
        return None, f"{path} is larger than {LARGEST_METRICS_BYTES:,} bytes; read it among the outputs"
    try:
        found = read_json(data)
    except ValueError as error:
        return None, f"{path} could not be read: {error}"
    if not isinstance(found, dict):
        return None, f"{path} could not be read: it is a JSON {type(found).__name__}, an object is wanted"
    return found, None
