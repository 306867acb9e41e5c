"""The Engine port over Google's client: what every caller may rely on, against the local Batch server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.cloud import batch_v1
from google.cloud.batch_v1.services.batch_service.transports import BatchServiceGrpcTransport

from infra.local.batch import Fault, Quota, Refusal, write_faults
from shared.adapters.google.batch import BatchEngine, local_client
from shared.domain.errors import EngineRefused, Unavailable
from shared.domain.job import JobSeen, JobSpec, JobState, Runnable, TaskState
from tests.contract.batch_stack import MOUNT, PARENT, TOPIC, Stack, State, eventually, running

SPEC = JobSpec(
    parent=PARENT,
    job_id="a-1",
    runnables=(Runnable("example.org/tool:1", ("/bin/true",)),),
    environment={"OUT": MOUNT},
    bucket="lab",
    mount_path=MOUNT,
    machine_type="e2-standard-2",
    cpu_milli=2000,
    memory_mib=4096,
    boot_disk_mib=10240,
    spot=True,
    task_count=1,
    parallelism=1,
    max_retries=0,
    retry_exit_codes=(50001,),
    max_run_seconds=60,
    labels={"analysis": "1", "project": "lab", "pipeline": "germline-calls"},
    notify_topic="batch-events",
)


class Recorder(grpc.UnaryUnaryClientInterceptor):  # type: ignore[type-arg]
    """The names of the calls that leave the client."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def intercept_unary_unary(self, proceed: Any, details: Any, request: Any) -> Any:
        self.calls.append(details.method.rsplit("/", 1)[1])
        return proceed(details, request)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running(tmp_path) as stack:
        yield stack


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def engine(stack: Stack, recorder: Recorder) -> Iterator[BatchEngine]:
    channel = grpc.intercept_channel(grpc.insecure_channel(stack.address), recorder)
    with batch_v1.BatchServiceClient(transport=BatchServiceGrpcTransport(channel=channel)) as client:
        yield BatchEngine(client, read_deadline_s=2.0, write_deadline_s=2.0)


def shell(script: str) -> JobSpec:
    return replace(SPEC, runnables=(Runnable("example.org/tool:1", ("/bin/sh", "-c", script)),))


def until(engine: BatchEngine, state: JobState) -> JobSeen:
    seen: JobSeen = eventually(lambda: (seen := engine.describe(SPEC.name)).state is state and seen)
    return seen


def test_a_job_is_started_and_described_to_its_end(stack: Stack, engine: BatchEngine) -> None:
    started = engine.start(SPEC)
    assert (started.name, started.state, started.tasks) == (SPEC.name, JobState.QUEUED, ())
    assert started.uid and started.created_at
    seen = until(engine, JobState.SUCCEEDED)
    assert (seen.uid, seen.tasks_total, len(seen.events)) == (started.uid, 1, 3)
    (task,) = seen.tasks
    assert (task.index, task.state) == (0, TaskState.SUCCEEDED)
    assert [event.exit_code for event in task.events] == [None, None, None]
    assert seen.created_at is not None and seen.created_at <= seen.events[0].at <= seen.events[-1].at
    assert {note.topic for note in stack.notes_until("SUCCEEDED")} == {TOPIC}


def test_labels_reach_the_job_and_its_vms(stack: Stack, engine: BatchEngine) -> None:
    """C29"""
    engine.start(SPEC)
    job = stack.get("a-1")
    assert dict(job.labels) == dict(job.allocation_policy.labels) == SPEC.labels


def test_a_failure_shows_its_exit_code(engine: BatchEngine) -> None:
    engine.start(shell("exit 7"))
    (task,) = until(engine, JobState.FAILED).tasks
    assert [event.exit_code for event in task.events] == [None, None, 7]


def test_a_start_whose_answer_was_lost_is_repeated_without_a_second_job(stack: Stack, engine: BatchEngine) -> None:
    """C01"""
    write_faults(stack.state_dir, Fault(create_then_unavailable=1))
    with pytest.raises(Unavailable, match=r"create .*a-1"):
        engine.start(SPEC)
    assert engine.start(SPEC).uid == engine.start(SPEC).uid == stack.get("a-1").uid
    assert len(list(stack.client.list_jobs(parent=PARENT))) == 1


def test_a_job_that_somebody_else_created_under_the_id_is_described(stack: Stack, engine: BatchEngine) -> None:
    """C01"""
    uid = stack.submit("a-1", "/bin/true").uid
    assert engine.start(SPEC).uid == uid


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "PERMISSION_DENIED", "FAILED_PRECONDITION"])
def test_a_refusal_is_permanent_and_has_batchs_sentence(stack: Stack, engine: BatchEngine, code: Any) -> None:
    """C07"""
    write_faults(stack.state_dir, Fault(refuse_create=Refusal(code=code, text="machine type x is not there")))
    with pytest.raises(EngineRefused) as caught:
        engine.start(SPEC)
    assert (caught.value.code, caught.value.sentence) == (code, "machine type x is not there")
    assert engine.describe(SPEC.name) == JobSeen.missing(SPEC.name)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL"])
def test_what_may_pass_is_unavailable(stack: Stack, engine: BatchEngine, code: Any) -> None:
    write_faults(stack.state_dir, Fault(refuse_create=Refusal(code=code, text="later")))
    with pytest.raises(Unavailable, match="later"):
        engine.start(SPEC)


def test_no_answer_in_time_is_unavailable(stack: Stack) -> None:
    engine = BatchEngine(local_client(stack.address), read_deadline_s=0.05, write_deadline_s=0.05)
    stack.submit("a-1", "/bin/true")
    write_faults(stack.state_dir, Fault(answer_after_s=0.3))
    for call in (lambda: engine.start(SPEC), lambda: engine.describe(SPEC.name), lambda: engine.cancel(SPEC.name)):
        with pytest.raises(Unavailable):
            call()


def test_no_server_is_unavailable(tmp_path: Path) -> None:
    with running(tmp_path) as stack:
        address = stack.address
    with pytest.raises(Unavailable):
        BatchEngine(local_client(address)).describe(SPEC.name)


def test_a_missing_job_is_an_answer(stack: Stack, engine: BatchEngine) -> None:
    """C11, C13"""
    assert engine.describe(SPEC.name) == JobSeen.missing(SPEC.name)
    engine.start(SPEC)
    write_faults(stack.state_dir, Fault(lose=True))
    assert engine.describe(SPEC.name).state is JobState.NOT_FOUND
    write_faults(stack.state_dir)
    until(engine, JobState.SUCCEEDED)


def test_tasks_are_asked_for_only_when_there_may_be_some(stack: Stack, engine: BatchEngine, recorder: Recorder) -> None:
    write_faults(stack.state_dir, Fault(quota=Quota()))
    engine.start(SPEC)
    assert engine.describe(SPEC.name).state is JobState.QUEUED
    assert recorder.calls == ["CreateJob", "GetJob"]
    write_faults(stack.state_dir)
    stack.until("a-1", State.SUCCEEDED)
    assert len(engine.describe(SPEC.name).tasks) == 1
    assert recorder.calls == ["CreateJob", "GetJob", "GetJob", "ListTasks"]


def test_a_job_without_tasks_that_failed_is_described(stack: Stack, engine: BatchEngine) -> None:
    """C08"""
    write_faults(stack.state_dir, Fault(fail_before_start="acceleratorTypes/x was not found"))
    engine.start(SPEC)
    seen = until(engine, JobState.FAILED)
    assert seen.tasks == () and "acceleratorTypes/x" in seen.events[1].description


def test_cancel_is_confirmed_by_describe_and_deletes_nothing(
    stack: Stack, engine: BatchEngine, recorder: Recorder
) -> None:
    """C24"""
    engine.start(shell("touch $OUT/up; sleep 60"))
    stack.file_is_there("up")
    engine.cancel(SPEC.name)
    until(engine, JobState.CANCELLED)
    assert "CancelJob" in recorder.calls and "DeleteJob" not in recorder.calls


def test_cancel_of_what_cannot_be_cancelled_is_no_error(stack: Stack, engine: BatchEngine) -> None:
    """C27"""
    engine.cancel(SPEC.name)
    engine.start(shell("trap '' TERM; touch $OUT/up; while :; do sleep 1; done"))
    stack.file_is_there("up")
    stack.cancel("a-1")
    engine.cancel(SPEC.name)
    until(engine, JobState.CANCELLED)
    engine.cancel(SPEC.name)
    stack.submit("a-2", "/bin/true")
    stack.until("a-2", State.SUCCEEDED)
    engine.cancel(f"{PARENT}/jobs/a-2")


def test_cancel_that_is_unavailable_can_be_repeated(stack: Stack, engine: BatchEngine) -> None:
    """C22"""
    write_faults(stack.state_dir, Fault(cancel_unavailable=3))
    engine.start(shell("sleep 60"))
    for _ in range(3):
        with pytest.raises(Unavailable, match="cancel"):
            engine.cancel(SPEC.name)
    engine.cancel(SPEC.name)
    until(engine, JobState.CANCELLED)
