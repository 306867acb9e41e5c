"""How a job's uid and the address of its logs get into the document, whoever sees the job first.

Found by the simulation (tests/simulation): seeds 22 and 36 for the job that is not shown yet, 47 for the logs.
"""

from __future__ import annotations

from collections.abc import Callable

from shared.domain.job import JobState
from shared.ports import Ports
from shared.steps.observe import observe
from shared.steps.start import start
from shared.steps.store import Loaded
from tests.unit.steps.conftest import FakeEngine

Read = Callable[[], dict[str, object]]


def test_a_job_that_batch_does_not_show_yet_is_not_noted(
    ports: Ports, engine: FakeEngine, accepted: Loaded, stored: Read
) -> None:
    start(ports, accepted)  # CreateJob: it exists already; GetJob: not found
    assert stored()["job"]["uid"] is None
    assert stored()["logs_url"] is None
    engine.shows = JobState.QUEUED
    start(ports, accepted)
    assert stored()["job"]["uid"] == "uid-1"
    assert stored()["logs_url"] == "https://logs.example.org/uid-1"


def test_a_job_that_the_tracker_sees_first_has_its_logs_noted_too(
    ports: Ports, engine: FakeEngine, accepted: Loaded, stored: Read
) -> None:
    engine.shows = JobState.RUNNING  # submit died between CreateJob and its commit
    observe(ports, accepted)
    assert stored()["status"] == "running"
    assert stored()["logs_url"] == "https://logs.example.org/uid-1"
