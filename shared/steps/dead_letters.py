"""What could not be handled is kept whole, where an operator finds it, and can be played again."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from shared.delivery import Delivery
from shared.domain import paths
from shared.domain.clock import iso
from shared.domain.errors import Conflict, NotFound, Permanent
from shared.ports import LAST_ERROR, Create, Message, Ports, Update
from shared.steps.projects import bucket_of, project
from shared.topology import expiry, topology

SOURCE = "CloudPubSubDeadLetterSourceSubscription"
ATTEMPTS = "CloudPubSubDeadLetterSourceDeliveryCount"
PREFIX = "CloudPubSubDeadLetter"
REPLAY_TO = "iflow-replay-to"
"""On a replayed message: the one subscription that it is meant for, since a topic reaches all of them."""

LARGEST_PAYLOAD_BYTES = 500_000
"""Of a payload kept in the document; a longer one lies whole in the bucket."""


def keep(ports: Ports, delivery: Delivery, subscription: str, reason: str, *, attempts: int) -> None:
    """Once per message id. The payload is base64, since it may be anything."""
    now = ports.clock()
    named = delivery.attributes.get("project", "")
    home = named if project(ports, named) else paths.UNASSIGNED
    identity = paths.safe_id(delivery.message_id)
    inline = len(delivery.data) <= LARGEST_PAYLOAD_BYTES
    path = None if inline else f"cache/dead_letters/{identity}.bin"
    if path:
        ports.objects.write(bucket_of(ports, home), path, delivery.data)
    document: dict[str, Any] = {
        "id": identity, "project": home, "subscription": subscription,
        "topic": topology().subscriptions[subscription].topic, "reason": reason, "attempts": attempts,
        "attributes": dict(delivery.attributes), "ordering_key": delivery.ordering_key,
        "payload": base64.b64encode(delivery.data).decode() if inline else None, "payload_path": path,
        "text": delivery.text()[:2_000], "at": iso(now), "expires_at": expiry("dead_letters", now),
        "replayed_at": None, "replayed_by": None,
    }
    try:
        ports.documents.commit([Create(paths.dead_letter_doc(home, identity), document)])
    except Conflict:
        return  # kept already, by an earlier delivery


def keep_forwarded(delivery: Delivery, ports: Ports) -> None:
    """For the dead-letter topic's own subscription: where the message came from stands in its attributes."""
    attributes = {k: v for k, v in delivery.attributes.items() if not k.startswith(PREFIX) and k != LAST_ERROR}
    subscription = delivery.attributes.get(SOURCE, "").rpartition("/")[2]
    if subscription not in topology().subscriptions:
        subscription = "keep-dead-letters"
    attempts = int(delivery.attributes.get(ATTEMPTS, "0"))
    why = delivery.attributes.get(LAST_ERROR) or "no handler took it; the logs of its message id say why"
    original = Delivery(
        delivery.message_id, delivery.data, attributes, delivery.ordering_key, delivery.published_at
    )
    keep(ports, original, subscription, f"refused {attempts} times: {why}", attempts=attempts)


def replay(ports: Ports, home: str, letter: str, by: str) -> Mapping[str, Any]:
    """Publishes the message again for the subscription that refused it, and notes who did. May be repeated."""
    path = paths.dead_letter_doc(home, letter)
    stored = ports.documents.get(path)
    if stored is None:
        raise NotFound(f"there is no dead letter {letter} in project {home}")
    data = stored.data
    if data["payload"] is not None:
        payload = base64.b64decode(data["payload"])
    else:
        payload = ports.objects.read(bucket_of(ports, home), data["payload_path"])
    if data["subscription"] == "keep-dead-letters":
        raise Permanent(f"dead letter {letter} does not say which subscription it came from")
    attributes = {**data["attributes"], REPLAY_TO: data["subscription"]}
    ports.bus.publish(data["topic"], Message(payload, attributes, data["ordering_key"]))
    noted = {**data, "replayed_at": iso(ports.clock()), "replayed_by": by}
    ports.documents.commit([Update(path, noted, stored.version)])
    return noted
