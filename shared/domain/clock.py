"""One form of time: aware UTC inside, ISO 8601 of one width in documents, so that text sorts as time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, PlainSerializer


def iso(moment: datetime) -> str:
    """`2026-11-25T07:40:24.000000Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


Time = Annotated[AwareDatetime, AfterValidator(utc), PlainSerializer(iso, when_used="json")]


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds, never negative; None where either end is not known."""
    if start is None or end is None:
        return None
    return max(0.0, round((end - start).total_seconds(), 3))
