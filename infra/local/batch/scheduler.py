"""Moves jobs and tasks through their states: what starts when, and what follows from an end.

Nothing but timers and running processes is kept here; the store is the truth, so that a new life of the server goes on
from it. Every change is committed before it acts (a process is started, a notification sent).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from google.cloud import batch_v1

from infra.local.batch.admission import admit
from infra.local.batch.faults import Faults
from infra.local.batch.loop import Loop
from infra.local.batch.notifier import Notifier
from infra.local.batch.outcome import save, settle
from infra.local.batch.plan import make_plan, mounts
from infra.local.batch.runner import Ended, Runner
from infra.local.batch.states import (
    ACTIVE,
    CANCELLABLE,
    ENDING,
    OTHER,
    VM_REBOOTED,
    Change,
    JobState,
    TaskState,
    move_job,
    move_task,
    set_state,
    should_retry,
)
from infra.local.batch.store import JobRow, Store, TaskRow
from infra.local.batch.wire import notifications

log = logging.getLogger(__name__)
_LOOK_AGAIN_S = 0.1  # how often a job that waits for a fault to be lifted looks
_NO_ROOM_S = 1.0  # until a process is tried again that the host had no room for
_KILL_AFTER_S = 2.0  # beyond its grace, for a supervisor that does not answer


@dataclass(frozen=True)
class Attempt:
    uid: str
    index: int
    launch: int
    pid: int
    folder: Path


class Scheduler:
    """`lock` guards the store; the methods without an underscore may be called from any thread that holds it not.

    `slots` is how many tasks run at once on this host, over all jobs: those beyond wait, as if for a VM.
    """

    def __init__(
        self,
        store: Store,
        runner: Runner,
        loop: Loop,
        notifier: Notifier,
        faults: Faults,
        *,
        clock: Callable[[], datetime],
        buckets_dir: Path,
        slots: int,
        grace_s: float,
    ) -> None:
        self.lock = threading.RLock()
        self._store, self._runner, self._loop = store, runner, loop
        self._notifier, self._faults, self._clock = notifier, faults, clock
        self._buckets_dir, self._slots, self._grace_s = buckets_dir, slots, grace_s
        self._running: dict[str, dict[int, Attempt]] = {}
        self._waiting: dict[str, int] = {}  # uid -> priority, of jobs that may have a task to start, oldest first

    # -- from outside ---------------------------------------------------------------------------------------------

    def admit(self, uid: str) -> None:
        """A job has been stored as QUEUED."""
        self._loop.call_soon(partial(self._admit, uid))

    def wind_down(self, uid: str) -> None:
        """A job has been stored as being cancelled or deleted."""
        self._loop.call_soon(partial(self._wind_down, uid))

    def announce(self, job: batch_v1.Job, *changes: Change) -> None:
        """After the commit that made the changes."""
        for change in changes:
            for note in notifications(job, change):
                self._notifier.send(note)

    def recover(self) -> None:
        """Goes on where an earlier life of the server was stopped or killed."""
        with self.lock:
            for row in self._store.active_jobs():
                if row.state is JobState.QUEUED:
                    self.admit(row.job.uid)
                    continue
                for task in self._store.tasks_in(row.job.uid, TaskState.RUNNING):
                    self._adopt(row, task)
                if row.state in ENDING:
                    self.wind_down(row.job.uid)
                else:
                    self._waiting[row.job.uid] = row.job.priority
        self._loop.call_soon(self._fill)

    def end_all(self) -> None:
        """Kills every attempt that runs, for good: they will be started anew by the server's next life."""
        with self.lock:
            for attempts in self._running.values():
                for attempt in attempts.values():
                    self._runner.kill_group(attempt.pid)
                    self._runner.wait(attempt.pid)

    # -- QUEUED -> SCHEDULED --------------------------------------------------------------------------------------

    def _admit(self, uid: str) -> None:
        with self.lock:
            row = self._store.job_by_uid(uid)
            if row is None or row.state is not JobState.QUEUED:
                return
            changes = admit(self._store, row, self._faults.of(row.name.job_id), self._clock())
            if changes is None:
                self._loop.call_later(_LOOK_AGAIN_S, partial(self._admit, uid))
                return
            self._waiting[uid] = row.job.priority
            self.announce(row.job, *changes)
        self._fill()

    # -- tasks start ----------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Starts tasks while there are slots: by priority, then by age, then by index."""
        with self.lock:
            if not self._free_slots():
                return
            for uid in sorted(self._waiting, key=lambda uid: -self._waiting[uid]):
                while self._start_next(uid):
                    if not self._free_slots():
                        return

    def _free_slots(self) -> int:
        return self._slots - sum(map(len, self._running.values()))

    def _start_next(self, uid: str) -> bool:
        """False if nothing of this job can start now."""
        row = self._store.job_by_uid(uid)
        pending = self._store.tasks_in(uid, TaskState.PENDING, limit=1)
        if row is None or row.state not in CANCELLABLE or not pending:
            self._waiting.pop(uid, None)
            return False
        if len(self._running.get(uid, ())) >= row.group.parallelism:
            return False
        self._start(row, pending[0])
        return True

    def _start(self, row: JobRow, task: TaskRow) -> None:
        now = self._clock()
        move_task(row.job, task.task, TaskState.ASSIGNED, now, attempt=task.attempt)
        changes: list[Change] = [move_task(row.job, task.task, TaskState.RUNNING, now, attempt=task.attempt)]
        if row.state is not JobState.RUNNING:
            changes.append(move_job(row.job, JobState.RUNNING, now))
            row.running_since = now
        with self._store.transaction():
            self._store.save_task(task)
            save(self._store, row)
        self._launch(row, task)
        self.announce(row.job, *changes)

    def _launch(self, row: JobRow, task: TaskRow) -> None:
        preempt = self._faults.of(row.name.job_id).preempt
        after_s = preempt.after_s if preempt and task.attempt < preempt.attempts else None
        folder = self._runner.folder(task.uid, task.index, task.launch)
        plan = make_plan(row, task, folder, self._buckets_dir, after_s)
        for bucket in mounts(row.group.task_spec, self._buckets_dir).values():
            bucket.mkdir(parents=True, exist_ok=True)
        try:
            pid = self._runner.launch(folder, task.uid, task.index, plan)
        except OSError as error:
            log.warning("no room for task %s, it is tried again: %s", task.task.name, error)
            self._loop.call_later(_NO_ROOM_S, partial(self._relaunch, task.uid, task.index))
            return
        self._watch(Attempt(task.uid, task.index, task.launch, pid, folder))

    def _watch(self, attempt: Attempt) -> None:
        self._running.setdefault(attempt.uid, {})[attempt.index] = attempt
        self._loop.call_soon(lambda: self._loop.when_ended(attempt.pid, partial(self._supervisor_ended, attempt)))

    def _relaunch(self, uid: str, index: int) -> None:
        """Starts an attempt anew without counting it: it is not to blame."""
        with self.lock:
            row, task = self._store.job_by_uid(uid), self._store.task(uid, index)
            if row is None or task is None or task.state is not TaskState.RUNNING or row.state in ENDING:
                return
            task.launch += 1
            with self._store.transaction():
                self._store.save_task(task)
            self._launch(row, task)

    def _adopt(self, row: JobRow, task: TaskRow) -> None:
        folder = self._runner.folder(task.uid, task.index, task.launch)
        pid = self._runner.find(folder)
        if pid is not None:
            self._watch(Attempt(task.uid, task.index, task.launch, pid, folder))
        elif (ended := self._runner.ended(folder)) is not None:
            self._task_ended(task.uid, task.index, ended)
        elif row.state not in ENDING:
            self._runner.kill_leftovers(task.uid, task.index)
            self._relaunch(task.uid, task.index)

    # -- tasks end ------------------------------------------------------------------------------------------------

    def _supervisor_ended(self, attempt: Attempt) -> None:
        with self.lock:
            ended = self._runner.ended(attempt.folder)
            if ended is None:
                self._runner.kill_group(attempt.pid)
                ended = Ended(VM_REBOOTED, self._clock())
            self._running[attempt.uid].pop(attempt.index)
            if not self._running[attempt.uid]:
                del self._running[attempt.uid]
            self._task_ended(attempt.uid, attempt.index, ended)
            self._runner.forget(attempt.folder)  # not before the end is stored: without a record it would run again
        self._fill()

    def _task_ended(self, uid: str, index: int, ended: Ended) -> None:
        row, task = self._store.job_by_uid(uid), self._store.task(uid, index)
        if row is None or task is None:
            return
        changes: list[Change] = [self._end_task(row, task, ended)]
        spec = row.group.task_spec
        if ended.exit_code and row.state not in ENDING and should_retry(spec, ended.exit_code, task.attempt):
            set_state(task.task.status, TaskState.PENDING)
            task.attempt += 1
            task.launch += 1
            self._waiting[uid] = row.job.priority
        with self._store.transaction():
            self._store.save_task(task)
            changes += settle(self._store, row, ended.at)
        self._after(row, changes)

    def _end_task(self, row: JobRow, task: TaskRow, ended: Ended) -> Change:
        if ended.exit_code == 0:
            return move_task(row.job, task.task, TaskState.SUCCEEDED, ended.at, attempt=task.attempt)
        code = OTHER if row.state in ENDING else ended.exit_code
        return move_task(row.job, task.task, TaskState.FAILED, ended.at, attempt=task.attempt, exit_code=code)

    def _wind_down(self, uid: str) -> None:
        with self.lock:
            row = self._store.job_by_uid(uid)
            if row is None or row.state not in ENDING:
                return
            for task in self._store.tasks_in(uid, TaskState.RUNNING):
                self._end_attempt(uid, task.index)
            self._settle(uid)

    def _end_attempt(self, uid: str, index: int) -> None:
        attempt = self._running.get(uid, {}).get(index)
        if attempt is None:  # it was lost with an earlier life of the server, or waits for room on the host
            self._runner.kill_leftovers(uid, index)
            self._task_ended(uid, index, Ended(OTHER, self._clock()))
            return
        self._runner.end(attempt.pid)
        self._loop.call_later(self._grace_s + _KILL_AFTER_S, partial(self._insist, attempt))

    def _settle(self, uid: str) -> None:
        row = self._store.job_by_uid(uid)
        if row is None or row.state not in ENDING:
            return
        with self._store.transaction():
            changes = settle(self._store, row, self._clock())
        self._after(row, changes)

    def _after(self, row: JobRow, changes: list[Change]) -> None:
        if row.state not in ACTIVE or self._store.job_by_uid(row.job.uid) is None:
            self._waiting.pop(row.job.uid, None)
            self._runner.forget_job(row.job.uid)
        self.announce(row.job, *changes)

    def _insist(self, attempt: Attempt) -> None:
        with self.lock:
            if self._running.get(attempt.uid, {}).get(attempt.index) == attempt:
                self._runner.kill_group(attempt.pid)
