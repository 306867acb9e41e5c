"""A real browser on the pages of a real stack: Debian's Chromium, driven by Playwright, judged by axe."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, sync_playwright

from tests.flow.stack import Stack

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).parents[2] / "build" / "assets" / "node_modules" / "axe-core" / "axe.min.js"
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)
"""https://playwright.dev/python/docs/api/class-browsertype#browser-type-launch-option-args"""

WIDE, NARROW = (1440, 900), (390, 844)
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
"""Tags of axe's rules: https://github.com/dequelabs/axe-core/blob/develop/doc/API.md#axe-core-tags"""


@contextmanager
def browser_started() -> Iterator[Browser]:
    """Skipped where there is no Chromium; in CI that is a failure."""
    if not CHROMIUM.exists():
        assert os.environ.get("CI") != "true", "there is no /usr/bin/chromium: apt-get install chromium"
        pytest.skip("there is no /usr/bin/chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(ARGUMENTS))
        yield browser
        browser.close()


@dataclass
class Desk:
    """Somebody at a browser. `broken` is what no page may do: errors in the console, or an address that is not ours."""

    stack: Stack
    context: BrowserContext
    page: Page
    project: str = "demo"
    broken: list[str] = field(default_factory=list)

    def go(self, path: str, **params: str) -> Response:
        """A path of the project's pages; the answer is 200."""
        query = "&".join(f"{name}={value}" for name, value in {"project": self.project, **params}.items())
        answer = self.page.goto(f"{self.stack.api}{path}{'&' if '?' in path else '?'}{query}")
        assert answer is not None and answer.status == 200, (path, answer and answer.status, self.page.content()[:500])
        return answer

    def text(self, selector: str = "main") -> str:
        return self.page.locator(selector).inner_text()

    def violations(self) -> list[str]:
        """What axe finds on the page as it is now: rule, and where. What igv.js draws is its own."""
        self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = self.page.evaluate(
            "rules => axe.run({exclude: ['#reads']}, {runOnly: {type: 'tag', values: rules}})", RULES
        )
        return [
            f"{each['id']}: {node['target']} {node['failureSummary']}"
            for each in found["violations"] for node in each["nodes"][:3]
        ]

    def is_narrower_than_its_content(self) -> bool:
        """Whether the whole page must be scrolled sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


@contextmanager
def desk_of(
    browser: Browser, stack: Stack, email: str, *, project: str = "demo", size: tuple[int, int] = WIDE,
    scheme: Any = "light", scripts: bool = True,
) -> Iterator[Desk]:
    """Signed in by the page for it."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, java_script_enabled=scripts,
        reduced_motion="reduce", accept_downloads=True, bypass_csp=False,
    )
    context.set_default_timeout(30_000)
    page = context.new_page()
    desk = Desk(stack, context, page, project)
    page.on("console", lambda said: desk.broken.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: desk.broken.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith((stack.api, "data:", "blob:"))
            else desk.broken.append(f"not ours: {asked.url}"))
    page.goto(f"{stack.api}/login")
    page.get_by_label("Another e-mail address").fill(email)
    page.get_by_role("button", name="Sign in", exact=True).click()
    try:
        yield desk
        assert not desk.broken, desk.broken
    finally:
        context.close()
