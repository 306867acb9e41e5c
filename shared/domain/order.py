"""The order document: whose variants are to be read, in which roles, out of which analyses, and how far that is.

Frozen, as the analysis is: what happens to an order is decided by the functions here and in `order_cache`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from shared.domain import paths
from shared.domain.cache import Cache
from shared.domain.clock import Time
from shared.domain.events import Event, EventType
from shared.domain.lifecycle import Unchanged
from shared.domain.listed import sample_word
from shared.domain.part import Change, Part, Recorded, shorten
from shared.domain.project import Project
from shared.domain.request import (
    ProjectId,
    RequestRefused,
    Role,
    Sample,
    Text,
    reasons_of,
    told_apart,
)

MOST_ANALYSES = 50
"""That one order draws on."""

MOST_SAMPLES = 200
"""That one order is of."""

SampleList = Annotated[tuple[Sample, ...], Field(max_length=MOST_SAMPLES), AfterValidator(told_apart)]
AnalysisList = Annotated[tuple[Text, ...], Field(max_length=MOST_ANALYSES)]


class OrderStatus(StrEnum):
    OPEN = "open"
    IN_REVIEW = "in_review"
    REPORTED = "reported"
    CANCELLED = "cancelled"


TRANSITIONS: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.OPEN: frozenset({OrderStatus.IN_REVIEW, OrderStatus.CANCELLED}),
    OrderStatus.IN_REVIEW: frozenset({OrderStatus.OPEN, OrderStatus.REPORTED, OrderStatus.CANCELLED}),
    OrderStatus.REPORTED: frozenset({OrderStatus.IN_REVIEW}),
    OrderStatus.CANCELLED: frozenset(),
}
"""From which status an order may go to which. A report that is amended goes back to review."""

CLOSED = frozenset({OrderStatus.REPORTED, OrderStatus.CANCELLED})
"""What such an order shows stays as it was: it is not built again by itself."""


class Mode(StrEnum):
    HEREDITARY = "hereditary"
    SOMATIC = "somatic"


class Priority(StrEnum):
    ROUTINE = "routine"
    URGENT = "urgent"
    STAT = "stat"


class OrderRequest(BaseModel):
    """What is asked for. Without `analyses` the variants of the samples are found by the samples' names; without
    `samples` they are those of the analyses."""

    model_config = ConfigDict(frozen=True, extra="forbid", title="OrderRequest")

    schema_version: Literal[1] = Field(default=1, description="Version of this data model.")
    request_id: Text = Field(
        min_length=1, max_length=200, description="Chosen by the requester; repeating it repeats nothing."
    )
    project: ProjectId
    display_id: Text = Field(
        min_length=1, max_length=paths.MAX_DISPLAY_ID,
        description="For people; its slug is unique among the project's orders.",
    )
    mode: Mode | None = Field(default=None, description="Else somatic where a sample is tumor or normal.")
    priority: Priority = Field(default=Priority.ROUTINE)
    samples: SampleList = Field(default=(), description="Named as in the VCF's header; else those of the analyses.")
    analyses: AnalysisList = Field(default=(), description="Ids of the analyses that the variants are of.")
    requested_by: Text = Field(min_length=1, max_length=200, description="A person (e-mail) or a service.")

    @field_validator("display_id")
    @classmethod
    def _has_a_slug(cls, display_id: str) -> str:
        if not paths.slug(display_id):
            raise ValueError(f"{display_id!r} has an empty slug; use letters a-z or digits")
        return display_id

    @field_validator("analyses")
    @classmethod
    def _named_once(cls, analyses: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(analyses))

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if not self.samples and not self.analyses:
            raise ValueError("neither samples nor analyses are given; an order is of some")
        return self

    @property
    def order_id(self) -> str:
        return paths.order_id(self.project, self.request_id)

    def digest(self) -> str:
        """Tells a repeated request from another one under the same request id."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class OrderChange(BaseModel):
    """What of an order is to be another: `samples` replaces them, `add_analyses` (ids) adds. What is null stays."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    priority: Priority | None = None
    mode: Mode | None = None
    samples: SampleList | None = Field(default=None, min_length=1)
    add_analyses: AnalysisList = ()


class OrderListed(Part):
    """Words that an order is found by: its samples."""

    find: tuple[str, ...] = ()


class Order(Recorded):
    """Document `projects/{project}/orders/{id}`. `by_name` are the samples whose analyses are found by their names:
    all or none of `samples`. `listed` follows from the rest, with every change."""

    id: str
    project: str
    display_id: str
    slug: str
    bucket: str
    request_id: str
    request_digest: str
    schema_version: Literal[1] = 1

    status: OrderStatus
    mode: Mode
    priority: Priority
    samples: tuple[Sample, ...]
    analyses: tuple[str, ...] = ()
    by_name: tuple[str, ...] = ()
    cache: Cache

    history: tuple[Change, ...] = ()
    history_total: int = 0
    unsent: tuple[Event, ...] = ()
    unsent_since: Time | None = None
    events_total: int = 0

    created_at: Time
    created_by: str
    updated_at: Time
    listed: OrderListed = OrderListed()

    def to_document(self) -> dict[str, Any]:
        find = tuple(sample_word(sample.name) for sample in self.samples)
        return super(Order, self.changed(listed=OrderListed(find=find))).to_document()

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Self:
        return super().from_document({**data, "listed": {}})

    @property
    def doc_path(self) -> str:
        return paths.order_doc(self.project, self.id)

    @property
    def names(self) -> tuple[str, ...]:
        """What an analysis' `order_id` may call it."""
        return tuple(dict.fromkeys((self.id, self.slug, self.display_id)))


@dataclass(frozen=True)
class Changed:
    """`order` is what is to be committed; its new events stand in `order.unsent`."""

    order: Order


OrderAnswer = Changed | Unchanged


def parse_order(body: Mapping[str, Any]) -> OrderRequest:
    """Raises RequestRefused with every reason at once."""
    try:
        return OrderRequest.model_validate(body)
    except ValidationError as error:
        raise RequestRefused(reasons_of(error)) from None


def mode_of(samples: tuple[Sample, ...]) -> Mode:
    return Mode.SOMATIC if any(s.role in (Role.TUMOR, Role.NORMAL) for s in samples) else Mode.HEREDITARY


def new_order(
    request: OrderRequest, project: Project, samples: tuple[Sample, ...], now: datetime, *, source: str
) -> Order:
    """`open`, with its first event. Its cache is wanted, and nobody is building it yet."""
    order = Order(
        id=request.order_id, project=project.id, display_id=request.display_id, slug=paths.slug(request.display_id),
        bucket=project.bucket, request_id=request.request_id, request_digest=request.digest(),
        status=OrderStatus.OPEN, mode=request.mode or mode_of(samples), priority=request.priority,
        samples=samples, analyses=request.analyses,
        by_name=() if request.analyses else tuple(sample.name for sample in samples),
        cache=Cache(wanted_at=now), created_at=now, created_by=request.requested_by, updated_at=now,
    )
    created = order.with_history(Change(
        at=now, from_=None, to=OrderStatus.OPEN, by=request.requested_by, source=source, reason="Ordered."
    ))
    return created.with_event(EventType.ORDER_CREATED, now, announcement(created))


def transition(order: Order, to: OrderStatus, now: datetime, *, by: str, source: str, reason: str) -> OrderAnswer:
    """`Unchanged` when it has that status, or may not go there from where it is."""
    if order.status is to:
        return Unchanged(f"the order is {to} already")
    if to not in TRANSITIONS[order.status]:
        allowed = ", ".join(sorted(TRANSITIONS[order.status])) or "nothing"
        return Unchanged(f"an order that is {order.status} can become {allowed}, not {to}")
    moved = order.with_history(Change(
        at=now, from_=order.status, to=to, by=by, source=source, reason=shorten(reason, 500)
    )).changed(status=to, updated_at=now)
    if to in CLOSED:
        moved = moved.changed(cache=moved.cache.model_copy(update={"refresh_at": None}))
    return Changed(moved.with_event(EventType.ORDER_CHANGED, now, announcement(moved)))


def change(order: Order, wanted: OrderChange, now: datetime, *, by: str, source: str) -> OrderAnswer:
    """Its cache is wanted anew; what it shows stays until that is built. `Unchanged` when nothing would be another."""
    if order.status in CLOSED:
        return Unchanged(f"the order is {order.status}; take it back to review first")
    samples = wanted.samples or order.samples
    analyses = tuple(dict.fromkeys((*order.analyses, *wanted.add_analyses)))
    changes: dict[str, Any] = {
        "priority": wanted.priority or order.priority, "mode": wanted.mode or order.mode, "samples": samples,
        "analyses": analyses, "by_name": () if analyses else tuple(sample.name for sample in samples),
    }
    different = sorted(field for field, value in changes.items() if getattr(order, field) != value)
    if not different:
        return Unchanged("nothing would be changed")
    changed = order.changed(**changes, updated_at=now).with_history(Change(
        at=now, from_=order.status, to=order.status, by=by, source=source, reason=f"Changed: {', '.join(different)}.",
    ))
    if {"samples", "analyses"} & set(different):
        changed = changed.changed(cache=order.cache.model_copy(update={"wanted_at": order.cache.wanted_at or now}))
    return Changed(changed.with_event(EventType.ORDER_CHANGED, now, announcement(changed)))


def announcement(order: Order) -> dict[str, Any]:
    """The data of `order.created` and `order.changed`."""
    return {
        "order_id": order.id, "display_id": order.display_id, "slug": order.slug, "status": order.status,
        "mode": order.mode, "priority": order.priority, "analyses": list(order.analyses),
        "samples": [sample.model_dump(mode="json") for sample in order.samples],
    }
