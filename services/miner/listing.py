"""The list of analyses: its filters, the query that they make, a page of it, and how many each tab holds.

No HTTP here: the API and the pages ask the same. Nothing reads more than the page, whatever the filter (decision 17).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from services.miner.cursors import decode_cursor, encode_cursor
from services.miner.summaries import Summary
from shared.domain import paths
from shared.domain.analysis import UNFINISHED, Status
from shared.domain.clock import iso
from shared.domain.listed import piece_word, sample_word
from shared.domain.request import CONTROL, Origin
from shared.ports import Documents, Order, Query, Where

ME = "me"
MAX_LIMIT = 200
MAX_WORDS = 30
MOST_COUNTED = 10_000
"""A tab with more is shown as so many and a plus: Firestore reads one document for each thousand that it counts."""


class Tab(StrEnum):
    """The tabs of the page."""

    ALL = "all"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NEEDS_ATTENTION = "needs_attention"


TABS: Mapping[str, tuple[Status, ...]] = {
    Tab.ALL.value: tuple(Status),
    Tab.IN_PROGRESS.value: UNFINISHED,
    Tab.COMPLETED.value: (Status.SUCCEEDED,),
    Tab.FAILED.value: (Status.FAILED,),
    Tab.CANCELLED.value: (Status.CANCELLED,),
}
"""Those that are a choice of statuses; they are also words for `status`."""

ALLOWED_STATUSES = (*Status, *(word for word in TABS if word not in tuple(Status)))

_SORTED_BY: Mapping[str, str] = {
    "created_at": "created_at", "started_at": "started_at", "finished_at": "finished_at",
    "run_seconds": "metrics.run_seconds", "cost": "listed.cost", "status": "status", "pipeline": "pipeline.slug",
}
_WITHIN = ("status", "pipeline")
"""Of one of these there are many: the newest first, whichever way they are sorted."""


class Sort(StrEnum):
    """What there is none of comes first upwards and last downwards. Of the same, by id."""

    NEWEST = "-created_at"
    OLDEST = "created_at"
    LAST_STARTED = "-started_at"
    FIRST_STARTED = "started_at"
    LAST_FINISHED = "-finished_at"
    FIRST_FINISHED = "finished_at"
    LONGEST = "-run_seconds"
    SHORTEST = "run_seconds"
    DEAREST = "-cost"
    CHEAPEST = "cost"
    STATUS = "status"
    STATUS_DOWN = "-status"
    PIPELINE = "pipeline"
    PIPELINE_DOWN = "-pipeline"

    @property
    def order(self) -> tuple[Order, ...]:
        name = self.value.removeprefix("-")
        first = Order(_SORTED_BY[name], descending=self.value.startswith("-"))
        return (first, Order("created_at", descending=True)) if name in _WITHIN else (first,)


_Word = Annotated[str, Field(min_length=1, max_length=120)]


class Filters(BaseModel):
    """All of them must hold. Unknown parameters and values are refused, since they would show what nobody asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tab: Tab = Field(default=Tab.ALL, description="needs_attention: it failed, or its ingest did, or its cancel is not "
                     "confirmed. The others are statuses.")
    status: list[str] = Field(
        default_factory=list, examples=[["queued", "running"]], max_length=MAX_WORDS,
        description=f"Repeatable: one of {', '.join(ALLOWED_STATUSES)}. in_progress is queued and running; completed "
        "is succeeded.",
    )
    pipeline: list[Annotated[str, Field(min_length=1, max_length=63)]] = Field(
        default_factory=list, max_length=MAX_WORDS, examples=[["germline-calls"]],
        description="Repeatable: the pipeline's slug.",
    )
    version: list[Annotated[str, Field(min_length=1, max_length=32)]] = Field(
        default_factory=list, max_length=MAX_WORDS, examples=[["1.0.0"]],
        description="Repeatable: the pipeline's version.",
    )
    created_from: datetime | None = Field(default=None, description="At or after this time; UTC unless it says else.")
    created_to: datetime | None = Field(default=None, description="Before this time; UTC unless it says else.")
    finished_from: datetime | None = Field(default=None, description="Ended at or after this time.")
    finished_to: datetime | None = Field(default=None, description="Ended before this time.")
    origin: Origin | None = Field(default=None, description="Where the request was made.")
    sample: _Word | None = Field(default=None, description="Name of one of its samples.")
    order: _Word | None = Field(default=None, description="The id of the order that asked.")
    started_by: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None, description="Who asked for it; `me` is the caller.",
    )
    rerun_of: _Word | None = Field(default=None, description="The id of the analysis that it runs again.")
    text: _Word | None = Field(
        default=None, description="A part of its display id: letters and digits, whatever stands between them.",
    )
    sort: Sort = Field(default=Sort.NEWEST, description="By what, and - for downwards.")
    limit: int = Field(default=50, ge=1, le=MAX_LIMIT, description="Analyses on a page.")
    cursor: str | None = Field(default=None, max_length=1000, description="`next` of the page before.")

    @field_validator("status")
    @classmethod
    def _known(cls, words: list[str]) -> list[str]:
        for word in words:
            if word not in ALLOWED_STATUSES:
                raise ValueError(f"{word!r} is no status; allowed are {', '.join(ALLOWED_STATUSES)}")
        return words

    @field_validator("created_from", "created_to", "finished_from", "finished_to")
    @classmethod
    def _aware(cls, moment: datetime | None) -> datetime | None:
        if moment is None:
            return None
        try:
            return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
        except OverflowError:
            raise ValueError("lies outside the years 1 to 9999") from None

    @field_validator("text")
    @classmethod
    def _has_a_slug(cls, text: str | None) -> str | None:
        if text is not None and not paths.slug(text):
            raise ValueError(f"{text!r} has no letter a-z and no digit to look for")
        return text

    @field_validator("pipeline", "version", "sample", "order", "started_by", "rerun_of")
    @classmethod
    def _plain(cls, value: str | list[str] | None) -> str | list[str] | None:
        if any(CONTROL.search(word) for word in ([value] if isinstance(value, str) else value or [])):
            raise ValueError("holds a control character")
        return value

    def of(self, caller: str) -> Self:
        """With `me` as the caller."""
        return self.model_copy(update={"started_by": caller}) if self.started_by == ME else self

    def on(self, tab: Tab) -> Self:
        return self.model_copy(update={"tab": tab})

    def statuses(self) -> frozenset[Status]:
        words = self.status or [Tab.ALL]
        asked = frozenset(status for word in words for status in TABS.get(word) or (Status(word),))
        return asked & frozenset(TABS.get(self.tab, tuple(Status)))

    def asked(self, project: str) -> dict[str, Any]:
        """What a cursor holds for."""
        return {"project": project, **self.model_dump(mode="json", exclude={"limit", "cursor"})}

    def query(self, project: str, after: tuple[Any, ...] | None = None) -> Query:
        where = (*self._equal(), *self._found(), *self._between())
        return Query(paths.analyses(project), where, self.sort.order, self.limit, after)

    def _equal(self) -> list[Where]:
        statuses = sorted(self.statuses())
        several = {
            "status": statuses if len(statuses) < len(Status) else None,
            "pipeline.slug": self.pipeline or None, "pipeline.version": self.version or None,
        }
        one = {
            "origin": self.origin, "order_id": self.order, "created_by": self.started_by, "rerun_of": self.rerun_of,
            "listed.attention": True if self.tab is Tab.NEEDS_ATTENTION else None,
        }
        return [
            *(Where(field, "in", list(dict.fromkeys(values))) for field, values in several.items()
              if values is not None),
            *(Where(field, "==", value) for field, value in one.items() if value is not None),
        ]

    def _found(self) -> list[Where]:
        found = [Where("listed.find", "array_contains", sample_word(self.sample))] if self.sample else []
        if self.text:
            part = paths.slug(self.text)
            if (word := piece_word(part)) is not None:
                found.append(Where("listed.find", "array_contains", word))
            if word != part:
                found.append(Where("slug", "contains", part))
        return found

    def _between(self) -> list[Where]:
        bounds = (
            ("created_at", ">=", self.created_from), ("created_at", "<", self.created_to),
            ("finished_at", ">=", self.finished_from), ("finished_at", "<", self.finished_to),
        )
        return [Where(field, op, iso(moment)) for field, op, moment in bounds if moment]  # type: ignore[arg-type]


class AnalysisPage(BaseModel):
    """`next` is the cursor of the following page, and null on the last one. A page with a `next` may hold fewer than
    were asked for."""

    items: list[Summary]
    next: str | None


class TabCount(BaseModel):
    """`count` is null where the store could tell only by reading them; `more` when there are more than it counted."""

    count: int | None
    more: bool = False


class TabCounts(BaseModel):
    """How many analyses each tab holds, under the same filters."""

    tabs: dict[Tab, TabCount]


def list_page(documents: Documents, project: str, filters: Filters) -> AnalysisPage:
    """Raises Refusal (400) for a cursor that is not one of this list. `filters` are `of` the caller."""
    asked = filters.asked(project)
    query = filters.query(project, decode_cursor(filters.cursor, asked, parts=len(filters.sort.order) + 1))
    page = documents.query(query)
    return AnalysisPage(
        items=[Summary.model_validate(stored.data) for stored in page.items],
        next=encode_cursor(page.next, asked) if page.next else None,
    )


def tab_counts(documents: Documents, project: str, filters: Filters) -> TabCounts:
    return TabCounts(tabs={tab: _count(documents, filters.on(tab).query(project)) for tab in Tab})


def _count(documents: Documents, query: Query) -> TabCount:
    counted = documents.count(Query(query.collection, query.where, limit=MOST_COUNTED))
    return TabCount(count=counted, more=counted == MOST_COUNTED)
