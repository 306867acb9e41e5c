"""When things happened and how often they were tried, read from a job's and its tasks' status events.

Batch does not promise time order, leaves out intermediate states of a fast job, and lists an entry twice at times:
so everything is sorted and made unique first. Source: ../shared/PLATFORM.md; nextflow#6779 for retried tasks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.domain.job import JobSeen, JobState, StatusEvent, TaskSeen, TaskState

PREEMPTED = 50001
_TRANSITION = re.compile(r"from (\w+) to (\w+)")
_ZONE = re.compile(r"\bzones/([a-z]+-[a-z]+\d+-[a-z])\b")
_ENDED = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Timeline:
    """UTC moments, None where Batch did not say; `zone` is None unless every task that ran was in that one zone."""

    queued_at: datetime | None
    scheduled_at: datetime | None
    running_at: datetime | None
    ended_at: datetime | None
    retries: int
    preemptions: int
    zone: str | None


def timeline(job: JobSeen) -> Timeline:
    entered = _first_entry_of_each_state(job.events)
    task_events = [event for task in job.tasks for event in in_order(task.events)]
    ended = None
    if job.state in _ENDED:
        last_seen = max((event.at for event in [*task_events, *job.events]), default=job.updated_at)
        ended = entered.get(job.state, last_seen)
    running = entered.get(JobState.RUNNING) or min(
        (event.at for event in task_events if event.task_state is TaskState.RUNNING), default=None
    )
    if running is None and job.state is JobState.RUNNING:
        running = job.updated_at
    return Timeline(
        queued_at=entered.get(JobState.QUEUED) or job.created_at,
        scheduled_at=entered.get(JobState.SCHEDULED),
        running_at=running,
        ended_at=ended,
        retries=sum(_retries(task) for task in job.tasks),
        preemptions=sum(event.exit_code == PREEMPTED for event in task_events),
        zone=_single_zone(task_events),
    )


def in_order(events: Iterable[StatusEvent]) -> list[StatusEvent]:
    """Unique and by time; events of one moment in the order of a task's life."""
    return sorted(set(events), key=lambda event: (event.at, _rank(event)))


def failed_attempts(task: TaskSeen) -> list[StatusEvent]:
    """One entry for each attempt that ended badly, oldest first. A SUCCEEDED entry carries no exit code."""
    return [
        event for event in in_order(task.events)
        if event.task_state is TaskState.FAILED or (event.exit_code or 0) != 0
    ]


def _retries(task: TaskSeen) -> int:
    failed = len(failed_attempts(task))
    return failed - 1 if task.state is TaskState.FAILED and failed else failed


def _first_entry_of_each_state(events: Iterable[StatusEvent]) -> dict[JobState, datetime]:
    entered: dict[JobState, datetime] = {}
    for event in in_order(events):
        found = _TRANSITION.search(event.description)
        if found is None:
            continue
        after = found.group(2)
        if after in JobState.__members__:
            entered.setdefault(JobState[after], event.at)
    return entered


_LIFE = [TaskState.PENDING, TaskState.ASSIGNED, TaskState.RUNNING, TaskState.FAILED, TaskState.SUCCEEDED]


def _rank(event: StatusEvent) -> int:
    return _LIFE.index(event.task_state) if event.task_state in _LIFE else -1


def _single_zone(events: Iterable[StatusEvent]) -> str | None:
    zones = {found.group(1) for event in events if (found := _ZONE.search(event.description))}
    return zones.pop() if len(zones) == 1 else None
