"""Publishes what was committed and not yet published, in order, and clears it after that: the outbox.

A crash in between leaves the events in `unsent`, from where the reconciler publishes them again: a consumer may
see an event twice, under one id, and never not at all.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from shared.domain.errors import Conflict, Transient
from shared.domain.events import Event
from shared.logs import Line, why
from shared.ports import Bus, Message, Stored, Update
from shared.ports import Documents as DocumentsPort
from shared.steps.store import ATTEMPTS

log = logging.getLogger(__name__)


def publish_unsent(bus: Bus, data: Mapping[str, Any]) -> frozenset[str]:
    """The ids that the bus has taken: all of the document's `unsent`, or those before the first failure."""
    published: set[str] = set()
    for body in data["unsent"]:
        event = Event.model_validate(body)
        try:
            bus.publish(event.type.topic, message_of(event))
        except Transient as error:
            log.warning(Line.NOT_PUBLISHED, extra={"event_id": event.id, "reason": why(error)})
            break
        published.add(event.id)
    return frozenset(published)


def announce(documents: DocumentsPort, bus: Bus, stored: Stored) -> None:
    """Publishes the document's `unsent` and clears what was published. Works for any document with an outbox."""
    published = publish_unsent(bus, stored.data)
    clear_unsent(documents, stored, published)


def clear_unsent(documents: DocumentsPort, stored: Stored, published: frozenset[str]) -> None:
    """One write, and none when nothing is to be cleared. A conflict that lasts is left to the reconciler."""
    found: Stored | None = stored
    for _ in range(ATTEMPTS):
        if found is None or not any(event["id"] in published for event in found.data["unsent"]):
            return
        left = [event for event in found.data["unsent"] if event["id"] not in published]
        cleared = {**found.data, "unsent": left, "unsent_since": left[0]["time"] if left else None}
        try:
            documents.commit([Update(found.path, cleared, found.version)])
        except Conflict:
            found = documents.get(found.path)
            continue
        return


def message_of(event: Event) -> Message:
    """Events of one analysis share an ordering key."""
    return Message(event.to_bytes(), event.attributes(), ordering_key=event.subject)
