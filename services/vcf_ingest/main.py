"""The function behind subscriptions `ingest` and `reingest`."""

from __future__ import annotations

import functions_framework
from cloudevents.http.event import CloudEvent

from services.vcf_ingest import handler
from shared.receive import receive
from shared.runtime import ports


@functions_framework.cloud_event
def ingest(event: CloudEvent) -> None:
    receive("ingest", event, handler.ingest, ports())


@functions_framework.cloud_event
def reingest(event: CloudEvent) -> None:
    receive("reingest", event, handler.ingest, ports())
