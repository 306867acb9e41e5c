"""The functions behind subscriptions `track` and `cancel`."""

from __future__ import annotations

from cloudevents.http.event import CloudEvent

from services.status_tracker import handler
from shared.push import pushed
from shared.receive import receive
from shared.runtime import ports


@pushed
def track(event: CloudEvent) -> None:
    receive("track", event, handler.track, ports())


@pushed
def cancel(event: CloudEvent) -> None:
    receive("cancel", event, handler.cancel, ports())
