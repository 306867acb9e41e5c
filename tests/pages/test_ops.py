"""What an operator does at night: see what failed, see why, play it again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from shared.delivery import Delivery
from shared.domain import paths
from shared.domain.analysis import Status
from shared.domain.clock import iso
from shared.domain.events import Topic
from shared.domain.member import Role
from shared.ports import Message
from shared.steps.announce import message_of
from shared.steps.dead_letters import keep
from shared.steps.members import put_member
from tests.builders import T0
from tests.flow.planted import an_old_one, plant
from tests.flow.stack import ADA, Stack, stack_over
from tests.flow.stacks import submit_event
from tests.pages.browser import NARROW, desk_of

ADMIN = "admin-of-demo@lab.example"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Whose reconciler leaves alone what is planted."""
    with stack_over(tmp_path_factory.mktemp("stack"), reconcile_every_s=3600) as up:
        yield up


def test_a_dead_letter_is_read_and_played_again(browser: Browser, stack: Stack) -> None:
    put_member(stack.ports, "demo", ADMIN, Role.ADMIN, by="test")
    message = message_of(submit_event("dead"))
    letter = Delivery("message-of-dead", message.data, message.attributes, message.ordering_key, iso(T0))
    keep(stack.ports, letter, "submit", "Firestore did not answer", attempts=10)
    with desk_of(browser, stack, ADMIN) as desk:
        desk.go("/ops")
        assert desk.violations() == []
        desk.page.get_by_role("link", name="submit").click()
        expect(desk.page.locator(".notice.bad")).to_contain_text("Firestore did not answer")
        assert desk.violations() == []
        desk.page.get_by_role("button", name="Replay").click()
        expect(desk.page.locator(".notice.good").last).to_contain_text(ADMIN)
    stack.until(lambda: stack.ports.documents.get(paths.analysis_doc("demo", paths.analysis_id("demo", "dead"))))
    stack.until_status(paths.analysis_id("demo", "dead"), "succeeded")


def test_a_rejection_says_why_and_shows_the_message(browser: Browser, stack: Stack) -> None:
    stack.ports.bus.publish(Topic.COMMANDS, Message(b'{"no": "event"}', {"type": "analysis.submit", "project": "demo"}))
    stack.until(lambda: stack.client.get("/ops/rejections").json()["items"] or None)
    with desk_of(browser, stack, ADA, size=NARROW, scheme="dark") as desk:
        desk.go("/ops", tab="rejections")
        assert desk.violations() == [] and not desk.is_narrower_than_its_content()
        desk.page.locator("[data-open]").first.click()
        expect(desk.page.get_by_label("Payload")).to_contain_text('"no"')
        assert desk.violations() == [] and not desk.is_narrower_than_its_content()


def test_what_is_silent_and_what_waits_is_shown(browser: Browser, stack: Stack) -> None:
    """A planted one: no job of it exists, and nothing was heard of it for long."""
    plant(stack, an_old_one("demo", "long silent", status=Status.QUEUED, updated_at=an_old_one("demo", "x").created_at))
    with desk_of(browser, stack, ADA) as desk:
        desk.go("/ops", tab="silent")
        expect(desk.page.locator("main")).to_contain_text("long silent")
        desk.go("/ops", tab="queues")
        expect(desk.page.locator("main")).to_contain_text("Nothing waits")
        desk.go("/ops", everywhere="true")
        expect(desk.page.locator("main")).to_contain_text("All projects")


def test_only_superadmins_see_what_is_not_of_a_project(browser: Browser, stack: Stack) -> None:
    """C72."""
    put_member(stack.ports, "demo", ADMIN, Role.ADMIN, by="test")
    with desk_of(browser, stack, ADMIN) as desk:
        desk.go("/ops", everywhere="true", tab="queues")
        assert "All projects" not in desk.text() and "Queues" not in desk.text()
