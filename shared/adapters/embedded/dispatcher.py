"""Delivers the queue's messages to the functions, as Pub/Sub pushes them: one CloudEvent a call.

A function that returns has acknowledged. A function that raises is called again later, as topology.yaml says.
"""

from __future__ import annotations

import base64
import importlib
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from cloudevents.http.event import CloudEvent

from shared.adapters.embedded.bus import Leased, SqliteBus
from shared.domain.about import about
from shared.domain.errors import Transient
from shared.logs import why
from shared.ports import Clock
from shared.topology import Topology

LONGEST_WAIT_S = 0.25
"""How long until publishes by other processes are noticed; those of this one are at once."""

CONCURRENCY = 4
"""Calls at a time for one subscription, as a function's own instances would be."""

log = logging.getLogger(__name__)
Function = Callable[[CloudEvent], object]


class Dispatcher:
    """Owns the queue: there is one in a state folder at a time (the stack holds a lock)."""

    def __init__(self, bus: SqliteBus, topology: Topology, clock: Clock) -> None:
        self._bus = bus
        self._topology = topology
        self._clock = clock
        self._stopping = threading.Event()
        self._functions = {name: _function(spec.function) for name, spec in topology.subscriptions.items()}
        self._pools = {name: ThreadPoolExecutor(CONCURRENCY, thread_name_prefix=name) for name in self._functions}
        self._free = dict.fromkeys(self._functions, CONCURRENCY)
        self._lock = threading.Lock()  # guards `_free`
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        self._bus.take_back_leases()
        self._thread.start()

    def stop(self) -> None:
        """Waits for the calls under way; what is not delivered stays in the queue."""
        self._stopping.set()
        self._bus.published.set()
        self._thread.join()
        for pool in self._pools.values():
            pool.shutdown(wait=True)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._bus.published.clear()
            due = self._bus.due([name for name, free in self._free.items() if free])
            delivered = sum(self._deliver(name) for name in due)
            if not delivered and not self._bus.published.is_set():
                self._bus.published.wait(self._pause_s())

    def _deliver(self, name: str) -> int:
        leased = self._bus.lease(name, self._free[name])
        with self._lock:
            self._free[name] -= len(leased)
        for delivery in leased:
            self._pools[name].submit(self._call, name, delivery)
        return len(leased)

    def _call(self, name: str, delivery: Leased) -> None:
        try:
            self._functions[name](cloud_event(delivery))
        except Transient as error:
            log.warning("will be delivered again", extra=_said_of(delivery, error))
            self._bus.refuse(delivery, str(error))
        except Exception as error:
            log.exception("the function failed; the message will be delivered again", extra=_said_of(delivery, error))
            self._bus.refuse(delivery, f"{type(error).__name__}: {error}")
        else:
            self._bus.acknowledge(delivery)
        finally:
            with self._lock:
                self._free[name] += 1
            self._bus.published.set()

    def _pause_s(self) -> float:
        due = self._bus.next_due([name for name, free in self._free.items() if free])
        if due is None:
            return LONGEST_WAIT_S
        return min(LONGEST_WAIT_S, max(0.001, due - self._clock().timestamp()))


def _said_of(delivery: Leased, error: Exception) -> Mapping[str, str]:
    found = about(delivery.message.attributes, delivery.message.data)
    return {
        **found, "message_id": delivery.message_id, "subscription": delivery.subscription, "reason": why(error)
    }


def cloud_event(delivery: Leased) -> CloudEvent:
    """The event that Eventarc and functions-framework make of a Pub/Sub message (PLATFORM.md)."""
    message = {
        "data": base64.b64encode(delivery.message.data).decode(),
        "attributes": dict(delivery.message.attributes),
        "messageId": delivery.message_id,
        "publishTime": delivery.published_at,
        "orderingKey": delivery.message.ordering_key,
    }
    return CloudEvent(
        {
            "type": "google.cloud.pubsub.topic.v1.messagePublished",
            "source": "//pubsub.googleapis.com/",
            "id": delivery.message_id,
            "time": delivery.published_at,
        },
        {"message": message, "subscription": delivery.subscription},
    )


def _function(target: str) -> Function:
    module, _, name = target.partition(":")
    found: Function = getattr(importlib.import_module(module), name)
    return found
