"""A task's log as lines of a page: numbered where all of it is read, with the first error to jump to."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from services.miner.api.logs import Level, end_of_log
from services.miner.log_text import Line, Severity, numbered
from services.miner.problems import Refusal
from shared.domain.analysis import Analysis
from shared.domain.errors import Transient
from shared.ports import Ports

LINES = 500
"""Shown at first: the last ones."""


class LogAsked(BaseModel):
    """What the address of the page says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: int = Field(default=0, ge=0, le=9_999)
    severity: Level | None = None
    contains: str = Field(default="", max_length=200)
    lines: int = Field(default=LINES, ge=1, le=1_000_000)
    wrap: bool = False
    follow: bool = True


@dataclass(frozen=True)
class LogPage:
    """`cut` bytes of its beginning were not read: then lines have no numbers. `note` says why there is nothing.

    `next` is where one who follows goes on, and `last` the number of the last line that was read.
    """

    lines: list[Line]
    matching: int
    first_error: Line | None
    size: int
    cut: int
    last: int
    next: str | None
    kept: bool
    note: str

    @property
    def error_is_shown(self) -> bool:
        return bool(self.first_error and self.lines and self.first_error.number >= self.lines[0].number)


def log_page(ports: Ports, analysis: Analysis, asked: LogAsked) -> LogPage:
    try:
        found = end_of_log(ports, analysis, asked.task)
    except Transient as error:
        return _none(f"The log cannot be read now: {error}")
    except Refusal as refusal:  # no job has ever begun
        return _none(str(refusal))
    least = Severity[asked.severity.name] if asked.severity else None
    every = list(numbered(found.text))
    chosen = every if least is None and not asked.contains else list(numbered(found.text, least, asked.contains))
    first_error = next((line for line in every if line.level >= Severity.ERROR), None)
    size = found.size or 0
    return LogPage(
        chosen[-asked.lines :], len(chosen), first_error, size, size - found.shown, every[-1].number if every else 0,
        found.next, found.source == "outputs", found.note or "",
    )


def _none(why: str) -> LogPage:
    return LogPage([], 0, None, 0, 0, 0, None, False, why)


def last_lines_of(ports: Ports, analysis: Analysis, task: int, number: int) -> list[str]:
    """None of them where the log cannot be read now, or where there is none."""
    try:
        text = end_of_log(ports, analysis, task, tail_bytes=16_384).text
    except (Transient, Refusal):
        return []
    return text.splitlines()[-number:]
