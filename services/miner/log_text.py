"""A task's log as people read it: whatever bytes were written become lines of text, without colours and secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from shared.logs import without_secrets

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_=>()][0-9AB]?)")
"""ECMA-48: control sequences (CSI), commands of the terminal (OSC), and what has one letter."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_LEVEL = re.compile(r"\b(TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b", re.IGNORECASE)
_LEVEL_WITHIN = 100
"""Characters at a line's beginning in which its level stands, if it has one."""


class Severity(IntEnum):
    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4


_BY_WORD = {
    "TRACE": Severity.DEBUG, "NOTICE": Severity.INFO, "WARN": Severity.WARNING, "FATAL": Severity.CRITICAL,
    **{level.name: level for level in Severity},
}


def readable(text: bytes) -> str:
    """Bytes that are no UTF-8 are shown as such; a line that was written over (a progress bar) becomes several."""
    plain = _ESCAPES.sub("", text.decode(errors="replace")).replace("\r\n", "\n").replace("\r", "\n")
    return without_secrets(_CONTROL.sub("", plain))


@dataclass(frozen=True)
class Line:
    """`number` from 1, of the text that it was read from."""

    number: int
    level: Severity
    text: str


def chosen(text: str, least: Severity | None, contains: str) -> str:
    """Those lines that are at least so severe and hold the text, in whatever case."""
    if least is None and not contains:
        return text
    return "".join(line.text for line in numbered(text, least, contains))


def numbered(text: str, least: Severity | None = None, contains: str = "") -> Iterator[Line]:
    """As `chosen`, line by line."""
    wanted = contains.casefold()
    for number, (line, level) in enumerate(_with_levels(text.splitlines(keepends=True)), 1):
        if (least is None or level >= least) and wanted in line.casefold():
            yield Line(number, level, line)


def _with_levels(lines: Iterable[str]) -> Iterator[tuple[str, Severity]]:
    """A line that names none is information; one that is indented belongs to the line before it."""
    level = Severity.INFO
    for line in lines:
        if found := _LEVEL.search(line, 0, _LEVEL_WITHIN):
            level = _BY_WORD[found.group(1).upper()]
        elif not line[:1].isspace():
            level = Severity.INFO
        yield line, level


def last_lines(text: str, number: int) -> str:
    return "".join(text.splitlines(keepends=True)[-number:]) if number else ""
