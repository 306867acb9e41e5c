"""Every loss heals here: jobs never started, notifications never sent, events never published, ingests that died."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta

from pydantic import ValidationError

from shared.delivery import Delivery
from shared.domain.analysis import UNFINISHED, Analysis, IngestStatus, Status
from shared.domain.clock import iso
from shared.domain.errors import Permanent, Transient
from shared.domain.events import EventType, event_about
from shared.domain.job import JobState
from shared.ports import Order, Ports, Query, Stored, Where
from shared.steps.announce import announce, message_of
from shared.steps.observe import observe
from shared.steps.start import start
from shared.steps.store import Loaded

PAGE = 100
BEING_CANCELLED = (JobState.CANCELLATION_IN_PROGRESS, JobState.CANCELLED)

log = logging.getLogger(__name__)


def reconcile(delivery: Delivery, ports: Ports) -> None:
    """One round. What fails for one document is logged and left to the next round; the others get theirs."""
    del delivery
    for stored in _silent(ports):
        _each(stored, ports, _look_at)
    for stored in _unsent(ports):
        _each(stored, ports, lambda ports, stored: announce(ports.documents, ports.bus, stored))
    for stored in _dead_ingests(ports):
        _each(stored, ports, _ingest_again)


def _look_at(ports: Ports, stored: Stored) -> None:
    loaded = _loaded(stored)
    if loaded.analysis.job.uid is None:
        loaded = start(ports, loaded)
    loaded = observe(ports, loaded)
    analysis = loaded.analysis
    if analysis.cancel_requested and not analysis.status.final and analysis.job.state not in BEING_CANCELLED:
        ports.engine.cancel(analysis.job.name)
        observe(ports, loaded)


def _ingest_again(ports: Ports, stored: Stored) -> None:
    analysis = _loaded(stored).analysis
    lease = analysis.ingest.lease
    if analysis.status is not Status.SUCCEEDED or (lease is not None and lease.until > ports.clock()):
        return  # an ingest is pending from the first day on, but there is nothing to ingest yet; or somebody is at it
    command = event_about(
        EventType.INGEST, project=analysis.project, subject=analysis.id, at=ports.clock(),
        sequence=analysis.events_total, data={"analysis_id": analysis.id, "force": False},
    )
    again = command.model_copy(update={"id": f"{analysis.id}.ingest-{analysis.ingest.attempts + 1}"})
    ports.bus.publish(again.type.topic, message_of(again))


def _silent(ports: Ports) -> Iterator[Stored]:
    before = iso(ports.clock() - timedelta(seconds=ports.rules.policy.silent_after_s))
    for status in UNFINISHED:
        yield from _all(ports, Query(
            "*/analyses", where=(Where("status", "==", status), Where("updated_at", "<=", before)),
            order=(Order("updated_at"),), limit=PAGE,
        ))


def _unsent(ports: Ports) -> Iterator[Stored]:
    before = iso(ports.clock() - timedelta(seconds=ports.rules.policy.unsent_after_s))
    for collection in ("*/analyses", "*/rejections"):
        yield from _all(ports, Query(
            collection, where=(Where("unsent_since", "<=", before),), order=(Order("unsent_since"),), limit=PAGE
        ))


def _dead_ingests(ports: Ports) -> Iterator[Stored]:
    before = iso(ports.clock() - timedelta(seconds=ports.rules.policy.silent_after_s))
    for status in (IngestStatus.PENDING, IngestStatus.RUNNING):
        yield from _all(ports, Query(
            "*/analyses", where=(Where("ingest.status", "==", status), Where("updated_at", "<=", before)),
            order=(Order("updated_at"),), limit=PAGE,
        ))


def _all(ports: Ports, query: Query) -> Iterator[Stored]:
    """Every page, each asked for when it is wanted; what is handled meanwhile leaves the query behind its cursor."""
    while True:
        page = ports.documents.query(query)
        yield from page.items
        if page.next is None:
            return
        query = Query(query.collection, query.where, query.order, query.limit, page.next)


def _each(stored: Stored, ports: Ports, act: Callable[[Ports, Stored], None]) -> None:
    try:
        act(ports, stored)
    except (Transient, Permanent) as error:
        log.warning("left to the next round", extra={"document": stored.path, "reason": str(error)})
    except ValidationError:  # written by a newer version, or by hand
        log.exception("not a document that this version understands", extra={"document": stored.path})


def _loaded(stored: Stored) -> Loaded:
    return Loaded(Analysis.from_document(stored.data), stored.version)
