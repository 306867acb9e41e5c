"""The lease and the end of an order's build, as pure as the rest: what is built is in `cache.Built`.

A trigger compares what the cache shows with what it should be joined of, so that a repeated one does nothing (C54,
C55). One that comes while somebody is building leaves a mark, and the builder goes on with it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from shared.domain.analysis import Analysis
from shared.domain.cache import Built, Cache, CacheStatus
from shared.domain.events import EventType
from shared.domain.ingest import died, work_module
from shared.domain.lifecycle import Unchanged
from shared.domain.members import Plan
from shared.domain.order import CLOSED, Changed, Order, OrderAnswer
from shared.domain.part import Lease, shorten
from shared.domain.policy import Policy

STARTING = "Starting."
WAITING = "Waiting for a machine."


def next_step(
    order: Order, wanted: Plan, holder: str, now: datetime, policy: Policy, *, anew: bool = False
) -> OrderAnswer:
    """What a trigger makes of the order: ready or failed at once, or `holder`'s to build (`Cache.held_by`).

    `anew`: also when it is joined of the right tables, since the laboratory's counts have changed, or by force.
    """
    cache = order.cache
    if cache.busy(now):
        if cache.again:
            return Unchanged("somebody is building it, and knows that there is more to do")
        return _with(order, now, again=True)
    if wanted.refusal:
        return cache_failed(order, wanted.refusal, now)
    if not wanted.members:
        waiting = _with(order, now, **_AT_REST, status=CacheStatus.PENDING, built=None, missing=wanted.missing)
        return waiting if waiting.order.cache != cache else Unchanged("no sample of it has variants yet")
    if not anew and (there := _there_already(cache, wanted)):
        if cache.built == there and cache.status is CacheStatus.READY and cache.wanted_at is None:
            return Unchanged("it is built of just that already")
        return cache_ready(order, there, now, policy)
    if cache.attempts >= policy.ingest_attempts:
        return cache_failed(order, died(cache.attempts, cache.progress), now)
    return _with(
        order, now, status=CacheStatus.BUILDING, lease=_lease(holder, now, policy), attempts=cache.attempts + 1,
        wanted_at=cache.wanted_at or now, started_at=now, finished_at=None, progress=STARTING, missing=wanted.missing,
        rows_to_join=wanted.rows,
    )


def renew(order: Order, holder: str, now: datetime, policy: Policy, progress: str) -> OrderAnswer:
    if not order.cache.held_by(holder):
        return Unchanged("the lease is somebody else's now")
    return _with(order, now, lease=_lease(holder, now, policy), progress=shorten(progress))


def wait_for_machine(order: Order, holder: str, now: datetime, waits_s: float) -> OrderAnswer:
    """The lease lasts for the wait, too, unless the work has begun."""
    if not order.cache.held_by(holder) or order.cache.progress != STARTING:
        return Unchanged("the work has begun, or the lease is somebody else's now")
    return _with(order, now, lease=Lease(holder=holder, until=now + timedelta(seconds=waits_s)), progress=WAITING)


def cache_ready(order: Order, built: Built, now: datetime, policy: Policy) -> Changed:
    """Readers see `built` from here on. What a trigger asked for meanwhile is still wanted."""
    kept = built.seen is not None and order.status not in CLOSED
    done = {
        **_AT_REST, "status": CacheStatus.READY, "built": built, "missing": built.missing, "finished_at": now,
        "wanted_at": now if order.cache.again else None,
        "refresh_at": now + timedelta(seconds=policy.seen_refresh_s) if kept else None,
    }
    shown = _with(order, now, **done).order
    if order.cache.built is not None and order.cache.built.version == built.version:
        return Changed(shown)
    return Changed(shown.with_event(EventType.ORDER_CACHED, now, {
        "order_id": order.id, "display_id": order.display_id, "slug": order.slug, "version": built.version,
        "rows": built.rows, "missing": [missing.name for missing in built.missing],
    }))


def cache_failed(order: Order, reason: str, now: datetime) -> OrderAnswer:
    """What was visible before stays visible. `Unchanged` when it has failed for that reason already."""
    cache = order.cache
    known = cache.status is CacheStatus.FAILED and cache.failure == shorten(reason)
    if known and cache.wanted_at is None:
        return Unchanged("it has failed for that reason already")
    ended = {
        **_AT_REST, "status": CacheStatus.FAILED, "failure": shorten(reason), "finished_at": now,
        "wanted_at": now if cache.again else None, "refresh_at": None,
    }
    failed = _with(order, now, **ended).order
    if known:
        return Changed(failed)
    return Changed(failed.with_event(EventType.ORDER_CACHE_FAILED, now, {
        "order_id": order.id, "display_id": order.display_id, "slug": order.slug, "reason": failed.cache.failure,
    }))


def build_refused(order: Order, holder: str, reason: str, now: datetime) -> OrderAnswer:
    """The work was never begun, and never will be."""
    if not order.cache.held_by(holder):
        return Unchanged("the lease is somebody else's now")
    return cache_failed(order, reason, now)


def program_of(subject: Analysis | Order, holder: str) -> tuple[str, ...]:
    """What Python is to run (behind `-m`) for the work whose lease `holder` has: here, or in a job's container."""
    if isinstance(subject, Analysis):
        return work_module(subject, holder)
    return ("services.vcf_ingest.build_order", subject.project, subject.id, holder)


_AT_REST: dict[str, Any] = {
    "lease": None, "attempts": 0, "again": False, "wanted_at": None, "progress": None, "failure": None,
}


def _there_already(cache: Cache, wanted: Plan) -> Built | None:
    if cache.built is not None and cache.built.members_digest == wanted.digest:
        return cache.built.model_copy(update={"missing": wanted.missing})
    return wanted.ready


def _lease(holder: str, now: datetime, policy: Policy) -> Lease:
    return Lease(holder=holder, until=now + timedelta(seconds=policy.ingest_lease_s))


def _with(order: Order, now: datetime, **fields: Any) -> Changed:
    return Changed(order.changed(
        cache=order.cache.model_copy(update=fields), updated_at=max(order.updated_at, now)
    ))
