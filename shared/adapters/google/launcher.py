"""Begins an ingest, or the build of an order's cache: small ones within the function, large ones as Batch jobs.

Either way it is the same program in a process of its own, so that a file that kills it kills nothing else. It renews
its lease as it works; when it dies the lease runs out, and the reconciler has it begun again.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from shared import tracing
from shared.adapters.google.calls import attempt
from shared.domain.acceptance import MOUNT, labels_of
from shared.domain.analysis import Analysis
from shared.domain.errors import Unavailable
from shared.domain.job import JobSpec, Runnable
from shared.domain.order import Order
from shared.domain.order_cache import program_of
from shared.domain.pipeline import OutputKind
from shared.ports import Engine

IN_FUNCTION_S = 240
"""Of topology.yaml's 300 s for the function: what is not done by then is killed, and begun again after its lease."""

WAITS_FOR_MACHINE_S = 1800
"""A job's VM comes in minutes, or when quota allows. Then the reconciler begins another, and the first does nothing."""

LONGEST_S = 24 * 3600

ROWS_IN_FUNCTION = 6_000_000
"""Of the tables that a cache is joined of: some 20 s a million. More are joined by a job."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IngestJobs:
    """What an ingest's Batch job is made of, beside the analysis; `over_bytes` of VCFs are worth one."""

    over_bytes: int
    parent: str
    image: str
    service_account: str | None
    environment: Mapping[str, str]
    notify_topic: str


class IngestLauncher:
    """Ports.launch of the backends whose functions Pub/Sub pushes to."""

    def __init__(self, engine: Engine, jobs: IngestJobs) -> None:
        self._engine = engine
        self._jobs = jobs

    def launch(self, subject: Analysis | Order, holder: str) -> float:
        """Raises Unavailable, EngineRefused: the lease then runs out, and another trigger tries again."""
        if not self._is_large(subject):
            _run(subject, holder)
            return 0
        spec = work_job(subject, holder, self._jobs)
        attempt(lambda: self._engine.start(spec), (Unavailable,))
        log.info("done by a job", extra={"document": subject.doc_path, "job": spec.name})
        return WAITS_FOR_MACHINE_S

    def _is_large(self, subject: Analysis | Order) -> bool:
        if isinstance(subject, Order):
            return subject.cache.rows_to_join > ROWS_IN_FUNCTION
        return self._is_large_ingest(subject)

    def _is_large_ingest(self, analysis: Analysis) -> bool:
        """A document that holds only the head of its outputs belongs to a large run."""
        size = sum(output.size for output in analysis.outputs if output.kind is OutputKind.VCF)
        return analysis.outputs_path is not None or size > self._jobs.over_bytes


def work_job(subject: Analysis | Order, holder: str, jobs: IngestJobs) -> JobSpec:
    """One job for each lease: CreateJob may be repeated within it.

    (Not for each number of attempts, which begins again at 1 when an ingest is forced.) The id does not begin with
    `a-`, so the tracker sees at once that the job is not an analysis' own (`paths.analysis_of_job`).
    """
    if isinstance(subject, Analysis):
        step, labels = "i", {**labels_of(subject), "iflow-step": "ingest"}
    else:
        step, labels = "o", {"iflow-order": subject.id, "iflow-project": subject.project, "iflow-step": "order"}
    return JobSpec(
        parent=jobs.parent,
        job_id=f"{step}-{subject.id}-{holder[:8]}",
        runnables=(Runnable(jobs.image, ("python", "-m", *program_of(subject, holder))),),
        environment={**jobs.environment, **tracing.environment()},
        bucket=subject.bucket,
        mount_path=MOUNT,
        machine_type="e2-standard-4",
        cpu_milli=4000,
        memory_mib=12_288,
        boot_disk_mib=102_400,  # the VCF and its table are on disk beside each other
        spot=False,
        task_count=1,
        parallelism=1,
        max_retries=0,  # the reconciler's part, by the lease
        retry_exit_codes=(),
        max_run_seconds=LONGEST_S,
        labels=labels,
        notify_topic=jobs.notify_topic,
        service_account=jobs.service_account,
    )


def _run(subject: Analysis | Order, holder: str) -> None:
    command = [sys.executable, "-m", *program_of(subject, holder)]
    try:
        code = subprocess.run(
            command, env={**os.environ, **tracing.environment()}, stdin=subprocess.DEVNULL, check=False,
            timeout=IN_FUNCTION_S,
        ).returncode
    except subprocess.TimeoutExpired:
        code = None
    if code != 0:
        reason = f"not done within {IN_FUNCTION_S} s" if code is None else f"exit code {code}"
        log.error("the work on variants died", extra={"document": subject.doc_path, "reason": reason})
