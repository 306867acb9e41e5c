"""An order's cache is built when the order or its analysis appears, whichever is later: seen here, built elsewhere.

A trigger says only that something may be different: what an order should be joined of is read from the documents, and
where it is joined of just that, nothing is done (C54, C55).
"""

from __future__ import annotations

import logging

from shared.delivery import Delivery, event_of
from shared.domain import paths
from shared.domain.errors import EngineRefused
from shared.domain.events import EventType
from shared.domain.order import Order, OrderAnswer
from shared.domain.order_cache import build_refused, next_step, wait_for_machine
from shared.ports import Ports
from shared.steps import seen
from shared.steps.announce import announce
from shared.steps.orders import LoadedOrder, decide_order, orders_of, plan_for
from shared.steps.store import load

log = logging.getLogger(__name__)


def cache(delivery: Delivery, ports: Ports) -> None:
    """Behind both subscriptions: what happened to an analysis or an order, and the command to look at an order."""
    event = event_of(delivery)
    if event.type not in (EventType.INGESTED, EventType.INGEST_FAILED):
        anew = event.type is EventType.ORDER_CACHE and event.data.get("anew") is True
        look_at(ports, paths.order_doc(event.project, event.subject), anew=anew)
        return
    path = paths.analysis_doc(event.project, event.subject)
    if event.type is EventType.INGESTED:
        seen.note(ports, path)
    for order in orders_of(ports, load(ports.documents, path).analysis):
        look_at(ports, order)


def look_at(ports: Ports, path: str, *, anew: bool = False) -> None:
    """Ready, waiting or failed at once where that is known; else somebody's to build from now on."""
    holder = ports.new_id()

    def step(current: Order) -> OrderAnswer:
        return next_step(current, plan_for(ports, current), holder, ports.clock(), ports.rules.policy, anew=anew)

    loaded, why_not = decide_order(ports.documents, path, step)
    if why_not is not None:
        log.info("nothing to build", extra={"order_id": loaded.order.id, "reason": why_not})
        return
    if loaded.order.cache.held_by(holder):
        _begin(ports, loaded, holder)
    elif loaded.order.unsent:
        announce(ports.documents, ports.bus, loaded.stored)


def _begin(ports: Ports, loaded: LoadedOrder, holder: str) -> None:
    path = loaded.order.doc_path
    try:
        waits_s = ports.launch(loaded.order, holder)
    except EngineRefused as refused:
        reason = str(refused)
        loaded, _ = decide_order(
            ports.documents, path, lambda current: build_refused(current, holder, reason, ports.clock()), known=loaded
        )
        announce(ports.documents, ports.bus, loaded.stored)
        return
    if waits_s:
        decide_order(
            ports.documents, path, lambda current: wait_for_machine(current, holder, ports.clock(), waits_s),
            known=loaded,
        )
