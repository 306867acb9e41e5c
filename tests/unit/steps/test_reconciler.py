"""One round of the reconciler: what it leaves alone, and what must not hold up the others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from services.reconciler.handler import LOOKS_A_ROUND, reconcile, turn
from shared.delivery import Delivery
from shared.domain.analysis import Analysis
from shared.domain.job import JobState
from shared.domain.lifecycle import request_cancel
from shared.domain.policy import Policy
from shared.domain.silence import due
from shared.ports import Create, Ports
from shared.steps.observe import observe
from shared.steps.start import start
from shared.steps.store import Loaded
from tests.builders import after, at, running
from tests.contract.clock import FakeClock
from tests.unit.steps.conftest import FakeEngine

TICK = Delivery("tick", b"{}", {}, "", "")


def test_a_document_that_nobody_understands_holds_up_no_other(
    ports: Ports, engine: FakeEngine, clock: FakeClock, accepted: Loaded, stored: Callable[[], dict[str, object]]
) -> None:
    alien = {**accepted.analysis.to_document(), "id": "0", "from_a_newer_version": 1, "updated_at": "2026-01-01"}
    ports.documents.commit([Create("projects/alpha/analyses/0", alien)])
    engine.shows = JobState.RUNNING
    clock.pass_s(60)
    reconcile(TICK, ports)
    assert stored()["status"] == "running"


def test_nobody_is_asked_to_ingest_what_has_not_succeeded(
    ports: Ports, engine: FakeEngine, clock: FakeClock, accepted: Loaded
) -> None:
    engine.shows = JobState.QUEUED
    start(ports, accepted)
    clock.pass_s(120)
    reconcile(TICK, ports)
    assert "reingest" not in ports.bus.depth()


def test_a_run_that_no_notification_told_of_is_asked_about_in_every_round() -> None:
    """C12: whatever its age; so is one that is to be cancelled (C22) or that Batch does not know (C13)."""
    told = _told(running())
    for alone in (
        running(), after(request_cancel(told, "a", told.updated_at)),
        told.changed(job=told.job.model_copy(update={"missing_since": told.updated_at})),
    ):
        assert _looks(alone, minutes=240) == list(range(1, 241))


def test_a_run_whose_notifications_come_is_asked_about_in_every_fifth_round() -> None:
    assert _looks(_told(running()), minutes=480) == list(range(5, 481, 5))


def test_more_than_a_round_can_ask_about_take_turns() -> None:
    """C28: none starves."""
    paths = [str(n) for n in range(LOOKS_A_ROUND * 3 + 1)]
    rounds = [turn(paths, at(60 * n)) for n in range(4)]
    assert {path for asked in rounds for path in asked} == set(paths)
    assert {len(asked) for asked in rounds} == {LOOKS_A_ROUND}


def test_a_notification_leaves_its_mark_with_the_change_that_it_brings_and_the_reconciler_none(
    ports: Ports, engine: FakeEngine, clock: FakeClock, accepted: Loaded, stored: Callable[[], dict[str, object]]
) -> None:
    engine.shows = JobState.SCHEDULED
    loaded = observe(ports, start(ports, accepted))
    assert not loaded.analysis.job.noticed
    assert observe(ports, loaded, noticed=True).version == loaded.version, "nothing new: nothing is written"
    engine.shows = JobState.RUNNING
    loaded = observe(ports, loaded, noticed=True)
    assert loaded.analysis.job.noticed
    engine.shows = JobState.SUCCEEDED
    clock.pass_s(4 * 60)
    reconcile(TICK, ports)
    assert stored()["status"] == "running", "its notification is waited for"
    clock.pass_s(60)
    reconcile(TICK, ports)
    assert stored()["status"] == "succeeded"


def _told(analysis: Analysis) -> Analysis:
    return analysis.changed(job=analysis.job.model_copy(update={"noticed": True}))


def _looks(analysis: Analysis, *, minutes: int) -> list[int]:
    return [n for n in range(1, minutes + 1) if due(analysis, analysis.updated_at + timedelta(minutes=n), Policy())]
