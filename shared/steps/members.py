"""Who belongs to a project, in which role; and which projects a person belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from shared.domain import paths
from shared.domain.errors import Conflict, Permanent
from shared.domain.member import Member, Role
from shared.ports import Create, Delete, Documents, Order, Ports, Query, Stored, Update, Where
from shared.steps.store import ATTEMPTS

PAGE = 200
Condition = Callable[[Stored | None], object]


class LastAdmin(Permanent):
    """A project without an admin could be given one by superadmins only."""


def stored_member(documents: Documents, project: str, email: str) -> Stored | None:
    return documents.get(paths.member_doc(project, email))


def member(documents: Documents, project: str, email: str) -> Member | None:
    stored = stored_member(documents, project, email)
    return None if stored is None else Member.from_document(stored.data)


def members(documents: Documents, project: str) -> list[Member]:
    """In order of e-mail."""
    return [Member.from_document(stored.data) for stored in _all(documents, Query(
        paths.members(project), order=(Order("email"),), limit=PAGE
    ))]


def memberships(documents: Documents, email: str) -> list[Member]:
    """Of one person in all projects, in order of project."""
    found = _all(documents, Query("*/members", (Where("email", "==", email),), limit=PAGE))
    return sorted((Member.from_document(stored.data) for stored in found), key=lambda each: each.project)


def put_member(
    ports: Ports, project: str, email: str, role: Role, *, by: str, only_if: Condition = lambda _: None
) -> tuple[Stored, bool]:
    """The member, and whether they are new. Raises LastAdmin, and what `only_if` raises for what would be changed."""
    path = paths.member_doc(project, email)
    for _ in range(ATTEMPTS):
        stored, now = ports.documents.get(path), ports.clock()
        only_if(stored)
        known = Member.from_document(stored.data) if stored else None
        if stored and known and known.role is role:
            return stored, False
        if known and known.role is Role.ADMIN:
            _refuse_the_last_admin(ports.documents, project, email)
        wanted = Member(
            email=email, project=project, role=role, added_at=known.added_at if known else now,
            added_by=known.added_by if known else by, updated_at=now, updated_by=by,
        )
        data = wanted.to_document()
        try:
            (version,) = ports.documents.commit([Update(path, data, stored.version) if stored else Create(path, data)])
        except Conflict:
            continue
        return Stored(path, data, version), known is None
    raise Conflict(path)


def remove_member(ports: Ports, project: str, email: str, *, only_if: Condition = lambda _: None) -> bool:
    """Whether they were one. Raises LastAdmin, and what `only_if` raises for what would be removed."""
    path = paths.member_doc(project, email)
    for _ in range(ATTEMPTS):
        stored = ports.documents.get(path)
        only_if(stored)
        if stored is None:
            return False
        if Member.from_document(stored.data).role is Role.ADMIN:
            _refuse_the_last_admin(ports.documents, project, email)
        try:
            ports.documents.commit([Delete(path, stored.version)])
        except Conflict:
            continue
        return True
    raise Conflict(path)


def _refuse_the_last_admin(documents: Documents, project: str, email: str) -> None:
    """Two admins who remove each other in the same moment can both succeed: a superadmin then names another."""
    if not any(each.role is Role.ADMIN and each.email != email for each in members(documents, project)):
        raise LastAdmin(f"{email} is the last admin of project {project!r}; make somebody else one first")


def _all(documents: Documents, query: Query) -> list[Stored]:
    found: list[Stored] = []
    while True:
        page = documents.query(query)
        found += page.items
        if page.next is None:
            return found
        query = replace(query, after=page.next)
