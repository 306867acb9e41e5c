"""One analysis that is too large for a document, and one that everybody wants at once, through the real handlers.

Run against every adapter of Documents; what Firestore would refuse or hold up is what they are about.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.status_tracker.handler import cancel, track
from services.submit.handler import submit
from shared.adapters.google.batch import BatchEngine
from shared.adapters.google.values import encode
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.objects import MemoryObjects
from shared.delivery import Delivery
from shared.domain import paths
from shared.domain.analysis import HEAD_OF_OUTPUTS, Analysis, Status
from shared.domain.clock import iso
from shared.domain.job import JobSeen, JobSpec, JobState
from shared.domain.lifecycle import Rules, request_cancel
from shared.domain.part import HEAD_OF_HISTORY, Change
from shared.domain.policy import Policy
from shared.ports import Documents, Engine, LogTail, Ports, Update
from shared.steps.inputs import whole_inputs
from shared.steps.outputs import every_output
from shared.steps.register import register_pipeline, register_project
from shared.steps.store import decide, load
from shared.topology import topology
from tests.builders import PROJECT, QUEUED, RUNNING, SCHEDULED, a_job, a_pipeline, moved
from tests.contract import batch_stack

BAR_BYTES = 500_000
"""The design's: half of what Firestore holds, so that a cancel always has room."""

PATH = paths.analysis_doc("lab", paths.analysis_id("lab", "r-1"))


@dataclass
class Jobs:
    """An engine that says of every job what a test puts into it."""

    seen: JobSeen = field(default_factory=lambda: a_job(JobState.QUEUED, QUEUED))
    cancelled: list[str] = field(default_factory=list)

    def start(self, spec: JobSpec) -> JobSeen:
        return replace(self.seen, name=spec.name)

    def describe(self, name: str) -> JobSeen:
        return replace(self.seen, name=name)

    def cancel(self, name: str) -> None:
        self.cancelled.append(name)


class NoLogs:
    def tail(self, job_uid: str, task: int, *, max_bytes: int) -> LogTail:
        return LogTail(b"", 0, "")


def now() -> datetime:
    return datetime.now(UTC)


def ports_over(documents: Documents, engine: Engine) -> Ports:
    made = Ports(
        documents=documents, bus=MemoryBus(topology(), now), objects=MemoryObjects(now), engine=engine, logs=NoLogs(),
        uploads=None,
        clock=now, rules=Rules(Policy(), {}), new_id=lambda: "id", launch=lambda *_: None,
        logs_url=lambda uid: f"https://logs.example.org/{uid}", notify_topic="batch-events",
    )
    register_project(made, PROJECT)
    register_pipeline(made, "lab", a_pipeline(
        inputs={"type": "object"},
        runnables=[{"image": "lab/calls:1", "command": ["sleep", "60"]}],
        outputs=[{"glob": "calls.vcf.gz", "kind": "vcf", "required": True}],
    ), by="operator@lab.example")
    return made


@pytest.fixture
def engine() -> Jobs:
    return Jobs()


@pytest.fixture
def ports(documents: Documents, engine: Jobs) -> Ports:
    return ports_over(documents, engine)


def a_submit(inputs: Mapping[str, Any]) -> Delivery:
    event = {
        "id": "e-1", "type": "analysis.submit", "source": "test", "subject": "r-1", "project": "lab",
        "time": iso(now()),
        "data": {
            "request_id": "r-1", "display_id": "WGS 12/A", "pipeline": "calls", "inputs": inputs,
            "requested_by": "dr.a@lab.example",
        },
    }
    return Delivery("m-1", json.dumps(event, ensure_ascii=False).encode(), {"type": "analysis.submit"}, "r-1", "")


def a_hint(state: str, number: int = 0) -> Delivery:
    name = f"projects/123456/locations/us-central1/jobs/{paths.job_id(PATH.rpartition('/')[2])}"
    attributes = {"JobName": name, "NewJobState": state, "Type": "JOB_STATE_CHANGED", "Region": "us-central1"}
    return Delivery(f"hint-{number}", b"Job state was updated", attributes, "", "")


def stored(ports: Ports) -> Analysis:
    return load(ports.documents, PATH).analysis


def firestore_bytes(analysis: Analysis) -> int:
    """As Firestore reckons; `encode` refuses more than 1 MiB."""
    fields = encode(analysis.doc_path, analysis.to_document())
    return sum(len(name) + value.ByteSize() for name, value in fields.items())  # its own encoding is not longer


def test_c82_an_analysis_that_would_not_fit_is_handled_from_its_request_to_its_end(ports: Ports, engine: Jobs) -> None:
    """Inputs of 900 kB, 20,000 outputs, metrics of 5 MB."""
    inputs = {"panel": "heart", "genes": [f"GENE{n:06}" for n in range(70_000)]}
    assert 900_000 < len(json.dumps(inputs)) < 990_000
    submit(a_submit(inputs), ports)
    accepted = stored(ports)
    assert accepted.inputs == {"panel": "heart"}
    assert whole_inputs(ports, accepted) == inputs
    task = json.loads(ports.objects.read("lab-bucket", f"{accepted.folder}request/inputs.json"))
    assert task == inputs

    for n in range(20_000):
        ports.objects.write("lab-bucket", f"{accepted.folder}per-gene/{n:06}-{'x' * 100}.txt", b"1")
    ports.objects.write("lab-bucket", f"{accepted.folder}calls.vcf.gz", b"1")
    ports.objects.write("lab-bucket", f"{accepted.folder}metrics.json", b'{"x": "' + b"y" * 5_000_000 + b'"}')
    engine.seen = a_job(JobState.SUCCEEDED, QUEUED, SCHEDULED, RUNNING, moved("RUNNING", "SUCCEEDED", 1021))
    track(a_hint("SUCCEEDED"), ports)
    ended = stored(ports)
    assert ended.status is Status.SUCCEEDED
    assert (len(ended.outputs), ended.outputs_total) == (HEAD_OF_OUTPUTS, len(every_output(ports, ended)))
    assert ended.outputs_total > 20_000
    assert "metrics.json is larger" in ended.metrics.note
    assert firestore_bytes(ended) < BAR_BYTES


def test_c82_a_document_at_all_its_bounds_still_takes_a_cancel(ports: Ports, engine: Jobs) -> None:
    """5,000 history lines of the longest kind, inputs just under their bound, a message of megabytes."""
    submit(a_submit({"text": "x" * 63_900}), ports)
    found = load(ports.documents, PATH)
    full = found.analysis
    for n in range(5_000):
        full = full.with_history(Change(
            at=now(), from_="running", to="running", by="batch", source="GetJob", reason=f"{n} {'why ' * 124}"
        ))
    ports.documents.commit([Update(PATH, full.to_document(), found.version)])
    assert (len(stored(ports).history), stored(ports).history_total) == (HEAD_OF_HISTORY, 5_001)
    decide(ports.documents, PATH, lambda current: request_cancel(current, "dr.b@lab.example", now()))
    assert stored(ports).cancel_requested.by == "dr.b@lab.example"
    sentence = f"Batch Error: code - CODE_GCE_INVALID_FIELD_VALUE, description - {'z' * 2_000_000}"
    engine.seen = a_job(
        JobState.FAILED, QUEUED, moved("QUEUED", "FAILED", 5), replace(QUEUED, description=sentence)
    )
    track(a_hint("FAILED"), ports)
    ended = stored(ports)
    assert ended.status is Status.FAILED
    assert ended.failure is not None
    assert len(ended.failure.message) < 5_000
    assert firestore_bytes(ended) < BAR_BYTES


def test_c82_a_hint_that_says_nothing_new_writes_nothing(ports: Ports, engine: Jobs) -> None:
    submit(a_submit({}), ports)
    engine.seen = a_job(JobState.RUNNING, QUEUED, SCHEDULED, RUNNING)
    track(a_hint("RUNNING"), ports)
    before = load(ports.documents, PATH).version
    for n in range(100):
        track(a_hint(["RUNNING", "QUEUED", "SCHEDULED"][n % 3], n), ports)
    assert load(ports.documents, PATH).version == before


# -- contention ---------------------------------------------------------------------------------------------------


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[batch_stack.Stack]:
    with batch_stack.running(tmp_path) as stack:
        yield stack


def test_c83_forty_hints_and_a_cancel_at_once(documents: Documents, batch: batch_stack.Stack) -> None:
    ports = ports_over(documents, BatchEngine(batch.client))
    submit(a_submit({}), ports)
    job = stored(ports).job.name
    batch_stack.eventually(lambda: batch.client.get_job(name=job).status.state == batch_stack.State.RUNNING)

    def ask_to_cancel() -> None:
        loaded, _ = decide(ports.documents, PATH, lambda current: request_cancel(current, "dr.b@lab.example", now()))
        command = next(event for event in loaded.analysis.unsent if event.type == "analysis.cancel")
        cancel(Delivery("c", command.to_bytes(), command.attributes(), "", ""), ports)

    began = time.monotonic()
    with ThreadPoolExecutor(41) as pool:
        asked = [pool.submit(track, a_hint("RUNNING", n), ports) for n in range(20)]
        asked.append(pool.submit(ask_to_cancel))
        asked += [pool.submit(track, a_hint("RUNNING", n), ports) for n in range(20, 40)]
        for each in asked:
            each.result()  # no error leaves a handler
    assert time.monotonic() - began < 10

    assert stored(ports).cancel_requested.by == "dr.b@lab.example", "no change is lost"
    batch_stack.eventually(lambda: batch.client.get_job(name=job).status.state == batch_stack.State.CANCELLED)
    track(a_hint("CANCELLED"), ports)
    ended = stored(ports)
    assert ended.status is Status.CANCELLED
    assert [change.to for change in ended.history] == ["queued", "running", "cancelled"]


def test_c17_one_notification_three_times_at_once_and_a_day_later_is_one_change(ports: Ports, engine: Jobs) -> None:
    submit(a_submit({}), ports)
    engine.seen = a_job(JobState.RUNNING, QUEUED, SCHEDULED, RUNNING)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda n: track(a_hint("RUNNING"), ports), range(3)))
    once = stored(ports)
    track(a_hint("RUNNING", number=1), ports)
    assert stored(ports) == once
    assert [change.to for change in once.history] == ["queued", "running"]


@pytest.mark.parametrize("bare", ["attributes", "data"])
def test_c18_a_notification_without_attributes_or_without_data_is_understood(
    ports: Ports, engine: Jobs, bare: str
) -> None:
    submit(a_submit({}), ports)
    engine.seen = a_job(JobState.RUNNING, QUEUED, SCHEDULED, RUNNING)
    hint = a_hint("RUNNING")
    text = f"Job state was updated: jobName={hint.attributes['JobName']}, jobUID=x, currentState=RUNNING"
    track(replace(hint, attributes={}, data=text.encode()) if bare == "attributes" else replace(hint, data=b""), ports)
    assert stored(ports).status is Status.RUNNING
