"""The function behind subscription `submit`."""

from __future__ import annotations

import functions_framework
from cloudevents.http.event import CloudEvent

from services.submit import handler
from shared.receive import receive
from shared.runtime import ports


@functions_framework.cloud_event
def submit(event: CloudEvent) -> None:
    receive("submit", event, handler.submit, ports())
