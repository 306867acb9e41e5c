"""`make bench-events`: analyses a second from submit event to `succeeded`, and how late a state change is seen.

Jobs end at once and leave nothing to ingest, so that what is measured is ours: bus, documents, functions, tracker.
Embedded stack, everything on one machine, the Batch server and its processes included.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from cloudevents.http.event import CloudEvent

from infra.local.setup import register_demo
from infra.local.stack import running
from shared import runtime
from shared.adapters.embedded.documents import SqliteDocuments
from shared.delivery import delivery_of, event_of
from shared.domain import paths
from shared.domain.events import Event, EventType, Topic
from shared.domain.pipeline import Pipeline
from shared.ports import Create, Ports, Update
from shared.runtime import Settings
from shared.steps.announce import message_of
from shared.steps.register import register_pipeline
from shared.topology import Retry, SubscriptionSpec, topology
from tests.bench.report import percentile, report
from tests.builders import a_pipeline, an_analysis

BURST = int(os.environ.get("BURST", "600"))
PACED_PER_S, PACED_S = 20, 15
STORE_SMALL, STORE_LARGE = 1_000, 100_000
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
def stack(folder: Path) -> Iterator[Ports]:
    SEEN.committed.clear()
    SEEN.received.clear()
    settings = Settings(state_dir=folder, port=0)
    with running(settings):
        ports = runtime.ports()
        register_demo(ports)
        register_pipeline(ports, "demo", PIPELINE, by="bench")
        yield ports


def submit(ports: Ports, number: int) -> None:
    request = f"bench-{number}"
    event = Event(
        id=request, type=EventType.SUBMIT, subject=request, time=ports.clock(), project="demo",
        data={"request_id": request, "project": "demo", "display_id": request, "pipeline": "nothing", "inputs": {},
              "requested_by": "bench"},
    )
    ports.bus.publish(event.type.topic, message_of(event))


def wait(ports: Ports, count: int, seen: Callable[[], int]) -> None:
    end = time.monotonic() + 300
    while seen() < count:
        if time.monotonic() > end:
            raise TimeoutError(f"{seen()} of {count} after five minutes")
        time.sleep(0.01)


def burst(count: int, filled: int = 0) -> tuple[float, float]:
    """(analyses a second, CPU seconds of this process an analysis)."""
    with tempfile.TemporaryDirectory(prefix="iflow-bench-") as folder, stack(Path(folder)) as ports:
        fill(ports, filled)
        began, cpu = time.monotonic(), time.process_time()
        for number in range(count):
            submit(ports, number)
        wait(ports, count, lambda: len(SEEN.committed))
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
    with tempfile.TemporaryDirectory(prefix="iflow-bench-") as folder, stack(Path(folder)) as ports:
        began = time.monotonic()
        for number in range(PACED_PER_S * PACED_S):
            time.sleep(max(0.0, began + number / PACED_PER_S - time.monotonic()))
            submit(ports, number)
        wait(ports, PACED_PER_S * PACED_S, lambda: len(SEEN.received))
        to_document, to_consumer = [], []
        for identity, committed in SEEN.committed.items():
            stored = ports.documents.get(paths.analysis_doc("demo", identity))
            assert stored is not None
            ended = datetime.fromisoformat(stored.data["finished_at"]).timestamp()
            to_document.append(1000 * (committed - ended))
            to_consumer.append(1000 * (SEEN.received[identity] - ended))
        return to_document, to_consumer


def main() -> None:
    topology().subscriptions["consumer"] = SubscriptionSpec.model_construct(
        topic=Topic.EVENTS, types=(), not_types=(), function="tests.bench.events:consume", ordering=True,
        ack_deadline_s=10, retry=Retry(min_s=1, max_s=10), max_attempts=None,
    )
    build = runtime.build

    def watched(settings: Settings) -> Ports:
        ports = build(settings)
        return replace(ports, documents=Watched(ports.documents))  # type: ignore[arg-type]

    runtime.build = watched
    rates = [burst(BURST)[0] for _ in range(RUNS)]
    to_document, to_consumer = paced()
    small = statistics.median(burst(200, STORE_SMALL)[1] for _ in range(RUNS))
    large = statistics.median(burst(200, STORE_LARGE)[1] for _ in range(RUNS))
    report("events", {
        "analyses_per_s": round(statistics.median(rates), 1),
        "p50_state_to_document_ms": round(percentile(to_document, 0.5), 1),
        "p95_state_to_document_ms": round(percentile(to_document, 0.95), 1),
        "p95_state_to_consumer_ms": round(percentile(to_consumer, 0.95), 1),
        "growth_100k": round(large / small, 3),
        "cpu_ms_an_analysis": round(1000 * small, 2),
        "burst_count": BURST, "paced_per_s": PACED_PER_S, "runs_count": RUNS, "backend": "embedded",
    })


if __name__ == "__main__":
    import tests.bench.events as module  # the stack imports this module by its name, and must find the same one

    module.main()
