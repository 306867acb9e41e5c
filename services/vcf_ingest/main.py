"""The functions behind subscriptions `ingest`, `reingest`, `cache` and `recache`."""

from __future__ import annotations

from cloudevents.http.event import CloudEvent

from services.vcf_ingest import cache as order_cache
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


@pushed
def cache(event: CloudEvent) -> None:
    receive("cache", event, order_cache.cache, ports())


@pushed
def recache(event: CloudEvent) -> None:
    receive("recache", event, order_cache.cache, ports())
