"""The analysis document (DESIGN section 4): one document says everything an operator needs.

It is frozen: what happens to an analysis is decided by the pure functions of `lifecycle` and `ingest`, each of
which returns another one. Extra fields are refused, so a document that we do not understand is never overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field

from shared.domain import paths
from shared.domain.cache import Built
from shared.domain.clock import Time
from shared.domain.events import CALLED_BACK, Event, EventType
from shared.domain.job import JobState
from shared.domain.listed import Listed, listed
from shared.domain.part import Change, Lease, Part, Recorded
from shared.domain.pipeline import OutputKind
from shared.domain.request import Origin, Sample

SCHEMA_VERSION = 1

HEAD_OF_OUTPUTS = 200
"""Outputs kept in the document (about 250 bytes each); the whole list then lies in the bucket."""

HEAD_OF_SAMPLES = 200
"""Names of ingested columns kept in the document for look-ups by name; a file's own list is with the file."""

HEAD_OF_INGESTED_FILES = 50
"""Ingested files and their reports kept in the document; the whole lists then lie in the bucket."""

LARGEST_INGESTED_BYTES = 64_000
"""Of each of these lists in the document, as JSON: one report may have kilobytes."""

LARGEST_INPUTS_BYTES = 64_000
"""Of the inputs kept in the document, as JSON; larger ones then lie whole in the bucket."""

HEAD_OF_INPUT_FILES = 200
"""Input files kept in the document (about 120 bytes each); the whole list then lies beside the inputs."""


class Status(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in FINAL


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})
UNFINISHED = (Status.QUEUED, Status.RUNNING)


class IngestStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    READY = "ready"
    FAILED = "failed"
    NOT_APPLICABLE = "not_applicable"


class FailureKind(StrEnum):
    EXIT_CODE = "exit_code"
    OUT_OF_MEMORY = "out_of_memory"
    PREEMPTED = "preempted"
    TIMEOUT = "timeout"
    VM_LOST = "vm_lost"
    IMAGE = "image"
    PERMISSION = "permission"
    QUOTA = "quota"
    OUTPUTS_MISSING = "outputs_missing"
    JOB_LOST = "job_lost"
    REJECTED_BY_BATCH = "rejected_by_batch"
    UNKNOWN = "unknown"


class CancelRequested(Part):
    by: str
    at: Time


class Stuck(Part):
    """It waits or runs for longer than anybody would expect (shared/domain/stuck.py), in the status that it is in."""

    since: Time
    reason: str


class PipelineRun(Part):
    """Which pipeline ran, with a frozen copy of its definition."""

    slug: str
    version: str
    definition: Mapping[str, Any]


class InputFile(Part):
    """An input as it was when the request was accepted; `size` in bytes."""

    path: str
    size: int
    generation: int


class Output(Part):
    """`path` is relative to the project bucket, `size` in bytes, `crc32c` as Cloud Storage writes it."""

    path: str
    kind: OutputKind
    sample: str | None = None
    size: int
    crc32c: str
    generation: int


class CostSeen(Part):
    """`complete` is False where a price or a time is not known; `reason` then says which."""

    amount: float | None
    currency: str | None
    billed_seconds: float | None
    basis: Literal["estimate", "billed"] = "estimate"
    complete: bool
    reason: str | None = None


class Metrics(Part):
    """Seconds: `queue` until Batch scheduled the job, `prepare` until the first task ran, `run` until the end."""

    queue_seconds: float | None = None
    prepare_seconds: float | None = None
    run_seconds: float | None = None
    tasks: int | None = None
    retries: int | None = None
    preemptions: int | None = None
    cost: CostSeen | None = None
    pipeline: Mapping[str, Any] = Field(default_factory=dict)
    note: str | None = None


class Failure(Part):
    kind: FailureKind
    exit_code: int | None = None
    task: int | None = None
    message: str
    hint: str


class Job(Part):
    """`uid` and `created_at` are None until CreateJob has answered; `missing_since` is set while GetJob finds nothing.
    `noticed`: a notification has brought a change, so the next one is expected to come, too."""

    name: str
    region: str
    service_account: str | None = None
    uid: str | None = None
    created_at: Time | None = None
    state: JobState | None = None
    missing_since: Time | None = None
    noticed: bool = False


class IngestedFile(Part):
    """One output VCF: counts as `iflow variants check` gives them, and where its table lies in the bucket. `samples`
    are its columns in their order; `assembly` None: the header does not tell."""

    path: str
    table: str | None = None
    assembly: str | None = None
    records: int = 0
    rows: int = 0
    skipped: Mapping[str, int] = Field(default_factory=dict)
    samples: tuple[str, ...] = ()
    warnings: int = 0


class Ingest(Part):
    """`progress` is a sentence for people; `attempts` counts leases that were taken; `report` has one entry a file.

    Of long lists `files`, `report`, `samples` (the columns of all files) and `cache.samples` are the first ones: the
    totals count the whole, and `files_path` is where files and report lie whole in the project bucket. `cache` is what
    readers of the analysis' variants follow: its tables joined, in the roles that it was asked for.
    """

    status: IngestStatus = IngestStatus.PENDING
    lease: Lease | None = None
    attempts: int = 0
    started_at: Time | None = None
    finished_at: Time | None = None
    progress: str | None = None
    rows: int | None = None
    files: tuple[IngestedFile, ...] = ()
    files_total: int = 0
    files_path: str | None = None
    samples: tuple[str, ...] = ()
    samples_total: int = 0
    cache: Built | None = None
    report: tuple[Mapping[str, Any], ...] = ()
    failure: str | None = None
    versions: Mapping[str, str] = Field(default_factory=dict)


class Analysis(Recorded):
    """`inputs_size` in bytes of JSON. With an `inputs_path`, `inputs` and `input_files` are only what fits of what lies
    there; `input_files_total`, `outputs_total` and `history_total` count the whole lists. `listed` follows from the
    rest, and is what it should be in the document only."""

    id: str
    project: str
    display_id: str
    slug: str
    bucket: str
    request_id: str
    request_digest: str
    schema_version: Literal[1] = 1

    status: Status
    status_detail: str
    cancel_requested: CancelRequested | None = None
    stuck: Stuck | None = None

    pipeline: PipelineRun
    inputs: Mapping[str, Any]
    inputs_size: int = 0
    inputs_path: str | None = None
    input_files: tuple[InputFile, ...] = ()
    input_files_total: int = 0
    origin: Origin
    samples: tuple[Sample, ...] = ()
    order_id: str | None = None
    rerun_of: str | None = None
    callback_url: str | None = None

    outputs: tuple[Output, ...] = ()
    outputs_total: int = 0
    outputs_path: str | None = None
    metrics: Metrics = Metrics()
    failure: Failure | None = None
    logs_url: str | None = None
    job: Job
    ingest: Ingest = Ingest()

    history: tuple[Change, ...] = ()
    history_total: int = 0
    unsent: tuple[Event, ...] = ()
    unsent_since: Time | None = None
    events_total: int = 0

    created_at: Time
    created_by: str
    updated_at: Time
    started_at: Time | None = None
    finished_at: Time | None = None
    listed: Listed = Listed()

    def to_document(self) -> dict[str, Any]:
        return super(Analysis, self.changed(listed=listed(self))).to_document()

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Self:
        return super().from_document({**data, "listed": {}})

    def with_event(self, kind: EventType, at: Time, data: Mapping[str, Any]) -> Self:
        """Where the requester wants to be called back, the command to do so is committed beside it."""
        announced = super().with_event(kind, at, data)
        if self.callback_url is None or kind not in CALLED_BACK:
            return announced
        event = announced.unsent[-1]
        return super(Analysis, announced).with_event(EventType.CALLBACK, at, {
            "analysis_id": self.id, "event_id": event.id, "type": kind,
        })

    @property
    def doc_path(self) -> str:
        return paths.analysis_doc(self.project, self.id)

    @property
    def folder(self) -> str:
        """Outputs lie here, relative to the project bucket; ends in a slash."""
        return paths.folder(self.slug)
