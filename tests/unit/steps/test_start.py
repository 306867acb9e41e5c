"""CreateJob's answers, and what became of the job that an earlier call may have made."""

from __future__ import annotations

from collections.abc import Callable

from shared.domain.job import JobState
from shared.ports import Ports
from shared.steps.start import start
from shared.steps.store import Loaded
from tests.unit.steps.conftest import FakeEngine

Read = Callable[[], dict[str, object]]


def test_a_refusal_of_a_repeat_does_not_fail_the_job_that_runs(
    ports: Ports, engine: FakeEngine, accepted: Loaded, stored: Read
) -> None:
    """The first CreateJob was applied and its answer lost; found by the simulation, seed 61."""
    engine.shows, engine.refuses = JobState.RUNNING, "the account may not create jobs any more"
    start(ports, accepted)
    assert stored()["status"] == "queued"
    assert stored()["job"]["uid"] == "uid-1"


def test_a_refusal_of_a_job_that_does_not_exist_fails_the_analysis(
    ports: Ports, engine: FakeEngine, accepted: Loaded, stored: Read
) -> None:
    """C07."""
    engine.refuses = "the account may not create jobs"
    start(ports, accepted)
    assert (stored()["status"], stored()["failure"]["kind"]) == ("failed", "rejected_by_batch")
    assert "the account may not create jobs" in stored()["failure"]["message"]
    assert stored()["unsent"] == []
