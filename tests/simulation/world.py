"""One seed, one world: everything is built, goes wrong for a while, is left alone, and must then be at rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from unittest.mock import patch

from infra.pipelines.catalogue import read_price_tables
from shared.adapters.memory.documents import MemoryDocuments
from shared.adapters.memory.objects import MemoryObjects
from shared.domain import input_schema
from shared.domain.lifecycle import Rules
from shared.domain.pipeline import Pipeline
from shared.domain.policy import Policy
from shared.domain.project import Project
from shared.domain.silence import LOOK_EVERY
from shared.ports import Message, Ports, Query, Stored
from shared.steps.dead_letters import replay
from shared.steps.register import register_pipeline, register_project
from shared.topology import topology
from tests.simulation import plan as planning
from tests.simulation.at_rest import Rest
from tests.simulation.batch import BatchModel, Job
from tests.simulation.clients import Answers, Clients
from tests.simulation.faults import (
    Faults,
    FaultyBus,
    FaultyDocuments,
    FaultyEngine,
    FaultyLogs,
    FaultyObjects,
    Weather,
)
from tests.simulation.functions import Functions, QuietLogs, Workers
from tests.simulation.invariants import Checks, InvariantBroken, require
from tests.simulation.schedule import BEGINNING, Scheduler

TICK_S = topology().schedules["reconcile"].every_s
POLICY = Policy()
QUIET_S = POLICY.ingest_lease_s + 6 * TICK_S + 2 * LOOK_EVERY * POLICY.silent_after_s
"""What the system may take to heal after the last fault and the last job's end: a lease, a few rounds, and the longest
wait for a notification that does not come after one that came."""

GRACE_S = POLICY.missing_grace_s + 2 * TICK_S
"""Longer, where a job was deleted: that it is lost is certain only after the grace period."""

LONGEST_S = 4 * 3_600
"""By then the bus is empty: no back-off is longer than ten minutes."""


@dataclass(frozen=True)
class Outcome:
    """`broken` is None for a seed that holds. `trace` is every step in order, `digest` its SHA-256."""

    seed: int
    broken: InvariantBroken | None
    trace: tuple[tuple[float, str, str], ...]

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr(self.trace).encode()).hexdigest()


def simulate(seed: int) -> Outcome:
    world = World(seed)
    broken = None
    with patch.object(input_schema, "faults", _schema_faults):
        try:
            world.live()
        except InvariantBroken as error:
            broken = error
        finally:
            world.scheduler.close()
    return Outcome(seed, broken, tuple(world.scheduler.trace))


class World:
    def __init__(self, seed: int) -> None:
        self.scheduler = Scheduler(seed)
        random = self.scheduler.random
        self.plan = planning.draw(random)
        self.weather = Weather.draw(random, storm=self.plan.storm)
        self.faults = Faults(self.scheduler, self.weather)
        self.documents = MemoryDocuments()
        self.objects = MemoryObjects(self.scheduler.clock)
        self.checks = Checks(self.scheduler, self.documents, self.objects)
        self.functions = Functions(self.scheduler, self.faults)
        self.workers = Workers(self.scheduler, self.faults, self.plan)
        self.batch = BatchModel(
            self.scheduler, self.faults, self.plan.fates, self.objects, self.functions.publish, self._job_changed
        )
        self.answers = Answers()
        self.ports = self._ports()
        self.clients = Clients(self.scheduler, self.ports, self.answers)
        self.checks.batch, self.checks.forced = self.batch, self.answers.forced
        self.functions.ports = self.workers.ports = self.ports

    def _ports(self) -> Ports:
        return Ports(
            documents=FaultyDocuments(self.documents, self.faults, self.checks.committed),
            bus=FaultyBus(_Witness(self.functions, self.checks), self.faults),
            objects=FaultyObjects(self.objects, self.faults),
            uploads=None, engine=FaultyEngine(self.batch, self.faults),
            logs=FaultyLogs(QuietLogs(self.scheduler), self.faults),
            clock=self.scheduler.clock, rules=Rules(POLICY, _prices()), new_id=self._new_id,
            launch=self.workers.launch, logs_url=logs_url, notify_topic="projects/local/topics/batch-events",
        )

    def _new_id(self) -> str:
        return f"id-{self.scheduler.random.getrandbits(64):016x}"

    def _job_changed(self, job: Job) -> None:
        self.checks.job_changed(job)
        for cancel in self.plan.cancels:
            if cancel.on is job.state and cancel.request.analysis_id == job.analysis:
                self.clients.cancel(cancel)

    # -- the life of a world --------------------------------------------------------------------------------------

    def live(self) -> None:
        self._furnish()
        self._begin()
        scheduler = self.scheduler
        scheduler.run(self.weather.until_s)
        scheduler.note("the faults are over")
        self._heal()
        if letters := self._letters_to_replay():
            scheduler.spawn("operator", lambda: self._replay(letters))
            self._heal()
        scheduler.run_dry(LONGEST_S)
        scheduler.note("at rest")
        Rest(self.plan, self.answers, self.documents, self.batch, self.functions, logs_url, self._untouched()).check()

    def _untouched(self) -> Ports:
        """The same store and bucket, without faults."""
        return replace(self.ports, documents=self.documents, objects=self.objects)

    def _furnish(self) -> None:
        raw = self._untouched()
        for name in planning.PROJECTS:
            project = Project(
                id=name, title=name, bucket=f"bucket-{name}", google_project="local", region="us-central1",
                created_at=BEGINNING,
            )
            register_project(raw, project)
            for pipeline in _pipelines():
                register_pipeline(raw, name, pipeline, by="operator@example.org")
            self.objects.write(project.bucket, planning.INPUT, b"reads")
            self.objects.write(project.bucket, planning.EMPTY_INPUT, b"")

    def _begin(self) -> None:
        """Whoever reads a trace reads first what was planned."""
        random, plan = self.scheduler.random, self.plan
        self.scheduler.note(f"{self.weather}")
        for part in (*plan.requests, *plan.cancels, *plan.reruns, *plan.orders, *plan.fates.items()):
            self.scheduler.note(f"{part}")
        for request in plan.requests:
            self.clients.ask(request)
        for cancel in plan.cancels:
            if cancel.on is None:
                self.clients.cancel(cancel)
        for again in plan.reruns:
            self.clients.rerun(again)
        for ordered in plan.orders:
            self.clients.order(ordered)
        for request, at_s in plan.forced_ingests:
            self.clients.force_ingest(request, at_s)
        for name, message in plan.unreadable:
            self._send(name, "analysis-commands", message, random.uniform(0, 60))
        for topic, message in plan.poison:
            self._send(message.attributes["poison"], topic, message, random.uniform(0, 60))
        for at_s in plan.blackouts_s:
            if at_s < self.weather.until_s:
                self.scheduler.after(at_s, lambda: self.scheduler.crash(lambda name: "/" in name))
        self._ticks_to_s = 0.0
        self._ticks(self.weather.until_s)

    def _send(self, name: str, topic: str, message: Message, at_s: float) -> None:
        self.scheduler.spawn(f"sender/{name}", lambda: self.clients.publish(topic, message, name), at_s)

    def _ticks(self, until_s: float) -> None:
        """The heartbeat of the scheduler's topic up to then."""
        while self._ticks_to_s <= until_s:
            self.scheduler.after(
                self._ticks_to_s - self.scheduler.now_s,
                lambda: self.functions.publish("reconcile-ticks", Message(b"{}", {})),
            )
            self._ticks_to_s += TICK_S

    def _tick_until(self, until_s: float) -> None:
        self._ticks(until_s)
        self.scheduler.run(until_s)

    def _heal(self) -> None:
        """Jobs that are under way, and requests that wait for their redelivery, get their time; then it must be quiet
        for as long as healing may take."""
        quiet_s = 0.0
        while quiet_s < QUIET_S + 2 * self.plan.ingest_waits_s + GRACE_S * self._any_deleted():
            require(self.scheduler.now_s < LONGEST_S, "always-ends", "something is still going on")
            self._tick_until(self.scheduler.now_s + TICK_S)
            under_way = not all(job.over for job in self.batch.jobs.values())
            waiting = {"submit", "keep-dead-letters"} & set(self.functions.bus.depth())
            quiet_s = 0.0 if under_way or waiting else quiet_s + TICK_S

    def _any_deleted(self) -> bool:
        return any(job.deleted for job in self.batch.jobs.values())

    def _letters_to_replay(self) -> list[Stored]:
        """What faults, and nothing else, have made dead letters, after all attempts that the topology gives."""
        letters = self.documents.query(Query("*/dead_letters", limit=1_000)).items
        return [s for s in letters if "poison" not in s.data["attributes"] and s.data["subscription"] != "reconcile"]

    def _replay(self, letters: list[Stored]) -> None:
        for letter in letters:
            replay(self.ports, letter.path.split("/")[1], letter.id, "operator@example.org")


@dataclass(frozen=True)
class _Witness:
    """Tells the checks what the bus has taken."""

    functions: Functions
    checks: Checks

    def publish(self, topic: str, message: Message) -> str:
        message_id = self.functions.publish(topic, message)
        self.checks.published(message)
        return message_id


def logs_url(uid: str) -> str:
    return f"https://logs.example.org/{uid}"


@lru_cache(maxsize=1)
def _prices() -> Mapping[str, Any]:
    return read_price_tables()


@lru_cache(maxsize=1)
def _pipelines() -> tuple[Pipeline, ...]:
    return tuple(_pipeline(slug, tasks) for slug, tasks in planning.PIPELINES.items())


def _pipeline(slug: str, tasks: int) -> Pipeline:
    inputs = {
        "type": "object", "required": ["vcf"], "additionalProperties": False,
        "properties": {"vcf": {"type": "string", "format": "bucket-path"}},
    }
    vcf = {"glob": "calls.vcf", "kind": "vcf" if slug == "calls" else "report", "required": True}
    return Pipeline.model_validate({
        "slug": slug, "version": "1.0.0", "title": slug, "inputs": inputs,
        "runnables": [{"image": "sim:1", "command": ["run"]}],
        "resources": {
            "machine_type": "e2-small", "cpu_milli": 1000, "memory_mib": 512, "boot_disk_mib": 10_240, "spot": True
        },
        "task_count": tasks, "retries": {"max": 3}, "max_run_seconds": 3_600, "outputs": [vcf],
        "price_table": "list-prices-example",
    })


_check_schema = input_schema.faults


@lru_cache(maxsize=8)
def _faults_of(schema: str) -> list[str]:
    return _check_schema(json.loads(schema))


def _schema_faults(schema: Mapping[str, Any]) -> list[str]:
    """A definition is checked against JSON Schema's own schema whenever it is read: half of a seed's time, unless the
    same one, which has the same faults, is checked once."""
    return _faults_of(json.dumps(schema, sort_keys=True))
