"""What the states of its tasks mean for a job."""

from __future__ import annotations

from datetime import datetime

from google.cloud import batch_v1

from infra.local.batch.names import GROUP
from infra.local.batch.states import (
    ENDING,
    Change,
    JobState,
    TaskState,
    failed_because,
    move_job,
    set_state,
)
from infra.local.batch.store import JobRow, Store


def settle(store: Store, row: JobRow, at: datetime) -> list[Change]:
    """Inside a transaction: saves the job, in its final state if its tasks say so, or deletes it.

    After a failure the tasks that run may finish, and none that waits begins.
    """
    counts = store.task_counts(row.job.uid)
    hopeless = row.state in ENDING or TaskState.FAILED in counts
    if hopeless:
        _leave_unexecuted(store, row.job.uid)
    unfinished = counts.get(TaskState.RUNNING, 0) + (0 if hopeless else counts.get(TaskState.PENDING, 0))
    if unfinished:
        save(store, row)
        return []
    row.count_run_time(at)
    row.running_since = None
    if row.state is JobState.DELETION_IN_PROGRESS:
        store.delete_job(row.job.uid)
        return []
    change = _final(store, row, at, failed=TaskState.FAILED in counts)
    save(store, row)
    return [change]


def _final(store: Store, row: JobRow, at: datetime, *, failed: bool) -> Change:
    if row.state is JobState.CANCELLATION_IN_PROGRESS:
        return move_job(row.job, JobState.CANCELLED, at)
    if not failed:
        return move_job(row.job, JobState.SUCCEEDED, at)
    first = store.tasks_in(row.job.uid, TaskState.FAILED, limit=1)[0]
    return move_job(row.job, JobState.FAILED, at, failed_because(first.task))


def _leave_unexecuted(store: Store, uid: str) -> None:
    for task in store.tasks_in(uid, TaskState.PENDING):
        set_state(task.task.status, TaskState.UNEXECUTED)
        store.save_task(task)


def save(store: Store, row: JobRow) -> None:
    """Inside a transaction, after its tasks: the job with their numbers by state."""
    instance = batch_v1.JobStatus.InstanceStatus(task_pack=1)
    if row.job.allocation_policy.instances:
        policy = row.job.allocation_policy.instances[0].policy
        instance.machine_type = policy.machine_type
        instance.provisioning_model = policy.provisioning_model
    counts = {state.name: number for state, number in store.task_counts(row.job.uid).items()}
    row.job.status.task_groups[GROUP] = batch_v1.JobStatus.TaskGroupStatus(counts=counts, instances=[instance])
    store.save_job(row)
