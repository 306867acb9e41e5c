"""The log files' reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.adapters.embedded.logs import FileLogs, log_path, whole_lines
from shared.domain.errors import Permanent, Unavailable


def test_the_tail_and_the_full_size(tmp_path: Path) -> None:
    """C33"""
    path = log_path(tmp_path, "a-1-u", 3)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.seek(600 * 2**20)
        file.write(b"last\n")
    assert FileLogs(tmp_path).tail("a-1-u", 3, max_bytes=5) == (b"last\n", size := 600 * 2**20 + 5, str(size))


def test_reading_goes_on_where_it_was(tmp_path: Path) -> None:
    path = log_path(tmp_path, "a-1-u", 0)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"one\n")
    logs = FileLogs(tmp_path)
    assert logs.tail("a-1-u", 0, max_bytes=100) == (b"one\n", 4, "4")
    assert logs.after("a-1-u", 0, "4", max_bytes=100) == (b"", "4")
    path.write_bytes(b"one\ntwo\nthr")
    assert logs.after("a-1-u", 0, "4", max_bytes=100) == (b"two\n", "8")
    assert logs.after("a-1-u", 0, "8", max_bytes=100) == (b"thr", "11")
    assert logs.after("a-1-u", 0, "", max_bytes=2) == (b"on", "2")
    with pytest.raises(Permanent, match="no place"):
        logs.after("a-1-u", 0, "x", max_bytes=1)


@pytest.mark.parametrize(("text", "whole"), [
    (b"one\ntw", b"one\n"), ("é".encode(), "é".encode()), (b"a\xc3", b"a"), (b"a\xe2\x82", b"a"),
    (b"a\xf0\x9f\x98", b"a"), ("a€".encode(), "a€".encode()), (b"a\xff\xff", b"a\xff"), (b"", b""),
    (b"\x80\x80\x80\x80", b"\x80\x80\x80\x80"),
])
def test_a_part_ends_with_a_line_or_with_a_whole_character(text: bytes, whole: bytes) -> None:
    assert whole_lines(text) == whole


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
