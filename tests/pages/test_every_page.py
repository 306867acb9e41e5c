"""Every page: nothing that axe finds, nothing to scroll sideways for, nothing from elsewhere, no error in it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from services.miner.auth.permissions import API, TABLE
from shared.domain.member import Role
from shared.steps.members import put_member
from tests.flow.stack import ADA, Stack
from tests.pages.browser import NARROW, WIDE, desk_of
from tests.pages.every_page import FAILING, PAGES, addresses, furnished
from tests.pages.family import NEEDLE

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


CONTROLS = re.compile(r"^(Cancel(?!led)|Rerun|Re-ingest|Create order|New order|Run\b|Save filter|Register)", re.I)
FILES = re.compile(r"^(Download|Export|Reads and locus|Logs$)", re.I)
PRESSABLE = "main :is(a[href], button:not([disabled]), summary):not([aria-disabled=true])"
LOOKED_AT = (
    "/analyses", "/analyses/family-7", "/analyses/wgs-1-a", "/analyses/family-7/outputs", "/orders", "/orders/family-7",
    f"/orders/family-7/variants?inheritance=de_novo&variant={NEEDLE}", "/analyses/family-7/variants?sort=position",
    "/samples", "/samples/s2", "/pipelines",
)


@pytest.mark.parametrize("role", [Role.DEMO_VIEWER, Role.VIEWER])
def test_who_may_only_look_has_nothing_to_do_it_with(browser: Browser, house: Stack, role: Role) -> None:
    """C75: what cannot be done is not there, or cannot be pressed; the API refuses it, too."""
    email = f"{role}@lab.example"
    put_member(house.ports, "demo", email, role, by="test")
    with desk_of(browser, house, email) as desk:
        for path in LOOKED_AT:
            desk.go(path)
            pressed = desk.page.locator(PRESSABLE).all_inner_texts()
            found = [text for text in (each.strip() for each in pressed) if CONTROLS.match(text)]
            assert found == [], (path, found)
            if role is Role.DEMO_VIEWER:
                assert [text for text in pressed if FILES.match(text.strip())] == [], path
    with house.client_of(email) as client:
        asked = [client.post("/analyses/family-7/cancel"), client.post("/analyses/family-7/rerun", json={}),
                 client.post("/orders", json={"display_id": "x", "analyses": ["family-7"]})]
        file = client.get("/analyses/family-7/outputs/calls.vcf")
    assert [answer.status_code for answer in asked] == [403, 403, 403]
    assert file.status_code == (403 if role is Role.DEMO_VIEWER else 200)
