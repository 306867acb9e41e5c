"""The ports as a bad day shows them: every call gives way to others, and may fail before or after its effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from threading import Event
from typing import TypeVar

from shared.domain.errors import Unavailable
from shared.domain.files import FileSeen
from shared.domain.job import JobSeen, JobSpec
from shared.ports import (
    Bus,
    Documents,
    Engine,
    Level,
    LogPart,
    Logs,
    LogTail,
    Message,
    Objects,
    Page,
    Query,
    Stored,
    Write,
)
from tests.simulation.schedule import Crashed, Scheduler

T = TypeVar("T")
QUIET_LATENCY_S = 0.02
LONGEST_STALL_S = 90.0


@dataclass(frozen=True)
class Outage:
    """`calls` are names such as `documents.commit`; a prefix such as `bus.` means all of a port."""

    calls: str
    from_s: float
    until_s: float


@dataclass(frozen=True)
class Weather:
    """Chances of each fault for one call, until `until_s`. Drawn anew for every seed, some of them none at all."""

    until_s: float
    fail_before: float
    fail_after: float
    crash: float
    stall: float
    deliver_twice: float
    lose_ack: float
    lose_note: float
    repeat_note: float
    delay_note: float
    refuse_repeat: float
    outages: tuple[Outage, ...]

    @classmethod
    def draw(cls, random: Random, *, storm: bool) -> Weather:
        """A storm lasts longer than the bus has patience: then dead letters are legal, and replayed after it."""
        until = random.uniform(700, 1_100) if storm else random.uniform(40, 300)

        def chance(*choices: float) -> float:
            return random.choice((0.0, *choices))

        outages = [_outage(random, until, storm) for _ in range(random.choice((0, 0, 1, 2)) + 2 * storm)]
        return cls(
            until, fail_before=chance(0.02, 0.1), fail_after=chance(0.02, 0.1), crash=chance(0.01, 0.05),
            stall=chance(0.05, 0.25), deliver_twice=chance(0.1, 0.5), lose_ack=chance(0.05, 0.2),
            lose_note=chance(0.2, 1.0), repeat_note=chance(0.2, 0.5), delay_note=chance(0.2, 0.5),
            refuse_repeat=chance(0.2),
            outages=tuple(outages),
        )


def _outage(random: Random, until_s: float, storm: bool) -> Outage:
    calls = random.choice(("documents.", "documents.commit", "bus.", "objects.", "engine.", "engine.start", "launch"))
    begin = random.uniform(0, until_s / 2)
    return Outage(calls, begin, until_s if storm else random.uniform(begin, until_s))


class Faults:
    """Stands between an actor and the effect of each of its port calls."""

    def __init__(self, scheduler: Scheduler, weather: Weather) -> None:
        self._scheduler = scheduler
        self._random = scheduler.random
        self.weather = weather

    @property
    def over(self) -> bool:
        return self._scheduler.now_s >= self.weather.until_s

    def happens(self, chance: float) -> bool:
        return not self.over and self._random.random() < chance

    def call(self, name: str, what: str, effect: Callable[[], T]) -> T:
        """Gives way; then fails, or has its effect and fails, or crashes on either side of it, or just does it."""
        self._scheduler.pause(self._latency_s())
        weather = self.weather
        if self._is_out(name) or self.happens(weather.fail_before):
            self._scheduler.note(f"{name} {what}: unavailable")
            raise Unavailable(f"{name} did not answer")
        if self.happens(weather.crash):
            raise Crashed
        try:
            result = effect()
        except Exception as error:
            self._scheduler.note(f"{name} {what}: {type(error).__name__}")
            raise
        self._scheduler.note(f"{name} {what}")
        if self.happens(weather.fail_after):
            self._scheduler.note(f"{name} {what}: done, but the answer is lost")
            raise Unavailable(f"{name} was done, but its answer is lost")
        if self.happens(weather.crash):
            raise Crashed
        return result

    def _is_out(self, name: str) -> bool:
        now = self._scheduler.now_s
        return not self.over and any(
            name.startswith(outage.calls) and outage.from_s <= now < outage.until_s for outage in self.weather.outages
        )

    def _latency_s(self) -> float:
        if self.over:
            return QUIET_LATENCY_S * self._random.random()
        if self._random.random() < self.weather.stall:
            return self._random.uniform(1.0, LONGEST_STALL_S)
        return self._random.expovariate(1 / 0.1)


@dataclass(frozen=True)
class FaultyDocuments:
    """`committed` is told of every commit that had its effect, before anybody else can act on it."""

    inner: Documents
    faults: Faults
    committed: Callable[[Sequence[Write]], None]

    def get(self, path: str) -> Stored | None:
        return self.faults.call("documents.get", path, lambda: self.inner.get(path))

    def query(self, query: Query) -> Page:
        return self.faults.call("documents.query", query.collection, lambda: self.inner.query(query))

    def count(self, query: Query) -> int | None:
        return self.faults.call("documents.count", query.collection, lambda: self.inner.count(query))

    def commit(self, writes: Sequence[Write]) -> tuple[str, ...]:
        def effect() -> tuple[str, ...]:
            versions = self.inner.commit(writes)
            self.committed(writes)
            return versions

        return self.faults.call("documents.commit", writes[0].path, effect)

    def watch(self, query: Query, ended: Event | None = None) -> Iterator[Page]:
        raise NotImplementedError("nothing that is simulated watches")


@dataclass(frozen=True)
class FaultyBus:
    inner: Bus
    faults: Faults

    def publish(self, topic: str, message: Message) -> str:
        what = f"{topic} {message.attributes.get('type', '')} {message.attributes.get('id', '')}"
        return self.faults.call("bus.publish", what, lambda: self.inner.publish(topic, message))

    def depth(self) -> Mapping[str, tuple[int, datetime]] | None:
        raise NotImplementedError("nothing that is simulated asks")


@dataclass(frozen=True)
class FaultyObjects:
    inner: Objects
    faults: Faults

    def stat(self, bucket: str, path: str) -> FileSeen | None:
        return self.faults.call("objects.stat", path, lambda: self.inner.stat(bucket, path))

    def list(self, bucket: str, prefix: str) -> Iterator[FileSeen]:
        return iter(self.faults.call("objects.list", prefix, lambda: [*self.inner.list(bucket, prefix)]))

    def level(self, bucket: str, prefix: str, *, after: str = "", limit: int = 200) -> Level:
        effect = lambda: self.inner.level(bucket, prefix, after=after, limit=limit)  # noqa: E731
        return self.faults.call("objects.level", prefix, effect)

    def read(self, bucket: str, path: str, *, start: int = 0, length: int | None = None) -> bytes:
        effect = lambda: self.inner.read(bucket, path, start=start, length=length)  # noqa: E731
        return self.faults.call("objects.read", path, effect)

    def write(self, bucket: str, path: str, data: bytes, *, if_generation: int | None = None) -> FileSeen:
        effect = lambda: self.inner.write(bucket, path, data, if_generation=if_generation)  # noqa: E731
        return self.faults.call("objects.write", path, effect)

    def upload(self, bucket: str, path: str, source: Path, *, if_generation: int | None = None) -> FileSeen:
        effect = lambda: self.inner.upload(bucket, path, source, if_generation=if_generation)  # noqa: E731
        return self.faults.call("objects.upload", path, effect)

    def delete(self, bucket: str, path: str, generation: int) -> None:
        self.faults.call("objects.delete", path, lambda: self.inner.delete(bucket, path, generation))

    @contextmanager
    def local(self, bucket: str, path: str) -> Iterator[Path]:
        self.faults.call("objects.local", path, lambda: None)
        with self.inner.local(bucket, path) as file:
            yield file

    def url(self, bucket: str, path: str, *, expires_in_s: int) -> str:
        return self.inner.url(bucket, path, expires_in_s=expires_in_s)


@dataclass(frozen=True)
class FaultyEngine:
    inner: Engine
    faults: Faults

    def start(self, spec: JobSpec) -> JobSeen:
        return self.faults.call("engine.start", spec.job_id, lambda: self.inner.start(spec))

    def describe(self, name: str) -> JobSeen:
        return self.faults.call("engine.describe", name, lambda: self.inner.describe(name))

    def cancel(self, name: str) -> None:
        self.faults.call("engine.cancel", name, lambda: self.inner.cancel(name))


@dataclass(frozen=True)
class FaultyLogs:
    inner: Logs
    faults: Faults

    @property
    def poll_s(self) -> float:
        return self.inner.poll_s

    def tail(self, job_uid: str, task: int, *, max_bytes: int) -> LogTail:
        return self.faults.call("logs.tail", job_uid, lambda: self.inner.tail(job_uid, task, max_bytes=max_bytes))

    def after(self, job_uid: str, task: int, mark: str, *, max_bytes: int) -> LogPart:
        return self.faults.call(
            "logs.after", job_uid, lambda: self.inner.after(job_uid, task, mark, max_bytes=max_bytes)
        )
