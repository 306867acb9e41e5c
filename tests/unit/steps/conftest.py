"""Ports over memory, a project with one accepted analysis, and an engine that answers what a test puts into it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.documents import MemoryDocuments
from shared.adapters.memory.objects import MemoryObjects
from shared.domain import paths
from shared.domain.errors import EngineRefused
from shared.domain.job import JobSeen, JobSpec, JobState
from shared.domain.lifecycle import Rules
from shared.domain.pipeline import Pipeline
from shared.domain.policy import Policy
from shared.domain.project import Project
from shared.domain.request import SubmitRequest
from shared.ports import LogPart, LogTail, Ports
from shared.steps.accept import accept
from shared.steps.register import register_pipeline, register_project
from shared.steps.store import Loaded
from shared.topology import topology
from tests.contract.clock import FakeClock


@dataclass
class FakeEngine:
    """`shows` is the state that GetJob has for the job, `refuses` what CreateJob says to it."""

    shows: JobState = JobState.NOT_FOUND
    refuses: str | None = None
    started: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def start(self, spec: JobSpec) -> JobSeen:
        if self.refuses:
            raise EngineRefused("PERMISSION_DENIED", self.refuses)
        self.started.append(spec.name)
        return self.describe(spec.name)

    def describe(self, name: str) -> JobSeen:
        return JobSeen.missing(name) if self.shows is JobState.NOT_FOUND else JobSeen(name, self.shows, uid="uid-1")

    def cancel(self, name: str) -> None:
        self.cancelled.append(name)


class NoLogs:
    poll_s = 1.0

    def tail(self, job_uid: str, task: int, *, max_bytes: int) -> LogTail:
        del job_uid, task, max_bytes
        return LogTail(b"", 0, "")

    def after(self, job_uid: str, task: int, mark: str, *, max_bytes: int) -> LogPart:
        del job_uid, task, max_bytes
        return LogPart(b"", mark)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def ports(clock: FakeClock, engine: FakeEngine) -> Ports:
    return Ports(
        documents=MemoryDocuments(), bus=MemoryBus(topology(), clock), objects=MemoryObjects(clock), engine=engine,
        uploads=None, logs=NoLogs(), clock=clock, rules=Rules(Policy(), {}), new_id=lambda: "id",
        launch=lambda analysis, holder: 0, logs_url=lambda uid: f"https://logs.example.org/{uid}",
        notify_topic="batch-events",
    )


@pytest.fixture
def accepted(ports: Ports) -> Loaded:
    register_project(ports, Project(
        id="alpha", title="Alpha", bucket="bucket", google_project="local", region="us-central1",
        created_at=ports.clock(),
    ))
    register_pipeline(ports, "alpha", _PIPELINE, by="operator@example.org")
    request = SubmitRequest(
        request_id="r", project="alpha", display_id="WGS 1", pipeline="calls", inputs={},
        requested_by="person@example.org",
    )
    return accept(ports, request, source="test")


@pytest.fixture
def stored(ports: Ports) -> Callable[[], dict[str, object]]:
    """The analysis document as it stands now."""
    path = paths.analysis_doc("alpha", paths.analysis_id("alpha", "r"))
    return lambda: dict(ports.documents.get(path).data)


_PIPELINE = Pipeline.model_validate({
    "slug": "calls", "version": "1.0.0", "title": "Calls", "inputs": {"type": "object"},
    "runnables": [{"image": "calls:1", "command": ["run"]}],
    "resources": {
        "machine_type": "e2-small", "cpu_milli": 1000, "memory_mib": 512, "boot_disk_mib": 10_240, "spot": False
    },
    "max_run_seconds": 3_600, "price_table": "none",
    "outputs": [{"glob": "calls.vcf", "kind": "vcf", "required": False}],
})
