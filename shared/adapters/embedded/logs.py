"""Task logs as the local Batch server leaves them: one file a task, every attempt appended.

Layout, shared by this reader and infra/local/batch: `STATE_DIR/logs/{job uid}/task-{index}.txt`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO

from shared.domain.errors import Unavailable

_UID = re.compile(r"[a-z][a-z0-9-]{0,127}")


def log_path(state_dir: Path, job_uid: str, task: int) -> Path:
    """Where the log of a task lies; a uid that is not one (it becomes a folder's name) raises ValueError."""
    if not _UID.fullmatch(job_uid):
        raise ValueError(f"{job_uid!r} is not the uid of a Batch job")
    return state_dir / "logs" / job_uid / f"task-{task}.txt"


class FileLogs:
    """The `Logs` port over the local Batch server's folder."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    def tail(self, job_uid: str, task: int, *, max_bytes: int) -> tuple[bytes, int]:
        """The last bytes of a task's log and its full size in bytes, whatever that is, in constant memory."""
        with self._open(job_uid, task) as file:
            size = os.fstat(file.fileno()).st_size
            start = max(0, size - max_bytes)
            return os.pread(file.fileno(), size - start, start), size

    def read(self, job_uid: str, task: int, *, start: int, max_bytes: int) -> bytes:
        """From byte `start`, at most `max_bytes`; empty at the end, which a running task moves on."""
        with self._open(job_uid, task) as file:
            return os.pread(file.fileno(), max_bytes, start)

    def _open(self, job_uid: str, task: int) -> BinaryIO:
        try:
            return log_path(self._state_dir, job_uid, task).open("rb", buffering=0)
        except (FileNotFoundError, ValueError) as error:
            raise Unavailable(f"task {task} of job {job_uid} has not written a log") from error
        except OSError as error:
            raise Unavailable(f"the log of task {task} of job {job_uid} cannot be read: {error.strerror}") from error
