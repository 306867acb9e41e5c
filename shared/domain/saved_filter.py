"""A filter that a project keeps under a name. What may stand in it is the business of whoever asks with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from shared.domain import paths
from shared.domain.clock import Time
from shared.domain.part import Part
from shared.domain.request import Text


class SavedFilterRequest(BaseModel):
    """`name` is for people; its slug is unique among the project's filters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Text = Field(min_length=1, max_length=paths.MAX_DISPLAY_ID)
    description: str = Field(default="", max_length=2000)
    filter: dict[str, Any] = Field(description="As the variants of an order are asked for.")

    @field_validator("name")
    @classmethod
    def _has_a_slug(cls, name: str) -> str:
        if not paths.slug(name):
            raise ValueError(f"{name!r} has an empty slug; use letters a-z or digits")
        return name


class SavedFilter(Part):
    """Document `projects/{project}/saved_filters/{slug}`."""

    slug: str
    project: str
    name: str
    description: str
    filter: Mapping[str, Any]
    created_at: Time
    created_by: str
    updated_at: Time
    updated_by: str

    @property
    def doc_path(self) -> str:
        return paths.saved_filter_doc(self.project, self.slug)

    def to_document(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Self:
        return cls.model_validate(data)
