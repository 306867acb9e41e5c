"""Where an ingest's work is done, and the Batch job that a large one becomes."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from infra.local.batch.checks import JOB_ID
from shared.adapters.google.launcher import WAITS_FOR_MACHINE_S, IngestJobs, IngestLauncher, work_job
from shared.domain import paths
from shared.domain.analysis import Analysis, Output
from shared.domain.errors import Unavailable
from shared.domain.job import JobSeen, JobSpec, JobState
from shared.domain.outputs import Collected
from shared.domain.pipeline import OutputKind
from tests.builders import RUNNING, a_job, after, look, running

HOLDER = "0f0e0d0c-1111-4222-8333-444455556666"
JOBS = IngestJobs(
    over_bytes=1000, parent="projects/lab/locations/europe-west1", image="lab/iflow@sha256:1",
    service_account="ingest@lab", environment={"IFLOW_BACKEND": "google"}, notify_topic="projects/lab/topics/x",
)


@dataclass
class Engine:
    """Answers UNAVAILABLE so many times, each time after its effect."""

    failures: int = 0
    started: list[JobSpec] = field(default_factory=list)

    def start(self, spec: JobSpec) -> JobSeen:
        self.started.append(spec)
        if len(self.started) <= self.failures:
            raise Unavailable("Batch could not create it")
        return JobSeen(spec.name, JobState.QUEUED)

    def describe(self, name: str) -> JobSeen:
        raise NotImplementedError

    def cancel(self, name: str) -> None:
        raise NotImplementedError


def succeeded(*sizes: int, kind: OutputKind = OutputKind.VCF) -> Analysis:
    outputs = tuple(
        Output(path=f"analyses/wgs-12-a/{n}.gz", kind=kind, size=size, crc32c="AAAAAA==", generation=1)
        for n, size in enumerate(sizes)
    )
    collected = Collected(outputs=outputs, total=len(outputs))
    return after(look(running(), a_job(JobState.SUCCEEDED, RUNNING), collected=collected))


def test_vcfs_that_are_large_together_are_ingested_by_a_job() -> None:
    engine = Engine()
    assert IngestLauncher(engine, JOBS).launch(succeeded(600, 500), HOLDER) == WAITS_FOR_MACHINE_S
    (spec,) = engine.started
    assert spec.runnables[0].command == (
        "python", "-m", "services.vcf_ingest", succeeded(1).project, succeeded(1).id, HOLDER
    )
    assert (spec.parent, spec.service_account, spec.max_retries) == (JOBS.parent, JOBS.service_account, 0)
    assert spec.labels["iflow-analysis"] == succeeded(1).id


def test_a_document_that_holds_only_the_head_of_its_outputs_is_large() -> None:
    engine = Engine()
    analysis = succeeded(1).changed(outputs_path="analyses/wgs-12-a/outputs.json", outputs_total=20_000)
    IngestLauncher(engine, JOBS).launch(analysis, HOLDER)
    assert len(engine.started) == 1


def test_the_job_is_one_for_each_lease_and_never_taken_for_the_analysis_own() -> None:
    """So CreateJob may be repeated within a lease, and a forced ingest gets a job of its own."""
    analysis = succeeded(2000)
    first, again, other = (work_job(analysis, holder, JOBS).job_id for holder in (HOLDER, HOLDER, "a" * 36))
    assert first == again != other
    assert JOB_ID.fullmatch(first)
    assert paths.analysis_of_job(f"{JOBS.parent}/jobs/{first}") is None


def test_a_create_whose_answer_was_lost_is_repeated_with_the_same_job() -> None:
    engine = Engine(failures=1)
    IngestLauncher(engine, JOBS).launch(succeeded(2000), HOLDER)
    assert len({spec.name for spec in engine.started}) == 1


def test_a_batch_that_stays_away_is_raised_and_not_asked_for_ever() -> None:
    engine = Engine(failures=99)
    with pytest.raises(Unavailable):
        IngestLauncher(engine, JOBS).launch(succeeded(2000), HOLDER)
    assert len(engine.started) == 3
