"""One change of state of a job or a task: the status event that Batch writes, in Batch's own words.

The sentences are as public reports show them (nextflow-io/nextflow#5550 and #6779, Cromwell's and dsub's patterns);
programs, ours included, read the zone and the exit code out of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Literal

from google.cloud import batch_v1

from infra.local.batch import names


class JobState(IntEnum):
    """batch_v1.JobStatus.State, which the client library leaves untyped."""

    STATE_UNSPECIFIED = 0
    QUEUED = 1
    SCHEDULED = 2
    RUNNING = 3
    SUCCEEDED = 4
    FAILED = 5
    DELETION_IN_PROGRESS = 6
    CANCELLATION_IN_PROGRESS = 7
    CANCELLED = 8


class TaskState(IntEnum):
    """batch_v1.TaskStatus.State."""

    STATE_UNSPECIFIED = 0
    PENDING = 1
    ASSIGNED = 2
    RUNNING = 3
    FAILED = 4
    SUCCEEDED = 5
    UNEXECUTED = 6


CANCELLABLE = (JobState.QUEUED, JobState.SCHEDULED, JobState.RUNNING)
ENDING = (JobState.CANCELLATION_IN_PROGRESS, JobState.DELETION_IN_PROGRESS)
ACTIVE = CANCELLABLE + ENDING

# Exit codes of the service: https://cloud.google.com/batch/docs/troubleshooting#reserved-exit-codes
OTHER, PREEMPTED, VM_REBOOTED, OVER_TIME = 50000, 50001, 50003, 50005
_DUE_TO = {
    OTHER: " due to the job's end",
    PREEMPTED: " due to Spot VM preemption",
    VM_REBOOTED: " due to VM reboot during task execution",
    OVER_TIME: " due to task runs over the maximum runtime",
}


@dataclass(frozen=True)
class JobChange:
    """What a job notification tells: `name` has the project number."""

    name: names.JobName
    uid: str
    previous: JobState
    current: JobState
    at: datetime


@dataclass(frozen=True)
class TaskChange:
    name: names.JobName
    uid: str
    index: int
    previous: TaskState
    current: TaskState
    at: datetime


Change = JobChange | TaskChange


def move_job(job: batch_v1.Job, to: JobState, at: datetime, why: str = "") -> JobChange:
    """Changes `job` in place; `why` follows Batch's sentence without a space, as it does there."""
    name = names.parse_job(job.name)
    previous = JobState(job.status.state)
    add_event(job, f"Job state is set from {previous.name} to {to.name} for job {name.numbered}.{why}", at)
    set_state(job.status, to)
    return JobChange(name, job.uid, previous, to, at)


def set_state(status: batch_v1.JobStatus | batch_v1.TaskStatus, to: JobState | TaskState) -> None:
    """Without an event."""
    type(status).pb(status).state = to


def stamp(job: batch_v1.Job, field: Literal["create_time", "update_time"], at: datetime) -> None:
    getattr(batch_v1.Job.pb(job), field).FromDatetime(at)


def add_event(job: batch_v1.Job, description: str, at: datetime, kind: str = "STATUS_CHANGED") -> None:
    event = batch_v1.StatusEvent(type_=kind, description=description, event_time=at)
    job.status.status_events.append(event)
    stamp(job, "update_time", at)


def move_task(
    job: batch_v1.Job,
    task: batch_v1.Task,
    to: TaskState,
    at: datetime,
    *,
    attempt: int,
    exit_code: int | None = None,
) -> TaskChange:
    """Changes `task` in place. Only a failure has an exit code; the event of a success has none (PLATFORM)."""
    name, index = names.parse_task(task.name)
    previous = TaskState(task.status.state)
    vm = f"zones/{name.region}-a/instances/{names.instance_id(job.uid, index, attempt)}"
    event = batch_v1.StatusEvent(
        type_="STATUS_CHANGED",
        description=f"Task state is updated from {previous.name} to {to.name} on {vm}{_reason(exit_code)}.",
        event_time=at,
        task_state=to,
    )
    if exit_code is not None:
        event.task_execution = batch_v1.TaskExecution(exit_code=exit_code)
    task.status.status_events.append(event)
    set_state(task.status, to)
    return TaskChange(names.parse_job(job.name), job.uid, index, previous, to, at)


def _reason(exit_code: int | None) -> str:
    return "" if exit_code is None else f"{_DUE_TO.get(exit_code, '')} with exit code {exit_code}"


def failed_because(task: batch_v1.Task) -> str:
    """What a FAILED job says of the task that brought it down."""
    index = task.name.rsplit("/", 1)[-1]
    sentences = [e.description for e in task.status.status_events if e.task_state == TaskState.FAILED]
    return (
        f"Job failed due to task failure. Specifically, task with index {index} failed due to the following "
        f'task event: "{sentences[-1]}"'
    )


def should_retry(spec: batch_v1.TaskSpec, exit_code: int, attempt: int) -> bool:
    """Whether a task whose `attempt` (from 0) ended with `exit_code` runs again.

    A policy's action holds for its exit codes and the opposite for all others; with no policy every failure is
    retried. Source: https://cloud.google.com/batch/docs/automate-task-retries, LifecyclePolicy.action.
    """
    if attempt >= spec.max_retry_count:
        return False
    for policy in spec.lifecycle_policies:
        if exit_code in policy.action_condition.exit_codes:
            return policy.action == batch_v1.LifecyclePolicy.Action.RETRY_TASK
    retries = batch_v1.LifecyclePolicy.Action.RETRY_TASK
    return all(policy.action != retries for policy in spec.lifecycle_policies)
