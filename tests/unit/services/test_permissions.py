"""The permission table and the app's routes are the same list (C73)."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, FastAPI
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from services.miner.app import create_app
from services.miner.auth.permissions import TABLE, Permission, TableIncomplete, lines_of, of_routes
from services.miner.auth.person import Person
from shared.domain.member import Role


def test_every_route_has_a_line_and_every_line_a_route() -> None:
    assert {line for _, line in lines_of(create_app().routes)} == set(TABLE)


def test_an_app_with_a_route_that_the_table_does_not_know_is_not_made() -> None:
    app = create_app()
    router = APIRouter(prefix="/api/v1/news")
    router.add_api_route("/{id}", lambda: None)
    app.include_router(router)
    with pytest.raises(TableIncomplete, match=r"no line for .GET /api/v1/news/\{id\}"):
        of_routes(app.routes)


def test_a_line_without_a_route_is_a_slip_too() -> None:
    with pytest.raises(TableIncomplete, match="lines without a route"):
        of_routes(FastAPI(docs_url=None, redoc_url=None).routes)


def test_a_route_past_the_guard_must_be_public() -> None:
    route = Route("/api/v1/analyses", lambda _: PlainTextResponse(""))
    with pytest.raises(TableIncomplete, match="no dependency guards it"):
        of_routes([route])


@pytest.mark.parametrize("permission", Permission)
def test_each_role_may_what_those_below_it_may(permission: Permission) -> None:
    answers = [_person(role).may(permission, "lab") for role in (None, *Role)]
    assert answers == sorted(answers)
    assert Person("s@lab.example", superadmin=True, via="", role_in=lambda _: None).may(permission, "lab")


def test_what_is_about_no_project_takes_a_superadmin() -> None:
    admin = _person(Role.ADMIN)
    assert admin.may(Permission.OPERATE, "lab")
    assert not admin.may(Permission.OPERATE)
    assert not admin.may(Permission.EVERYTHING)


def _person(role: Role | None) -> Person:
    return Person("p@lab.example", superadmin=False, via="token", role_in=lambda _: role)
