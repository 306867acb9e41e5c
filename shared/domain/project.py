"""A project: one tenant of the laboratory, with its own bucket, pipelines and people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from shared.domain.clock import Time


class Project(BaseModel):
    """Document `projects/{id}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{1,62}$")
    title: str
    bucket: str = Field(description="The bucket that every path of the project is relative to.")
    google_project: str = Field(description="Google project id in which the jobs run.")
    region: str = Field(description="Batch location, such as us-central1.")
    service_account: str | None = Field(default=None, description="E-mail of the account the jobs run as.")
    created_at: Time

    @property
    def batch_parent(self) -> str:
        return f"projects/{self.google_project}/locations/{self.region}"

    def to_document(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Self:
        return cls.model_validate(data)
