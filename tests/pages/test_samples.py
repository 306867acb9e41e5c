"""Samples: registered by a form, files sent from the browser and gone on with where the line broke."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Browser, Route, expect

from shared.domain.member import Role
from shared.steps.members import put_member
from tests.flow.stack import Stack
from tests.pages.browser import desk_of

EDITOR, VIEWER = "sam@lab.example", "vera@lab.example"
PIECE = 8 << 20


def test_a_sample_is_registered_and_stated_anew(browser: Browser, stack: Stack) -> None:
    put_member(stack.ports, "demo", EDITOR, Role.EDITOR, by="test")
    with desk_of(browser, stack, EDITOR) as desk:
        desk.go("/samples/new")
        desk.page.get_by_label("Name").fill("HG 002")
        desk.page.get_by_label("Phenotypes").fill("seizures")
        desk.page.get_by_role("button", name="Register").click()
        expect(desk.page.locator("#problem-phenotypes")).to_be_visible()
        assert desk.page.get_by_label("Name").input_value() == "HG 002" and desk.violations() == []
        desk.broken.clear()  # the browser notes the 422 in its console
        desk.page.get_by_label("Phenotypes").fill("HP:0001250")
        desk.page.get_by_label("Ids elsewhere").fill("lims=4711")
        desk.page.get_by_role("button", name="Register").click()
        expect(desk.page.get_by_role("heading", level=1)).to_have_text("HG 002")
        desk.page.get_by_label("Note").fill("Second draw.")
        desk.page.get_by_role("button", name="State anew").click()
        expect(desk.page.locator(".message")).to_be_visible()
    kept = stack.client.get("/samples/hg-002").json()
    assert (kept["note"], kept["external_ids"]) == ("Second draw.", {"lims": "4711"})
    assert kept["phenotypes"] == ["HP:0001250"]


def test_a_file_is_sent_whole_though_the_line_breaks(browser: Browser, stack: Stack, tmp_path: Path) -> None:
    """The second piece does not arrive at first; what is in the bucket is the file, to the byte."""
    put_member(stack.ports, "demo", EDITOR, Role.EDITOR, by="test")
    stack.client.post("/samples", json={"name": "sent"})
    content = os.urandom(2 * PIECE + 12_345)
    (tmp_path / "reads.bin").write_bytes(content)
    broken: list[str] = []

    def break_once(route: Route) -> None:
        if f"bytes {PIECE}-" in route.request.headers.get("content-range", "") and not broken:
            broken.append(route.request.url)
            route.abort("connectionreset")
        else:
            route.continue_()

    with desk_of(browser, stack, EDITOR) as desk:
        desk.page.route("**/uploads/*", break_once)
        desk.go("/samples/sent")
        desk.page.get_by_label("Send files").set_input_files(tmp_path / "reads.bin")
        expect(desk.page.get_by_role("link", name="reads.bin")).to_be_visible(timeout=60_000)
        assert desk.violations() == []
        desk.broken.clear()  # the browser notes what broke
    assert broken and stack.ports.objects.read("demo", "samples/sent/uploads/reads.bin") == content


def test_who_only_looks_is_offered_nothing_else(browser: Browser, stack: Stack) -> None:
    put_member(stack.ports, "demo", VIEWER, Role.VIEWER, by="test")
    stack.client.post("/samples", json={"name": "looked at"})
    with desk_of(browser, stack, VIEWER) as desk:
        desk.go("/samples/looked-at")
        assert desk.page.locator("main form").count() == 0
        desk.go("/samples")
        assert desk.page.get_by_role("button", name="Register a sample").count() == 0
