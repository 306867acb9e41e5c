"""From an accepted request to its document and its Batch job: pure, so that REST and the function do the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.domain import paths
from shared.domain.analysis import (
    HEAD_OF_INPUT_FILES,
    LARGEST_INPUTS_BYTES,
    Analysis,
    InputFile,
    Job,
    PipelineRun,
    Status,
)
from shared.domain.job import JobSpec, Runnable
from shared.domain.lifecycle import entered
from shared.domain.pipeline import Pipeline
from shared.domain.project import Project
from shared.domain.request import Sample, SubmitRequest

MOUNT = "/mnt/disks/project"
"""Where a task finds the project bucket as a folder."""

FIRST_DETAIL = "Accepted; the job is about to be handed to Batch."


@dataclass(frozen=True)
class InputsFile:
    """What is written into the bucket of inputs too large for the document: `{"inputs", "input_files"}`, whole."""

    path: str
    content: bytes


def inputs_file(request: SubmitRequest, files: tuple[InputFile, ...]) -> InputsFile | None:
    """None when the document holds them. Named by its content, so that no other request can take its place."""
    if _size(request.inputs) <= LARGEST_INPUTS_BYTES and len(files) <= HEAD_OF_INPUT_FILES:
        return None
    content = _json({"inputs": request.inputs, "input_files": [file.model_dump(mode="json") for file in files]})
    digest = hashlib.sha256(content).hexdigest()[:16]
    return InputsFile(f"cache/inputs/{request.analysis_id}-{digest}.json", content)


def new_analysis(
    request: SubmitRequest, project: Project, pipeline: Pipeline, input_files: tuple[InputFile, ...],
    now: datetime, *, source: str, rerun_of: str | None = None,
) -> Analysis:
    """The document as it is first committed: `queued`, with its first history entry and event.

    Where there is an `inputs_file`, it must lie in the bucket before that.
    """
    identity = request.analysis_id
    elsewhere = inputs_file(request, input_files)
    accepted = Analysis(
        id=identity, project=project.id, display_id=request.display_id, slug=request.slug, bucket=project.bucket,
        request_id=request.request_id, request_digest=request.digest(),
        status=Status.QUEUED, status_detail=FIRST_DETAIL,
        pipeline=PipelineRun(
            slug=pipeline.slug, version=pipeline.version, definition=pipeline.model_dump(mode="json")
        ),
        inputs=_head(request.inputs) if elsewhere else request.inputs, inputs_size=_size(request.inputs),
        inputs_path=elsewhere.path if elsewhere else None,
        input_files=input_files[:HEAD_OF_INPUT_FILES], input_files_total=len(input_files),
        origin=request.origin, samples=request.samples, order_id=request.order_id, rerun_of=rerun_of,
        callback_url=request.callback_url,
        job=Job(
            name=f"{project.batch_parent}/jobs/{paths.job_id(identity)}", region=project.region,
            service_account=project.service_account,
        ),
        created_at=now, created_by=request.requested_by, updated_at=now,
    )
    reason = f"Rerun of {rerun_of}." if rerun_of else "Requested."
    return entered(accepted, Status.QUEUED, now, by=request.requested_by, source=source, reason=reason)


def _head(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """In their order, those that fit: a long list of files is passed over, the settings beside it stay."""
    head: dict[str, Any] = {}
    left = LARGEST_INPUTS_BYTES
    for name, value in inputs.items():
        if (size := _size({name: value})) <= left:
            head[name] = value
            left -= size
    return head


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _size(value: Any) -> int:
    return len(_json(value))


def rerun_request(
    analysis: Analysis, inputs: Mapping[str, Any], *, request_id: str, display_id: str, by: str,
    version: str | None = None, samples: tuple[Sample, ...] | None = None,
) -> SubmitRequest:
    """The old samples under a new id, with the version that was run and not the newest (C06), unless others are given.
    `inputs` are whole."""
    return SubmitRequest(
        request_id=request_id, project=analysis.project, display_id=display_id,
        pipeline=analysis.pipeline.slug, version=version or analysis.pipeline.version, inputs=dict(inputs),
        samples=analysis.samples if samples is None else samples, origin=analysis.origin,
        order_id=analysis.order_id, requested_by=by, callback_url=analysis.callback_url,
    )


def job_files(analysis: Analysis, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What a task reads about its analysis, by path in the bucket: never spliced into a command. `inputs` are whole."""
    return {
        f"{analysis.folder}request/inputs.json": dict(inputs),
        f"{analysis.folder}request/samples.json": [sample.model_dump(mode="json") for sample in analysis.samples],
    }


def job_spec(analysis: Analysis, notify_topic: str) -> JobSpec:
    """The Batch job of an analysis. Its id is derived from the analysis id, so CreateJob may be repeated."""
    pipeline = Pipeline.model_validate(analysis.pipeline.definition)
    folder = f"{MOUNT}/{analysis.folder}"
    return JobSpec(
        parent=analysis.job.name.partition("/jobs/")[0],
        job_id=paths.job_id(analysis.id),
        runnables=tuple(Runnable(r.image, r.command, r.environment) for r in pipeline.runnables),
        environment={
            "IFLOW_ANALYSIS_ID": analysis.id,
            "IFLOW_PROJECT": analysis.project,
            "IFLOW_BUCKET_DIR": MOUNT,
            "IFLOW_OUTPUT_DIR": folder.rstrip("/"),
            "IFLOW_INPUTS": f"{folder}request/inputs.json",
            "IFLOW_SAMPLES": f"{folder}request/samples.json",
        },
        bucket=analysis.bucket,
        mount_path=MOUNT,
        machine_type=pipeline.resources.machine_type,
        cpu_milli=pipeline.resources.cpu_milli,
        memory_mib=pipeline.resources.memory_mib,
        boot_disk_mib=pipeline.resources.boot_disk_mib,
        spot=pipeline.resources.spot,
        task_count=pipeline.task_count,
        parallelism=pipeline.parallelism,
        max_retries=pipeline.retries.max,
        retry_exit_codes=pipeline.retries.on_exit_codes,
        max_run_seconds=pipeline.max_run_seconds,
        labels=labels_of(analysis),
        notify_topic=notify_topic,
        service_account=analysis.job.service_account,
    )


def labels_of(analysis: Analysis) -> Mapping[str, str]:
    """For logs and, on the VMs, for billing (C29). Google's rule: a-z, 0-9, `-` and `_`, at most 63 characters."""
    return {
        "iflow-analysis": analysis.id,
        "iflow-project": analysis.project,
        "iflow-pipeline": analysis.pipeline.slug,
        "iflow-pipeline-version": analysis.pipeline.version.replace(".", "-"),
    }
