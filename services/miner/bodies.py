"""What people send, where it is no model of the domain."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from shared.domain.callback import LONGEST_URL
from shared.domain.events import EventType
from shared.domain.member import Role
from shared.domain.notification import CHAT_DEFAULT, CHAT_EVENTS, OLD_SECRET_HOURS
from shared.domain.order import OrderStatus
from shared.domain.panel import PanelKind
from shared.domain.project import Project
from shared.domain.request import Samples, Version
from shared.ports import Ports
from shared.runtime import LOCAL_PROJECT


class NewRole(BaseModel):
    model_config = ConfigDict(extra="forbid")

    role: Role = Field(description="demo_viewer sees; viewer may download, too; editor works; admin names members.")


class NotificationsWanted(BaseModel):
    """Where the project's chat is told, and of what."""

    model_config = ConfigDict(extra="forbid")

    chat_url: str | None = Field(
        default=None, max_length=LONGEST_URL, description="A Slack-compatible incoming webhook, which is a secret."
    )
    chat_on: tuple[EventType, ...] = Field(
        default=CHAT_DEFAULT, max_length=len(CHAT_EVENTS), description=f"Of {', '.join(CHAT_EVENTS)}.",
    )

    @field_validator("chat_on")
    @classmethod
    def _can_be_told(cls, chat_on: tuple[EventType, ...]) -> tuple[EventType, ...]:
        if others := [kind for kind in chat_on if kind not in CHAT_EVENTS]:
            raise ValueError(f"{', '.join(others)} cannot be told; choose of {', '.join(CHAT_EVENTS)}")
        return tuple(dict.fromkeys(chat_on))


class NewSecret(BaseModel):
    """How long the secrets before it go on signing."""

    model_config = ConfigDict(extra="forbid")

    keep_old_hours: int = Field(default=OLD_SECRET_HOURS, ge=0, le=720)


class NotificationsTest(BaseModel):
    """Without an address the chat is written to."""

    model_config = ConfigDict(extra="forbid")

    callback_url: str | None = Field(default=None, max_length=LONGEST_URL)


class NewProject(BaseModel):
    """What is not given follows from the id, as the stack on one machine wants it."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{1,62}$", description="Its name in the header X-Project-ID.")
    title: str | None = Field(default=None, min_length=1, max_length=120, description="For people; else the id.")
    bucket: str | None = Field(
        default=None, pattern=r"^[a-z0-9][a-z0-9_-]{1,61}[a-z0-9]$",
        description="The bucket that its paths are relative to, and its alone; else named by the id.",
    )
    google_project: str = Field(
        default=LOCAL_PROJECT, pattern=r"^[a-z][a-z0-9-]{3,61}[a-z0-9]$",
        description="Google project in which the jobs run.",
    )
    region: str = Field(default="us-central1", pattern=r"^[a-z]+-[a-z]+[0-9]+$", description="Batch location.")
    service_account: str | None = Field(default=None, max_length=200, description="E-mail that the jobs run as.")

    def project(self, ports: Ports) -> Project:
        return Project(
            id=self.id, title=self.title or self.id, bucket=self.bucket or self.id,
            google_project=self.google_project, region=self.region, service_account=self.service_account,
            created_at=ports.clock(),
        )


class Rerun(BaseModel):
    """How the new analysis is to differ from the old one."""

    model_config = ConfigDict(extra="forbid")

    display_id: str | None = Field(default=None, description="Of the new one; else the old one's and `rerun 2`, 3, ...")
    inputs: dict[str, Any] = Field(
        default_factory=dict, description="Those that differ, each in the place of the old one; null takes it away."
    )
    version: Version | None = Field(default=None, description="Of the pipeline; else the one that was run then.")
    samples: Samples | None = Field(default=None, max_length=200, description="In the place of all the old ones.")


class OrderTransition(BaseModel):
    """Where the order goes, and why."""

    model_config = ConfigDict(extra="forbid")

    to: OrderStatus = Field(description="From open: in_review, cancelled; from there: reported, or back to open.")
    reason: str = Field(default="", max_length=500, description="Stands in its history.")


class NewPanel(BaseModel):
    """Either `path`, of a list in the project bucket, or `name` and `content`."""

    model_config = ConfigDict(extra="forbid")

    path: str | None = Field(default=None, max_length=1024, description="In client-resources/gene-panels/.")
    name: str | None = Field(default=None, min_length=1, max_length=120, description="For people; else the file's.")
    content: str | None = Field(default=None, description="The list itself, of less than a megabyte.")
    kind: PanelKind = Field(default=PanelKind.SYMBOLS, description="Of `content`; a file's ending says it: .bed.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.path is None) == (self.content is None):
            raise ValueError("give either path or content")
        if self.content is not None and self.name is None:
            raise ValueError("content needs a name")
        return self
