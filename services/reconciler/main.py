"""The functions behind subscriptions `reconcile` and `keep-dead-letters`."""

from __future__ import annotations

from cloudevents.http.event import CloudEvent

from services.reconciler import handler
from shared.push import pushed
from shared.receive import receive
from shared.runtime import ports
from shared.steps.dead_letters import keep_forwarded


@pushed
def reconcile(event: CloudEvent) -> None:
    receive("reconcile", event, handler.reconcile, ports())


@pushed
def keep_dead_letter(event: CloudEvent) -> None:
    receive("keep-dead-letters", event, keep_forwarded, ports())
