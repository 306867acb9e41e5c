"""A JobNotification as Batch puts it on a topic: string attributes, and a line of text as data.

Source: ../shared/PLATFORM.md "Google Batch" (seen in Google's Batch samples). The text of a task's data has not been
seen; it is made like the job's. Readers must trust the attributes and tolerate any data.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from google.cloud import batch_v1

from infra.local.batch import names
from infra.local.batch.states import Change, JobChange, JobState, TaskChange, TaskState

_Kind = batch_v1.JobNotification.Type
# The samples carry Pacific time: whoever reads the text as UTC is wrong by hours and should notice here.
_OFFSET = timezone(timedelta(hours=-7))
# CANCELLED is not among the job states that Batch documents for notifications: after a cancel, ask GetJob.
_ANNOUNCED = frozenset((JobState.QUEUED, JobState.SCHEDULED, JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED))


@dataclass(frozen=True)
class Notification:
    """`topic` is what the job's JobNotification names; `state` is the new state's name, `job_id` whose it is."""

    topic: str
    data: bytes
    attributes: dict[str, str]
    job_id: str
    state: str


def notifications(job: batch_v1.Job, change: Change) -> list[Notification]:
    """One message for each of the job's notification entries that asks for this change."""
    data, attributes = _job_form(change) if isinstance(change, JobChange) else _task_form(change)
    return [
        Notification(entry.pubsub_topic, data, attributes, change.name.job_id, change.current.name)
        for entry in batch_v1.Job.pb(job).notifications
        if entry.pubsub_topic and _wanted(entry.message, change)
    ]


def _wanted(wish: Any, change: Change) -> bool:
    """`wish` is a JobNotification.Message as protobuf has it: numbers for states."""
    if isinstance(change, JobChange):
        if change.current not in _ANNOUNCED:
            return False
        if wish.new_job_state != JobState.STATE_UNSPECIFIED:
            return bool(wish.new_job_state == change.current)
        return bool(wish.type_ == _Kind.JOB_STATE_CHANGED)
    if wish.new_task_state != TaskState.STATE_UNSPECIFIED:
        return bool(wish.new_task_state == change.current)
    return bool(wish.type_ == _Kind.TASK_STATE_CHANGED)


def _job_form(change: JobChange) -> tuple[bytes, dict[str, str]]:
    text = f"Job state was updated: jobName={change.name.numbered}, jobUID={change.uid}, {_states(change)}"
    return text.encode(), {
        "JobName": change.name.numbered,
        "JobUID": change.uid,
        "NewJobState": change.current.name,
        "Region": change.name.region,
        "Type": "JOB_STATE_CHANGED",
    }


def _task_form(change: TaskChange) -> tuple[bytes, dict[str, str]]:
    name, uid = change.name.task(change.index), f"{change.uid}-{names.GROUP}-{change.index}"
    text = f"Task state was updated: taskName={name}, taskUID={uid}, {_states(change)}"
    return text.encode(), {
        "JobUID": change.uid,
        "NewTaskState": change.current.name,
        "Region": change.name.region,
        "TaskName": name,
        "TaskUID": uid,
        "Type": "TASK_STATE_CHANGED",
    }


def _states(change: Change) -> str:
    return f"previousState={change.previous.name}, currentState={change.current.name}, timestamp={_local(change.at)}"


def _local(at: datetime) -> str:
    return at.astimezone(_OFFSET).isoformat(timespec="seconds")
