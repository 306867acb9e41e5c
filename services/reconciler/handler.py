"""Every loss heals here: jobs never started, notifications never sent, events never published, builds that died. What
is to be done for a project now and then is done here too: cohort copies every hour, unused caches every day."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from zlib import crc32

from pydantic import ValidationError

from shared import tracing
from shared.delivery import Delivery
from shared.domain.about import about_document
from shared.domain.analysis import UNFINISHED, Analysis, IngestStatus, Status
from shared.domain.clock import iso
from shared.domain.errors import Permanent, Transient
from shared.domain.events import EventType, event_about
from shared.domain.job import JobState
from shared.domain.order import Order
from shared.domain.silence import due
from shared.domain.stuck import mark_stuck
from shared.logs import Line, bound, why
from shared.ports import Order as By
from shared.ports import Ports, Query, Stored, Where
from shared.steps.announce import announce, message_of
from shared.steps.cohort import Write, sync
from shared.steps.observe import observe
from shared.steps.start import start
from shared.steps.store import Loaded, as_stored, decide, load
from shared.steps.unused import delete_unused
from shared.variants.cohort import write_cohort

PAGE = 100

LOOKS_A_ROUND = 4_000
"""At Batch, two calls of 50 ms each: by eight at a time 50 s of the function's 300."""

REFRESHED_A_ROUND = 20
"""Orders whose counts of other analyses are old: of a day's 1,440 rounds each may take so many."""

COPIES_A_TURN = 4
"""Cohort copies of a project, each of some seconds: what a first turn leaves is done in the following hours."""

HOUR, DAY = 60, 1440
"""Minutes."""

BEING_CANCELLED = (JobState.CANCELLATION_IN_PROGRESS, JobState.CANCELLED)

Map = Callable[[Callable[[str], None], Iterable[str]], Iterable[None]]
"""As the built-in `map`, or a pool's."""

log = logging.getLogger(__name__)


def reconcile(delivery: Delivery, ports: Ports, *, side_by_side: Map = map, copy: Write = write_cohort) -> None:
    """One round. What fails for one document is logged and left to the next round; the others get theirs.

    `side_by_side` does the looks at Batch, which are mostly waiting; `copy` writes a cohort copy.
    """
    del delivery
    for _ in side_by_side(lambda path: _look_again(ports, path), turn(_silent(ports), ports.clock())):
        pass
    for stored in _unsent(ports):
        _each(stored, ports, lambda ports, stored: announce(ports.documents, ports.bus, stored))
    for stored in _dead_ingests(ports):
        _each(stored, ports, _ingest_again)
    for stored in _unbuilt_orders(ports):
        _each(stored, ports, _build_again)
    for stored in _orders_to_refresh(ports):
        _each(stored, ports, _refresh)
    for stored in _whose_minute_it_is(ports, HOUR):
        _each(stored, ports, lambda ports, stored: sync(ports, stored.data["id"], most=COPIES_A_TURN, write=copy))
    for stored in _whose_minute_it_is(ports, DAY):
        _each(stored, ports, lambda ports, stored: delete_unused(ports, stored.data["id"]))


def _look_again(ports: Ports, path: str) -> None:
    if (stored := ports.documents.get(path)) is not None:
        _each(stored, ports, _look_at)


def _look_at(ports: Ports, stored: Stored) -> None:
    loaded = _loaded(stored)
    if loaded.analysis.job.uid is None:
        loaded = start(ports, loaded)
    loaded = _said_when_stuck(ports, observe(ports, loaded))
    analysis = loaded.analysis
    if analysis.cancel_requested and not analysis.status.final and analysis.job.state not in BEING_CANCELLED:
        ports.engine.cancel(analysis.job.name)
        observe(ports, loaded)


def _said_when_stuck(ports: Ports, loaded: Loaded) -> Loaded:
    loaded, why_not = decide(
        ports.documents, loaded.analysis.doc_path,
        lambda analysis: mark_stuck(analysis, ports.clock(), ports.rules.policy), known=loaded,
    )
    if why_not is not None:
        return loaded
    announce(ports.documents, ports.bus, as_stored(loaded))
    return load(ports.documents, loaded.analysis.doc_path)


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


def _build_again(ports: Ports, stored: Stored) -> None:
    order = Order.from_document(stored.data)
    if not order.cache.busy(ports.clock()):
        _ask_for_build(ports, order, f"cache-{order.cache.attempts + 1}", anew=False)


def _refresh(ports: Ports, stored: Stored) -> None:
    order = Order.from_document(stored.data)
    if order.cache.wanted_at is None and order.cache.refresh_at is not None:
        _ask_for_build(ports, order, f"refresh-{iso(order.cache.refresh_at)}", anew=True)


def _ask_for_build(ports: Ports, order: Order, name: str, *, anew: bool) -> None:
    command = event_about(
        EventType.ORDER_CACHE, project=order.project, subject=order.id, at=ports.clock(),
        sequence=order.events_total, data={"order_id": order.id, "anew": anew},
    ).model_copy(update={"id": f"{order.id}.{name}"})
    ports.bus.publish(command.type.topic, message_of(command))


def _silent(ports: Ports) -> list[str]:
    """Paths of those that this round may ask about, of which there can be very many."""
    before = iso(ports.clock() - timedelta(seconds=ports.rules.policy.silent_after_s))
    return [stored.path for status in UNFINISHED for stored in _all(ports, Query(
        "*/analyses", where=(Where("status", "==", status), Where("updated_at", "<=", before)),
        order=(By("updated_at"),), limit=PAGE,
    )) if _is_due(ports, stored)]


def _is_due(ports: Ports, stored: Stored) -> bool:
    try:
        return due(Analysis.from_document(stored.data), ports.clock(), ports.rules.policy)
    except ValidationError:
        return True  # and is then said to be not understood


def turn(paths: list[str], now: datetime, most: int = LOOKS_A_ROUND) -> list[str]:
    """At most so many of them; where they are more, each minute goes on where the one before ended."""
    if len(paths) <= most:
        return paths
    first = int(now.timestamp() // 60) * most % len(paths)
    return [*paths[first:], *paths[:first]][:most]


def _unsent(ports: Ports) -> Iterator[Stored]:
    before = iso(ports.clock() - timedelta(seconds=ports.rules.policy.unsent_after_s))
    for collection in ("*/analyses", "*/rejections", "*/orders"):
        yield from _all(ports, Query(
            collection, where=(Where("unsent_since", "<=", before),), order=(By("unsent_since"),), limit=PAGE
        ))


def _dead_ingests(ports: Ports) -> Iterator[Stored]:
    before = iso(ports.clock() - timedelta(seconds=ports.rules.policy.silent_after_s))
    for status in (IngestStatus.PENDING, IngestStatus.RUNNING):
        yield from _all(ports, Query(
            "*/analyses", where=(Where("ingest.status", "==", status), Where("updated_at", "<=", before)),
            order=(By("updated_at"),), limit=PAGE,
        ))


def _unbuilt_orders(ports: Ports) -> Iterator[Stored]:
    """Whose trigger was lost, or whose builder died."""
    before = iso(ports.clock() - timedelta(seconds=ports.rules.policy.silent_after_s))
    return _all(ports, Query(
        "*/orders", where=(Where("cache.wanted_at", "<=", before),), order=(By("cache.wanted_at"),), limit=PAGE
    ))


def _orders_to_refresh(ports: Ports) -> Iterator[Stored]:
    """Some of them: the whole laboratory's orders are not built at once."""
    return islice(_all(ports, Query(
        "*/orders", where=(Where("cache.refresh_at", "<=", iso(ports.clock())),), order=(By("cache.refresh_at"),),
        limit=REFRESHED_A_ROUND,
    )), REFRESHED_A_ROUND)


def _whose_minute_it_is(ports: Ports, every: int) -> list[Stored]:
    """Each project has one minute in `every`, which follows from its name, so that they do not come at once."""
    minute = int(ports.clock().timestamp() // 60)
    return [stored for stored in _all(ports, Query("projects", order=(By("id"),), limit=PAGE))
            if (minute - crc32(stored.data["id"].encode())) % every == 0]


def _all(ports: Ports, query: Query) -> Iterator[Stored]:
    """Every page, each asked for when it is wanted; what is handled meanwhile leaves the query behind its cursor."""
    while True:
        page = ports.documents.query(query)
        yield from page.items
        if page.next is None:
            return
        query = Query(query.collection, query.where, query.order, query.limit, page.next)


def _each(stored: Stored, ports: Ports, act: Callable[[Ports, Stored], object]) -> None:
    subject = about_document(stored.path)
    with bound(**subject), tracing.span("reconcile one", subject):
        try:
            act(ports, stored)
        except (Transient, Permanent) as error:
            log.warning(Line.NEXT_ROUND, extra={"document": stored.path, "reason": why(error)})
            tracing.failed(error)
        except ValidationError as error:  # written by a newer version, or by hand
            fields = ", ".join(sorted({str(found["loc"][:1]) for found in error.errors(include_input=False)}))
            reason = f"{error.error_count()} fields: {fields}"
            log.exception(Line.NOT_UNDERSTOOD, extra={"document": stored.path, "reason": reason})
            tracing.failed(error)


def _loaded(stored: Stored) -> Loaded:
    return Loaded(Analysis.from_document(stored.data), stored.version)
