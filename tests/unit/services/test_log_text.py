"""Whatever bytes a task wrote, people read lines of text; and find among them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.miner.log_text import Severity, chosen, last_lines, readable


@pytest.mark.parametrize(("written", "read"), [
    (b"\x1b[1;31mred\x1b[0m plain\n", "red plain\n"),
    (b"\x1b]0;a title\x07text\x1b(B\n", "text\n"),
    (b"10%\r20%\r\nend\x00\x08\n", "10%\n20%\nend\n"),
    (b"caf\xc3\xa9 \xff\xfe\n", "café \ufffd\ufffd\n"),
    (b"Authorization: Bearer abc.def\n", "Authorization: Bearer ...\n"),
    (b"GET https://storage/x.vcf?X-Goog-Signature=77ab 200\n", "GET https://storage/x.vcf?... 200\n"),
    (b"analyses/WGS-1/x.vcf is kept\tso\n", "analyses/WGS-1/x.vcf is kept\tso\n"),
])
def test_bytes_become_text_without_colours_and_secrets(written: bytes, read: str) -> None:
    assert readable(written) == read


@given(st.binary(max_size=200))
def test_no_bytes_leave_a_control_character(written: bytes) -> None:
    assert all(c in "\n\t" or c.isprintable() or ord(c) > 0x9F for c in readable(written))


LOG = "start\nWARN low\n[ERROR] broke\n  at line 3\n2026-11-25 DEBUG x\n"


@pytest.mark.parametrize(("least", "contains", "left"), [
    (None, "", LOG),
    (Severity.WARNING, "", "WARN low\n[ERROR] broke\n  at line 3\n"),
    (Severity.ERROR, "LINE", "  at line 3\n"),
    (Severity.INFO, "", "start\nWARN low\n[ERROR] broke\n  at line 3\n"),
    (None, "nowhere", ""),
])
def test_lines_are_chosen_by_severity_and_text(least: Severity | None, contains: str, left: str) -> None:
    assert chosen(LOG, least, contains) == left


def test_the_last_lines() -> None:
    assert [last_lines("a\nb\nc", number) for number in (0, 1, 2, 9)] == ["", "c", "b\nc", "a\nb\nc"]
