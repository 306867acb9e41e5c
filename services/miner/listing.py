"""The filters of the list of analyses, and the query that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shared.domain import paths
from shared.domain.analysis import UNFINISHED, Status
from shared.domain.clock import iso
from shared.domain.request import Origin
from shared.ports import Order, Query, Where

TABS: Mapping[str, tuple[Status, ...]] = {
    "all": tuple(Status),
    "in_progress": UNFINISHED,
    "completed": (Status.SUCCEEDED,),
    "failed": (Status.FAILED,),
    "cancelled": (Status.CANCELLED,),
}
"""The tabs of the page, which are also words for `status`."""

ALLOWED_STATUSES = (*Status, *(tab for tab in TABS if tab not in tuple(Status)))
MAX_LIMIT = 200


class Filters(BaseModel):
    """All of them must hold. Unknown parameters and values are refused, since they would show what nobody asked for."""

    model_config = ConfigDict(extra="forbid")

    status: list[str] = Field(
        default_factory=list, examples=[["queued", "running"]],
        description=f"Repeatable: one of {', '.join(ALLOWED_STATUSES)}. in_progress is queued and running; completed "
        "is succeeded.",
    )
    pipeline: str | None = Field(default=None, max_length=63, description="The pipeline's slug.")
    version: str | None = Field(default=None, max_length=32, description="The pipeline's version.")
    created_from: datetime | None = Field(default=None, description="At or after this time; UTC unless it says else.")
    created_to: datetime | None = Field(default=None, description="Before this time; UTC unless it says else.")
    origin: Origin | None = Field(default=None, description="Where the request was made.")
    sample: str | None = Field(default=None, max_length=120, description="Name of one of its samples.")
    order: str | None = Field(default=None, max_length=120, description="The id of the order that asked.")
    text: str | None = Field(default=None, max_length=120, description="A part of its display id or slug.")
    sort: Literal["-created_at", "-run_seconds"] = Field(
        default="-created_at", description="Newest first, or longest run first (those without a run last)."
    )
    limit: int = Field(default=50, ge=1, le=MAX_LIMIT, description="Analyses on a page.")
    cursor: str | None = Field(default=None, max_length=1000, description="`next` of the page before.")

    @field_validator("status")
    @classmethod
    def _known(cls, words: list[str]) -> list[str]:
        for word in words:
            if word not in ALLOWED_STATUSES:
                raise ValueError(f"{word!r} is no status; allowed are {', '.join(ALLOWED_STATUSES)}")
        return words

    @field_validator("created_from", "created_to")
    @classmethod
    def _aware(cls, moment: datetime | None) -> datetime | None:
        return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment

    def statuses(self) -> frozenset[Status]:
        words = self.status or ["all"]
        return frozenset(status for word in words for status in TABS.get(word) or (Status(word),))

    def asked(self, project: str) -> dict[str, Any]:
        """What a cursor holds for."""
        return {"project": project, **self.model_dump(mode="json", exclude={"limit", "cursor"})}

    def query(self, project: str, after: tuple[Any, ...] | None) -> Query:
        where = [*self._equal()]
        if self._by_time:
            where += self._created()
        order = Order("created_at" if self._by_time else "metrics.run_seconds", descending=True)
        return Query(paths.analyses(project), tuple(where), (order,), self.limit, after)

    def keep(self) -> Callable[[Mapping[str, Any]], bool] | None:
        """What no index can answer; None when the query says it all."""
        tests: list[Callable[[Mapping[str, Any]], bool]] = []
        if (sample := self.sample) is not None:
            tests.append(lambda found: any(one["name"] == sample for one in found["samples"]))
        if (text := self.text) is not None:
            tests.append(lambda found: _matches(text, found))
        if not self._by_time and self._created():
            tests.append(self._in_range)
        return (lambda found: all(test(found) for test in tests)) if tests else None

    @property
    def _by_time(self) -> bool:
        return self.sort == "-created_at"

    def _equal(self) -> list[Where]:
        statuses = sorted(self.statuses())
        found = [] if len(statuses) == len(Status) else [Where("status", "in", statuses)]
        wanted = {
            "pipeline.slug": self.pipeline, "pipeline.version": self.version, "origin": self.origin,
            "order_id": self.order,
        }
        return found + [Where(field, "==", value) for field, value in wanted.items() if value is not None]

    def _created(self) -> list[Where]:
        since = [Where("created_at", ">=", iso(self.created_from))] if self.created_from else []
        until = [Where("created_at", "<", iso(self.created_to))] if self.created_to else []
        return since + until

    def _in_range(self, found: Mapping[str, Any]) -> bool:
        created = datetime.fromisoformat(found["created_at"])
        return (self.created_from or created) <= created and not (self.created_to and created >= self.created_to)


def _matches(text: str, found: Mapping[str, Any]) -> bool:
    slug = paths.slug(text)
    return text.casefold() in found["display_id"].casefold() or (bool(slug) and slug in found["slug"])
