"""Between the functions framework and a handler: unwrap, call, and say what becomes of the message.

A handler that returns has acknowledged. `Permanent` is kept as a dead letter at once and acknowledged, since a
redelivery would fail the same way; anything else is raised, and the bus delivers again (C80).

Every line that is logged meanwhile says what the message is about, and every delivery has a span of its own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from cloudevents.http.event import CloudEvent

from shared import tracing
from shared.delivery import Delivery, delivery_of
from shared.domain.about import about
from shared.domain.errors import Permanent
from shared.logs import Line, bound, why
from shared.ports import Ports
from shared.steps.dead_letters import REPLAY_TO, keep
from shared.topology import topology

log = logging.getLogger(__name__)
Handler = Callable[[Delivery, Ports], None]


def receive(subscription: str, event: CloudEvent, handler: Handler, ports: Ports) -> None:
    """`subscription` is this function's name in topology.yaml. A replay that is meant for another is passed over, and
    so is what the subscription's filter keeps out: Pub/Sub's emulator takes filters, and ignores them."""
    try:
        delivery = delivery_of(event)
    except Permanent as error:
        keep(ports, Delivery(str(event["id"]), _whole(event), {}, "", ""), subscription, str(error), attempts=1)
        return
    if not _is_for(subscription, delivery):
        return
    found = about(delivery.attributes, delivery.data)
    carried = delivery.attributes.get(tracing.TRACEPARENT)
    with (
        bound(**found, message_id=delivery.message_id, subscription=subscription),
        tracing.span(
            subscription, {**found, "messaging.message_id": delivery.message_id}, carried=carried, kind="consumer",
        ),
    ):
        _handle(subscription, delivery, handler, ports)


def _handle(subscription: str, delivery: Delivery, handler: Handler, ports: Ports) -> None:
    try:
        handler(delivery, ports)
    except Permanent as error:
        log.error(Line.DEAD_LETTER, extra={"reason": why(error)})
        tracing.failed(error)
        keep(ports, delivery, subscription, str(error), attempts=1)


def _is_for(subscription: str, delivery: Delivery) -> bool:
    if delivery.attributes.get(REPLAY_TO, subscription) != subscription:
        return False
    return topology().subscriptions[subscription].takes(delivery.attributes.get("type"))


def _whole(event: CloudEvent) -> bytes:
    """The push body as it came, since there is no message in it."""
    body = event.get_data()
    return body if isinstance(body, bytes) else json.dumps(body, default=str).encode()
