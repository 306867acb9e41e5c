"""The functions behind subscriptions `track` and `cancel`."""

from __future__ import annotations

import functions_framework
from cloudevents.http.event import CloudEvent

from services.status_tracker import handler
from shared.receive import receive
from shared.runtime import ports


@functions_framework.cloud_event
def track(event: CloudEvent) -> None:
    receive("track", event, handler.track, ports())


@functions_framework.cloud_event
def cancel(event: CloudEvent) -> None:
    receive("cancel", event, handler.cancel, ports())
