"""How a page is made: its template, and what every page needs: who sees it, of which project, addresses, form tokens.

A page may be sent on with a message (`see_other`), which the next page shows once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.miner.auth.guard import PROJECT_COOKIE, Admitted, projects_of
from services.miner.auth.permissions import Permission
from services.miner.pages import words
from services.miner.problems import Refusal
from shared.runtime import now_utc

HERE = Path(__file__).parent
STATIC = HERE / "static"
MESSAGE_COOKIE = "iflow-message"
MESSAGE_S = 60
YEAR_S = 31_536_000

Params = Mapping[str, Any] | Iterable[tuple[str, Any]]
"""As they stand in an address; a value that is None is left out, and of a list each stands for itself."""

_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
    lstrip_blocks=True,
)
_templates.filters.update(words.FILTERS)


def render(request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The page. `values` are the template's own; `project` among them stands for the one of the request."""
    admitted: Admitted | None = getattr(request.state, "admitted", None)
    project = values.pop("project", admitted.project if admitted else None)
    page = _templates.get_template(template).render({
        "request": request, "me": admitted.person if admitted else None, "project": project,
        "projects_of": lambda: _projects(request, admitted), "csrf_token": admitted.csrf_token if admitted else "",
        "may": _may(admitted, project.id if project else None), "url": _addresses(project.id if project else None),
        "static": static_address, "here": request.url.path, "message": message_of(request), "now": now_utc(),
        "is_local": request.app.state.access.issuer is not None, **values,
    })
    answer = HTMLResponse(page, status)
    if project is not None:
        answer.set_cookie(PROJECT_COOKIE, project.id, max_age=YEAR_S, httponly=True, samesite="lax", path="/",
                          secure=request.url.scheme == "https")
    if MESSAGE_COOKIE in request.cookies:
        answer.delete_cookie(MESSAGE_COOKIE, path="/")
    return answer


def see_other(request: Request, path: str, params: Params = (), *, message: str = "") -> RedirectResponse:
    """On to a page of the same project, after a form was taken."""
    admitted: Admitted = request.state.admitted
    address = _addresses(admitted.project.id if admitted.project else None)(path, params)
    answer = RedirectResponse(address, 303)
    if message:
        answer.set_cookie(MESSAGE_COOKIE, quote(message), max_age=MESSAGE_S, httponly=True, samesite="lax", path="/",
                          secure=request.url.scheme == "https")
    return answer


def render_problem(request: Request, refusal: Refusal) -> HTMLResponse:
    """What went wrong, in words with the remedy; for a part of a page, the strip that is put on top of it."""
    template = "problem_strip.html" if "hx-request" in request.headers else "problem.html"
    answer = render(request, template, refusal.status, refusal=refusal, projects_of=list)  # the store may be the fault
    answer.headers.update(refusal.headers)
    if template == "problem_strip.html":
        answer.headers.update({"HX-Retarget": "#problems", "HX-Reswap": "innerHTML"})
    return answer


def wants_page(request: Request) -> bool:
    """Whether a person's browser asks, and no program."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


def message_of(request: Request) -> str:
    return unquote(request.cookies.get(MESSAGE_COOKIE, ""))[:500]


@cache
def static_address(name: str) -> str:
    """Of a file in static/; another content has another address, so that browsers may keep it for ever."""
    digest = hashlib.blake2b((STATIC / name).read_bytes(), digest_size=8).hexdigest()
    return f"/static/{quote(name)}?v={digest}"


def pairs_of(params: Params) -> list[tuple[str, str]]:
    found = params.items() if isinstance(params, Mapping) else params
    return [
        (name, _text(each))
        for name, value in found if value is not None
        for each in (value if isinstance(value, list | tuple | set | frozenset) else (value,))
    ]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _addresses(project: str | None) -> Any:
    def url(path: str, params: Params = (), **more: Any) -> str:
        """A path of ours with its parameters; it names the project, so that it can be sent to a colleague."""
        named = [("project", project)] if project and not any(name == "project" for name in more) else []
        query = urlencode([*named, *pairs_of(params), *pairs_of(more)])
        return f"{quote(path)}?{query}" if query else quote(path)

    return url


def _may(admitted: Admitted | None, project: str | None) -> Any:
    def may(permission: str) -> bool:
        """`may("work")`: a name of auth/permissions.py."""
        return admitted is not None and admitted.person.may(Permission(permission), project)

    return may


def _projects(request: Request, admitted: Admitted | None) -> list[Any]:
    return projects_of(request.app.state.ports(), admitted.person) if admitted else []
