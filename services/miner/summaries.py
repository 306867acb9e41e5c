"""What a list shows of an analysis: everything that is short. Inputs, outputs and history stand in the document."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from shared.domain.analysis import CancelRequested, CostSeen, FailureKind, IngestStatus, Status
from shared.domain.clock import Time, seconds_between
from shared.domain.job import JobState
from shared.domain.request import Origin, Sample


class _Part(BaseModel):
    """Takes from the document's part of the same name what it names itself, and leaves the rest."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class PipelineName(_Part):
    slug: str
    version: str


class MetricsShort(_Part):
    """Seconds, as in the document."""

    queue_seconds: float | None = None
    prepare_seconds: float | None = None
    run_seconds: float | None = None
    retries: int | None = None
    preemptions: int | None = None
    cost: CostSeen | None = None


class FailureShort(_Part):
    kind: FailureKind
    exit_code: int | None = None


class IngestShort(_Part):
    status: IngestStatus
    rows: int | None = None


class Summary(_Part):
    """Fields have the names and values of the analysis document."""

    id: str
    display_id: str
    slug: str
    project: str
    status: Status
    status_detail: str
    cancel_requested: CancelRequested | None
    pipeline: PipelineName
    origin: Origin
    samples: tuple[Sample, ...]
    order_id: str | None
    rerun_of: str | None
    metrics: MetricsShort
    failure: FailureShort | None
    ingest: IngestShort
    created_at: Time
    created_by: str
    updated_at: Time
    started_at: Time | None
    finished_at: Time | None


class Unconfirmed(_Part):
    """A cancel that was asked for and that Batch has not confirmed; `waiting_seconds` since it was asked for."""

    id: str
    display_id: str
    slug: str
    project: str
    status: Status
    status_detail: str
    cancel_requested: CancelRequested
    waiting_seconds: float
    job_state: JobState | None

    @classmethod
    def of(cls, document: Mapping[str, Any], now: datetime) -> Self:
        asked = CancelRequested.model_validate(document["cancel_requested"])
        waiting = seconds_between(asked.at, now)
        return cls.model_validate({**document, "waiting_seconds": waiting, "job_state": document["job"]["state"]})


class Silent(_Part):
    """Unfinished, and nothing was heard of it for `silent_seconds`."""

    id: str
    display_id: str
    slug: str
    project: str
    status: Status
    status_detail: str
    silent_seconds: float
    job_state: JobState | None

    @classmethod
    def of(cls, document: Mapping[str, Any], now: datetime) -> Self:
        since = datetime.fromisoformat(document["updated_at"])
        job = document["job"]["state"]
        return cls.model_validate({**document, "silent_seconds": seconds_between(since, now), "job_state": job})
