"""The log files' reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.adapters.embedded.logs import FileLogs, log_path
from shared.domain.errors import Unavailable


def test_the_tail_and_the_full_size(tmp_path: Path) -> None:
    """C33"""
    path = log_path(tmp_path, "a-1-u", 3)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.seek(600 * 2**20)
        file.write(b"last\n")
    assert FileLogs(tmp_path).tail("a-1-u", 3, max_bytes=5) == (b"last\n", 600 * 2**20 + 5)


def test_reading_goes_on_where_it_was(tmp_path: Path) -> None:
    path = log_path(tmp_path, "a-1-u", 0)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"one\n")
    logs = FileLogs(tmp_path)
    assert logs.tail("a-1-u", 0, max_bytes=100) == (b"one\n", 4)
    assert logs.read("a-1-u", 0, start=4, max_bytes=100) == b""
    path.write_bytes(b"one\ntwo\n")
    assert logs.read("a-1-u", 0, start=4, max_bytes=3) == b"two"


def test_a_log_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """C34"""
    with pytest.raises(Unavailable, match="task 0 of job a-1-u has not written a log"):
        FileLogs(tmp_path).tail("a-1-u", 0, max_bytes=1)
    log_path(tmp_path, "a-1-u", 0).mkdir(parents=True)
    with pytest.raises(Unavailable, match="cannot be read: Is a directory"):
        FileLogs(tmp_path).tail("a-1-u", 0, max_bytes=1)


@pytest.mark.parametrize("uid", ["", "..", "a/../b", "A", "a\n"])
def test_a_uid_cannot_lead_out_of_the_folder(tmp_path: Path, uid: str) -> None:
    with pytest.raises(ValueError, match="not the uid"):
        log_path(tmp_path, uid, 0)
    with pytest.raises(Unavailable):
        FileLogs(tmp_path).tail(uid, 0, max_bytes=1)
