"""`status_detail`: one sentence for people about what an unfinished analysis waits for or does."""

from __future__ import annotations

import re

from shared.domain.analysis import CancelRequested
from shared.domain.clock import iso
from shared.domain.job import JobSeen, JobState, TaskState
from shared.domain.timeline import in_order

_QUOTA = re.compile(r"CODE_GCE_QUOTA_EXCEEDED|quota .{0,60} exceeded", re.I)
_QUOTA_PARTS = re.compile(r"Quota '([^']+)' exceeded\.?\s+Limit: (\S+) in region (\S+?)[.,]?(?:\s|$)", re.I)


def detail_of(job: JobSeen, cancel: CancelRequested | None) -> str:
    """Depends on what is seen alone, so that the same observation never makes a second write (C19)."""
    doing = _doing(job)
    if cancel is None:
        return doing
    return f"Being cancelled as {cancel.by} asked at {iso(cancel.at)[:19]}Z; Batch has not confirmed yet. {doing}"


def _doing(job: JobSeen) -> str:
    match job.state:
        case JobState.QUEUED:
            return _quota_sentence(job) or "Waiting for Batch to schedule the job."
        case JobState.SCHEDULED:
            return _quota_sentence(job) or "Batch is preparing the machine."
        case JobState.RUNNING:
            return _running(job)
        case JobState.CANCELLATION_IN_PROGRESS:
            return "Batch is cancelling the job."
        case JobState.DELETION_IN_PROGRESS:
            return "The job is being deleted in Batch."
        case _:
            return f"Batch says {job.state}."


def _running(job: JobSeen) -> str:
    if job.tasks_total <= 1:
        return "Running."
    done = sum(task.state is TaskState.SUCCEEDED for task in job.tasks)
    return f"Running: {done} of {job.tasks_total} tasks are done."


def _quota_sentence(job: JobSeen) -> str | None:
    told = [event.description for event in in_order(job.events) if _QUOTA.search(event.description)]
    if not told:
        return None
    parts = _QUOTA_PARTS.search(told[-1])
    if parts is None:
        return "Waiting for quota: Batch says that a quota is exceeded (see the job's status events)."
    quota, limit, region = parts.groups()
    return f"Waiting for quota: {quota} is used up in {region} (limit {limit})."
