"""What is to go wrong, on request: rules in `STATE_DIR/faults.json`, read anew whenever the file changes.

A test or a tool in any process writes the file with `write_faults`; the first rule whose `jobs` pattern matches a job
id holds for it. An unreadable file is logged and the rules before it stay in force.
"""

from __future__ import annotations

import fnmatch
import logging
import threading
from collections import Counter
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

log = logging.getLogger(__name__)
FILE = "faults.json"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Notify(_Model):
    """Faults of notifications, of those states only that `states` names (job and task states; none: all)."""

    states: tuple[str, ...] = ()
    drop: bool = False
    duplicate: int = Field(default=0, ge=0, description="further copies of each message")
    reorder: int = Field(default=0, ge=0, description="messages held back, then sent last first")
    delay_s: float = Field(default=0.0, ge=0)


class Preempt(_Model):
    """The first `attempts` attempts of every task lose their VM `after_s` seconds into RUNNING (exit 50001)."""

    attempts: int = Field(ge=1)
    after_s: float = Field(default=0.0, ge=0)


class Quota(_Model):
    """The job waits in QUEUED, for `seconds` or until the rule is gone."""

    seconds: float | None = Field(default=None, gt=0)
    name: str = "CPUS"
    limit: float = 0.0


class Refusal(_Model):
    code: Literal["INVALID_ARGUMENT", "PERMISSION_DENIED", "FAILED_PRECONDITION", "RESOURCE_EXHAUSTED",
                  "UNAVAILABLE", "INTERNAL"]  # fmt: skip
    text: str


class Fault(_Model):
    """One rule. `jobs` is a shell pattern of job ids."""

    jobs: str = "*"
    notify: Notify = Notify()
    preempt: Preempt | None = None
    quota: Quota | None = None
    fail_before_start: str | None = Field(default=None, description="the job fails from SCHEDULED, with no task")
    refuse_create: Refusal | None = None
    create_then_unavailable: int = Field(default=0, ge=0, description="applied, but answered with UNAVAILABLE")
    cancel_unavailable: int = Field(default=0, ge=0, description="CancelJob answers UNAVAILABLE so many times")
    answer_after_s: float = Field(default=0.0, ge=0, description="every call that names the job is slow")
    lose: bool = Field(default=False, description="the job is NOT_FOUND for everyone while the rule is there")


NONE = Fault()
_RULES = TypeAdapter(tuple[Fault, ...])


def write_faults(state_dir: Path, *rules: Fault) -> None:
    """Replaces the rules in one step; without any, nothing goes wrong any more."""
    state_dir.mkdir(parents=True, exist_ok=True)
    part = state_dir / f"{FILE}.part"
    part.write_bytes(_RULES.dump_json(rules, indent=1))
    part.replace(state_dir / FILE)


class Faults:
    """The rules in force; may be asked from any thread."""

    def __init__(self, state_dir: Path) -> None:
        self._file = state_dir / FILE
        self._seen: tuple[int, int, int] | None = None
        self._rules: tuple[Fault, ...] = ()
        self._used: Counter[tuple[str, str]] = Counter()
        self._lock = threading.RLock()

    def of(self, job_id: str) -> Fault:
        with self._lock:
            self._refresh()
            return next((rule for rule in self._rules if fnmatch.fnmatchcase(job_id, rule.jobs)), NONE)

    def spend(self, job_id: str, what: Literal["create_then_unavailable", "cancel_unavailable"]) -> bool:
        """Whether this call is one of the first n of the job that the rule spoils; counts it if so."""
        with self._lock:
            if self._used[job_id, what] >= getattr(self.of(job_id), what):
                return False
            self._used[job_id, what] += 1
            return True

    def _refresh(self) -> None:
        try:
            stat = self._file.stat()
            seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        except FileNotFoundError:
            seen = None
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._rules = _RULES.validate_json(self._file.read_bytes()) if seen else ()
        except (ValidationError, FileNotFoundError) as error:
            log.error("the fault rules of %s stay as they were: %s", self._file, error)
            return
        self._used.clear()
