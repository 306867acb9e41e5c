"""What documents are made of, and what an analysis and an order have in common: a history, and an outbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.clock import Time
from shared.domain.events import Event, EventType, event_about

HEAD_OF_HISTORY = 200
"""Entries kept in the document. A legal path has a handful; the bound is for a fault that we have not met."""

LONGEST_TEXT = 4_000
"""Characters of a message kept in the document; Batch and pipelines have been seen to write megabytes."""


class Part(BaseModel):
    """A piece of the document: frozen, and nothing in it that is not named here."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Change(Part):
    """One entry of the history: a change of status, a request to cancel, an ingest that ended."""

    at: Time
    from_: str | None = Field(alias="from")
    to: str
    by: str
    source: str
    reason: str


class Lease(Part):
    holder: str
    until: Time


class Recorded(Part):
    """A whole document. Its own class says where in it these fields stand, so that people read the id first."""

    if TYPE_CHECKING:
        id: str
        project: str
        history: tuple[Change, ...]
        history_total: int
        unsent: tuple[Event, ...]
        unsent_since: Time | None
        events_total: int

    def to_document(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Self:
        return cls.model_validate(data)

    def changed(self, **fields: Any) -> Self:
        """A copy with other values in some fields (no validation: callers pass typed values)."""
        return self.model_copy(update=fields)

    def with_history(self, change: Change) -> Self:
        """The first entries stay for ever; past the bound the newest takes the last place."""
        kept = self.history if len(self.history) < HEAD_OF_HISTORY else self.history[:-1]
        return self.changed(history=(*kept, change), history_total=self.history_total + 1)

    def with_event(self, kind: EventType, at: Time, data: Mapping[str, Any]) -> Self:
        """The event is committed with the state that it announces, and published after that."""
        event = event_about(
            kind, project=self.project, subject=self.id, sequence=self.events_total + 1, at=at, data=data
        )
        return self.changed(
            unsent=(*self.unsent, event),
            unsent_since=self.unsent_since or at,
            events_total=self.events_total + 1,
        )

    def received(self, event_id: str) -> Self:
        """Somebody received this event: it and those before it were published, in order, and need not be again."""
        ids = [event.id for event in self.unsent]
        return self.without_unsent(frozenset(ids[: ids.index(event_id) + 1])) if event_id in ids else self

    def without_unsent(self, published: frozenset[str]) -> Self:
        left = tuple(event for event in self.unsent if event.id not in published)
        return self.changed(unsent=left, unsent_since=left[0].time if left else None)


def shorten(text: str, limit: int = LONGEST_TEXT) -> str:
    """The head of a long text, and how long it was; a NUL or other control character becomes a space."""
    clean = "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)
    if len(clean) <= limit:
        return clean
    return f"{clean[:limit]} … ({len(clean):,} characters in all)"
