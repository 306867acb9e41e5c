"""A member: a person of a project, with a role. Who is none does not learn that the project exists."""

from __future__ import annotations

from enum import StrEnum


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
