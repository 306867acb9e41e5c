"""Why a job failed, in one kind of a closed list, one sentence, and one thing to do about it.

The exit code is that of the *last* attempt of the failing task. Batch's own codes (50000-50006):
https://cloud.google.com/batch/docs/troubleshooting#reserved-exit-codes
"""

from __future__ import annotations

import re

from shared.domain.analysis import Failure, FailureKind
from shared.domain.job import JobSeen, StatusEvent, TaskSeen, TaskState
from shared.domain.part import shorten
from shared.domain.timeline import failed_attempts, in_order

PLATFORM_CODES: dict[int, tuple[FailureKind, str]] = {
    50000: (FailureKind.UNKNOWN, "Batch ended the task for a reason that it does not tell"),
    50001: (FailureKind.PREEMPTED, "Google took the spot VM away"),
    50002: (FailureKind.VM_LOST, "the VM stopped reporting to Batch"),
    50003: (FailureKind.VM_LOST, "the VM rebooted while the task ran"),
    50004: (FailureKind.VM_LOST, "the VM did not respond"),
    50005: (FailureKind.TIMEOUT, "the task ran longer than the pipeline's max_run_seconds"),
    50006: (FailureKind.VM_LOST, "the VM was recreated while the task ran"),
}

_TEXTS: tuple[tuple[FailureKind, re.Pattern[str]], ...] = (
    (FailureKind.QUOTA, re.compile(r"CODE_GCE_QUOTA_EXCEEDED|quota '\w+' exceeded", re.I)),
    (FailureKind.PERMISSION, re.compile(r"PERMISSION_DENIED|CODE_GCE_PERMISSION|not have .{0,80}permission", re.I)),
    (FailureKind.IMAGE, re.compile(r"(pull|manifest|image).{0,80}(denied|unknown|not found|fail)|fail.* pull", re.I)),
    (FailureKind.OUT_OF_MEMORY, re.compile(r"out of memory|OOM[ -]?kill", re.I)),
    (FailureKind.REJECTED_BY_BATCH, re.compile(r"INVALID_FIELD_VALUE|INVALID_ARGUMENT|CODE_GCE_\w+")),
)

HINTS: dict[FailureKind, str] = {
    FailureKind.EXIT_CODE: "Read the log's last lines. A rerun with the same inputs will most likely fail the same "
    "way: mend the input or the pipeline first.",
    FailureKind.OUT_OF_MEMORY: "Rerun with more memory: raise memory_mib and the machine type in a new version of "
    "the pipeline.",
    FailureKind.PREEMPTED: "A rerun is safe. If it happens again, use a pipeline version with spot: false or more "
    "retries.",
    FailureKind.TIMEOUT: "A rerun is safe but will run out of time again unless the input is smaller or a pipeline "
    "version allows more max_run_seconds.",
    FailureKind.VM_LOST: "A rerun is safe: the platform failed, not the pipeline.",
    FailureKind.IMAGE: "Check that the image and tag exist and that the job's service account may pull it, then "
    "rerun.",
    FailureKind.PERMISSION: "Ask the administrator of the named resource to grant the named account access, then "
    "rerun.",
    FailureKind.QUOTA: "Ask for more quota in that region, or wait until other jobs have ended, then rerun.",
    FailureKind.OUTPUTS_MISSING: "The pipeline ended with exit code 0 but without what it must leave; read its log. "
    "A rerun helps only if the cause was outside the pipeline.",
    FailureKind.JOB_LOST: "Somebody or something deleted the Batch job; what it wrote so far is in the folder. A "
    "rerun is safe.",
    FailureKind.REJECTED_BY_BATCH: "Batch will refuse the same job again: mend what its sentence names (machine "
    "type, region, image, account), then rerun.",
    FailureKind.UNKNOWN: "Read the job's status events and log. A rerun is safe.",
}

KILLED = 137
_STATE_CHANGE = re.compile(r"Job state is (?:set|updated) from \w+ to \w+ for job \S+?\.(?=\s|$|[A-Z])")
"""What every job's events say; the reason of a failure stands behind it, without a space."""

_MEMORY_HINT = (
    "137 means that the task was killed, most often because it used more memory than it had: rerun with more "
    "memory_mib."
)


def failure_of(job: JobSeen, last_log_line: str | None) -> Failure:
    """For a job whose state is FAILED."""
    task = next((task for task in sorted(job.tasks, key=lambda t: t.index) if task.state is TaskState.FAILED), None)
    attempts = failed_attempts(task) if task else []
    code = attempts[-1].exit_code if attempts else None
    said = _what_batch_said(job, attempts)
    if code in PLATFORM_CODES:
        kind, sentence = PLATFORM_CODES[code]
        return _failure(kind, f"{_name(task)} ended with Batch's code {code}: {sentence}.", code, task)
    kind = _kind_from(said)
    if code:
        kind = FailureKind.OUT_OF_MEMORY if kind is FailureKind.OUT_OF_MEMORY else FailureKind.EXIT_CODE
        tail = f" Its last line was: {last_log_line}" if last_log_line else ""
        return _failure(kind, f"{_name(task)} ended with exit code {code}.{tail}", code, task)
    return _failure(kind, said or "Batch failed the job and gave no reason.", None, task)


def _failure(kind: FailureKind, message: str, code: int | None, task: TaskSeen | None) -> Failure:
    hint = _MEMORY_HINT if code == KILLED and kind is FailureKind.EXIT_CODE else HINTS[kind]
    return Failure(
        kind=kind, exit_code=code, task=task.index if task else None, message=shorten(message), hint=hint
    )


def _name(task: TaskSeen | None) -> str:
    return f"Task {task.index}" if task else "The job"


def _what_batch_said(job: JobSeen, attempts: list[StatusEvent]) -> str:
    """The texts of the last bad attempt and of the job's events that are more than a change of state."""
    told = filter(None, (_STATE_CHANGE.sub("", event.description).strip() for event in in_order(job.events)))
    return " ".join([*(attempt.description for attempt in attempts[-1:]), *list(told)[-3:]]).strip()


def _kind_from(said: str) -> FailureKind:
    return next((kind for kind, pattern in _TEXTS if pattern.search(said)), FailureKind.UNKNOWN)
