"""The tasks of a job as Batch shows them: each attempt with its exit code, what that means, and how long it took."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import datetime

from shared.domain.failure import KILLED, PLATFORM_CODES
from shared.domain.job import TaskSeen, TaskState
from shared.domain.timeline import in_order

MOST_STEPS = 500
"""On the page; Batch lists the first ones of a job that has more."""

_OF_A_SHELL = {
    1: "the program ended with an error", 2: "the program was called wrongly",
    126: "the command cannot be executed", 127: "there is no such command in the image",
    KILLED: "killed, most often because it used more memory than it had",
}
"""https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap02.html#tag_19_08_02"""


@dataclass(frozen=True)
class Attempt:
    """`began` None: Batch did not say. `exit_code` None: it runs, or Batch did not say."""

    number: int
    began: datetime | None
    ended: datetime | None
    exit_code: int | None
    said: str

    @property
    def seconds(self) -> float | None:
        return (self.ended - self.began).total_seconds() if self.began and self.ended else None


@dataclass(frozen=True)
class Step:
    task: int
    state: TaskState
    attempts: tuple[Attempt, ...]
    last_event: str


def step_of(task: TaskSeen) -> Step:
    attempts: list[Attempt] = []
    began: datetime | None = None
    events = in_order(task.events)
    for event in events:
        ended = event.task_state in (TaskState.FAILED, TaskState.SUCCEEDED) or (event.exit_code or 0) != 0
        if event.task_state is TaskState.RUNNING:
            began = event.at
        elif ended:
            code = 0 if event.task_state is TaskState.SUCCEEDED else event.exit_code
            attempts.append(Attempt(len(attempts) + 1, began, event.at, code, event.description))
            began = None
    if began:
        attempts.append(Attempt(len(attempts) + 1, began, None, None, events[-1].description))
    return Step(task.index, task.state, tuple(attempts), events[-1].description if events else "")


def meaning_of(exit_code: int | None) -> str:
    """Of Batch's own codes, of signals and of shells; empty for what only the pipeline knows."""
    if exit_code in PLATFORM_CODES:
        return PLATFORM_CODES[exit_code][1]
    if exit_code in _OF_A_SHELL:
        return _OF_A_SHELL[exit_code]
    if exit_code is not None and 128 < exit_code < 160:
        try:
            return f"ended by {signal.Signals(exit_code - 128).name}"
        except ValueError:
            return ""
    return "success" if exit_code == 0 else ""
