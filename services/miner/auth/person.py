"""Who asks: a person, or an account of another service, and what they may in which project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from services.miner.auth.permissions import LEAST_ROLE, Permission
from shared.domain.member import Role


@dataclass(frozen=True)
class Person:
    """`role_in(project)` is their role as it is now, or a few seconds ago; so a stream that asks `may` again and again
    ends soon after the right is gone (C79). `via` says how they proved who they are."""

    email: str
    superadmin: bool
    via: str
    role_in: Callable[[str], Role | None] = field(repr=False, compare=False)
    is_service: bool = False
    """An account that may ask in the name of others, as an upstream service does by its events."""

    def may(self, permission: Permission, project: str | None = None) -> bool:
        """In that project; for a permission about no project, or about all of them, without one."""
        if self.superadmin or permission in (Permission.PUBLIC, Permission.SIGNED_IN):
            return True
        if permission not in LEAST_ROLE or project is None:
            return False
        role = self.role_in(project)
        return role is not None and role.includes(LEAST_ROLE[permission])
