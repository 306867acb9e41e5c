"""One SQLite file with a connection for each thread, and write transactions that take the lock at their start."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.domain.errors import Unavailable

BUSY_TIMEOUT_S = 30.0
"""How long a statement waits for another process's lock before it gives up."""


class Database:
    def __init__(self, file: Path, schema: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file
        self._local = threading.local()
        self._writing = threading.Lock()  # threads of one process queue here, instead of in SQLite's busy loop
        with self._writing:
            self.connection().executescript(schema)

    def connection(self, *, on_disk: bool = True) -> sqlite3.Connection:
        """This thread's own connection, in autocommit mode; one for each kind of commit."""
        name = "FULL" if on_disk else "NORMAL"
        found: sqlite3.Connection | None = getattr(self._local, name, None)
        if found is None:
            found = sqlite3.connect(self._file, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            found.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = {name};")
            setattr(self._local, name, found)
        return found

    @contextmanager
    def transaction(self, *, on_disk: bool = True) -> Iterator[sqlite3.Connection]:
        """Commits when the block ends, rolls back when it raises. `on_disk` waits for the disk; without, a power
        failure (never the death of a process) may undo the last commits: https://www.sqlite.org/pragma.html"""
        connection = self.connection(on_disk=on_disk)
        with self._writing:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                raise Unavailable(f"{self._file} is locked: {error}") from error
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
