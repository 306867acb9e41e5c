"""The functions behind subscriptions `callback` and `notify`."""

from __future__ import annotations

from functools import partial
from weakref import WeakKeyDictionary

from cloudevents.http.event import CloudEvent

from services.notifier import handler
from shared import runtime
from shared.ports import Courier, Documents
from shared.push import pushed
from shared.receive import receive

_couriers: WeakKeyDictionary[Documents, Courier] = WeakKeyDictionary()


@pushed
def callback(event: CloudEvent) -> None:
    receive("callback", event, partial(handler.callback, courier=_courier()), runtime.ports())


@pushed
def notify(event: CloudEvent) -> None:
    receive("notify", event, partial(handler.notify, courier=_courier()), runtime.ports())


def _courier() -> Courier:
    """One for a process, as its ports are: the settings are read and the certificates are loaded once."""
    documents = runtime.ports().documents
    if (found := _couriers.get(documents)) is None:
        found = _couriers[documents] = runtime.courier(runtime.Settings())
    return found
