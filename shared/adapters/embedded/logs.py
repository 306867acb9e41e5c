"""Task logs as the local Batch server leaves them: one file a task, every attempt appended.

Layout, shared by this reader and infra/local/batch: `STATE_DIR/logs/{job uid}/task-{index}.txt`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import BinaryIO

from shared.domain.errors import Permanent, Unavailable
from shared.ports import LogPart, LogTail

_UID = re.compile(r"[a-z][a-z0-9-]{0,127}")


def log_path(state_dir: Path, job_uid: str, task: int) -> Path:
    """Where the log of a task lies; a uid that is not one (it becomes a folder's name) raises ValueError."""
    if not _UID.fullmatch(job_uid):
        raise ValueError(f"{job_uid!r} is not the uid of a Batch job")
    return state_dir / "logs" / job_uid / f"task-{task}.txt"


def offset_of(mark: str) -> int:
    """Raises Permanent."""
    if mark and not (mark.isascii() and mark.isdecimal() and len(mark) < 19):
        raise Permanent(f"{mark!r} is no place in a log")
    return int(mark or 0)


def whole_lines(text: bytes) -> bytes:
    """Up to its last line's end; of one line that has not ended, all but a character that was cut in two."""
    if end := text.rfind(b"\n") + 1:
        return text[:end]
    for cut in range(1, min(4, len(text))):
        if text[-cut] >= 0xC0:  # begins a character of several bytes
            return text[:-cut] if (text[-cut] >= 0xE0) + (text[-cut] >= 0xF0) + 2 > cut else text
        if text[-cut] < 0x80:
            break
    return text


class FileLogs:
    """The `Logs` port over the local Batch server's folder."""

    poll_s = 0.5

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    def tail(self, job_uid: str, task: int, *, max_bytes: int) -> LogTail:
        """In constant memory, however large the log is. A mark is the number of the bytes before it."""
        with self._open(job_uid, task) as file:
            size = os.fstat(file.fileno()).st_size
            start = max(0, size - max_bytes)
            return LogTail(os.pread(file.fileno(), size - start, start), size, str(size))

    def after(self, job_uid: str, task: int, mark: str, *, max_bytes: int) -> LogPart:
        start = offset_of(mark)
        with self._open(job_uid, task) as file:
            text = whole_lines(os.pread(file.fileno(), max_bytes, start))
        return LogPart(text, str(start + len(text)))

    def _open(self, job_uid: str, task: int) -> BinaryIO:
        try:
            return log_path(self._state_dir, job_uid, task).open("rb", buffering=0)
        except (FileNotFoundError, ValueError) as error:
            raise Unavailable(f"task {task} of job {job_uid} has not written a log") from error
        except OSError as error:
            raise Unavailable(f"the log of task {task} of job {job_uid} cannot be read: {error.strerror}") from error
