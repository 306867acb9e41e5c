"""Which job a notification is about, in every form that Batch and Pub/Sub have been seen to give it."""

from __future__ import annotations

import base64

import pytest
from cloudevents.http.event import CloudEvent

from services.status_tracker.hint import NotAHint, hint_of
from shared.delivery import Delivery, NotAnEvent, delivery_of, event_of

ID = "137f97b5-7f90-5a89-a2c7-2b8f43aefb46"
NAME = f"projects/123/locations/us-central1/jobs/a-{ID}"
TEXT = (f"Job state was updated: jobName={NAME}, jobUID=a-137f97b5-1, previousState=RUNNING, "
        "currentState=SUCCEEDED, timestamp=2024-05-01T16:21:14-07:00")


def a_delivery(data: bytes = b"", **attributes: str) -> Delivery:
    return Delivery("m-1", data, attributes, "", "")


def pushed(message: dict[str, object]) -> CloudEvent:
    return CloudEvent({"type": "t", "source": "s", "id": "ce-1"}, {"message": message})


def test_attributes_without_data_are_enough() -> None:
    """C18."""
    hint = hint_of(delivery_of(pushed({"attributes": {"JobName": NAME, "NewJobState": "SUCCEEDED"}, "messageId": "1"})))
    assert (hint.analysis_id, hint.job_state) == (ID, "SUCCEEDED")


def test_the_text_is_enough_where_attributes_are_missing() -> None:
    """C18, C15."""
    event = pushed({"data": base64.b64encode(TEXT.encode()).decode(), "messageId": "1", "publishTime": "t"})
    hint = hint_of(delivery_of(event))
    assert (hint.analysis_id, hint.job_state) == (ID, "SUCCEEDED")


def test_a_tasks_state_is_never_taken_for_the_jobs() -> None:
    """C14."""
    hint = hint_of(a_delivery(
        Type="TASK_STATE_CHANGED", NewTaskState="FAILED", TaskName=f"{NAME}/taskGroups/group0/tasks/3", JobUID="u"
    ))
    assert (hint.analysis_id, hint.job_state) == (ID, None)


def test_a_message_that_names_no_job_is_no_hint() -> None:
    with pytest.raises(NotAHint, match="names no job"):
        hint_of(a_delivery(b"hello", JobUID="u"))


def test_a_job_of_somebody_else_has_no_analysis() -> None:
    assert hint_of(a_delivery(JobName="projects/1/locations/r/jobs/nextflow-1")).analysis_id is None


@pytest.mark.parametrize("message", [{"data": "%%%"}, {"data": 5}, "text"])
def test_a_body_that_is_no_message_is_said_to_be_none(message: object) -> None:
    with pytest.raises(NotAnEvent):
        delivery_of(CloudEvent({"type": "t", "source": "s", "id": "1"}, {"message": message}))


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"\xff\xfe", b'{"id": "x"}', b"[" * 100_000, b" " * 1_000_001])
def test_bytes_that_are_no_event_of_ours_are_refused_in_a_sentence(data: bytes) -> None:
    with pytest.raises(NotAnEvent) as caught:
        event_of(a_delivery(data))
    assert len(str(caught.value)) > 20
