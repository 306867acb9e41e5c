"""The function behind subscription `submit`."""

from __future__ import annotations

from cloudevents.http.event import CloudEvent

from services.submit import handler
from shared.push import pushed
from shared.receive import receive
from shared.runtime import ports


@pushed
def submit(event: CloudEvent) -> None:
    receive("submit", event, handler.submit, ports())
