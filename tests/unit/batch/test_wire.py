"""Notifications and events in the form in which Batch was seen to send them (../shared/PLATFORM.md)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from google.cloud import batch_v1

from infra.local.batch.names import JobName, instance_id, new_uid, parse_job, project_number
from infra.local.batch.states import JobChange, JobState, TaskChange, TaskState
from infra.local.batch.wire import notifications

KIND = batch_v1.JobNotification.Type
NAME = JobName("123456789012", "us-central1", "a-1")
AT = datetime(2023, 8, 24, 23, 21, 14, 900000, tzinfo=UTC)
ENDED = JobChange(NAME, "a-1-0b5e7f1c-22aa-4d350", JobState.RUNNING, JobState.SUCCEEDED, AT)
TASK_ENDED = TaskChange(NAME, ENDED.uid, 0, TaskState.PENDING, TaskState.SUCCEEDED, AT)


def job(*wishes: dict[str, Any]) -> batch_v1.Job:
    return batch_v1.Job(notifications=[{"pubsub_topic": "projects/p/topics/t", "message": w} for w in wishes])


def test_a_job_notification_is_the_sample() -> None:
    (note,) = notifications(job({"type_": KIND.JOB_STATE_CHANGED}), ENDED)
    assert note.topic == "projects/p/topics/t"
    assert note.attributes == {
        "JobName": "projects/123456789012/locations/us-central1/jobs/a-1",
        "JobUID": "a-1-0b5e7f1c-22aa-4d350",
        "NewJobState": "SUCCEEDED",
        "Region": "us-central1",
        "Type": "JOB_STATE_CHANGED",
    }
    assert note.data == (
        b"Job state was updated: jobName=projects/123456789012/locations/us-central1/jobs/a-1, "
        b"jobUID=a-1-0b5e7f1c-22aa-4d350, previousState=RUNNING, currentState=SUCCEEDED, "
        b"timestamp=2023-08-24T16:21:14-07:00"
    )


def test_a_task_notification_has_the_attributes_of_the_sample() -> None:
    (note,) = notifications(job({"type_": KIND.TASK_STATE_CHANGED}), TASK_ENDED)
    assert note.attributes == {
        "JobUID": "a-1-0b5e7f1c-22aa-4d350",
        "NewTaskState": "SUCCEEDED",
        "Region": "us-central1",
        "TaskName": "projects/123456789012/locations/us-central1/jobs/a-1/taskGroups/group0/tasks/0",
        "TaskUID": "a-1-0b5e7f1c-22aa-4d350-group0-0",
        "Type": "TASK_STATE_CHANGED",
    }
    assert b"previousState=PENDING, currentState=SUCCEEDED, timestamp=2023-08-24T16:21:14-07:00" in note.data


@pytest.mark.parametrize(
    ("wish", "changes"),
    [
        ({}, []),
        ({"type_": KIND.JOB_STATE_CHANGED}, [ENDED]),
        ({"type_": KIND.TASK_STATE_CHANGED}, [TASK_ENDED]),
        ({"new_job_state": JobState.SUCCEEDED}, [ENDED]),
        ({"type_": KIND.JOB_STATE_CHANGED, "new_job_state": JobState.FAILED}, []),
        ({"new_task_state": TaskState.SUCCEEDED}, [TASK_ENDED]),
        ({"type_": KIND.TASK_STATE_CHANGED, "new_task_state": TaskState.FAILED}, []),
    ],
)
def test_an_entry_gets_what_it_watches(wish: dict[str, Any], changes: list[object]) -> None:
    assert [change for change in (ENDED, TASK_ENDED) if notifications(job(wish), change)] == changes


@pytest.mark.parametrize(
    "state", [JobState.CANCELLATION_IN_PROGRESS, JobState.CANCELLED, JobState.DELETION_IN_PROGRESS]
)
def test_no_notification_tells_of_a_cancel(state: JobState) -> None:
    assert notifications(job({"type_": KIND.JOB_STATE_CHANGED}), replace(ENDED, current=state)) == []


@pytest.mark.parametrize(
    ("ours", "theirs"), [(JobState, batch_v1.JobStatus.State), (TaskState, batch_v1.TaskStatus.State)]
)
def test_our_states_are_batchs(ours: Any, theirs: Any) -> None:
    assert {state.name: state.value for state in ours} == {state.name: state.value for state in theirs}


def test_names_have_the_project_number_and_a_number_is_one() -> None:
    name = parse_job("projects/lab/locations/us-central1/jobs/a-1")
    assert name.numbered == f"projects/{project_number('lab')}/locations/us-central1/jobs/a-1"
    assert project_number("123456789012") == "123456789012"
    assert len(project_number("lab")) == len(project_number("lab-2")) == 12


def test_a_uid_is_the_job_id_cut_short_and_a_hash() -> None:
    uid = new_uid("nf-be93a727-1707671234567")
    assert uid.startswith("nf-be93a727-170767-")
    assert len(uid) == len("nf-be93a727-170767-bb09690d-ae36-4f790")
    assert new_uid("a") != new_uid("a")


def test_every_attempt_has_its_vm() -> None:
    vms = {instance_id("u", task, attempt) for task in range(3) for attempt in range(3)}
    assert len(vms) == 9 and all(len(vm) == 19 and vm.isdigit() for vm in vms)
