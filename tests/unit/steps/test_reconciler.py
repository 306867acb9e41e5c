"""One round of the reconciler: what it leaves alone, and what must not hold up the others."""

from __future__ import annotations

from collections.abc import Callable

from services.reconciler.handler import reconcile
from shared.delivery import Delivery
from shared.domain.job import JobState
from shared.ports import Create, Ports
from shared.steps.start import start
from shared.steps.store import Loaded
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
