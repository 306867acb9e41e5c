"""A member: a person of a project, with a role. Who is none does not learn that the project exists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator

from shared.domain import paths
from shared.domain.clock import Time
from shared.domain.part import Part

_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+=?^_`{|}~-]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,180}[a-z0-9])?")


class Role(StrEnum):
    """In ascending order: each may what those before it may."""

    DEMO_VIEWER = "demo_viewer"
    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)

    def includes(self, other: Role) -> bool:
        return self.rank >= other.rank


def email_of(text: str) -> str:
    """As it names a person everywhere: lower-case ASCII. Raises ValueError.

    Letters that only look like ASCII, or become it when made lower-case, are refused: they are another person's.
    """
    if not text.isascii() or not _EMAIL.fullmatch(found := text.strip().lower()):
        raise ValueError("it is no e-mail address")
    return found


Email = Annotated[str, AfterValidator(email_of)]


class Member(Part):
    """Document `projects/{project}/members/{email}`."""

    email: Email
    project: str
    role: Role
    added_at: Time
    added_by: str
    updated_at: Time
    updated_by: str

    @property
    def doc_path(self) -> str:
        return paths.member_doc(self.project, self.email)

    def to_document(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Self:
        return cls.model_validate(data)
