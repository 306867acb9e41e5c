"""Something is sent to somebody else's server: once as far as can be known, and what became of it is recorded.

Who sends takes the delivery first, so that two at once do not both send. One that dies while it sends leaves it to the
next after `SENDING_S`; the receiver then may get it again, under the same id.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from shared.domain import paths
from shared.domain.errors import Conflict, Permanent, Transient, Unavailable
from shared.domain.notification import SENDING_S, Channel, Delivery, Outcome, outcome_of
from shared.domain.part import shorten
from shared.ports import Answered, Create, Ports, Query, Stored, Update, Where
from shared.steps.store import ATTEMPTS
from shared.topology import expiry

log = logging.getLogger(__name__)


class NotTaken(Permanent):
    """The receiver refused it, in a way that the next attempt would not change."""


@dataclass(frozen=True)
class Parcel:
    """`id` is the same for every attempt; `to` is the host, for people."""

    id: str
    channel: Channel
    project: str
    analysis_id: str
    event: str
    to: str


def deliver(ports: Ports, parcel: Parcel, send: Callable[[], Answered]) -> None:
    """Raises Unavailable when it is to be tried again, Permanent when it never will be taken."""
    taken = _take(ports, parcel)
    if taken is None:
        return
    try:
        answered = send()
    except Transient as error:
        _record(ports, taken, Outcome.FAILING, str(error))
        raise
    except Permanent as error:
        _record(ports, taken, Outcome.REFUSED, str(error))
        raise
    outcome, sentence = outcome_of(answered.status), _sentence(parcel, answered)
    _record(ports, taken, outcome, sentence)
    if outcome is Outcome.FAILING:
        raise Unavailable(sentence)
    if outcome is Outcome.REFUSED:
        raise NotTaken(sentence)


def deliveries(ports: Ports, project: str, analysis: str) -> list[Delivery]:
    """Of one analysis, in order of time."""
    found = ports.documents.query(Query(
        paths.deliveries(project), where=(Where("analysis_id", "==", analysis),), limit=200
    )).items
    return sorted((Delivery.model_validate(stored.data) for stored in found), key=lambda each: each.first_at)


def _take(ports: Ports, parcel: Parcel) -> Stored | None:
    """The delivery, ours now; None when it is over. Raises Unavailable while another sends it."""
    now = ports.clock()
    new = Delivery(
        id=parcel.id, channel=parcel.channel, project=parcel.project, analysis_id=parcel.analysis_id,
        event=parcel.event, to=parcel.to, outcome=Outcome.SENDING, attempts=1, first_at=now, last_at=now,
        until=now + timedelta(seconds=SENDING_S), expires_at=expiry("deliveries", now),
    )
    for _ in range(ATTEMPTS):
        stored = ports.documents.get(new.doc_path)
        known = Delivery.model_validate(stored.data) if stored else None
        if known and known.over:
            return None
        if known and known.outcome is Outcome.SENDING and known.until > now:
            raise Unavailable(f"{parcel.channel} {parcel.id} is being sent by another")
        wanted = new if known is None else known.model_copy(update={
            "outcome": Outcome.SENDING, "attempts": known.attempts + 1, "last_at": now, "until": new.until,
            "to": parcel.to,
        })
        data = wanted.to_document()
        try:
            (version,) = ports.documents.commit([
                Update(new.doc_path, data, stored.version) if stored else Create(new.doc_path, data)
            ])
        except Conflict:
            continue
        return Stored(new.doc_path, data, version)
    raise Conflict(new.doc_path)


def _record(ports: Ports, taken: Stored, outcome: Outcome, answer: str) -> None:
    """What somebody else wrote meanwhile stays: they took over, and know better."""
    now = ports.clock()
    known = Delivery.model_validate(taken.data)
    wanted = known.model_copy(update={
        "outcome": outcome, "answer": shorten(answer, 500), "last_at": now, "until": now,
    })
    try:
        ports.documents.commit([Update(taken.path, wanted.to_document(), taken.version)])
    except Conflict:
        return
    if outcome in (Outcome.REFUSED, Outcome.GONE):
        log.warning("not taken by its receiver", extra=_said_of(wanted))
    elif outcome is Outcome.DELIVERED:
        log.info("delivered", extra=_said_of(wanted))


def _said_of(delivery: Delivery) -> Mapping[str, str]:
    return {"analysis_id": delivery.analysis_id, "project": delivery.project, "event_id": delivery.id,
            "reason": f"{delivery.channel}: {delivery.outcome}"}


def _sentence(parcel: Parcel, answered: Answered) -> str:
    said = f": {answered.head}" if answered.head else ""
    return shorten(f"{parcel.to} answered {answered.status}{said}", 300)
