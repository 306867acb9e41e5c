"""Values that tests need and do not care about: an analysis, a job as Batch shows it, a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.acceptance import new_analysis
from shared.domain.analysis import Analysis, Ingest, IngestedFile, IngestStatus, Status
from shared.domain.cache import Built
from shared.domain.job import JobSeen, JobState, StatusEvent, TaskSeen, TaskState
from shared.domain.lifecycle import Advanced, Answer, Observation, Rules, advance
from shared.domain.order import Order, OrderRequest, new_order
from shared.domain.outputs import Collected
from shared.domain.pipeline import Pipeline
from shared.domain.policy import Policy
from shared.domain.prices import PriceTable
from shared.domain.project import Project
from shared.domain.request import Sample, SubmitRequest

T0 = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
JOB = "projects/local/locations/us-central1/jobs/a-x"


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


PROJECT = Project(
    id="lab", title="Lab", bucket="lab-bucket", google_project="local", region="us-central1", created_at=T0
)

PRICES = PriceTable.model_validate({
    "name": "test", "currency": "USD", "as_of": "2026-01-01",
    "regions": {"us-central1": {"e2-standard-2": {
        "on_demand_per_hour": 0.36, "spot_per_hour": {"us-central1-a": 0.036, "us-central1-b": 0.072},
    }}},
})
RULES = Rules(Policy(), {"test": PRICES})


def a_pipeline(**changes: Any) -> Pipeline:
    return Pipeline.model_validate({
        "slug": "calls", "version": "1.0.0", "title": "Calls",
        "inputs": {"type": "object", "additionalProperties": False, "properties": {
            "vcf": {"type": "string", "format": "bucket-path"},
        }},
        "runnables": [{"image": "lab/calls:1", "command": ["true"]}],
        "resources": {"machine_type": "e2-standard-2", "cpu_milli": 2000, "memory_mib": 4096,
                      "boot_disk_mib": 20480, "spot": True},
        "max_run_seconds": 3600,
        "outputs": [{"glob": "calls.vcf.gz", "kind": "vcf", "required": True}],
        "price_table": "test",
        **changes,
    })


def a_request(**changes: Any) -> SubmitRequest:
    return SubmitRequest.model_validate({
        "request_id": "r-1", "project": "lab", "display_id": "WGS 12/A", "pipeline": "calls", "inputs": {},
        "requested_by": "dr.a@lab.example", **changes,
    })


def an_analysis(**changes: Any) -> Analysis:
    """Queued at T0, as it is first committed."""
    return new_analysis(a_request(**changes), PROJECT, a_pipeline(), (), T0, source="test")


def moved(before: str, after: str, seconds: float) -> StatusEvent:
    return StatusEvent(at(seconds), f"Job state is set from {before} to {after} for job {JOB}.", "STATUS_CHANGED")


def task_event(state: TaskState, seconds: float, *, code: int | None = None) -> StatusEvent:
    text = f"Task state is updated to {state} on zones/us-central1-a/instances/1."
    return StatusEvent(at(seconds), text, "STATUS_CHANGED", state, code)


QUEUED = moved("STATE_UNSPECIFIED", "QUEUED", 1)
SCHEDULED = moved("QUEUED", "SCHEDULED", 121)
RUNNING = moved("SCHEDULED", "RUNNING", 421)


def a_job(state: JobState, *events: StatusEvent, tasks: tuple[TaskSeen, ...] = (), total: int = 1) -> JobSeen:
    return JobSeen(
        name=JOB, state=state, uid="a-x-1", created_at=at(1), updated_at=at(2000), events=events, tasks=tasks,
        tasks_total=total,
    )


def a_task(state: TaskState, *events: StatusEvent, index: int = 0) -> TaskSeen:
    return TaskSeen(f"{JOB}/taskGroups/group0/tasks/{index}", state, events)


def look(analysis: Analysis, job: JobSeen, *, seconds: float = 3000, collected: Collected | None = None) -> Answer:
    return advance(analysis, Observation(job, at(seconds), collected or Collected()), RULES)


def after(answer: Answer) -> Analysis:
    assert isinstance(answer, Advanced), answer
    return answer.analysis


def running(**changes: Any) -> Analysis:
    """As `an_analysis`, with Batch having said RUNNING and everything announced."""
    moved_on = after(look(an_analysis(**changes), a_job(JobState.RUNNING, QUEUED, SCHEDULED, RUNNING), seconds=422))
    return moved_on.without_unsent(frozenset(event.id for event in moved_on.unsent))


def ingested(
    name: str, *columns: str, samples: tuple[Sample, ...] = (), minutes: float = 0, table: str | None = None,
    **changes: Any,
) -> Analysis:
    """A succeeded analysis of one VCF with these columns, its ingest ready."""
    made = running(request_id=name, display_id=name, samples=[each.model_dump() for each in samples], **changes)
    file = IngestedFile(
        path=f"analyses/{name}/calls.vcf", table=table or f"cache/variants/v1/{name}.parquet", assembly="GRCh38",
        records=3, rows=3, samples=columns,
    )
    ingest = Ingest(status=IngestStatus.READY, rows=3, files=(file,), samples=columns)
    created = made.created_at + timedelta(minutes=minutes)
    return made.changed(status=Status.SUCCEEDED, ingest=ingest, created_at=created)


def an_order(*samples: Sample, analyses: tuple[str, ...] = (), **changes: Any) -> Order:
    """Open, made at T0."""
    request = OrderRequest.model_validate({
        "request_id": "o-1", "project": "lab", "display_id": "O 1", "requested_by": "dr.a@lab.example",
        "samples": [each.model_dump() for each in samples], "analyses": analyses, **changes,
    })
    return new_order(request, PROJECT, samples, T0, source="test")


def a_built(version: str = "v1", **changes: Any) -> Built:
    return Built.model_validate({
        "version": version, "table": f"cache/orders/v1/{version}.parquet",
        "index": f"cache/orders/v1/{version}.index", "manifest": f"cache/orders/v1/{version}.json",
        "rows": 3, "members_digest": "d", "samples": ("S1",), "built_at": T0, **changes,
    })
