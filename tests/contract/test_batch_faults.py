"""What the local Batch server does wrong on request, each fault as the real service has been seen to do it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.cloud import batch_v1

from infra.local.batch import Fault, Notify, Preempt, Quota, Refusal, write_faults
from tests.contract.batch_stack import PARENT, Note, Stack, State, describe, eventually, running, times

TaskState = batch_v1.TaskStatus.State


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with running(tmp_path) as stack:
        yield stack


def states(notes: list[Note]) -> list[str]:
    return [note.state for note in notes if note.of_job]


def test_preempted_attempts_leave_batchs_events_and_none_sticks_to_the_success(stack: Stack) -> None:
    """C09"""
    write_faults(stack.state_dir, Fault(preempt=Preempt(attempts=1)))
    stack.shell("a-1", "[ $BATCH_TASK_RETRY_ATTEMPT = 1 ] || sleep 60", max_retry_count=1)
    stack.until("a-1", State.SUCCEEDED)
    events = stack.tasks("a-1")[0].status.status_events
    told = [(event.task_state, event.task_execution.exit_code, "task_execution" in event) for event in events]
    assert [(state, code if there else None) for state, code, there in told] == [
        (TaskState.ASSIGNED, None), (TaskState.RUNNING, None), (TaskState.FAILED, 50001),
        (TaskState.ASSIGNED, None), (TaskState.RUNNING, None), (TaskState.SUCCEEDED, None),
    ]  # fmt: skip
    lost, found = events[2].description, events[3].description
    assert lost.endswith(" due to Spot VM preemption with exit code 50001.")
    assert lost.split("/instances/")[1].split()[0] not in found  # another VM


def test_a_job_without_retries_fails_by_preemption(stack: Stack) -> None:
    write_faults(stack.state_dir, Fault(preempt=Preempt(attempts=1, after_s=0.05)))
    stack.shell("a-1", "touch $OUT/begun; sleep 60")
    job = stack.until("a-1", State.FAILED)
    assert "due to Spot VM preemption" in job.status.status_events[-1].description
    assert (stack.bucket / "begun").exists()


def test_quota_keeps_a_job_queued_and_says_so_until_it_is_there(stack: Stack) -> None:
    """The event of C19"""
    write_faults(stack.state_dir, Fault(quota=Quota(name="CPUS", limit=0.0)))
    stack.submit("a-1", "/bin/true")
    job = eventually(lambda: (job := stack.get("a-1")).status.status_events and job)
    (event,) = job.status.status_events
    assert job.status.state == State.QUEUED and event.type_ == "OPERATIONAL_INFO"
    assert "CODE_GCE_QUOTA_EXCEEDED" in event.description
    assert event.description.endswith("Quota 'CPUS' exceeded.  Limit: 0.0 in region us-central1.")
    write_faults(stack.state_dir)
    assert len(stack.until("a-1", State.SUCCEEDED).status.status_events) == 4


def test_quota_can_be_short_for_a_while(stack: Stack) -> None:
    write_faults(stack.state_dir, Fault(quota=Quota(seconds=0.2)))
    stack.submit("a-1", "/bin/true")
    job = stack.until("a-1", State.SUCCEEDED)
    quota, scheduled, *_ = times(job)
    assert (scheduled - quota).total_seconds() >= 0.15


def test_a_job_can_fail_before_it_has_any_task(stack: Stack) -> None:
    """The shape of C08"""
    reason = "Batch Error: code - CODE_GCE_INVALID_FIELD_VALUE, description - acceleratorTypes/x was not found"
    write_faults(stack.state_dir, Fault(fail_before_start=reason))
    stack.submit("a-1", "/bin/true")
    job = stack.until("a-1", State.FAILED)
    assert stack.tasks("a-1") == []
    assert describe(job.status.status_events)[1] == f"Job gets non-retryable information {reason}"
    assert not any("RUNNING" in line for line in describe(job.status.status_events))


def test_create_is_refused_with_the_code_and_the_text(stack: Stack) -> None:
    """The refusals of C07"""
    write_faults(
        stack.state_dir,
        Fault(jobs="a-*", refuse_create=Refusal(code="PERMISSION_DENIED", text="no actAs on x")),
    )
    with pytest.raises(exceptions.PermissionDenied, match="no actAs on x"):
        stack.submit("a-1", "/bin/true")
    stack.submit("b-1", "/bin/true")


def test_create_can_be_applied_and_yet_answer_unavailable(stack: Stack) -> None:
    """The loss of C01"""
    write_faults(stack.state_dir, Fault(create_then_unavailable=1))
    with pytest.raises(exceptions.ServiceUnavailable):
        stack.submit("a-1", "/bin/true")
    with pytest.raises(exceptions.AlreadyExists):
        stack.submit("a-1", "/bin/true")
    stack.until("a-1", State.SUCCEEDED)


def test_cancel_is_unavailable_so_many_times(stack: Stack) -> None:
    """The fault of C22"""
    write_faults(stack.state_dir, Fault(cancel_unavailable=2))
    stack.shell("a-1", "sleep 60")
    for _ in range(2):
        with pytest.raises(exceptions.ServiceUnavailable):
            stack.cancel("a-1")
    stack.cancel("a-1")
    stack.until("a-1", State.CANCELLED)


def test_a_lost_job_is_nowhere_to_be_found_and_can_come_back(stack: Stack) -> None:
    """The losses of C11 and C13"""
    stack.submit("a-1", "/bin/true")
    stack.until("a-1", State.SUCCEEDED)
    write_faults(stack.state_dir, Fault(jobs="a-1", lose=True))
    with pytest.raises(exceptions.NotFound):
        stack.get("a-1")
    with pytest.raises(exceptions.NotFound):
        stack.tasks("a-1")
    assert list(stack.client.list_jobs(parent=PARENT)) == []
    write_faults(stack.state_dir)
    assert stack.get("a-1").status.state == State.SUCCEEDED


def test_answers_can_be_slower_than_a_deadline_and_others_are_not(stack: Stack) -> None:
    stack.submit("a-1", "/bin/true")
    stack.submit("b-1", "/bin/true")
    write_faults(stack.state_dir, Fault(jobs="a-1", answer_after_s=0.5))
    with pytest.raises(exceptions.DeadlineExceeded):
        stack.client.get_job(name=f"{PARENT}/jobs/a-1", timeout=0.05, retry=None)
    stack.client.get_job(name=f"{PARENT}/jobs/b-1", timeout=0.4, retry=None)


def test_notifications_are_dropped(stack: Stack) -> None:
    write_faults(stack.state_dir, Fault(jobs="a-1", notify=Notify(drop=True)))
    stack.submit("a-1", "/bin/true")
    stack.until("a-1", State.SUCCEEDED)
    stack.submit("b-1", "/bin/true")
    assert "/jobs/b-1" in stack.note().data


def test_notifications_of_some_states_are_dropped(stack: Stack) -> None:
    write_faults(stack.state_dir, Fault(notify=Notify(states=("SCHEDULED", "RUNNING"), drop=True)))
    stack.submit("a-1", "/bin/true")
    assert states(stack.notes_until("SUCCEEDED")) == ["QUEUED", "SUCCEEDED"]


def test_notifications_are_duplicated(stack: Stack) -> None:
    write_faults(stack.state_dir, Fault(notify=Notify(states=("QUEUED", "SCHEDULED"), duplicate=2)))
    stack.submit("a-1", "/bin/true")
    assert states(stack.notes_until("SUCCEEDED"))[:6] == ["QUEUED"] * 3 + ["SCHEDULED"] * 3


def test_notifications_are_sent_last_first(stack: Stack) -> None:
    write_faults(stack.state_dir, Fault(notify=Notify(reorder=10)))
    stack.submit("a-1", "/bin/true")
    assert states(stack.notes_until("QUEUED")) == ["SUCCEEDED", "RUNNING", "SCHEDULED", "QUEUED"]


def test_notifications_are_delayed(stack: Stack) -> None:
    write_faults(stack.state_dir, Fault(notify=Notify(states=("QUEUED",), delay_s=0.3)))
    began = time.monotonic()
    stack.submit("a-1", "/bin/true")
    assert states(stack.notes_until("QUEUED")) == ["SCHEDULED", "RUNNING", "SUCCEEDED", "QUEUED"]
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("text", ["{", '[{"jbos": "*"}]', '[{"cancel_unavailable": "2"}]'])
def test_rules_that_cannot_be_read_change_nothing(stack: Stack, text: str, caplog: pytest.LogCaptureFixture) -> None:
    write_faults(stack.state_dir, Fault(refuse_create=Refusal(code="INTERNAL", text="still in force")))
    for _ in range(2):
        with pytest.raises(exceptions.InternalServerError, match="still in force"):
            stack.submit("a-1", "/bin/true")
        (stack.state_dir / "faults.json").write_text(text)
    assert "stay as they were" in caplog.text
