"""infra/topology.yaml, read and checked: topics, subscriptions, retries, dead letters, schedules, indexes, accounts."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from shared.domain.clock import iso
from shared.domain.events import EventType, Topic


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TopicSpec(_Part):
    retention_s: int = Field(ge=600, le=2_678_400)
    ordering: bool


class Retry(_Part):
    """Exponential back-off between deliveries, in seconds."""

    min_s: float = Field(gt=0)
    max_s: float = Field(le=600)

    def pause_s(self, attempt: int) -> float:
        """Seconds before the delivery after attempt number `attempt` (1-based)."""
        return min(self.max_s, self.min_s * 2.0 ** min(attempt - 1, 20))


class Run(_Part):
    """What one instance of a deployed service has, and how many there may be. `concurrency` is requests at once."""

    cpu: int = Field(ge=1, le=8)
    memory_mib: int = Field(ge=512, le=32_768)
    timeout_s: int = Field(ge=1, le=3600)
    concurrency: int = Field(ge=1, le=1000)
    max_instances: int = Field(ge=1, le=1000)


class SubscriptionSpec(_Part):
    """`types` empty means every message but those of `not_types`, one without a type among them.

    `max_attempts` None: never a dead letter. `function` is `module:name`. `run` None: it is not deployed.
    """

    topic: Topic
    types: tuple[EventType, ...]
    not_types: tuple[EventType, ...] = ()
    function: str = Field(pattern=r"^services(\.\w+)+:\w+$")
    ordering: bool
    ack_deadline_s: int = Field(ge=10, le=600)
    retry: Retry
    max_attempts: int | None = Field(ge=5, le=100)
    run: Run | None = None

    @model_validator(mode="after")
    def _ends_in_time(self) -> SubscriptionSpec:
        if self.run and self.run.timeout_s > self.ack_deadline_s:
            raise ValueError(f"{self.function} may run longer than the acknowledgement deadline: it would run twice")
        return self

    @property
    def service(self) -> str:
        """The folder of services/ that the function lies in."""
        return self.function.split(".")[1]

    def takes(self, event_type: str | None) -> bool:
        return event_type in self.types if self.types else event_type not in self.not_types

    @property
    def filter(self) -> str:
        """The same in Pub/Sub's filter language; empty for every message."""
        if self.types:
            return " OR ".join(f'attributes.type = "{kind}"' for kind in self.types)
        return " AND ".join(f'NOT attributes.type = "{kind}"' for kind in self.not_types)


class Schedule(_Part):
    topic: Topic
    every_s: int = Field(ge=60, le=3540, multiple_of=60)  # Cloud Scheduler's smallest step is a minute


class Index(_Part):
    """`fields` are dotted paths, ` desc` behind those that are read downwards, ` contains` behind arrays."""

    collection: str
    group: bool = False
    fields: tuple[str, ...]


class Listing(_Part):
    """A list that people filter and sort as they like: an index for each order, and for each order behind each field
    that equalities are on. Several equalities are merged. In `parts` a part of the text may be
    looked for, by no index."""

    collection: str
    equal: tuple[str, ...]
    orders: tuple[tuple[str, ...], ...]
    parts: tuple[str, ...] = ()

    @property
    def indexes(self) -> tuple[Index, ...]:
        return tuple(
            Index(collection=self.collection, fields=(*first, *order))
            for order in self.orders for first in ((), *((field,) for field in self.equal))
            if first != (order[0].split(" ")[0],)
        )


class Grants(_Part):
    """What an account may do: Google's roles on the project, its role on the buckets, the topics it publishes to."""

    roles: tuple[str, ...]
    objects: Literal["roles/storage.objectUser", "roles/storage.objectViewer"]
    publish: tuple[Topic, ...]

    @field_validator("roles")
    @classmethod
    def _none_of_the_wide_ones(cls, roles: tuple[str, ...]) -> tuple[str, ...]:
        if wide := [role for role in roles if not re.fullmatch(r"roles/\w+\.\w+", role) or "admin" in role.lower()]:
            raise ValueError(f"roles that say too much, or nothing: {', '.join(wide)}")
        return roles


class ServiceSpec(Grants):
    """`runs_jobs_as`: whose Batch jobs it may create. `run` stands here for what no subscription pushes to."""

    runs_jobs_as: tuple[Literal["jobs", "self"], ...]
    signs: bool = False
    secrets: tuple[str, ...] = ()
    run: Run | None = None


class Exemption(_Part):
    """Fields, with all that is inside them, that are in no index unless one names them."""

    collection: str
    fields: tuple[str, ...]


class Ttl(_Part):
    """Documents whose timestamp `field` has passed are deleted; it is set `after_days` ahead at their creation."""

    collection: str
    field: str
    after_days: int = Field(ge=30)


class Topology(_Part):
    topics: dict[Topic, TopicSpec]
    subscriptions: dict[str, SubscriptionSpec]
    dead_letter_topic: Topic
    schedules: dict[str, Schedule]
    services: dict[str, ServiceSpec] = {}
    jobs: Grants | None = None
    exemptions: tuple[Exemption, ...] = ()
    ttl: tuple[Ttl, ...] = ()
    indexes: tuple[Index, ...]
    lists: tuple[Listing, ...] = ()

    @property
    def every_index(self) -> tuple[Index, ...]:
        """Those of the lists, too."""
        return tuple(dict.fromkeys([*self.indexes, *(index for listing in self.lists for index in listing.indexes)]))

    @model_validator(mode="after")
    def _names_exist(self) -> Topology:
        used = {s.topic for s in self.subscriptions.values()} | {s.topic for s in self.schedules.values()}
        if missing := sorted((used | {self.dead_letter_topic}) - set(self.topics)):
            raise ValueError(f"topics that are used but not declared: {', '.join(missing)}")
        for name, spec in self.subscriptions.items():
            if spec.ordering and not self.topics[spec.topic].ordering:
                raise ValueError(f"subscription {name} wants ordering, but topic {spec.topic} has no ordering keys")
            if self.services and spec.service not in self.services:
                raise ValueError(f"subscription {name} calls {spec.function}, but services has no {spec.service}")
        return self

    def subscribers(self, topic: str, event_type: str | None) -> list[str]:
        return [n for n, spec in self.subscriptions.items() if spec.topic == topic and spec.takes(event_type)]


def expiry(collection: str, created_at: datetime) -> str:
    """`expires_at` of a new document of a collection that has a time to live. Raises KeyError for another."""
    days = {ttl.collection: ttl.after_days for ttl in topology().ttl}[collection]
    return iso(created_at + timedelta(days=days))


@lru_cache(maxsize=1)
def topology() -> Topology:
    text = resources.files("infra").joinpath("topology.yaml").read_text(encoding="utf-8")
    return Topology.model_validate(yaml.safe_load(text))
