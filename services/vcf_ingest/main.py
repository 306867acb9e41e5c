"""The function behind subscriptions `ingest` and `reingest`."""

from __future__ import annotations

from cloudevents.http.event import CloudEvent

from services.vcf_ingest import handler
from shared.push import pushed
from shared.receive import receive
from shared.runtime import ports


@pushed
def ingest(event: CloudEvent) -> None:
    receive("ingest", event, handler.ingest, ports())


@pushed
def reingest(event: CloudEvent) -> None:
    receive("reingest", event, handler.ingest, ports())
