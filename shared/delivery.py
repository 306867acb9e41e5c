"""A message as a function receives it, whichever way it came: a push body turned into a CloudEvent, or Eventarc's."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cloudevents.http.event import CloudEvent
from pydantic import ValidationError

from shared.domain.errors import Permanent
from shared.domain.events import Event
from shared.domain.json_text import read_json
from shared.domain.reasons import Reason
from shared.domain.request import MAX_REQUEST_BYTES, reasons_of


@dataclass(frozen=True)
class Delivery:
    """`message_id` is new for every publish; what is to be done once is known by the event's own id."""

    message_id: str
    data: bytes
    attributes: Mapping[str, str]
    ordering_key: str
    published_at: str

    def text(self) -> str:
        return self.data.decode(errors="replace")


class NotAnEvent(Permanent):
    """The message can never be understood; `reasons` names the envelope's fields, where there is an envelope."""

    def __init__(self, sentence: str, reasons: tuple[Reason, ...] = ()) -> None:
        super().__init__(sentence)
        self.reasons = reasons or (Reason(field="", message=sentence),)


def delivery_of(event: CloudEvent) -> Delivery:
    """Raises NotAnEvent. Both spellings of the emulator's keys are read, and data or attributes may be missing."""
    body = event.get_data()
    message: Any = body.get("message") if isinstance(body, Mapping) else None
    if not isinstance(message, Mapping):
        raise NotAnEvent("the push body has no message object")
    attributes = message.get("attributes") or {}
    if not isinstance(attributes, Mapping):
        raise NotAnEvent("message.attributes is no object")
    try:
        data = base64.b64decode(message.get("data") or "", validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise NotAnEvent(f"message.data is not base64: {error}") from None
    return Delivery(
        message_id=str(message.get("messageId") or message.get("message_id") or event["id"]),
        data=data,
        attributes={str(k): str(v) for k, v in attributes.items()},
        ordering_key=str(message.get("orderingKey") or message.get("ordering_key") or ""),
        published_at=str(message.get("publishTime") or message.get("publish_time") or event["time"] or ""),
    )


def event_of(delivery: Delivery) -> Event:
    """Our own envelope out of the message's data. Raises NotAnEvent, with what is wrong in a sentence."""
    if len(delivery.data) > MAX_REQUEST_BYTES:
        raise NotAnEvent(
            f"the event has {len(delivery.data):,} bytes; {MAX_REQUEST_BYTES:,} are allowed: put long inputs into a "
            "file in the bucket and name its path"
        )
    try:
        body = read_json(delivery.data)
    except ValueError as error:
        raise NotAnEvent(f"the message is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise NotAnEvent(f"the message is a JSON {type(body).__name__}; an object is wanted")
    try:
        return Event.model_validate(body)
    except ValidationError as error:
        reasons = reasons_of(error)
        found = "; ".join(f"{reason.field}: {reason.message}" for reason in reasons)
        raise NotAnEvent(f"not one of our events: {found}", reasons) from None
