"""What we ask of the engine and what it shows us: plain values between the domain and Google Batch.

Sources: google.cloud.batch_v1 (Job, JobStatus, Task, StatusEvent), ../shared/PLATFORM.md "Google Batch".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class JobState(StrEnum):
    """`JobStatus.State` by name; Batch's numbers are not in the order of a job's life, so none is kept."""

    QUEUED = "QUEUED"
    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLATION_IN_PROGRESS = "CANCELLATION_IN_PROGRESS"
    DELETION_IN_PROGRESS = "DELETION_IN_PROGRESS"
    CANCELLED = "CANCELLED"
    NOT_FOUND = "NOT_FOUND"  # ours: GetJob answered NOT_FOUND
    UNKNOWN = "STATE_UNSPECIFIED"  # a state that this version does not know: never a reason to change a status


class TaskState(StrEnum):
    """`TaskStatus.State` by name."""

    PENDING = "PENDING"
    ASSIGNED = "ASSIGNED"
    RUNNING = "RUNNING"
    FAILED = "FAILED"
    SUCCEEDED = "SUCCEEDED"
    UNEXECUTED = "UNEXECUTED"
    UNKNOWN = "STATE_UNSPECIFIED"


@dataclass(frozen=True)
class Runnable:
    """One container step of a task: `command` is an argument vector, never a shell line."""

    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobSpec:
    """A whole Batch job. The adapter adds nothing of its own but the form.

    `parent` is `projects/{project}/locations/{region}`; `job_id` matches `^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`.
    `bucket` is mounted as a folder at `mount_path`. `labels` go on the job and, for billing, on its VMs.
    """

    parent: str
    job_id: str
    runnables: tuple[Runnable, ...]
    environment: Mapping[str, str]
    bucket: str
    mount_path: str
    machine_type: str
    cpu_milli: int
    memory_mib: int
    boot_disk_mib: int
    spot: bool
    task_count: int
    parallelism: int
    max_retries: int
    retry_exit_codes: tuple[int, ...]
    max_run_seconds: int
    labels: Mapping[str, str]
    notify_topic: str
    service_account: str | None = None

    @property
    def name(self) -> str:
        """`projects/{project}/locations/{region}/jobs/{job_id}`."""
        return f"{self.parent}/jobs/{self.job_id}"


@dataclass(frozen=True)
class StatusEvent:
    """One entry of a job's or a task's status events. Batch does not promise time order."""

    at: datetime
    description: str
    kind: str = ""
    task_state: TaskState | None = None
    exit_code: int | None = None


@dataclass(frozen=True)
class TaskSeen:
    """One task as ListTasks shows it; `name` ends in `/taskGroups/group0/tasks/{index}`."""

    name: str
    state: TaskState
    events: tuple[StatusEvent, ...] = ()

    @property
    def index(self) -> int:
        return int(self.name.rsplit("/", 1)[-1])


@dataclass(frozen=True)
class JobSeen:
    """What GetJob (and, for a job that has begun, ListTasks) said at one moment."""

    name: str
    state: JobState
    uid: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    events: tuple[StatusEvent, ...] = ()
    tasks: tuple[TaskSeen, ...] = ()
    tasks_total: int = 1

    @classmethod
    def missing(cls, name: str) -> JobSeen:
        """GetJob answered NOT_FOUND."""
        return cls(name=name, state=JobState.NOT_FOUND)
