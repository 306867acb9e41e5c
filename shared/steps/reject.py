"""Keeps a request that can never succeed: the whole payload, every reason, and an event that says so."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
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
from shared.topology import expiry

LARGEST_PAYLOAD_CHARACTERS = 100_000
"""Of a payload kept in the document; a longer one lies whole in the bucket, and the document keeps its head."""

LONGEST_REQUEST_ID = 200
LONGEST_NAME = 150
"""Of an event id in a rejection's id, so that a digest and an ending have room beside it."""


def reject(
    ports: Ports, delivery: Delivery, reasons: Sequence[Reason], *,
    project_named: str | None, event_id: str | None, request_id: str | None, now: datetime,
) -> None:
    """Once per event id and content, however often it is delivered. A project that we do not know is `unassigned`."""
    home = project_named if project_named and project(ports, project_named) else paths.UNASSIGNED
    sha256 = hashlib.sha256(delivery.data).hexdigest()
    name = paths.safe_id(event_id or delivery.message_id)[:LONGEST_NAME]
    for identity in (name, f"{name}.{sha256[:12]}"):  # the second: for other content under an event id that was used
        document = {
            "id": identity, "project": home, "project_named": project_named, "event_id": event_id,
            "request_id": request_id[:LONGEST_REQUEST_ID] if request_id else None,
            "message_id": delivery.message_id, "attributes": dict(delivery.attributes),
            "reasons": [reason.model_dump() for reason in reasons], "sha256": sha256, "at": iso(now),
            "expires_at": expiry("rejections", now),
            **_payload(ports, home, identity, delivery),
        }
        event = _rejected(document, now)
        document |= {"unsent": [event.model_dump(mode="json")], "unsent_since": iso(now)}
        path = paths.rejection_doc(home, identity)
        try:
            (version,) = ports.documents.commit([Create(path, document)])
        except Conflict:
            there = ports.documents.get(path)
            if there is not None and there.data["sha256"] == sha256:
                return
        else:
            announce(ports.documents, ports.bus, Stored(path, document, version))
            return


def _rejected(document: Mapping[str, Any], now: datetime) -> Event:
    return Event(
        id=f"{document['id']}.rejected", type=EventType.REJECTED, time=now, project=document["project"],
        subject=document["request_id"] or document["id"],
        data={"request_id": document["request_id"], "reasons": document["reasons"]},
    )


def _payload(ports: Ports, home: str, identity: str, delivery: Delivery) -> dict[str, Any]:
    """What is not UTF-8 lies whole in the bucket, too: its text in the document has lost what it could not show."""
    text = delivery.text()
    if len(text) <= LARGEST_PAYLOAD_CHARACTERS and text.encode() == delivery.data:
        return {"payload": text, "payload_path": None}
    path = f"cache/rejections/{identity}.bin"
    ports.objects.write(bucket_of(ports, home), path, delivery.data)
    return {"payload": text[:1_000], "payload_path": path}
