"""One life of the whole stack, in a process that can be killed at any call that a function makes to a port.

The kill points are not listed anywhere: each port of the running stack is wrapped, and the moment after every call of
every function is one (the moment before a call is the one after the call before it). A life that is given a file to
write to writes down those it passed.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cloudevents.http.event import CloudEvent

from infra.local.batch import Fault, Notify, write_faults
from infra.local.setup import register_demo
from infra.local.stack import batch_within, running
from shared import runtime
from shared.adapters.embedded.bus import SqliteBus
from shared.delivery import delivery_of, event_of
from shared.domain import paths
from shared.domain.analysis import Analysis
from shared.domain.events import Event, EventType, Topic
from shared.domain.order import Order, parse_order
from shared.domain.pipeline import Pipeline
from shared.ports import Ports
from shared.runtime import Settings
from shared.steps.announce import message_of
from shared.steps.orders import accept_order
from shared.steps.register import register_pipeline
from shared.topology import Retry, SubscriptionSpec, topology
from tests.builders import a_pipeline
from tests.flow.working import do

REQUEST = "crash"
ANALYSIS = paths.analysis_id("demo", REQUEST)
DOCUMENT = paths.analysis_doc("demo", ANALYSIS)
ORDER = paths.order_id("demo", "order")
ORDER_DOCUMENT = paths.order_doc("demo", ORDER)
DEADLINE_S = 60
OCCURRENCES = 3
"""Of the same call by the same function that are each a point of their own; later ones are more of the same."""

VCF = (
    "##fileformat=VCFv4.2\n##contig=<ID=1>\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"g\">\n"
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\n1\t5\t.\tA\tC\t9\tPASS\t.\tGT\t0/1\n"
)
PIPELINE: Pipeline = a_pipeline(
    slug="copy", outputs=[{"glob": "calls.vcf", "kind": "vcf", "required": True}],
    runnables=[{"image": "lab/copy:1", "command": [
        "cp", "/mnt/disks/project/samples/s1/uploads/in.vcf", "/mnt/disks/project/analyses/crash/calls.vcf",
    ]}],
)


def live(state_dir: Path, *, first: bool, kill_at: str | None, record: Path | None, silent: bool) -> None:
    """Until everything is at rest, or until `kill_at`. `silent`: Batch sends no notification, ever."""
    points = Points(kill_at)
    settings = Settings(
        state_dir=state_dir, port=0, reconcile_every_s=0.2, silent_after_s=0.4, unsent_after_s=0.3, ingest_lease_s=1
    )
    _add_consumer(state_dir / "consumed.txt")
    if silent:
        write_faults(settings.batch_dir, Fault(notify=Notify(drop=True)))
    _wrap(points)
    with running(settings, batch_within):
        ports = runtime.ports()
        if first:
            _request(ports, points)
        points.armed = True
        points.asked.set()
        _wait_for_rest(ports, settings)
    if record is not None:
        record.write_text("\n".join(points.passed))


class Points:
    """Counts the calls of each function. Calls by anybody else (this test, the stack's set-up) are none."""

    def __init__(self, kill_at: str | None) -> None:
        self._kill_at = kill_at
        self._roles = {*topology().subscriptions, "work", "build"}
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self.passed: list[str] = []
        self.armed = False
        self.asked = threading.Event()  # what was never asked for cannot be lost: nobody is killed before it

    def around(self, call: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            role = threading.current_thread().name.rpartition("_")[0]
            if role not in self._roles or not self.armed:
                return function(*args, **kwargs)
            with self._lock:
                self._counts[f"{role} {call}"] += 1
                name = f"{role} {call} {self._counts[f'{role} {call}']}"
            result = function(*args, **kwargs)
            self._pass(name)
            return result

        return wrapped

    def _pass(self, name: str) -> None:
        if int(name.split()[-1]) <= OCCURRENCES:
            self.passed.append(name)
        if name == self._kill_at:
            self.asked.wait()
            os.kill(os.getpid(), signal.SIGKILL)


class _Wrapped:
    """A port whose every method is a point."""

    def __init__(self, port: object, name: str, points: Points) -> None:
        self._port, self._name, self._points = port, name, points

    def __getattr__(self, method: str) -> Any:
        return self._points.around(f"{self._name}.{method}", getattr(self._port, method))


def _wrap(points: Points) -> None:
    build = runtime.build

    def build_wrapped(settings: Settings) -> Ports:
        ports = build(settings)
        wrapped = replace(
            ports,
            **{name: _Wrapped(getattr(ports, name), name, points) for name in
               ("documents", "bus", "objects", "engine", "logs")},
        )
        return replace(wrapped, launch=lambda *args: _work_in_a_thread(wrapped, *args))

    runtime.build = build_wrapped
    SqliteBus.acknowledge = points.around("acknowledge", SqliteBus.acknowledge)  # type: ignore[method-assign]


def _work_in_a_thread(ports: Ports, subject: Analysis | Order, holder: str) -> float:
    name = "work_0" if isinstance(subject, Analysis) else "build_0"
    threading.Thread(target=do, args=(ports, subject, holder), name=name, daemon=True).start()
    return 0


def _request(ports: Ports, points: Points) -> None:
    project = register_demo(ports)
    register_pipeline(ports, project.id, PIPELINE, by="test")
    ports.objects.write(project.bucket, "samples/s1/uploads/in.vcf", VCF.encode())
    accept_order(ports, parse_order({
        "request_id": "order", "project": project.id, "display_id": "Crash order", "requested_by": "test",
        "samples": [{"name": "S1", "role": "proband"}],
    }), source="test")  # nobody has published its event yet, and its analysis is still to come
    event = Event(
        id="event-1", type=EventType.SUBMIT, subject=REQUEST, time=ports.clock(), project=project.id,
        data={"request_id": REQUEST, "project": project.id, "display_id": "Crash", "pipeline": "copy",
              "inputs": {"vcf": "samples/s1/uploads/in.vcf"}, "requested_by": "test"},
    )
    points.armed = True
    ports.bus.publish(event.type.topic, message_of(event))
    points.asked.set()


def _wait_for_rest(ports: Ports, settings: Settings) -> None:
    bus = runtime.embedded_bus(settings)
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        waiting = set(bus.depth()) - {"reconcile"}
        if _is_ready(ports, DOCUMENT, "ingest") and _is_ready(ports, ORDER_DOCUMENT, "cache") and not waiting:
            return
        time.sleep(0.02)
    raise TimeoutError(f"not at rest after {DEADLINE_S} s, in the queue: {waiting}")


def _is_ready(ports: Ports, path: str, part: str) -> bool:
    stored = ports.documents.get(path)
    return stored is not None and stored.data[part]["status"] == "ready" and not stored.data["unsent"]


_consumed: Path


def _add_consumer(file: Path) -> None:
    """A service outside of ours, which writes down every event that it receives."""
    global _consumed
    _consumed = file
    topology().subscriptions["consumer"] = SubscriptionSpec.model_construct(
        topic=Topic.EVENTS, types=(), function="tests.flow.crash_life:consume", ordering=True, ack_deadline_s=10,
        retry=Retry(min_s=0.1, max_s=1), max_attempts=None,
    )


def consume(event: CloudEvent) -> None:
    received = event_of(delivery_of(event))
    with _consumed.open("a") as file:
        file.write(f"{received.id} {received.type}\n")
