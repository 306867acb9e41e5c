"""Keeps a request that can never succeed: the whole payload, every reason, and an event that says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from shared.delivery import Delivery
from shared.domain import paths
from shared.domain.clock import iso
from shared.domain.errors import Conflict
from shared.domain.events import Event, EventType
from shared.domain.reasons import Reason
from shared.ports import Create, Ports, Stored
from shared.steps.announce import announce
from shared.steps.projects import bucket_of, project

LARGEST_PAYLOAD_CHARACTERS = 100_000
"""Of a payload kept in the document; a longer one lies whole in the bucket, and the document keeps its head."""


def reject(
    ports: Ports, delivery: Delivery, reasons: Sequence[Reason], *,
    project_named: str | None, event_id: str | None, request_id: str | None, now: datetime,
) -> None:
    """Once per event id, however often it is delivered. A project that we do not know is filed as `unassigned`."""
    home = project_named if project_named and project(ports, project_named) else paths.UNASSIGNED
    identity = paths.safe_id(event_id or delivery.message_id)
    path = paths.rejection_doc(home, identity)
    event = Event(
        id=f"{identity}.rejected"[:200], type=EventType.REJECTED, subject=request_id or identity, time=now,
        project=home, data={"request_id": request_id, "reasons": [reason.model_dump() for reason in reasons]},
    )
    document: dict[str, Any] = {
        "id": identity, "project": home, "project_named": project_named, "request_id": request_id, "event_id": event_id,
        "message_id": delivery.message_id, "attributes": dict(delivery.attributes),
        "reasons": [reason.model_dump() for reason in reasons],
        **_payload(ports, home, identity, delivery),
        "at": iso(now), "unsent": [event.model_dump(mode="json")], "unsent_since": iso(now),
    }
    try:
        (version,) = ports.documents.commit([Create(path, document)])
    except Conflict:
        return
    announce(ports.documents, ports.bus, Stored(path, document, version))


def _payload(ports: Ports, home: str, identity: str, delivery: Delivery) -> dict[str, Any]:
    text = delivery.text()
    if len(text) <= LARGEST_PAYLOAD_CHARACTERS:
        return {"payload": text, "payload_path": None}
    path = f"cache/rejections/{identity}.bin"
    ports.objects.write(bucket_of(ports, home), path, delivery.data)
    return {"payload": text[:1_000], "payload_path": path}
