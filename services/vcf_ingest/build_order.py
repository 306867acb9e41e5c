"""`python -m services.vcf_ingest.build_order PROJECT ORDER HOLDER`: the work of one order's cache, by its lease."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from datetime import timedelta

from services.vcf_ingest.joining import Join, build
from services.vcf_ingest.process import run_as_process
from services.vcf_ingest.table_join import join_tables
from services.vcf_ingest.work import LeaseLost
from shared.domain import paths
from shared.domain.errors import Permanent, Transient
from shared.domain.lifecycle import Unchanged
from shared.domain.order import Order, OrderAnswer
from shared.domain.order_cache import cache_failed, cache_ready, next_step, renew
from shared.logs import why
from shared.ports import Ports
from shared.runtime import ports as the_ports
from shared.steps import seen
from shared.steps.announce import announce
from shared.steps.orders import decide_order, load_order, plan_for
from shared.steps.seen import PARQUET, KeyFiles

log = logging.getLogger(__name__)


def build_order(
    ports: Ports, project: str, order_id: str, holder: str, join: Join = join_tables, how: KeyFiles = PARQUET
) -> None:
    """Ends with the cache `ready` or `failed`; a fault that may pass is raised and the lease left to run out.

    What a trigger asked for meanwhile is built after that, by the same hand.
    """
    path = paths.order_doc(project, order_id)
    try:
        while _build_once(ports, path, holder, join, how):
            pass
    except LeaseLost:
        log.warning("another holder has the lease", extra={"order_id": order_id})


def _build_once(ports: Ports, path: str, holder: str, join: Join, how: KeyFiles) -> bool:
    """True when there is more to do, and this holder's to do."""
    order = load_order(ports.documents, path).order
    lease = _Lease(ports, path, holder)
    lease.check(order)
    wanted = plan_for(ports, order)
    try:
        if wanted.refusal or not wanted.members:
            raise Permanent(wanted.refusal or "no sample of it has variants any more")
        if wanted.assembly:
            seen.tidy(ports, order.bucket, wanted.assembly, lease.keep, how)
        built = build(ports, order.bucket, wanted, lease.keep, join, how)
    except Permanent as error:
        reason = str(error)
        log.error("order not built", extra={"order_id": order.id, "project": order.project, "reason": why(error)})
        return _finish(ports, path, holder, lambda current: cache_failed(current, reason, ports.clock()))
    except (Transient, LeaseLost):
        raise
    except Exception as error:  # a fault of ours: where an operator looks, it says which
        lease.renew(f"It broke. {type(error).__name__}: {error}")
        raise
    return _finish(ports, path, holder, lambda current: cache_ready(current, built, ports.clock(), ports.rules.policy))


def _finish(ports: Ports, path: str, holder: str, end: Callable[[Order], OrderAnswer]) -> bool:
    def if_still_held(current: Order) -> OrderAnswer:
        return end(current) if current.cache.held_by(holder) else Unchanged("the lease was lost")

    loaded, why_not = decide_order(ports.documents, path, if_still_held)
    if why_not is not None:
        return False
    announce(ports.documents, ports.bus, loaded.stored)
    if loaded.order.cache.wanted_at is None:
        return False
    again, _ = decide_order(ports.documents, path, lambda current: next_step(
        current, plan_for(ports, current), holder, ports.clock(), ports.rules.policy
    ))
    return again.order.cache.held_by(holder)


class _Lease:
    """Renewed at a third of its length while the work goes on."""

    def __init__(self, ports: Ports, path: str, holder: str) -> None:
        self._ports, self._path, self._holder = ports, path, holder
        self._every = timedelta(seconds=ports.rules.policy.ingest_lease_s / 3)
        self._next = ports.clock()

    def check(self, order: Order) -> None:
        """Raises LeaseLost."""
        if not order.cache.held_by(self._holder):
            raise LeaseLost

    def keep(self, progress: str) -> None:
        """Raises LeaseLost once somebody else has it."""
        if self._ports.clock() >= self._next:
            self.renew(progress)

    def renew(self, progress: str) -> None:
        """Raises LeaseLost."""
        now = self._ports.clock()
        self._next = now + self._every
        loaded, _ = decide_order(
            self._ports.documents, self._path,
            lambda current: renew(current, self._holder, now, self._ports.rules.policy, progress),
        )
        self.check(loaded.order)


if __name__ == "__main__":
    named_project, named_order, lease_holder = sys.argv[1:]
    run_as_process(
        "order build", {"order_id": named_order, "project": named_project},
        lambda: build_order(the_ports(), named_project, named_order, lease_holder),
    )
