"""The functions behind subscriptions `reconcile` and `keep-dead-letters`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from cloudevents.http.event import CloudEvent

from services.reconciler import handler
from shared.push import pushed
from shared.receive import receive
from shared.runtime import ports
from shared.steps.dead_letters import keep_forwarded

LOOKS_AT_ONCE = 8


@pushed
def reconcile(event: CloudEvent) -> None:
    with ThreadPoolExecutor(LOOKS_AT_ONCE, thread_name_prefix="look") as pool:
        receive("reconcile", event, partial(handler.reconcile, side_by_side=pool.map), ports())


@pushed
def keep_dead_letter(event: CloudEvent) -> None:
    receive("keep-dead-letters", event, keep_forwarded, ports())
