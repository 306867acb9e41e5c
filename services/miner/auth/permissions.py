"""THE permission table: what each route needs. A route without a line here fails when the app is made.

Which role a permission takes is said in LEAST_ROLE. Superadmins may everything, in every project.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import BaseRoute

from shared.domain.member import Role


class Permission(StrEnum):
    PUBLIC = "public"
    """Anybody, signed in or not: nothing of any tenant is in the answer."""
    SIGNED_IN = "signed_in"
    """Any person, about no project, or about their own."""
    SEE = "see"
    """Lists, documents and variants, on the screen."""
    READ_FILES = "read_files"
    """Files, logs, archives and exports: what can be carried away."""
    WORK = "work"
    """Ask for analyses and orders, change, cancel and rerun them."""
    MANAGE = "manage"
    """Members, pipelines, and who is told."""
    OPERATE = "operate"
    """Rejections, dead letters, cancels, the audit trail: of the project that is named; of all, for superadmins, where
    none is."""
    EVERYTHING = "everything"
    """Superadmins alone."""


LEAST_ROLE: Mapping[Permission, Role] = {
    Permission.SEE: Role.DEMO_VIEWER,
    Permission.READ_FILES: Role.VIEWER,
    Permission.WORK: Role.EDITOR,
    Permission.MANAGE: Role.ADMIN,
    Permission.OPERATE: Role.ADMIN,
}
"""Those that are about a project."""

_P = Permission
API = "/api/v1"
TABLE: Mapping[str, Permission] = {
    # -- without a project
    "GET /healthz": _P.PUBLIC,
    "GET /openapi.json": _P.PUBLIC,
    "GET /docs": _P.PUBLIC,
    f"GET {API}/files/{{bucket}}/{{path}}": _P.PUBLIC,  # by a signed address only
    f"PUT {API}/uploads/{{token}}": _P.PUBLIC,  # to a session's address only, which is a secret
    "GET /login": _P.PUBLIC,
    "POST /login": _P.PUBLIC,
    "POST /login/token": _P.PUBLIC,
    "POST /logout": _P.SIGNED_IN,
    "GET /": _P.PUBLIC,
    "GET /static/{path}": _P.PUBLIC,
    f"GET {API}/projects": _P.SIGNED_IN,
    f"POST {API}/projects": _P.EVERYTHING,
    f"POST {API}/events": _P.EVERYTHING,

    # -- pages
    "GET /analyses": _P.SEE,
    "GET /analyses/new": _P.WORK,
    "POST /analyses/new": _P.WORK,
    "POST /analyses/several": _P.SEE,
    "GET /analyses/several/archive": _P.READ_FILES,
    "GET /analyses/several/cancel": _P.WORK,
    "POST /analyses/several/cancel": _P.WORK,
    "GET /files": _P.READ_FILES,
    "GET /files/{path}": _P.READ_FILES,
    "GET /pipelines": _P.SEE,
    "GET /pipelines/new": _P.MANAGE,
    "POST /pipelines/new": _P.MANAGE,
    "GET /pipelines/{slug}": _P.SEE,
    "GET /analyses/{analysis}": _P.SEE,
    "GET /analyses/{analysis}/steps": _P.SEE,
    "GET /analyses/{analysis}/logs": _P.READ_FILES,
    "GET /analyses/{analysis}/inputs": _P.SEE,
    "GET /analyses/{analysis}/input-file": _P.READ_FILES,
    "GET /analyses/{analysis}/outputs": _P.SEE,
    "GET /analyses/{analysis}/files/{path}": _P.READ_FILES,
    "GET /analyses/{analysis}/metrics": _P.SEE,
    "GET /analyses/{analysis}/history": _P.SEE,
    "GET /analyses/{analysis}/compare": _P.SEE,
    "GET /analyses/{analysis}/cancel": _P.WORK,
    "POST /analyses/{analysis}/cancel": _P.WORK,
    "POST /analyses/{analysis}/ingest": _P.WORK,

    "GET /orders": _P.SEE,
    "GET /orders/new": _P.WORK,
    "POST /orders/new": _P.WORK,
    "GET /orders/{order}": _P.SEE,
    "POST /orders/{order}/transition": _P.WORK,
    "POST /orders/{order}/analyses": _P.WORK,
    "POST /orders/{order}/rebuild": _P.WORK,
    "GET /orders/{order}/variants": _P.SEE,
    "GET /analyses/{analysis}/variants": _P.SEE,
    "POST /filters": _P.WORK,
    "GET /orders/{order}/reads": _P.READ_FILES,
    "GET /analyses/{analysis}/reads": _P.READ_FILES,
    "GET /analyses/{analysis}/reads/reference/{kind}": _P.READ_FILES,
    "GET /orders/{order}/reads/contigs": _P.READ_FILES,
    "GET /analyses/{analysis}/reads/contigs": _P.READ_FILES,

    "GET /samples": _P.SEE,
    "GET /samples/new": _P.WORK,
    "POST /samples/new": _P.WORK,
    "GET /samples/{sample}": _P.SEE,
    "POST /samples/{sample}": _P.WORK,
    "GET /ops": _P.OPERATE,
    "GET /ops/rejections/{rejection}": _P.OPERATE,
    "GET /ops/dead-letters/{letter}": _P.OPERATE,
    "POST /ops/dead-letters/{letter}/replay": _P.OPERATE,
    "POST /ops/reconcile": _P.EVERYTHING,

    # -- analyses
    f"GET {API}/analyses": _P.SEE,
    f"GET {API}/analyses-counts": _P.SEE,
    f"GET {API}/analyses/events": _P.SEE,
    f"POST {API}/analyses": _P.WORK,
    f"GET {API}/analyses/{{analysis}}": _P.SEE,
    f"GET {API}/analyses/{{analysis}}/history": _P.SEE,
    f"GET {API}/analyses/{{analysis}}/metrics": _P.SEE,
    f"POST {API}/analyses/{{analysis}}/cancel": _P.WORK,
    f"POST {API}/analyses/{{analysis}}/rerun": _P.WORK,
    f"POST {API}/analyses/{{analysis}}/ingest": _P.WORK,
    f"GET {API}/analyses/{{analysis}}/events": _P.SEE,
    f"GET {API}/analyses/{{analysis}}/deliveries": _P.SEE,
    f"GET {API}/analyses/{{analysis}}/outputs": _P.SEE,
    f"GET {API}/analyses/{{analysis}}/outputs/{{path}}": _P.READ_FILES,
    f"GET {API}/analyses/{{analysis}}/logs": _P.READ_FILES,
    f"GET {API}/analyses/{{analysis}}/tasks": _P.SEE,
    f"GET {API}/analyses/{{analysis}}/links": _P.READ_FILES,
    f"GET {API}/analyses/{{analysis}}/archive": _P.READ_FILES,
    f"GET {API}/archives": _P.READ_FILES,
    f"GET {API}/analyses/{{analysis}}/variants": _P.SEE,
    f"GET {API}/analyses/{{analysis}}/variants/facets": _P.SEE,
    f"GET {API}/analyses/{{analysis}}/variants/export": _P.READ_FILES,
    f"GET {API}/analyses/{{analysis}}/variants/{{key}}": _P.SEE,

    # -- orders
    f"GET {API}/orders": _P.SEE,
    f"GET {API}/orders/events": _P.SEE,
    f"POST {API}/orders": _P.WORK,
    f"GET {API}/orders-proposal": _P.WORK,
    f"GET {API}/orders/{{order}}": _P.SEE,
    f"PATCH {API}/orders/{{order}}": _P.WORK,
    f"POST {API}/orders/{{order}}/transition": _P.WORK,
    f"POST {API}/orders/{{order}}/cache": _P.WORK,
    f"GET {API}/orders/{{order}}/events": _P.SEE,
    f"GET {API}/orders/{{order}}/variants": _P.SEE,
    f"GET {API}/orders/{{order}}/variants/facets": _P.SEE,
    f"GET {API}/orders/{{order}}/variants/export": _P.READ_FILES,
    f"GET {API}/orders/{{order}}/variants/{{key}}": _P.SEE,

    # -- samples
    f"GET {API}/samples": _P.SEE,
    f"POST {API}/samples": _P.WORK,
    f"GET {API}/samples/{{sample}}": _P.SEE,
    f"PATCH {API}/samples/{{sample}}": _P.WORK,
    f"GET {API}/samples/{{sample}}/files": _P.SEE,
    f"GET {API}/samples/{{sample}}/uses": _P.SEE,
    f"GET {API}/samples/{{sample}}/uploads": _P.SEE,
    f"POST {API}/samples/{{sample}}/uploads": _P.WORK,
    f"GET {API}/samples/{{sample}}/uploads/{{upload}}": _P.WORK,  # it has the address that takes the bytes
    f"POST {API}/samples/{{sample}}/uploads/{{upload}}/finish": _P.WORK,

    # -- pipelines, panels, saved filters
    f"GET {API}/pipelines": _P.SEE,
    f"POST {API}/pipelines": _P.MANAGE,
    f"GET {API}/pipelines/{{pipeline}}": _P.SEE,
    f"GET {API}/pipelines/{{pipeline}}/versions": _P.SEE,
    f"GET {API}/panels": _P.SEE,
    f"POST {API}/panels": _P.WORK,
    f"GET {API}/panels/{{panel}}": _P.SEE,
    f"GET {API}/filters": _P.SEE,
    f"POST {API}/filters": _P.WORK,
    f"GET {API}/filters/{{name}}": _P.SEE,
    f"PUT {API}/filters/{{name}}": _P.WORK,
    f"DELETE {API}/filters/{{name}}": _P.WORK,

    # -- members
    f"GET {API}/members": _P.MANAGE,
    f"GET {API}/members/me": _P.SEE,
    f"GET {API}/members/{{email}}": _P.MANAGE,
    f"PUT {API}/members/{{email}}": _P.MANAGE,
    f"DELETE {API}/members/{{email}}": _P.MANAGE,

    f"GET {API}/notifications": _P.MANAGE,
    f"PUT {API}/notifications": _P.MANAGE,
    f"POST {API}/notifications/signing": _P.MANAGE,
    f"POST {API}/notifications/test": _P.MANAGE,

    f"GET {API}/audit": _P.OPERATE,
    f"GET {API}/audit/export": _P.OPERATE,

    # -- for operators
    f"GET {API}/ops/rejections": _P.OPERATE,
    f"GET {API}/ops/rejections/{{rejection}}": _P.OPERATE,
    f"GET {API}/ops/dead-letters": _P.OPERATE,
    f"GET {API}/ops/dead-letters/{{letter}}": _P.OPERATE,
    f"POST {API}/ops/dead-letters/{{letter}}/replay": _P.OPERATE,
    f"GET {API}/ops/cancels": _P.OPERATE,
    f"GET {API}/ops/silent": _P.OPERATE,
    f"GET {API}/ops/queues": _P.EVERYTHING,
    f"POST {API}/ops/reconcile": _P.EVERYTHING,
}
"""`METHOD path template`; a HEAD is its GET."""


class TableIncomplete(Exception):
    """A route without a line, a line without a route, or a route that cannot be guarded."""


def of_routes(routes: Sequence[BaseRoute]) -> dict[int, Permission]:
    """The permission of each route, by the route's `id()`: what a request's scope has is the route itself.

    Raises TableIncomplete.
    """
    found: dict[int, Permission] = {}
    lines = set()
    for route, line in lines_of(routes):
        if line not in TABLE:
            raise TableIncomplete(f"services/miner/auth/permissions.py has no line for {line!r}")
        permission = TABLE[line]
        if not isinstance(route, APIRoute) and permission is not Permission.PUBLIC:
            raise TableIncomplete(f"{line!r} is no route of FastAPI's: no dependency guards it, so it must be public")
        if found.setdefault(id(route), permission) is not permission:
            raise TableIncomplete(f"{line!r} is a route with two permissions; give it two functions")
        lines.add(line)
    if left := sorted(TABLE.keys() - lines):
        raise TableIncomplete(f"services/miner/auth/permissions.py has lines without a route: {left}")
    return found


def lines_of(routes: Sequence[BaseRoute]) -> Iterator[tuple[BaseRoute, str]]:
    """Every route with its line of the table, once for each of its methods."""
    for context in iter_route_contexts(routes):
        path = context.path_format or context.path or ""
        for method in sorted((context.methods or {"GET"}) - {"HEAD"}) or ["GET"]:
            yield context.route, f"{method} {path}"
