"""The bus: Pub/Sub's publisher, one message a call, in order for each key. Subscriptions push to the functions.

The client's own retries are off. With ordering on, it makes any retry of a publish endless (`PublisherClient.publish`
sets its deadline to 2^32 s), so that an outage would hold up whoever waits for the message id, and every later message
of the key. A publish that failed stays in its document's outbox instead, in front of those that follow it (C81).
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Mapping
from typing import Any

import grpc
from google.api_core.exceptions import GoogleAPICallError, InternalServerError, RetryError, ServiceUnavailable
from google.cloud import pubsub_v1  # type: ignore[attr-defined]  # no stubs
from google.cloud.pubsub_v1.publisher.exceptions import (
    MessageTooLargeError,
    PublishToPausedOrderingKeyException,
)
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from shared.adapters.google.calls import attempt, failed
from shared.domain.errors import Permanent, TooLarge, Unavailable
from shared.ports import Message

IN_FLIGHT_MESSAGES, IN_FLIGHT_BYTES = 1_000, 50_000_000
"""More than threads publish at once. A caller beyond it waits for its turn."""

LINGER_S = 0.001

_QUEUED_S = 5.0
"""On top of the deadline: behind messages of the same key that other threads publish."""

_TAKEN = frozenset(("topic", "data", "ordering_key", "retry", "timeout"))
_PASSING = (ServiceUnavailable, InternalServerError)


class PubSubBus:
    """ports.Bus. A publish is tried up to three times, each within `deadline_s`; consumers drop what comes twice.

    Unavailable for an outage, a deadline, a quota, a missing role or topic: the message may have been taken.
    """

    def __init__(self, publisher: pubsub_v1.PublisherClient, project: str, *, deadline_s: float = 10.0) -> None:
        """`publisher` must have message ordering enabled; `publisher_client` makes one."""
        self._publisher = publisher
        self._project = project
        self._deadline_s = deadline_s

    def publish(self, topic: str, message: Message) -> str:
        """Also Permanent for what Pub/Sub never takes: no data and no attribute, or an attribute that is too long."""
        if taken := sorted(_TAKEN & message.attributes.keys()):
            raise Permanent(f"Pub/Sub's client cannot publish an attribute of the name {taken[0]!r}")
        address = f"projects/{self._project}/topics/{topic}"
        try:
            return attempt(lambda: self._publish(address, message), _PASSING)
        except MessageTooLargeError as error:
            raise TooLarge(f"a message for {topic} of {len(message.data):,} bytes: {error}") from error
        except (GoogleAPICallError, RetryError) as error:
            raise failed("Pub/Sub", f"publish to {topic}", error) from error
        except (concurrent.futures.TimeoutError, RuntimeError) as error:
            # RuntimeError: another thread's message of this key failed while this one stood behind it
            raise Unavailable(f"Pub/Sub has not taken a message for {topic}: {error or 'no answer in time'}") from error

    def depth(self) -> None:
        """Pub/Sub's own API does not tell; the dashboard does (infra/terraform/monitoring.tf)."""

    def _publish(self, topic: str, message: Message) -> str:
        try:
            return self._send(topic, message)
        except PublishToPausedOrderingKeyException:
            # The client answers a failure first and pauses its key after that, which `_resume` may have been too
            # early for.
            self._resume(topic, message.ordering_key)
            return self._send(topic, message)

    def _send(self, topic: str, message: Message) -> str:
        sent = self._publisher.publish(
            topic, message.data, ordering_key=message.ordering_key, retry=None, timeout=self._deadline_s,
            **message.attributes,
        )
        try:
            message_id: str = sent.result(timeout=self._deadline_s + _QUEUED_S)
        except Exception:
            self._resume(topic, message.ordering_key)
            raise
        return message_id

    def _resume(self, topic: str, key: str) -> None:
        """A key whose publish failed takes nothing more until it is told to."""
        try:
            self._publisher.resume_publish(topic, key)
        except RuntimeError:  # it was not paused
            return


def publisher_client(*, emulator: str | None = None) -> pubsub_v1.PublisherClient:
    """A publisher that keeps the order of a key; `emulator` is `HOST:PORT` of one that asks for no credentials."""
    options: Mapping[str, Any] = {
        "publisher_options": pubsub_v1.types.PublisherOptions(
            enable_message_ordering=True,
            flow_control=pubsub_v1.types.PublishFlowControl(
                message_limit=IN_FLIGHT_MESSAGES, byte_limit=IN_FLIGHT_BYTES,
                limit_exceeded_behavior=pubsub_v1.types.LimitExceededBehavior.BLOCK
            ),
        ),
        # Whoever publishes waits for the id, so a batch would have one message in any case, and 10 ms more. (Batches of
        # one by size are no way out: after one that failed, the client publishes nothing more without a key.)
        "batch_settings": pubsub_v1.types.BatchSettings(max_latency=LINGER_S),
    }
    if emulator is None:
        return pubsub_v1.PublisherClient(**options)
    transport = PublisherGrpcTransport(channel=grpc.insecure_channel(emulator))
    return pubsub_v1.PublisherClient(transport=transport, **options)
