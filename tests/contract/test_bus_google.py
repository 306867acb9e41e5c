"""What ports.Bus promises, of Pub/Sub's publisher: received as it was published, in order of a key.

Filters are not tried here: the emulator (0.8.20) keeps a subscription's filter and delivers every message all the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.cloud import pubsub_v1
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from shared.adapters.google.bus import PubSubBus, publisher_client
from shared.domain.errors import Permanent, TooLarge, Unavailable
from shared.ports import Message
from shared.topology import Topology
from tests.contract.conftest import LAYOUT
from tests.contract.emulators import a_google_project

COMMANDS, BATCH = "analysis-commands", "batch-events"


@dataclass
class PubSub:
    """The topics and subscriptions of `LAYOUT` in a project of their own, and what their subscribers receive."""

    address: str
    project: str = field(default_factory=a_google_project)

    def __post_init__(self) -> None:
        channel = grpc.insecure_channel(self.address)
        self.admin = pubsub_v1.PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        self.subscriber = pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        lay_out(self, LAYOUT)

    def pull(self, subscription: str, wanted: int, within_s: float = 10) -> list[Message]:
        """The next messages, which are acknowledged."""
        name = f"projects/{self.project}/subscriptions/{subscription}"
        found: list[Message] = []
        give_up = time.monotonic() + within_s
        while len(found) < wanted and time.monotonic() < give_up:
            received = self.subscriber.pull(subscription=name, max_messages=wanted, timeout=within_s).received_messages
            found += [
                Message(each.message.data, dict(each.message.attributes), each.message.ordering_key)
                for each in received
            ]
            if received:
                self.subscriber.acknowledge(subscription=name, ack_ids=[each.ack_id for each in received])
        return found


def lay_out(pubsub: PubSub, layout: Topology) -> None:
    for topic in layout.topics:
        pubsub.admin.create_topic(name=f"projects/{pubsub.project}/topics/{topic}")
    for name, spec in layout.subscriptions.items():
        pubsub.subscriber.create_subscription(request={
            "name": f"projects/{pubsub.project}/subscriptions/{name}",
            "topic": f"projects/{pubsub.project}/topics/{spec.topic}",
            "filter": spec.filter, "enable_message_ordering": spec.ordering,
        })


@pytest.fixture
def pubsub(pubsub_address: str) -> PubSub:
    return PubSub(pubsub_address)


@pytest.fixture
def bus(pubsub: PubSub) -> Iterator[PubSubBus]:
    publisher = publisher_client(emulator=pubsub.address)
    yield PubSubBus(publisher, pubsub.project)
    publisher.stop()


def test_a_message_arrives_whole_in_every_subscription_of_its_topic(bus: PubSubBus, pubsub: PubSub) -> None:
    message = Message(b"\x00\xffbytes", {"type": "x", "é": "ü"}, "key")
    assert bus.publish(BATCH, message)
    for name in ("unordered", "patient"):
        assert pubsub.pull(name, 1) == [message]


def test_messages_of_a_key_arrive_in_the_order_of_their_publishing(bus: PubSubBus, pubsub: PubSub) -> None:
    def publish(key: str) -> list[str]:
        return [bus.publish(COMMANDS, Message(f"{key}{n}".encode(), {}, key)) for n in range(10)]

    with ThreadPoolExecutor(3) as pool:
        ids = [each for ids in pool.map(publish, "abc") for each in ids]
    assert len(set(ids)) == 30, "each has an id of its own"
    received = pubsub.pull("ordered", 30)
    for key in "abc":
        assert [m.data.decode() for m in received if m.ordering_key == key] == [f"{key}{n}" for n in range(10)]


def test_a_publish_waits_for_no_other_message(bus: PubSubBus) -> None:
    bus.publish(COMMANDS, Message(b"the first opens the connection", {}, "a"))
    began = time.monotonic()
    for n in range(10):
        bus.publish(COMMANDS, Message(b"x", {}, f"key-{n % 2}"))
    assert time.monotonic() - began < 5


def test_a_topic_that_is_not_there_may_come(bus: PubSubBus) -> None:
    for _ in range(2):  # the key is not left paused
        with pytest.raises(Unavailable, match="no-such-topic"):
            bus.publish("no-such-topic", Message(b"x", {}, "key"))


@pytest.mark.parametrize(("message", "kind"), [
    (Message(b"", {}), Permanent),
    (Message(b"x", {"timeout": "1"}), Permanent),
    (Message(b"x" * 10_000_001, {}), TooLarge),
])
def test_what_pubsub_never_takes_is_refused(bus: PubSubBus, message: Message, kind: Any) -> None:
    with pytest.raises(kind):
        bus.publish(COMMANDS, message)
    bus.publish(COMMANDS, Message(b"x", {}, message.ordering_key))
