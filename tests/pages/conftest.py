"""`stack`: one whole stack for the pages of a module; `browser`: one Chromium."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.flow.stack import Stack, stack_over
from tests.pages.browser import browser_started

expect.set_options(timeout=30_000)
"""A loaded machine with two cores is allowed for."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for the session: Playwright's event loop runs as long, and tests of others run theirs in this thread."""
    with browser_started() as browser:
        yield browser


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with stack_over(tmp_path_factory.mktemp("stack")) as up:
        yield up
