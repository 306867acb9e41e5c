"""infra/topology.yaml, read and checked: topics, subscriptions, retries, dead letters, schedules, indexes."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

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


class SubscriptionSpec(_Part):
    """`types` empty means every message but those of `not_types`, one without a type among them.

    `max_attempts` None: never a dead letter. `function` is `module:name`.
    """

    topic: Topic
    types: tuple[EventType, ...]
    not_types: tuple[EventType, ...] = ()
    function: str = Field(pattern=r"^services(\.\w+)+:\w+$")
    ordering: bool
    ack_deadline_s: int = Field(ge=10, le=600)
    retry: Retry
    max_attempts: int | None = Field(ge=5, le=100)

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
    every_s: int = Field(ge=1)


class Index(_Part):
    """`fields` are dotted paths, ` desc` behind those that are read downwards."""

    collection: str
    group: bool = False
    fields: tuple[str, ...]


class Topology(_Part):
    topics: dict[Topic, TopicSpec]
    subscriptions: dict[str, SubscriptionSpec]
    dead_letter_topic: Topic
    schedules: dict[str, Schedule]
    indexes: tuple[Index, ...]

    @model_validator(mode="after")
    def _names_exist(self) -> Topology:
        used = {s.topic for s in self.subscriptions.values()} | {s.topic for s in self.schedules.values()}
        if missing := sorted((used | {self.dead_letter_topic}) - set(self.topics)):
            raise ValueError(f"topics that are used but not declared: {', '.join(missing)}")
        for name, spec in self.subscriptions.items():
            if spec.ordering and not self.topics[spec.topic].ordering:
                raise ValueError(f"subscription {name} wants ordering, but topic {spec.topic} has no ordering keys")
        return self

    def subscribers(self, topic: str, event_type: str | None) -> list[str]:
        return [n for n, spec in self.subscriptions.items() if spec.topic == topic and spec.takes(event_type)]


@lru_cache(maxsize=1)
def topology() -> Topology:
    text = resources.files("infra").joinpath("topology.yaml").read_text(encoding="utf-8")
    return Topology.model_validate(yaml.safe_load(text))
