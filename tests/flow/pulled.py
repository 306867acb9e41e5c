"""The product's functions in this process, on Google's emulators: Pub/Sub, Firestore, Cloud Storage, and our Batch.

Every message goes through the Pub/Sub emulator, every document into Firestore's. What the Pub/Sub emulator does not do
as Pub/Sub does is done here in its place: its push has pauses of its own, leaves a subscription alone after some 14
refusals, and stops at the first dead letter of an ordered one (docs/decisions/0009). So `Pushes` pulls, and pushes as
topology.yaml says: its pauses, attempts, order, dead letters. (The emulator's own push: emulated.py.)
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from google.api_core.exceptions import GoogleAPICallError

from infra.local.emulator_stack import Servers, directly
from infra.local.emulators import free_port, storage_server
from infra.local.layout import subscriber_client
from infra.local.setup import DEMO
from infra.local.stack import Running, own, restored_environment, serving
from shared import runtime
from shared.adapters.embedded.bus import SqliteBus
from shared.adapters.google.bus import PubSubBus, publisher_client
from shared.domain.clock import iso
from shared.ports import Message, Ports
from shared.runtime import Settings, now_utc
from shared.topology import topology
from tests.contract.emulators import a_google_project

HOST = "127.0.0.1"
PULL_S = 600.0
"""Longer than any stack: what is given to a pull that is given up comes again only after its deadline."""


@dataclass(frozen=True)
class Emulators:
    """Where they listen. They are shared: each stack has a Google project of its own on them."""

    pubsub: str
    firestore: str


class Pushes(SqliteBus):
    """What was pulled and is not yet handled. A publish goes to Pub/Sub; so does what is a dead letter."""

    def __init__(self, settings: Settings, bus: PubSubBus) -> None:
        super().__init__(settings.state_dir / "pushes.db", topology(), now_utc)
        self._bus = bus
        self._lock = threading.Lock()
        self._on_the_way: set[tuple[str, str]] = set()
        self._early: set[tuple[str, str]] = set()
        self._taken: set[tuple[str, str]] = set()

    def publish(self, topic: str, message: Message) -> str:
        identity = self._bus.publish(topic, message)
        self.expect(topic, message, identity)
        return identity

    def publish_all(self, messages: Sequence[tuple[str, Message]]) -> list[str]:
        return [self.publish(topic, message) for topic, message in messages]

    def expect(self, topic: str, message: Message, identity: str) -> None:
        """It was published, by whomever: it counts as waiting from now on, pulled or not."""
        for name in topology().subscribers(topic, message.attributes.get("type")):
            self._meet((name, identity), self._early, self._on_the_way)

    def take(self, subscription: str, received: Any) -> None:
        """A message that was pulled. The filter is the subscription's, which the emulator ignores.

        What the emulator gives again because an acknowledgement was late is passed over: deliveries are counted here.
        """
        message, spec = received.message, topology().subscriptions[subscription]
        one = (subscription, message.message_id)
        if one in self._taken or not spec.takes(message.attributes.get("type")):
            return
        self._taken.add(one)
        now = now_utc().timestamp()
        row = (
            subscription, message.message_id, message.data, json.dumps(dict(message.attributes)), message.ordering_key,
            iso(message.publish_time), now, now + topology().topics[spec.topic].retention_s,
        )
        with self._db.transaction() as connection:
            connection.execute(
                "INSERT INTO queue (subscription, message_id, data, attributes, ordering_key, published_at, due_at, "
                "expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row,
            )
        self._meet(one, self._on_the_way, self._early)
        self.published.set()

    def depth(self) -> dict[str, tuple[int, datetime]]:
        with self._lock:
            found = {name: (1, now_utc()) for name, _ in self._on_the_way}
        return {**found, **super().depth()}

    def _put(self, connection: Any, topic: str, message: Message, message_id: str) -> None:
        self.publish(topic, message)

    def _meet(self, one: tuple[str, str], there: set[tuple[str, str]], else_in: set[tuple[str, str]]) -> None:
        """A message may be pulled before its publisher knows its id."""
        with self._lock:
            if one in there:
                there.remove(one)
            else:
                else_in.add(one)


class _Told:
    """A bus whose publishes are expected."""

    def __init__(self, bus: Any, pushes: Pushes) -> None:
        self._bus = bus
        self._pushes = pushes

    def publish(self, topic: str, message: Message) -> str:
        identity: str = self._bus.publish(topic, message)
        self._pushes.expect(topic, message, identity)
        return identity


@contextmanager
def pulled(
    settings: Settings, emulators: Emulators, between: Callable[[Servers], Servers] = directly
) -> Iterator[tuple[Running, Settings, Pushes]]:
    """As `infra.local.stack.running`, on the emulators. `between` is that of emulator_stack; what pulls is not told."""
    chosen = settings.model_copy(update={"backend": "emulators", "google_project": a_google_project()})
    real = Servers(emulators.pubsub, emulators.firestore, *(f"{HOST}:{free_port()}" for _ in range(2)))
    told = between(real)
    chosen = chosen.model_copy(update={"batch_address": told.batch})
    for bucket in (DEMO, chosen.unassigned_bucket):
        (chosen.objects_dir / bucket).mkdir(parents=True)
    with (
        own(chosen.state_dir), restored_environment({**chosen.environment(), **told.environment()}),
        storage_server(_port(real.storage), chosen.objects_dir),
        publisher_client(emulator=emulators.pubsub) as publisher,
    ):
        for topic in topology().topics:
            publisher.create_topic(name=f"projects/{chosen.google_project}/topics/{topic}")
        pushes = Pushes(chosen, PubSubBus(publisher, chosen.google_project))
        with (
            _pulling(chosen, emulators, pushes), _told(pushes),
            serving(chosen, pushes, batch_port=_port(real.batch)) as up,
        ):
            yield up, chosen, pushes


@contextmanager
def _told(pushes: Pushes) -> Iterator[None]:
    """What functions publish is waiting at once, too."""
    build = runtime.build

    def told(settings: Settings) -> Ports:
        ports = build(settings)
        return replace(ports, bus=_Told(ports.bus, pushes))

    runtime.build = told
    try:
        yield
    finally:
        runtime.build = build


@contextmanager
def _pulling(settings: Settings, emulators: Emulators, pushes: Pushes) -> Iterator[None]:
    ended = threading.Event()
    threads = []
    try:
        with subscriber_client(emulators.pubsub) as subscriber:
            paths = {name: subscriber.subscription_path(settings.google_project, name)
                     for name in topology().subscriptions}
            for name, spec in topology().subscriptions.items():
                subscriber.create_subscription(request={
                    "name": paths[name], "topic": f"projects/{settings.google_project}/topics/{spec.topic}",
                    "ack_deadline_seconds": spec.ack_deadline_s, "enable_message_ordering": spec.ordering,
                })
                task = (subscriber, paths[name], name, pushes, ended)
                threads.append(threading.Thread(target=_pull, args=task, daemon=True))
            for thread in threads:
                thread.start()
            try:
                yield
            finally:
                ended.set()
                for path in paths.values():
                    subscriber.delete_subscription(subscription=path)
    finally:
        for thread in threads:  # whose calls ended with their client
            thread.join()


def _pull(subscriber: Any, path: str, name: str, pushes: Pushes, ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            found = subscriber.pull(subscription=path, max_messages=100, retry=None, timeout=PULL_S).received_messages
            for received in found:
                pushes.take(name, received)
            if found:
                subscriber.acknowledge(subscription=path, ack_ids=[received.ack_id for received in found])
        except (GoogleAPICallError, ValueError):  # ValueError: a call on a channel that is closed
            if not ended.is_set():
                raise


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
