"""The one dependency that stands before every route: who asks, about which project, and whether they may."""

from __future__ import annotations

import math
from dataclasses import dataclass
from urllib.parse import quote

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from services.miner.auth.access import Access, Known
from services.miner.auth.permissions import API, LEAST_ROLE, Permission
from services.miner.auth.person import Person
from services.miner.problems import Refusal, not_found
from shared.domain import paths
from shared.domain.project import Project
from shared.ports import Ports
from shared.steps.members import memberships
from shared.steps.projects import project as find_project
from shared.steps.projects import projects

PROJECT_COOKIE = "iflow-project"
"""The project whose page a person saw last."""


@dataclass(frozen=True)
class Admitted:
    """What the guard found out of a request that it let through. `csrf_token` goes into the forms of its page."""

    person: Person
    project: Project | None
    csrf_token: str


async def guard(request: Request) -> None:
    """Raises Refusal: 401 whom nobody knows, 404 for a project not theirs, 403 where the role is too low, 429."""
    permission: Permission = request.app.state.permissions[id(request.scope["route"])]
    if permission is Permission.PUBLIC:
        return
    access: Access = request.app.state.access
    known, admitted = await run_in_threadpool(_admitted, request, access, permission)
    await access.refuse_other_sites(request, known)
    request.state.admitted = admitted


def _admitted(request: Request, access: Access, permission: Permission) -> tuple[Known, Admitted]:
    known = _known(request, access)
    person = known.person
    if wait_s := access.limits.wait_s(person.email):
        raise Refusal(429, "too-many-requests", "That is more than one person may ask for; wait a moment.",
                      headers={"Retry-After": str(math.ceil(wait_s))})
    project = None
    if permission in LEAST_ROLE:
        ports: Ports = request.app.state.ports()
        name = _name_of_the_project(request, ports, person, needed=permission is not Permission.OPERATE)
        try:
            project = _project(ports, person, name, permission)
        except Refusal:
            request.app.state.trail.refused(request, person.email, None)
            raise
        if not person.may(permission, name):
            request.app.state.trail.refused(request, person.email, project.id if project else None)
            raise _role_needed(LEAST_ROLE[permission] if name else "superadmin")
    elif not person.may(permission):
        request.app.state.trail.refused(request, person.email, None)
        raise _role_needed("superadmin")
    return known, Admitted(person, project, access.csrf_token(known))


def _known(request: Request, access: Access) -> Known:
    """A page asks to sign in, where there is a page for that."""
    try:
        return access.known(request)
    except Refusal as refusal:
        if refusal.status != 401 or _is_api(request) or access.issuer is None:
            raise
        page = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        login = f"/login?next={quote(page if request.method == 'GET' else '')}"
        if "hx-request" in request.headers:
            raise Refusal(401, "sign-in", str(refusal), headers={"HX-Redirect": "/login"}) from None
        raise Refusal(303, "sign-in", str(refusal), headers={"Location": login}) from None


def _is_api(request: Request) -> bool:
    return request.url.path.startswith(f"{API}/")


def _name_of_the_project(request: Request, ports: Ports, person: Person, *, needed: bool) -> str | None:
    """As the request says; of a page that does not, the one that was seen last, or the only one."""
    if name := request.headers.get("x-project-id") or request.query_params.get("project"):
        return name
    if _is_api(request):
        if needed:
            raise Refusal(400, "project-missing", "The header X-Project-ID is missing; name the project in it.")
        return None
    names = [each.id for each in projects_of(ports, person)]
    if (last := request.cookies.get(PROJECT_COOKIE)) in names:
        return last
    if needed and len(names) != 1:
        raise Refusal(
            *((400, "project-missing", f"Which project? Yours are {', '.join(names)}: put ?project= into the address.")
              if names else (403, "no-project", "You are no member of any project; an admin of one can add you."))
        )
    return names[0] if names and needed else None


def _project(ports: Ports, person: Person, name: str | None, permission: Permission) -> Project | None:
    """Raises Refusal; one of which the person is no member is not found, like one that does not exist (C72)."""
    if name is None or (name == paths.UNASSIGNED and person.superadmin and permission is Permission.OPERATE):
        return None
    found = find_project(ports, name)
    if found is None or not (person.superadmin or person.role_in(found.id)):
        raise not_found(f"project {name!r} that you are a member of; GET {API}/projects lists those there are")
    return found


def projects_of(ports: Ports, person: Person) -> list[Project]:
    """Those of which they are a member; every one, for superadmins. In order of id."""
    if person.superadmin:
        return projects(ports)
    found = (find_project(ports, each.project) for each in memberships(ports.documents, person.email))
    return [project for project in found if project is not None]


def _role_needed(role: str) -> Refusal:
    return Refusal(403, "role-needed", f"This takes the role {role}; an admin of the project can give it.")
