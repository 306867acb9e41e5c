"""Lays the topics and push subscriptions of topology.yaml out on a Pub/Sub emulator, as Terraform does in the cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from google.cloud import pubsub_v1  # type: ignore[attr-defined]  # no stubs
from google.protobuf.duration_pb2 import Duration
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from shared.adapters.google.bus import publisher_client
from shared.topology import SubscriptionSpec, Topology


def lay_out(topology: Topology, endpoints: Mapping[str, str], *, project: str, emulator: str) -> None:
    """`endpoints` has the address of each subscription's function. The emulator must be empty: it forgets everything
    when it ends.

    Of what the emulator (0.8.20, measured) does not do as Pub/Sub does: filters are taken and ignored, so that every
    function gets every message of its topic (`shared.receive` passes over those that are not for it); an ordered
    subscription with a dead-letter policy stops for good at the first message that is out of attempts, so that what
    wants both is laid out without the order; whatever the back-off, pauses are of 1 to 4 s.
    """
    with publisher_client(emulator=emulator) as publisher:
        for topic in topology.topics:
            publisher.create_topic(name=f"projects/{project}/topics/{topic}")
    with subscriber_client(emulator) as subscriber:
        for name, spec in topology.subscriptions.items():
            subscriber.create_subscription(request=_request(name, spec, endpoints[name], topology, project))


def subscriber_client(emulator: str) -> pubsub_v1.SubscriberClient:
    channel = grpc.insecure_channel(emulator, [("grpc.max_receive_message_length", -1)])  # as the client's own
    return pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))


def _request(name: str, spec: SubscriptionSpec, endpoint: str, topology: Topology, project: str) -> dict[str, Any]:
    request: dict[str, Any] = {
        "name": f"projects/{project}/subscriptions/{name}",
        "topic": f"projects/{project}/topics/{spec.topic}",
        "push_config": {"push_endpoint": endpoint},
        "ack_deadline_seconds": spec.ack_deadline_s,
        "enable_message_ordering": spec.ordering and spec.max_attempts is None,
        "filter": spec.filter,
        "retry_policy": {
            "minimum_backoff": _duration(spec.retry.min_s), "maximum_backoff": _duration(spec.retry.max_s),
        },
    }
    if spec.max_attempts is not None:
        request["dead_letter_policy"] = {
            "dead_letter_topic": f"projects/{project}/topics/{topology.dead_letter_topic}",
            "max_delivery_attempts": spec.max_attempts,
        }
    return request


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9))
