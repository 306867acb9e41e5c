"""Every page: nothing that axe finds, nothing to scroll sideways for, nothing from elsewhere, no error in it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from services.miner.auth.permissions import API, TABLE
from tests.flow.stack import ADA, Stack
from tests.pages.browser import NARROW, WIDE, desk_of
from tests.pages.every_page import FAILING, PAGES, addresses, furnished

NO_PAGES = {
    "/", "/healthz", "/openapi.json", "/static/{path}", "/docs", "/analyses/{analysis}/reads/contigs",
    "/orders/{order}/reads/contigs", "/analyses/several/archive", "/files/{path}",
    "/analyses/{analysis}/input-file", "/analyses/{analysis}/files/{path}",
    "/analyses/{analysis}/reads/reference/{kind}",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with furnished(tmp_path_factory.mktemp("house")) as stack:
        yield stack


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
def test_no_page_has_a_barrier(browser: Browser, house: Stack, size: tuple[int, int], scheme: str) -> None:
    """WCAG 2.2 AA as far as axe can tell."""
    found = {}
    with desk_of(browser, house, ADA, size=size, scheme=scheme) as desk:
        for name, path in addresses(house).items():
            answer = desk.page.goto(f"{house.api}{path}{'&' if '?' in path else '?'}project=demo")
            assert answer is not None and answer.ok is (name not in FAILING), (name, answer and answer.status)
            troubles = [*desk.violations(), *(["sideways"] if desk.is_narrower_than_its_content() else [])]
            troubles += [said for said in desk.broken if name not in FAILING]
            desk.broken.clear()
            if troubles:
                found[name] = troubles
    assert found == {}


def test_every_page_of_the_permission_table_is_looked_at() -> None:
    pages = {line.removeprefix("GET ") for line in TABLE if line.startswith("GET ") and API not in line} - NO_PAGES
    paths = [path.partition("?")[0] for path in PAGES.values()]
    unseen = {page for page in pages if not any(re.fullmatch(re.sub(r"{.*?}", "[^/]+", page), p) for p in paths)}
    assert unseen == set()
