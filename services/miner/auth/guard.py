"""The one dependency that stands before every route: who asks, about which project, and whether they may."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from services.miner.auth.permissions import LEAST_ROLE, Permission
from services.miner.auth.person import Person
from services.miner.problems import Refusal, not_found
from shared.domain import paths
from shared.domain.project import Project
from shared.domain.request import CONTROL
from shared.ports import Ports
from shared.steps.projects import project as find_project

ANONYMOUS = "anonymous"


@dataclass(frozen=True)
class Admitted:
    """What the guard found out of a request that it let through."""

    person: Person
    project: Project | None


def guard(request: Request) -> None:
    """Raises Refusal: 401 who nobody knows, 404 for a project that is not theirs, 403 where the role is too low."""
    permission: Permission = request.app.state.permissions[id(request.scope["route"])]
    if permission is Permission.PUBLIC:
        return
    ports: Ports = request.app.state.ports()
    person = _person(request)
    project = None
    if permission in LEAST_ROLE:
        name = request.headers.get("x-project-id") or request.query_params.get("project")
        project = _project(ports, person, name, needed=permission is not Permission.OPERATE)
        _refuse_below(permission, person, name)
    elif not person.may(permission):
        raise _role_needed("superadmin")
    request.state.admitted = Admitted(person, project)


def _person(request: Request) -> Person:
    """As the caller says, until tokens say it."""
    name = (request.headers.get("x-requested-by") or "").strip()
    if CONTROL.search(name):
        raise Refusal(400, "bad-parameter", "The header X-Requested-By holds a control character.")
    return Person(name or ANONYMOUS, superadmin=True, via="header", role_in=lambda _: None)


def _project(ports: Ports, person: Person, name: str | None, *, needed: bool) -> Project | None:
    """Raises Refusal; one of which the person is no member is not found, like one that does not exist (C72)."""
    if not name:
        if needed:
            raise Refusal(400, "project-missing", "The header X-Project-ID is missing; name the project in it.")
        return None
    if name == paths.UNASSIGNED and not needed and person.superadmin:
        return None
    found = find_project(ports, name)
    if found is None or not (person.superadmin or person.role_in(found.id)):
        raise not_found(f"project {name!r} that you are a member of; GET /api/v1/projects lists those there are")
    return found


def _refuse_below(permission: Permission, person: Person, project: str | None) -> None:
    if not person.may(permission, project):
        raise _role_needed(LEAST_ROLE[permission] if project else "superadmin")


def _role_needed(role: str) -> Refusal:
    return Refusal(403, "role-needed", f"This takes the role {role}; an admin of the project can give it.")
