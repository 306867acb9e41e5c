"""QUEUED -> SCHEDULED: a job gets its tasks, or waits for quota, or turns out to be impossible."""

from __future__ import annotations

from datetime import datetime, timedelta

from google.cloud import batch_v1

from infra.local.batch.faults import Fault, Quota
from infra.local.batch.outcome import save
from infra.local.batch.states import Change, JobState, TaskState, add_event, move_job
from infra.local.batch.store import JobRow, Store

_OPERATIONAL = "OPERATIONAL_INFO"


def admit(store: Store, row: JobRow, fault: Fault, now: datetime) -> list[Change] | None:
    """The changes of a QUEUED job, stored; None if it has to wait."""
    if fault.quota and _waits(store, row, fault.quota, now):
        return None
    if fault.fail_before_start:
        return _fail(store, row, fault.fail_before_start, now)
    change = move_job(row.job, JobState.SCHEDULED, now)
    pending = batch_v1.TaskStatus(state=TaskState.PENDING)
    tasks = (batch_v1.Task(name=row.name.task(i), status=pending) for i in range(row.group.task_count))
    with store.transaction():
        store.add_tasks(row.job.uid, tasks)
        save(store, row)
    return [change]


def _waits(store: Store, row: JobRow, quota: Quota, now: datetime) -> bool:
    if not row.job.status.status_events:
        add_event(row.job, _quota_sentence(row, quota), now, kind=_OPERATIONAL)
        with store.transaction():
            store.save_job(row)
    return quota.seconds is None or now - row.created_at < timedelta(seconds=quota.seconds)


def _quota_sentence(row: JobRow, quota: Quota) -> str:
    return (
        "VM in Managed Instance Group meets error: Batch Error: code - CODE_GCE_QUOTA_EXCEEDED, description - "
        f"error count is 1, latest message example: Instance '{row.job.uid}-group0-0-0000' creation failed: "
        f"Quota '{quota.name}' exceeded.  Limit: {quota.limit} in region {row.name.region}."
    )


def _fail(store: Store, row: JobRow, reason: str, now: datetime) -> list[Change]:
    """As when a machine type does not exist: no task is ever made (nextflow-io/nextflow#5550)."""
    sentence = f"Job gets non-retryable information {reason}"
    scheduled = move_job(row.job, JobState.SCHEDULED, now)
    add_event(row.job, sentence, now, kind=_OPERATIONAL)
    failed = move_job(row.job, JobState.FAILED, now, sentence)
    with store.transaction():
        store.save_job(row)
    return [scheduled, failed]
