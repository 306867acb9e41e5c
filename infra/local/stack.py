"""The whole product on one machine: bus, functions, reconciler's clock and REST API in one process, and the Batch
server in another, since together they would share one processor (docs/decisions/0012).

State lies in one folder, and one stack at a time owns it. Killed at any moment, the next one goes on where it was.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import uvicorn

from infra.local.batch import BatchServer
from infra.local.batch.child import Note, batch_child
from services.miner.app import create_app
from shared import runtime
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.embedded.dispatcher import Dispatcher
from shared.domain.errors import Transient
from shared.ports import Bus, Message
from shared.runtime import Settings
from shared.topology import topology

LAST_ANSWERS_S = 1
"""What is still being answered when the stack stops gets so long; a live stream would go on for ever."""

log = logging.getLogger(__name__)


class StackRunning(Exception):
    """Another process owns the state folder."""


@dataclass(frozen=True)
class Running:
    """Addresses of a stack that is up."""

    api: str
    batch: str


class Batch(Protocol):
    """Serves Batch over a stack's folder, its notifications put into the queue; the address."""

    def __call__(self, settings: Settings, queue: SqliteBus, port: int) -> AbstractContextManager[str]: ...


@contextmanager
def batch_beside(settings: Settings, queue: SqliteBus, port: int) -> Iterator[str]:
    """In a process of its own. Raises ChildFailed."""

    def take(notes: Sequence[Note]) -> None:
        queue.publish_all([(_name(note.topic), Message(note.data, note.attributes)) for note in notes])

    with batch_child(
        state_dir=settings.batch_dir, buckets_dir=settings.objects_dir, port=port, take=take
    ) as address:
        yield address


@contextmanager
def batch_within(settings: Settings, queue: SqliteBus, port: int) -> Iterator[str]:
    """In this process, for one that is begun and killed so often that the start of another would be most of it."""
    batch = BatchServer(
        state_dir=settings.batch_dir, buckets_dir=settings.objects_dir, port=port,
        publish=lambda topic, data, attributes: _publish(queue, topic, data, attributes),
    )
    address = batch.start()
    try:
        yield address
    finally:
        batch.stop()


@contextmanager
def running(settings: Settings, batch: Batch = batch_beside) -> Iterator[Running]:
    """The stack, for as long as the context lasts. Raises StackRunning, ChildFailed."""
    with (
        own(settings.state_dir), restored_environment(settings.environment()),
        serving(settings, runtime.embedded_bus(settings), batch) as up,
    ):
        yield up


@contextmanager
def serving(
    settings: Settings, queue: SqliteBus, batch: Batch = batch_beside, *, batch_port: int = 0
) -> Iterator[Running]:
    """All parts, over a queue, in the environment as it is. The folder is the caller's own."""
    with batch(settings, queue, batch_port) as address:
        web = _Web(settings.port)
        up = Running(api=web.url, batch=address)
        settings.stack_file.write_text(json.dumps({"api": up.api, "batch": up.batch, "pid": os.getpid()}))
        dispatcher = Dispatcher(queue, topology(), runtime.now_utc)
        ticker = Ticker(queue, settings)
        try:
            dispatcher.start()
            ticker.start()
            web.start()
            yield up
        finally:
            web.stop()
            ticker.stop()
            dispatcher.stop()
            settings.stack_file.unlink(missing_ok=True)


@contextmanager
def restored_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """With these variables, and with adapters built by them. Afterwards the functions of a stack around this one, if
    there is one, find their own again."""
    before = dict(os.environ)
    os.environ.update(variables)
    runtime.ports.cache_clear()
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update(before)
        runtime.ports.cache_clear()


@contextmanager
def own(state_dir: Path) -> Iterator[None]:
    """One stack at a time in a folder. Raises StackRunning."""
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "stack.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackRunning(f"another stack runs over {state_dir}; stop it, or set IFLOW_STATE_DIR") from None
        yield


def _publish(bus: SqliteBus, topic: str, data: bytes, attributes: dict[str, str]) -> None:
    bus.publish(_name(topic), Message(data, attributes))


def _name(topic: str) -> str:
    """`projects/P/topics/T`, as a job has it, is our T."""
    return topic.rpartition("/")[2]


class Ticker:
    """Cloud Scheduler's part: a message on the reconciler's topic, every so many seconds."""

    def __init__(self, bus: Bus, settings: Settings) -> None:
        schedule = topology().schedules["reconcile"]
        self._bus = bus
        self._topic = schedule.topic
        self._every_s = settings.reconcile_every_s or schedule.every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        self._tick()  # what a killed predecessor left is looked at first
        while not self._stopping.wait(self._every_s):
            self._tick()

    def _tick(self) -> None:
        try:
            self._bus.publish(self._topic, Message(b"{}", {}))
        except Transient as error:
            log.warning("a tick was not published", extra={"reason": str(error)})


class _Web:
    """The REST API on loopback, in a thread of this process."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        # asyncio sets this only on sockets that name TCP as their protocol; without it each answer waits 40 ms
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(
            create_app(), log_config=None, access_log=False, timeout_graceful_shutdown=LAST_ANSWERS_S
        ))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="api", daemon=True
        )

    def start(self) -> None:
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.01)

    def stop(self) -> None:
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()
