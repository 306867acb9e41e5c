"""Orders and the variant browser, as a reviewer uses them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from shared.domain.member import Role
from shared.steps.members import put_member
from tests.flow.stack import ADA, Stack, stack_over
from tests.pages.browser import NARROW, desk_of
from tests.pages.family import NEEDLE, ingested_family

EDITOR, DEMO = "edith@lab.example", "demo-viewer@lab.example"
BROWSER = "/orders/family-7/variants"


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack on which `Family 7` is ingested and ordered."""
    with stack_over(tmp_path_factory.mktemp("family")) as stack:
        ingested_family(stack)
        for email, role in ((EDITOR, Role.EDITOR), (DEMO, Role.DEMO_VIEWER)):
            put_member(stack.ports, "demo", email, role, by="test")
        answer = stack.client.post("/orders", json={"display_id": "Family 7", "analyses": ["family-7"]})
        assert answer.status_code == 201
        yield stack


def genes(page: Page) -> list[str]:
    return page.locator("table.variants tbody tr td:first-child").all_inner_texts()


def orders(stack: Stack) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = stack.client.get("/orders").json()["items"]
    return found


@pytest.mark.parametrize(("email", "is_super"), [(EDITOR, False), (ADA, True)])
def test_an_order_is_created_from_an_analysis_with_its_samples(
    browser: Browser, family: Stack, email: str, is_super: bool
) -> None:
    """Pre-filled; what was sent twice is one order; a superadmin's button is red and has a shield."""
    with desk_of(browser, family, email) as desk:
        before = len(orders(family))
        desk.go("/orders/new", analysis="family-7")
        assert [field.input_value() for field in desk.page.locator("[name=sample_name]").all()] == ["P", "M", "F", ""]
        assert [field.input_value() for field in desk.page.locator("[name=sample_role]").all()][:3] == [
            "proband", "mother", "father"]
        assert desk.page.get_by_label("Mode").input_value() == "hereditary"
        assert desk.page.get_by_label("Display id", exact=True).input_value() == f"Family 7 {before + 1}"
        button = desk.page.get_by_role("button", name="Create order")
        assert (button.locator("svg").count() == 1) is is_super
        red = "rgb(176, 27, 38)"
        assert (button.evaluate("b => getComputedStyle(b).backgroundColor") == red) is is_super
        assert desk.violations() == []
        key = desk.page.locator("[name=key]").input_value()
        button.click()
        expect(desk.page.get_by_role("heading", level=1)).to_contain_text(f"Family 7 {before + 1}")
        expect(desk.page.locator("#order")).to_contain_text("255")
        desk.page.go_back()
        desk.page.evaluate("key => { document.querySelector('[name=key]').value = key }", key)
        desk.page.get_by_role("button", name="Create order").click()
        expect(desk.page.locator(".message")).to_contain_text("was ordered before")
        assert len(orders(family)) == before + 1


def test_what_is_wrong_with_an_order_is_said_beside_its_field(browser: Browser, family: Stack) -> None:
    with desk_of(browser, family, EDITOR) as desk:
        desk.go("/orders/new")
        desk.page.get_by_label("Display id", exact=True).fill("!!!")
        desk.page.get_by_label("Name of sample 1").fill("P")
        desk.page.get_by_role("button", name="Create order").click()
        expect(desk.page.locator("#problem-display_id")).to_contain_text("empty slug")
        assert desk.page.get_by_label("Name of sample 1").input_value() == "P"
        assert desk.violations() == []
        desk.broken.clear()  # the browser notes the 422 in its console


def test_an_order_moves_on_and_says_so(browser: Browser, family: Stack) -> None:
    family.client.post("/orders", json={"display_id": "moves", "analyses": ["family-7"]})
    with desk_of(browser, family, EDITOR) as desk:
        desk.go("/orders/moves")
        desk.page.get_by_role("button", name="To review").click()
        expect(desk.page.get_by_role("heading", level=1)).to_contain_text("in review")
        expect(desk.page.locator("#order table").last).to_contain_text("open → in review")
        desk.go("/orders", status="in_review")
        assert desk.page.get_by_role("link", name="moves").count() == 1
        assert desk.violations() == []


def test_a_needle_is_found_by_its_filter_and_the_address_is_all_of_it(browser: Browser, family: Stack) -> None:
    with desk_of(browser, family, EDITOR) as desk:
        desk.go(BROWSER)
        expect(desk.page.locator(".presets [aria-current]")).to_have_text("Review")
        assert sorted(genes(desk.page)) == ["DENOVO", "LINKED", "RECESSIVE", "TRANS", "TRANS"]
        desk.page.get_by_role("checkbox", name="de novo").click()  # applies at once
        expect(desk.page.locator(".headline")).to_contain_text("1 of 255")
        assert genes(desk.page) == ["DENOVO"]
        desk.page.get_by_role("link", name="DENOVO").click()
        expect(desk.page.locator("#detail")).to_contain_text("T_DENOVO")
        assert desk.violations() == []
        shared = desk.page.url
    assert f"variant={NEEDLE}" in shared and "inheritance=de_novo" in shared
    with desk_of(browser, family, DEMO, size=NARROW, scheme="dark") as desk:
        desk.page.goto(shared)
        assert genes(desk.page) == ["DENOVO"]
        expect(desk.page.locator("#detail")).to_contain_text("T_DENOVO")
        assert desk.page.get_by_text("Export").count() == 0
        assert desk.violations() == [] and not desk.is_narrower_than_its_content()


def test_filters_are_in_words_and_in_the_units_that_people_use(browser: Browser, family: Stack) -> None:
    """C64: per cent in the form is a fraction in the address."""
    with desk_of(browser, family, EDITOR) as desk:
        desk.go(f"{BROWSER}?sort=position")
        assert desk.page.locator(".headline").inner_text().startswith("255 of 255")
        desk.page.get_by_label("Frequency ≤").fill("0.5")
        desk.page.get_by_role("button", name="Apply").click()
        expect(desk.page.locator(".headline")).to_contain_text("5 of 255")
        assert "frequency_max=0.005" in desk.page.url
        expect(desk.page.locator(".chips")).to_contain_text("population frequency ≤ 0.5 %")
        expect(desk.page.locator(".chips")).to_contain_text("−250")
        desk.page.get_by_role("link", name="Remove: population frequency").click()
        expect(desk.page.locator(".headline")).to_contain_text("255 of 255")
        assert len(genes(desk.page)) == 100


def test_what_cannot_be_asked_is_said_and_the_rest_is_shown(browser: Browser, family: Stack) -> None:
    """C66."""
    with desk_of(browser, family, EDITOR) as desk:
        desk.go(f"{BROWSER}?tier=IX&region=chr2")
        expect(desk.page.locator(".notice.bad")).to_contain_text("IX")
        assert genes(desk.page) == ["TRANS", "TRANS"]
        assert desk.violations() == []


def test_a_filter_is_saved_and_an_export_is_of_just_what_is_shown(browser: Browser, family: Stack) -> None:
    with desk_of(browser, family, EDITOR) as desk:
        desk.go(f"{BROWSER}?gene=TRANS&sort=position")
        desk.page.get_by_text("Save filter").click()
        desk.page.get_by_label("Name", exact=True).fill("Trans only")
        desk.page.get_by_role("button", name="Save").click()
        expect(desk.page.locator(".presets [aria-current]")).to_have_text("Trans only")
        assert genes(desk.page) == ["TRANS", "TRANS"]
        desk.page.get_by_text("Export").click()
        with desk.page.expect_download() as download:
            desk.page.get_by_role("link", name="tsv", exact=True).click()
        text = download.value.path().read_text()
    rows = list(csv.reader(io.StringIO(text), delimiter="\t"))
    assert len([row for row in rows if row and row[0].startswith("chr2")]) == 2, text[:500]


def test_back_and_a_pasted_address_show_the_same_rows(browser: Browser, family: Stack) -> None:
    """C67."""
    with desk_of(browser, family, EDITOR) as desk:
        desk.go(f"{BROWSER}?type=snv")
        desk.page.get_by_role("link", name="Gene", exact=True).click()
        for _ in range(2):
            desk.page.get_by_role("link", name="Next page").click()
        expect(desk.page.get_by_text("End of the list")).to_be_visible()
        third, rows = desk.page.url, genes(desk.page)
        assert len(rows) == 55
        desk.page.locator("[data-open]").nth(40).click()
        expect(desk.page.locator("#detail")).to_be_visible()
        opened, shown = desk.page.url, desk.text("#detail")
        desk.page.go_back()
        expect(desk.page.locator("#detail")).to_be_hidden()
        assert desk.page.url == third and genes(desk.page) == rows
    with desk_of(browser, family, ADA) as other:
        other.page.goto(opened)
        assert genes(other.page) == rows and other.text("#detail") == shown


def test_the_reads_of_a_variant_are_drawn_from_the_runs_own_files(browser: Browser, family: Stack) -> None:
    """C70: by signed addresses and ranges."""
    with desk_of(browser, family, EDITOR) as desk:
        files: list[str] = []
        desk.page.on("request", lambda asked: files.append(asked.url) if "/files/" in asked.url else None)
        desk.go(f"{BROWSER}?gene=DENOVO&variant={NEEDLE}")
        desk.page.get_by_role("button", name="Reads and locus").click()
        expect(desk.page.locator("#reads[data-state=drawn]")).to_be_visible(timeout=60_000)
        assert {url.partition("?")[0].rpartition("/")[2] for url in files} >= {
            "p.bam", "p.bam.bai", "family.fa", "family.fa.fai"}
    with desk_of(browser, family, DEMO) as desk:
        desk.go(f"{BROWSER}?gene=DENOVO&variant={NEEDLE}")
        assert desk.page.get_by_role("button", name="Reads and locus").count() == 0


def test_what_is_not_there_yet_is_shown_as_soon_as_it_is(browser: Browser, family: Stack) -> None:
    order = {"display_id": "waits", "samples": [{"name": "Later", "role": "proband"}]}
    assert family.client.post("/orders", json=order).status_code == 201
    with desk_of(browser, family, EDITOR) as desk:
        desk.go("/orders/waits/variants")
        expect(desk.page.get_by_role("heading", level=1)).to_have_text("The variants are on their way")
        expect(desk.page.locator("main")).to_contain_text("Later")
        assert desk.violations() == []
        ingested_family(family, "later", ["Later", "M2", "F2"])
        expect(desk.page.locator(".headline")).to_contain_text("of 255", timeout=60_000)


def test_keys_do_what_buttons_do(browser: Browser, family: Stack) -> None:
    """While one types they are letters."""
    with desk_of(browser, family, EDITOR) as desk:
        desk.go(f"{BROWSER}?sort=position")
        desk.page.keyboard.press("j")
        desk.page.keyboard.press("j")
        desk.page.keyboard.press("Enter")
        expect(desk.page.locator("#detail")).to_be_visible()
        desk.page.keyboard.press("Escape")
        expect(desk.page.locator("#detail")).to_be_hidden()
        desk.page.keyboard.press("/")
        desk.page.keyboard.type("jk?TRANS")
        assert desk.page.locator("[data-search]").input_value() == "jk?TRANS"
        assert desk.page.locator("dialog[open]").count() == 0


def test_without_a_script_the_browser_works_the_same(browser: Browser, family: Stack) -> None:
    with desk_of(browser, family, EDITOR, scripts=False) as desk:
        desk.go(BROWSER)
        desk.page.get_by_role("checkbox", name="de novo").check()
        desk.page.get_by_role("button", name="Apply").click()
        assert genes(desk.page) == ["DENOVO"]
        desk.page.get_by_role("link", name="DENOVO").click()
        assert "T_DENOVO" in desk.text("#detail")
