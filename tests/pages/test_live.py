"""Lists and pages change as the analysis does, without a reload; a page that nobody looks at holds no stream."""

from __future__ import annotations

from playwright.sync_api import Browser, Page, expect

from tests.flow.stack import ADA, Stack
from tests.pages.browser import desk_of


def looked_at(page: Page, state: str) -> None:
    page.evaluate(
        """state => { Object.defineProperty(document, 'visibilityState', {value: state, configurable: true});
                      document.dispatchEvent(new Event('visibilitychange')); }""", state,
    )


def test_a_list_shows_what_changes_and_keeps_what_is_ticked(browser: Browser, stack: Stack) -> None:
    stack.until_status(stack.submit("already there")["id"], "succeeded")
    with desk_of(browser, stack, ADA) as desk:
        streams: list[str] = []
        desk.page.on("request", lambda asked: streams.append(asked.url) if asked.url.endswith("/events?project=demo")
                     else None)
        desk.go("/analyses")
        desk.page.get_by_label("Tick already there").check()
        stack.submit("new in the list", runtime_seconds=0)
        row = desk.page.locator("tr", has_text="new in the list")
        expect(row).to_contain_text("succeeded", timeout=30_000)
        assert desk.page.get_by_label("Tick already there").is_checked()
        expect(desk.page.locator("[data-ticked]")).to_have_text("1")
        begun = len(streams)
        looked_at(desk.page, "hidden")
        stack.until_status(stack.submit("while nobody looked")["id"], "succeeded")
        assert desk.page.locator("tr", has_text="while nobody looked").count() == 0
        looked_at(desk.page, "visible")
        expect(desk.page.locator("tr", has_text="while nobody looked")).to_contain_text("succeeded", timeout=30_000)
        assert len(streams) == begun + 1
