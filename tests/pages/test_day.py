"""The staff's day, from a form to a variant that is shared: one editor, then a superadmin, in one browser each."""

from __future__ import annotations

import re
import tarfile

from playwright.sync_api import Browser, expect

from shared.domain.member import Role
from shared.steps.members import put_member
from shared.steps.register import register_pipeline
from tests.flow.stack import ADA, Stack
from tests.pages.browser import desk_of
from tests.pages.family import FAMILY, NEEDLE, ROLES, family_files

EDITOR, COLLEAGUE = "edith@lab.example", "carl@lab.example"
NAMES = ("P", "M", "F")


def test_a_day(browser: Browser, stack: Stack) -> None:
    """Submit, watch, read the log, download, order, find the needle, share it; cancel one, rerun one with a change."""
    for email in (EDITOR, COLLEAGUE):
        put_member(stack.ports, "demo", email, Role.EDITOR, by="test")
    register_pipeline(stack.ports, "demo", FAMILY, by=ADA)
    folder = family_files(stack, "day")
    with desk_of(browser, stack, EDITOR) as desk:
        page = desk.page
        desk.go("/analyses/new", pipeline="family")
        page.get_by_label("Display id").fill("Family of the day")
        page.get_by_role("textbox", name="Folder").fill(folder)
        for number, (name, (role, sex)) in enumerate(zip(NAMES, ROLES, strict=True), 1):
            if number > 1:
                page.get_by_role("button", name="Add a sample").click()
            page.get_by_label(f"Name of sample {number}").fill(name)
            page.get_by_label(f"Role of sample {number}").select_option(role)
            page.get_by_label(f"Sex of sample {number}").select_option(sex)
        page.get_by_role("button", name="Run", exact=True).first.click()
        page.wait_for_url(re.compile("/analyses/family-of-the-day"))
        expect(page.get_by_role("button", name="Browse variants")).to_be_visible(timeout=90_000)  # and nothing reloaded
        page.get_by_role("link", name="Logs", exact=True).click()
        expect(page.get_by_role("link", name="Logs", exact=True)).to_have_attribute("aria-current", "page")
        page.get_by_role("link", name=re.compile("^Outputs")).click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Download all").click()
        with tarfile.open(download.value.path()) as archive:
            names = archive.getnames()
        assert {name.rpartition("/")[2] for name in names} >= {"manifest.json", "calls.vcf", "p.bam", "p.bam.bai"}
        page.get_by_role("button", name="Create order").click()
        page.get_by_role("button", name="Create order").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Family of the day")
        page.get_by_role("button", name="Browse variants").click()
        page.get_by_role("link", name="De novo", exact=True).click()
        expect(page.locator(".headline")).to_contain_text("1 of 255")
        page.get_by_role("link", name="DENOVO").click()
        expect(page.locator("#detail")).to_contain_text(NEEDLE)
        shared, shown = page.url, desk.text("#detail")
    with desk_of(browser, stack, COLLEAGUE) as desk:
        page = desk.page
        page.goto(shared)
        assert desk.text("#detail") == shown
        stack.submit("runs too long", runtime_seconds=600)
        desk.go("/analyses/runs-too-long")
        page.get_by_role("button", name="Cancel…").click()
        page.get_by_role("button", name="Cancel the analysis").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("cancelled", timeout=60_000)
        stack.until_status(stack.submit("fails", exit_code=3)["id"], "failed")
        desk.go("/analyses/fails")
        page.get_by_role("button", name="Mend the inputs and rerun").click()
        page.get_by_label("Exit code").fill("0")
        page.get_by_role("button", name="Run again", exact=True).first.click()
        page.wait_for_url(re.compile("/analyses/(?!new)"))
        expect(page.get_by_role("heading", level=1)).to_contain_text("succeeded", timeout=60_000)
    with desk_of(browser, stack, ADA) as desk:
        desk.go("/analyses/family-of-the-day")
        button = desk.page.get_by_role("button", name="Create order")
        assert button.locator("svg").count() == 1
        button.click()
        desk.page.get_by_role("button", name="Create order").click()
        expect(desk.page.get_by_role("heading", level=1)).to_contain_text("Family of the day 2")
