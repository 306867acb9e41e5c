"""`make bench-events`: analyses a second from submit event to `succeeded`, and how late a state change is seen.

Jobs end at once and leave nothing to ingest, so that what is measured is ours: bus, documents, functions, tracker.
Embedded stack, everything on one machine, the Batch server and its processes included. Beside it a few on Google's
emulators, where these are there: their processes on two processors are measured more than ours.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cloudevents.http.event import CloudEvent

from infra.local import emulator_stack
from infra.local.emulators import EmulatorMissing
from infra.local.setup import register_demo
from infra.local.stack import running
from shared import runtime
from shared.adapters.embedded.documents import SqliteDocuments
from shared.delivery import delivery_of, event_of
from shared.domain import paths
from shared.domain.errors import Unavailable
from shared.domain.events import EventType, Topic
from shared.domain.pipeline import Pipeline
from shared.ports import Create, Ports, Query, Update, Where
from shared.runtime import Settings
from shared.steps.register import register_pipeline
from shared.topology import Retry, SubscriptionSpec, topology
from tests.bench.publisher import Publisher, publisher, request
from tests.bench.report import percentile, report
from tests.builders import a_pipeline, an_analysis

BURST = int(os.environ.get("BURST", "600"))
PACED_PER_S, PACED_S = 20, 15
EMULATORS_BURST, EMULATORS_PACED_PER_S, EMULATORS_PACED_S = 40, 2, 10
STORE_SMALL, STORE_LARGE = 1_000, 100_000
GROWTH_BURST = 200
WARM = 20
RUNS = 3

PIPELINE: Pipeline = a_pipeline(
    slug="nothing", price_table="list-prices-example", outputs=[{"glob": "x", "kind": "other", "required": False}],
    runnables=[{"image": "lab/nothing:1", "command": ["true"]}],
)


@dataclass
class Seen:
    """When each analysis was committed as succeeded, and when a consumer received that; seconds since the epoch."""

    committed: dict[str, float] = field(default_factory=dict)
    received: dict[str, float] = field(default_factory=dict)


SEEN = Seen()


class Watched:
    """The documents, with a note of when a succeeded analysis was committed."""

    def __init__(self, documents: SqliteDocuments) -> None:
        self._documents = documents

    def __getattr__(self, name: str) -> Any:
        return getattr(self._documents, name)

    def commit(self, writes: Any) -> tuple[str, ...]:
        versions = self._documents.commit(writes)
        for write in writes:
            if isinstance(write, Update) and write.data.get("status") == "succeeded":
                SEEN.committed.setdefault(write.data["id"], time.time())
        return versions


def consume(event: CloudEvent) -> None:
    received = event_of(delivery_of(event))
    if received.type is EventType.SUCCEEDED:
        SEEN.received.setdefault(received.subject, time.time())


@contextmanager
def stack(filled: int = 0) -> Iterator[tuple[Ports, Publisher]]:
    """Up and warm, over a store with so many analyses that have ended, with who submits to it."""
    SEEN.committed.clear()
    SEEN.received.clear()
    with tempfile.TemporaryDirectory(prefix="iflow-bench-") as folder, running(Settings(state_dir=folder, port=0)):
        ports = runtime.ports()
        register_demo(ports)
        register_pipeline(ports, "demo", PIPELINE, by="bench")
        fill(ports, filled)
        with publisher() as upstream:
            upstream.begin(0, WARM)
            wait(WARM, lambda: len(SEEN.committed))
            yield ports, upstream


@contextmanager
def consumer() -> Iterator[None]:
    """A stack that is begun inside has a consumer of its events."""
    topology().subscriptions["consumer"] = SubscriptionSpec.model_construct(
        topic=Topic.EVENTS, types=(), not_types=(), function="tests.bench.events:consume", ordering=True,
        ack_deadline_s=10, retry=Retry(min_s=1, max_s=10), max_attempts=None,
    )
    try:
        yield
    finally:
        del topology().subscriptions["consumer"]


def wait(count: int, seen: Callable[[], int]) -> None:
    end = time.monotonic() + 300
    while seen() < count:
        if time.monotonic() > end:
            raise TimeoutError(f"{seen()} of {count} after five minutes")
        time.sleep(0.01)


def bursts(count: int, runs: int, filled: int = 0) -> list[tuple[float, float]]:
    """(analyses a second, CPU seconds of this process an analysis) of each run; one stack, warm."""
    with stack(filled) as (_, upstream):
        return [_burst(upstream, count) for _ in range(runs)]


def _burst(upstream: Publisher, count: int) -> tuple[float, float]:
    there = len(SEEN.committed)
    began, cpu = time.monotonic(), time.process_time()
    upstream.begin(there, count)
    wait(there + count, lambda: len(SEEN.committed))
    return count / (time.monotonic() - began), (time.process_time() - cpu) / count


def fill(ports: Ports, count: int) -> None:
    """Analyses that have ended, so that only their number can matter."""
    ended = an_analysis().to_document() | {"status": "succeeded", "unsent": [], "unsent_since": None}
    for first in range(0, count, 500):
        ports.documents.commit([
            Create(f"projects/old/analyses/{number:08d}", ended | {"id": f"{number:08d}", "project": "old"})
            for number in range(first, min(first + 500, count))
        ])


def paced() -> tuple[list[float], list[float]]:
    """Milliseconds from Batch's own time of SUCCEEDED to the committed document, and to a consumer's receipt."""
    with consumer(), stack() as (ports, upstream):
        warm = set(SEEN.committed)
        upstream.begin(len(warm), PACED_PER_S * PACED_S, PACED_PER_S)
        wait(len(warm) + PACED_PER_S * PACED_S, lambda: len(SEEN.received))
        to_document, to_consumer = [], []
        for identity in SEEN.committed.keys() - warm:
            ended = _ended(ports, identity)
            to_document.append(1000 * (SEEN.committed[identity] - ended))
            to_consumer.append(1000 * (SEEN.received[identity] - ended))
        return to_document, to_consumer


def on_emulators() -> dict[str, float | int]:
    """The same figures, in smaller numbers; there a page that watches Firestore sees what is committed."""
    with tempfile.TemporaryDirectory(prefix="iflow-bench-") as folder:
        settings = Settings(backend="emulators", state_dir=Path(folder), port=0)
        with emulator_stack.running(settings):
            ports = runtime.ports()
            register_demo(ports)
            register_pipeline(ports, "demo", PIPELINE, by="bench")
            seen: dict[str, float] = {}
            threading.Thread(target=_watch, args=(ports, seen), daemon=True).start()
            _submit(ports, 0)  # the first finds every function cold
            wait(1, lambda: len(seen))
            began = time.monotonic()
            for number in range(1, 1 + EMULATORS_BURST):
                _submit(ports, number)
            wait(1 + EMULATORS_BURST, lambda: len(seen))
            rate = EMULATORS_BURST / (time.monotonic() - began)
            before, count = set(seen), EMULATORS_PACED_PER_S * EMULATORS_PACED_S
            began = time.monotonic()
            for number in range(count):
                time.sleep(max(0.0, began + number / EMULATORS_PACED_PER_S - time.monotonic()))
                _submit(ports, 1000 + number)
            wait(len(before) + count, lambda: len(seen))
            late = [1000 * (seen[identity] - _ended(ports, identity)) for identity in seen.keys() - before]
            return {
                "emulators_analyses_per_s": round(rate, 1),
                "emulators_p95_state_to_watcher_ms": round(percentile(late, 0.95), 1),
                "emulators_burst_count": EMULATORS_BURST, "emulators_paced_per_s": EMULATORS_PACED_PER_S,
            }


def _submit(ports: Ports, number: int) -> None:
    ports.bus.publish(EventType.SUBMIT.topic, request(number))


def _watch(ports: Ports, seen: dict[str, float]) -> None:
    succeeded = Query("projects/demo/analyses", where=(Where("status", "==", "succeeded"),), limit=1000)
    with suppress(Unavailable):  # the stack's end
        for page in ports.documents.watch(succeeded):
            for stored in page.items:
                seen.setdefault(stored.id, time.time())


def _ended(ports: Ports, identity: str) -> float:
    """Batch's own time of SUCCEEDED, in seconds since the epoch."""
    stored = ports.documents.get(paths.analysis_doc("demo", identity))
    assert stored is not None
    return datetime.fromisoformat(stored.data["finished_at"]).timestamp()


def main() -> None:
    try:
        emulated: dict[str, float | int] = on_emulators()
    except EmulatorMissing as missing:
        print(f"without the emulators: {missing}")
        emulated = {}
    build = runtime.build

    def watched(settings: Settings) -> Ports:
        ports = build(settings)
        return replace(ports, documents=Watched(ports.documents))  # type: ignore[arg-type]

    runtime.build = watched
    rates = [rate for rate, _ in bursts(BURST, RUNS)]
    to_document, to_consumer = paced()
    small = statistics.median(cpu for _, cpu in bursts(GROWTH_BURST, RUNS, STORE_SMALL))
    large = statistics.median(cpu for _, cpu in bursts(GROWTH_BURST, RUNS, STORE_LARGE))
    report("events", {
        "analyses_per_s": round(statistics.median(rates), 1),
        "p50_state_to_document_ms": round(percentile(to_document, 0.5), 1),
        "p95_state_to_document_ms": round(percentile(to_document, 0.95), 1),
        "p95_state_to_consumer_ms": round(percentile(to_consumer, 0.95), 1),
        "growth_100k": round(large / small, 3),
        "cpu_ms_an_analysis": round(1000 * small, 2),
        "burst_count": BURST, "paced_per_s": PACED_PER_S, "runs_count": RUNS, "backend": "embedded",
        **emulated,
    })


if __name__ == "__main__":
    import tests.bench.events as module  # the stack imports this module by its name, and must find the same one

    module.main()
