"""What every page has: a way in, errors with a remedy, light and dark, keys, nothing from elsewhere."""

from __future__ import annotations

import httpx
from playwright.sync_api import Browser, expect

from tests.flow.stack import ADA, Stack
from tests.pages.browser import NARROW, WIDE, desk_of

PAGE = {"Accept": "text/html"}


def test_one_signs_in_and_gets_where_one_wanted_to_go(browser: Browser, stack: Stack) -> None:
    with desk_of(browser, stack, ADA) as desk:
        desk.page.get_by_label("You: ").click()
        desk.page.get_by_role("button", name="Sign out").click()
        expect(desk.page.get_by_role("heading", name="Sign in")).to_be_visible()
        assert desk.violations() == []


def test_an_error_is_a_page_with_its_remedy_and_for_programs_a_problem(stack: Stack) -> None:
    page = httpx.get(f"{stack.api}/nowhere", headers=PAGE)
    assert (page.status_code, "There is nothing here" in page.text) == (404, True)
    program = httpx.get(f"{stack.api}/nowhere")
    assert program.json()["code"] == "no-such-route"


def test_the_api_is_read_in_the_browser_without_anything_from_elsewhere(browser: Browser, stack: Stack) -> None:
    with desk_of(browser, stack, ADA) as desk:
        desk.page.goto(f"{stack.api}/docs")
        expect(desk.page.get_by_role("heading", name="iflow").first).to_be_visible()


def test_static_files_are_kept_for_ever_and_nothing_else_is_reached(stack: Stack) -> None:
    found = httpx.get(f"{stack.api}/static/app.css")
    assert (found.status_code, "immutable" in found.headers["cache-control"]) == (200, True)
    for path in ("/static/../rendering.py", "/static/%2e%2e/rendering.py", "/static/", "/static/%00"):
        assert httpx.get(f"{stack.api}{path}").status_code == 404, path


def test_light_or_dark_is_the_readers_choice(browser: Browser, stack: Stack) -> None:
    for size, scheme in ((WIDE, "light"), (NARROW, "dark")):
        with desk_of(browser, stack, ADA, size=size, scheme=scheme) as desk:
            desk.page.goto(f"{stack.api}/login")
            assert desk.violations() == []
            assert not desk.is_narrower_than_its_content()
