"""The `data` of each event, as it is published: the contract with everybody who listens or asks."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.analysis import FailureKind, IngestStatus, Status
from shared.domain.clock import Time
from shared.domain.events import EventType
from shared.domain.order import Mode, OrderStatus, Priority
from shared.domain.reasons import Reason
from shared.domain.request import Sample, SubmitRequest


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StartAnalysis(_Data):
    """The analysis was accepted by REST or a page; its job is to be handed to Batch."""

    analysis_id: str


class CancelAnalysis(_Data):
    """Batch is to be asked to cancel the job. It is noted in the document, here or by whoever took the request."""

    analysis_id: str
    by: str = Field(description="Who asked.")


class IngestAnalysis(_Data):
    """The variants of a succeeded analysis are to be ingested."""

    analysis_id: str
    force: bool = Field(description="Also when the ingest is ready or has failed.")


class CallBack(_Data):
    """Who asked for the analysis is to be told that event `event_id` of this type has happened."""

    analysis_id: str
    event_id: str = Field(description="The callback's webhook-id.")
    type: EventType


class StatusChanged(_Data):
    """The analysis has entered `status`, as its document says."""

    analysis_id: str
    display_id: str
    slug: str
    status: Status
    from_: Status | None = Field(alias="from", description="The status before; null for a new analysis.")
    at: Time = Field(description="When, by Batch's own clock where Batch decided.")
    pipeline: str = Field(description="slug@version.")
    order_id: str | None
    failure: FailureKind | None = Field(description="With `failed`: the kind.")
    ingest: IngestStatus = Field(description="With `succeeded`: pending when there are variants to come.")


class Ingested(_Data):
    """The variant tables are in the bucket and can be read."""

    analysis_id: str
    slug: str
    order_id: str | None
    rows: int
    tables: tuple[str, ...] = Field(description="Paths relative to the project bucket; of many, the first.")
    tables_total: int
    cache: str | None = Field(description="Path of the tables joined, with a column group for each sample.")


class IngestFailed(_Data):
    """The ingest failed; what was visible before stays visible, and the analysis stays succeeded."""

    analysis_id: str
    slug: str
    order_id: str | None
    reason: str


class IsStuck(_Data):
    """The analysis waits or runs for longer than anybody would expect. Said once for each status."""

    analysis_id: str
    display_id: str
    slug: str
    status: Status
    order_id: str | None
    reason: str


class RequestRejected(_Data):
    """A submit event that can never succeed. `ops/rejections` keeps it whole."""

    request_id: str | None
    reasons: tuple[Reason, ...]


class OrderState(_Data):
    """The order as it is now: who, in which roles, out of which analyses, and where it stands."""

    order_id: str
    display_id: str
    slug: str
    status: OrderStatus
    mode: Mode
    priority: Priority
    analyses: tuple[str, ...] = Field(description="Ids; none: they are found by the samples' names.")
    samples: tuple[Sample, ...]


class BuildOrderCache(_Data):
    """The order's cache is to be looked at, and built where it is not what it should be."""

    order_id: str
    anew: bool = Field(description="Also when its tables are the right ones: the laboratory's counts have changed.")


class OrderCached(_Data):
    """Another cache of the order's variants can be read, whole; `version` is its ETag."""

    order_id: str
    display_id: str
    slug: str
    version: str
    rows: int
    missing: tuple[str, ...] = Field(description="Samples that have no variants yet.")


class OrderCacheFailed(_Data):
    """The cache could not be built; what was visible before stays visible."""

    order_id: str
    display_id: str
    slug: str
    reason: str


DATA: dict[EventType, type[BaseModel]] = {
    EventType.SUBMIT: SubmitRequest,
    EventType.START: StartAnalysis,
    EventType.CANCEL: CancelAnalysis,
    EventType.INGEST: IngestAnalysis,
    EventType.CALLBACK: CallBack,
    EventType.QUEUED: StatusChanged,
    EventType.RUNNING: StatusChanged,
    EventType.SUCCEEDED: StatusChanged,
    EventType.FAILED: StatusChanged,
    EventType.CANCELLED: StatusChanged,
    EventType.INGESTED: Ingested,
    EventType.INGEST_FAILED: IngestFailed,
    EventType.STUCK: IsStuck,
    EventType.REJECTED: RequestRejected,
    EventType.ORDER_CREATED: OrderState,
    EventType.ORDER_CHANGED: OrderState,
    EventType.ORDER_CACHE: BuildOrderCache,
    EventType.ORDER_CACHED: OrderCached,
    EventType.ORDER_CACHE_FAILED: OrderCacheFailed,
}

INTERNAL = (EventType.START, EventType.INGEST, EventType.CALLBACK, EventType.ORDER_CACHE)
Audience = Literal["public", "internal"]
AUDIENCE: dict[EventType, Audience] = {
    kind: "internal" if kind in INTERNAL else "public"
    for kind in EventType
}
"""`internal` ones are between our own services: ask for an ingest by REST."""
