"""The functions behind the subscriptions, called as the dispatcher calls them, each call an actor of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from cloudevents.http.event import CloudEvent

from services.notifier.handler import callback, notify
from services.reconciler.handler import reconcile
from services.status_tracker.handler import cancel, track
from services.submit.handler import submit
from services.vcf_ingest.build_order import build_order
from services.vcf_ingest.cache import cache
from services.vcf_ingest.handler import ingest
from services.vcf_ingest.work import Tables, work
from shared import receive
from shared.adapters.embedded.bus import Leased
from shared.adapters.embedded.dispatcher import cloud_event
from shared.adapters.memory.bus import MemoryBus
from shared.delivery import delivery_of, event_of
from shared.domain.analysis import Analysis
from shared.domain.cache import Member
from shared.domain.errors import Transient, Unavailable
from shared.domain.events import EventType, Topic
from shared.domain.order import Order
from shared.ports import Answered, Courier, LogPart, LogTail, Message, Ports
from shared.steps.dead_letters import keep_forwarded
from shared.steps.seen import KeyFiles
from shared.topology import Topology, topology
from shared.variants.mapping import AnnotationMapping
from shared.variants.reference import Reference
from shared.variants.report import SampleCounts, TableReport, VcfRefused
from shared.variants.seen import Run
from tests.simulation.faults import Faults
from tests.simulation.invariants import InvariantBroken
from tests.simulation.plan import SAMPLE, Plan
from tests.simulation.schedule import Crashed, Scheduler


def _copy(table: Path, analysis: str, samples: Sequence[str], out: Path) -> None:
    """A cohort copy of a table that is none."""
    out.write_text(f"{table.read_text() if samples else ''} {analysis} {samples}")


def _nobody(url: str, headers: Mapping[str, str], body: bytes) -> Answered:
    del headers, body
    raise Unavailable(f"nobody is there: {url}")


OUTSIDE = Courier(post=_nobody, seal=str, open=str, address=lambda: "https://iflow.example.org")
"""No project of a plan has a chat, and no request a callback."""

HANDLERS: Mapping[str, receive.Handler] = {
    "submit": submit, "cancel": cancel, "track": track, "ingest": ingest, "reingest": ingest,
    "cache": cache, "recache": cache, "reconcile": partial(reconcile, copy=_copy),
    "callback": partial(callback, courier=OUTSIDE), "notify": partial(notify, courier=OUTSIDE),
    "keep-dead-letters": keep_forwarded,
}
"""As each service's main.py binds them; a test compares the names with topology.yaml."""

CONSUMERS = ("orders", "mail")
"""Other people's subscriptions to analysis-events: `orders` in order, `mail` in any."""

LETTERS = "keep-dead-letters"
CALLS_AT_ONCE = 10


def simulated_topology() -> Topology:
    """The real one, with its consumers."""
    real = topology()
    consumers = {
        name: real.subscriptions["track"].model_copy(
            update={"topic": Topic.EVENTS, "ordering": name == "orders", "max_attempts": None}
        )
        for name in CONSUMERS
    }
    return real.model_copy(update={"subscriptions": {**real.subscriptions, **consumers}})


@dataclass
class Consumer:
    """Drops repeats by the event's id; what is left is its effect: event ids and types, by subject."""

    faults: Faults
    seen: set[str] = field(default_factory=set)
    effects: dict[str, list[tuple[str, EventType]]] = field(default_factory=dict)

    def take(self, event: CloudEvent) -> None:
        message = event_of(delivery_of(event))

        def effect() -> None:
            if message.id not in self.seen:
                self.seen.add(message.id)
                self.effects.setdefault(message.subject, []).append((message.id, message.type))

        self.faults.call("consumer.take", message.id, effect)


class Functions:
    """Pub/Sub's pushing side over the memory bus: leases, calls, acknowledges or refuses, now and then twice."""

    def __init__(self, scheduler: Scheduler, faults: Faults) -> None:
        self._scheduler = scheduler
        self._faults = faults
        self._topology = simulated_topology()
        self.bus = MemoryBus(self._topology, scheduler.clock)
        self.consumers = {name: Consumer(faults) for name in CONSUMERS}
        self.ports: Ports | None = None

    def publish(self, topic: str, message: Message) -> str:
        """ports.Bus; each subscription that takes the message looks soon."""
        message_id = self.bus.publish(topic, message)
        for name in self._topology.subscribers(topic, message.attributes.get("type")):
            self._scheduler.after(self._scheduler.random.random(), lambda name=name: self._deliver(name))
        return message_id

    def _deliver(self, name: str) -> None:
        spec = self._topology.subscriptions[name]
        for leased in self.bus.lease(name, CALLS_AT_ONCE):
            self._scheduler.after(spec.ack_deadline_s, lambda: self._deliver(name))
            for _ in range(1 + self._faults.happens(self._faults.weather.deliver_twice)):
                delay_s = self._scheduler.random.random()
                self._scheduler.spawn(f"{name}/{leased.message_id}", lambda leased=leased: self._call(leased), delay_s)
        if spec.max_attempts is not None:
            self._deliver(LETTERS)

    def _call(self, leased: Leased) -> None:
        name = leased.subscription
        try:
            if name in self.consumers:
                self.consumers[name].take(cloud_event(leased))
            else:
                receive.receive(name, cloud_event(leased), HANDLERS[name], self.ports)
        except Transient as error:
            self._scheduler.note(f"refused, attempt {leased.attempt}: {error}")
            self._refuse(leased, str(error))
        except InvariantBroken:
            raise
        except Exception as error:
            raise InvariantBroken("handlers-raise-transient-only", f"{name}: {error!r}") from error
        else:
            if not self._faults.happens(self._faults.weather.lose_ack):
                self._scheduler.note("acknowledged")
                self.bus.acknowledge(leased)
                self._scheduler.after(self._scheduler.random.random(), lambda: self._deliver(name))

    def _refuse(self, leased: Leased, reason: str) -> None:
        self.bus.refuse(leased, reason)
        spec = self._topology.subscriptions[leased.subscription]
        self._scheduler.after(spec.retry.pause_s(leased.attempt), lambda: self._deliver(leased.subscription))
        self._deliver(LETTERS)


class Workers:
    """Ingests, as `launch` begins them: slow, and mortal. Tables are JSON, so that no Parquet is written.

    `ingest_waits_s`: up to so long until each has its machine, as where ingests are Batch jobs; 0: they are processes.
    """

    def __init__(self, scheduler: Scheduler, faults: Faults, plan: Plan) -> None:
        self._waits_s = plan.ingest_waits_s
        self._builder_dies = plan.builder_dies
        self._scheduler = scheduler
        self._faults = faults
        self.ports: Ports | None = None

    def launch(self, subject: Analysis | Order, holder: str) -> float:
        name, act = ("ingest", self._work) if isinstance(subject, Analysis) else ("order", self._build_order)

        def begin() -> None:
            delay_s = self._scheduler.random.uniform(0, self._waits_s)
            self._scheduler.spawn(f"{name}/{holder}", lambda: act(subject.project, subject.id, holder), delay_s)

        self._faults.call("launch", subject.id, begin)
        return self._waits_s

    def _work(self, project: str, analysis: str, holder: str) -> None:
        try:
            work(self.ports, project, analysis, holder, Tables(self._build, read_table, self._join, KEYS))
        except Transient as error:
            self._scheduler.note(f"the ingest gives up: {error}")

    def _build_order(self, project: str, order: str, holder: str) -> None:
        try:
            build_order(self.ports, project, order, holder, self._join_or_die, KEYS)
        except Transient as error:
            self._scheduler.note(f"the order's builder gives up: {error}")

    def _join_or_die(self, *args: Any) -> Mapping[str, Any]:
        """Orders are built when the weather has mostly cleared: so one builder's death is planned."""
        if self._builder_dies:
            self._builder_dies = False
            raise Crashed
        return self._join(*args)

    def _join(
        self, members: Sequence[tuple[Member, Path]], out: Path, seen: Path | None, keep: Callable[[str], None]
    ) -> Mapping[str, Any]:
        """As slow and as mortal as a table's build."""
        for _ in range(3):
            self._scheduler.pause(self._scheduler.random.expovariate(1 / (5 if self._faults.over else 30)))
            if self._faults.happens(self._faults.weather.crash):
                raise Crashed
            keep("Joining.")
        rows = sum(json.loads(table.read_text())["rows"] for table in dict.fromkeys(table for _, table in members))
        counted = json.loads(seen.read_text()) if seen else None
        names = sorted(member.name for member, _ in members)
        out.write_text(json.dumps({"rows": rows, "samples": names, "seen": counted}))
        out.with_suffix(".index").write_text("index")
        return {"rows": rows}

    def _build(
        self, vcf: Path, table: Path, *, mapping: AnnotationMapping, reference: Reference | None,
        progress: Callable[[int], None],
    ) -> TableReport:
        """Takes up to some minutes while faults last, so that leases are renewed, and run out."""
        text = vcf.read_text()
        if not text.startswith("VCF of"):
            raise VcfRefused("no header", line=1)
        records = len(text)
        for part in range(3):
            self._scheduler.pause(self._scheduler.random.expovariate(1 / (5 if self._faults.over else 30)))
            if self._faults.happens(self._faults.weather.crash):
                raise Crashed
            progress(records * part // 3)
        table.write_text(json.dumps({"rows": records, "records": records}))
        return report_of(records)


def report_of(rows: int) -> TableReport:
    return TableReport(rows, rows, rows, {}, (SampleCounts(SAMPLE, {}),), (), {}, {}, 0, 0, {}, "GRCh38")


def read_table(table: Path) -> Mapping[str, Any]:
    return report_of(json.loads(table.read_text())["rows"]).to_json()


def _write_keys(table: Path, column: int, out: Path) -> None:
    out.write_text(json.dumps({"alleles": [f"{json.loads(table.read_text())['rows']}-{column}"]}))


def _unite(files: Sequence[Path], out: Path) -> None:
    alleles = {key for file in files for key in json.loads(file.read_text())["alleles"]}
    out.write_text(json.dumps({"alleles": sorted(alleles)}))


def _sum(runs: Sequence[Run]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for run in runs:
        data = json.loads(run.file.read_text())
        for key, n in data.items() if run.weight is None else ((key, run.weight) for key in data["alleles"]):
            counts[key] = counts.get(key, 0) + n
    return {key: n for key, n in sorted(counts.items()) if n}


KEYS = KeyFiles(
    _write_keys, _unite, lambda runs, out: out.write_text(json.dumps(_sum(runs))),
    lambda tables, runs, out: out.write_text(json.dumps(_sum(runs))),
)
"""shared.variants.seen in JSON; of all alleles, and not only of those that the tables have."""


@dataclass(frozen=True)
class QuietLogs:
    """ports.Logs: Batch's tasks wrote one line, or the logs are not there yet."""

    scheduler: Scheduler

    poll_s: float = 1.0

    def tail(self, job_uid: str, task: int, *, max_bytes: int) -> LogTail:
        if self.scheduler.random.random() < 0.1:
            raise Unavailable(f"no log of {job_uid} yet")
        line = f"task {task} says goodbye\n".encode()[:max_bytes]
        return LogTail(line, len(line), "")

    def after(self, job_uid: str, task: int, mark: str, *, max_bytes: int) -> LogPart:
        raise NotImplementedError("nothing that is simulated reads a log on")
