"""The server's memory: jobs and tasks in SQLite, each a serialised proto beside the columns that are searched by.

The caller holds one lock around every use. Written with synchronous=NORMAL in WAL mode: a killed process loses
nothing that was committed; a power cut may lose the last moments, but never the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from google.cloud import batch_v1

from infra.local.batch.names import JobName, parse_job
from infra.local.batch.states import ACTIVE, JobState, TaskState

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    uid TEXT PRIMARY KEY, name TEXT UNIQUE NOT NULL, numbered TEXT UNIQUE NOT NULL, parent TEXT NOT NULL,
    state INTEGER NOT NULL, priority INTEGER NOT NULL, created REAL NOT NULL, running_since REAL, job BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_state ON jobs (state);
CREATE TABLE IF NOT EXISTS tasks (
    uid TEXT NOT NULL, idx INTEGER NOT NULL, state INTEGER NOT NULL, attempt INTEGER NOT NULL,
    launch INTEGER NOT NULL, task BLOB NOT NULL, PRIMARY KEY (uid, idx)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tasks_state ON tasks (uid, state, idx);
CREATE TABLE IF NOT EXISTS requests (id TEXT PRIMARY KEY, method TEXT NOT NULL, name TEXT NOT NULL) WITHOUT ROWID;
"""
ORDERS = {"": "name", "name": "name", "name desc": "name DESC", "create_time": "created, name",
          "create_time desc": "created DESC, name DESC"}  # fmt: skip


@dataclass
class JobRow:
    """`running_since` is set while, and only while, the job is RUNNING."""

    job: batch_v1.Job
    running_since: datetime | None = None

    @property
    def state(self) -> JobState:
        return JobState(self.job.status.state)

    @property
    def created_at(self) -> datetime:
        at: datetime = batch_v1.Job.pb(self.job).create_time.ToDatetime(tzinfo=UTC)
        return at

    def count_run_time(self, until: datetime) -> None:
        """`run_duration` counts RUNNING only."""
        if self.running_since is not None:
            batch_v1.Job.pb(self.job).status.run_duration.FromTimedelta(until - self.running_since)

    @property
    def name(self) -> JobName:
        return parse_job(self.job.name)

    @property
    def group(self) -> batch_v1.TaskGroup:
        return self.job.task_groups[0]


@dataclass
class TaskRow:
    """`attempt` counts from 0 what Batch counts as retries; `launch` also counts starts after a lost machine."""

    uid: str
    index: int
    attempt: int
    launch: int
    task: batch_v1.Task

    @property
    def state(self) -> TaskState:
        return TaskState(self.task.status.state)


class Store:
    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # -- jobs -----------------------------------------------------------------------------------------------------

    def add_job(self, job: batch_v1.Job, created: datetime) -> None:
        name = parse_job(job.name)
        self._db.execute(
            "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?)",
            (job.uid, job.name, name.numbered, job.name.rsplit("/jobs/", 1)[0], int(job.status.state),
             job.priority, created.timestamp(), batch_v1.Job.serialize(job)),
        )  # fmt: skip

    def save_job(self, row: JobRow) -> None:
        since = row.running_since and row.running_since.timestamp()
        self._db.execute(
            "UPDATE jobs SET state = ?, running_since = ?, job = ? WHERE uid = ?",
            (int(row.state), since, batch_v1.Job.serialize(row.job), row.job.uid),
        )

    def job(self, name: str) -> JobRow | None:
        """By its name, with the project's id or its number."""
        rows = self._jobs("WHERE name = ?1 OR numbered = ?1", (name,))
        return rows[0] if rows else None

    def job_by_uid(self, uid: str) -> JobRow | None:
        rows = self._jobs("WHERE uid = ?", (uid,))
        return rows[0] if rows else None

    def active_jobs(self) -> list[JobRow]:
        """Those that are not final, oldest first."""
        marks = ", ".join("?" * len(ACTIVE))
        return self._jobs(f"WHERE state IN ({marks}) ORDER BY created", [int(state) for state in ACTIVE])

    def list_jobs(self, parent: str, order: str, limit: int, offset: int) -> list[JobRow]:
        return self._jobs(f"WHERE parent = ? ORDER BY {ORDERS[order]} LIMIT ? OFFSET ?", (parent, limit, offset))

    def delete_job(self, uid: str) -> None:
        self._db.execute("DELETE FROM jobs WHERE uid = ?", (uid,))
        self._db.execute("DELETE FROM tasks WHERE uid = ?", (uid,))

    def _jobs(self, where: str, values: Sequence[object]) -> list[JobRow]:
        found = self._db.execute(f"SELECT job, running_since FROM jobs {where}", values)
        return [
            JobRow(batch_v1.Job.deserialize(blob), since and datetime.fromtimestamp(since, UTC))
            for blob, since in found
        ]

    # -- tasks ----------------------------------------------------------------------------------------------------

    def add_tasks(self, uid: str, tasks: Iterable[batch_v1.Task]) -> None:
        self._db.executemany(
            "INSERT INTO tasks VALUES (?, ?, ?, 0, 0, ?)",
            ((uid, i, int(t.status.state), batch_v1.Task.serialize(t)) for i, t in enumerate(tasks)),
        )

    def save_task(self, row: TaskRow) -> None:
        self._db.execute(
            "UPDATE tasks SET state = ?, attempt = ?, launch = ?, task = ? WHERE uid = ? AND idx = ?",
            (int(row.state), row.attempt, row.launch, batch_v1.Task.serialize(row.task), row.uid, row.index),
        )

    def task(self, uid: str, index: int) -> TaskRow | None:
        rows = self._tasks("WHERE uid = ? AND idx = ?", (uid, index))
        return rows[0] if rows else None

    def tasks_in(self, uid: str, state: TaskState, limit: int = -1) -> list[TaskRow]:
        """In order of index; a limit of -1 is none."""
        return self._tasks("WHERE uid = ? AND state = ? ORDER BY idx LIMIT ?", (uid, int(state), limit))

    def list_tasks(self, uid: str, state: TaskState | None, limit: int, offset: int) -> list[TaskRow]:
        only = int(state) if state is not None else None
        return self._tasks(
            "WHERE uid = ?1 AND (?2 IS NULL OR state = ?2) ORDER BY idx LIMIT ?3 OFFSET ?4",
            (uid, only, limit, offset),
        )

    def task_counts(self, uid: str) -> dict[TaskState, int]:
        """Only the states that occur."""
        found = self._db.execute("SELECT state, count(*) FROM tasks WHERE uid = ? GROUP BY state", (uid,))
        return {TaskState(state): number for state, number in found}

    def _tasks(self, where: str, values: Sequence[object]) -> list[TaskRow]:
        found = self._db.execute(f"SELECT uid, idx, attempt, launch, task FROM tasks {where}", values)
        return [
            TaskRow(uid, index, attempt, launch, batch_v1.Task.deserialize(blob))
            for uid, index, attempt, launch, blob in found
        ]

    # -- request ids ----------------------------------------------------------------------------------------------

    def seen_request(self, request_id: str, method: str, name: str) -> bool:
        """Whether this very request was served before. Batch remembers for an hour, this server for good."""
        values = (request_id, method, name)
        query = "SELECT 1 FROM requests WHERE id = ? AND method = ? AND name = ?"
        return self._db.execute(query, values).fetchone() is not None

    def note_request(self, request_id: str, method: str, name: str) -> None:
        if request_id:
            self._db.execute("INSERT OR IGNORE INTO requests VALUES (?, ?, ?)", (request_id, method, name))
