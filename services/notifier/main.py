"""The functions behind subscriptions `callback` and `notify`."""

from __future__ import annotations

from functools import partial

from cloudevents.http.event import CloudEvent

from services.notifier import handler
from shared.push import pushed
from shared.receive import receive
from shared.runtime import Settings, courier, ports


@pushed
def callback(event: CloudEvent) -> None:
    receive("callback", event, partial(handler.callback, courier=courier(Settings())), ports())


@pushed
def notify(event: CloudEvent) -> None:
    receive("notify", event, partial(handler.notify, courier=courier(Settings())), ports())
