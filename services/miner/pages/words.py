"""Values as people read them. What is absent is an en dash, never 0."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from shared.domain.analysis import Status
from shared.runtime import now_utc

ABSENT = "–"
_UNITS = ("B", "kB", "MB", "GB", "TB")

STATUS_TONES: Mapping[str, str] = {
    Status.QUEUED: "calm", Status.RUNNING: "busy", Status.SUCCEEDED: "good", Status.FAILED: "bad",
    Status.CANCELLED: "off",
}
"""A colour says nothing alone: the word stands beside it."""


def duration(seconds: float | None) -> str:
    """`12 s`, `4 min 5 s`, `3 h 20 min`, `2 d 4 h`."""
    if seconds is None:
        return ABSENT
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{whole} s"
    for size, name, below, lesser in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {name} {rest} {lesser}" if rest else f"{whole // size} {name}"
    return f"{whole} s"


def size(count: int | None) -> str:
    """Of a file, in powers of 1,000."""
    if count is None:
        return ABSENT
    value, unit = float(count), _UNITS[0]
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{count} B" if unit == "B" else f"{value:.3g} {unit}"


def moment(value: datetime | str | None) -> str:
    """`25 Nov 2026, 21:04:10` UTC."""
    found = _time(value)
    return f"{found.day} {found:%b %Y, %H:%M:%S}" if found else ABSENT


def ago(value: datetime | str | None) -> str:
    """`now`, `3 min ago`; of another day, the day and the hour."""
    found = _time(value)
    if found is None:
        return ABSENT
    passed = int((now_utc() - found).total_seconds())
    if passed < 5:
        return "now"
    for each, name in ((3600, "h"), (60, "min"), (1, "s")):
        if each <= passed < 86_400:
            return f"{passed // each} {name} ago"
    return f"{found.day} {found:%b %Y, %H:%M}"


def iso(value: datetime | str | None) -> str:
    found = _time(value)
    return found.isoformat() if found else ""


def money(amount: float | None, currency: str = "USD") -> str:
    """Two digits, or as many as show that it is not nothing."""
    if amount is None:
        return ABSENT
    if 0 < amount < 0.0001:
        return f"< 0.0001 {currency}"
    digits = 2 if amount == 0 or amount >= 0.01 else 4
    return f"{amount:,.{digits}f} {currency}"


def count(value: int | None) -> str:
    return ABSENT if value is None else f"{value:,}"


def plain(term: str | None) -> str:
    """`in_progress` as words."""
    return ABSENT if term is None else str(term).replace("_", " ")


def tone(status: str) -> str:
    return STATUS_TONES.get(status, "calm")


def _time(value: datetime | str | None) -> datetime | None:
    return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else value


FILTERS: Mapping[str, Callable[..., Any]] = {
    "duration": duration, "size": size, "moment": moment, "ago": ago, "iso": iso, "money": money, "count_of": count,
    "plain": plain, "tone": tone,
}
"""What templates may pipe a value through."""
