"""A cancel that another service publishes by itself, without asking REST."""

from __future__ import annotations

from shared.domain.events import EventType, event_about
from shared.steps.announce import message_of
from tests.flow.stack import Stack


def test_a_published_cancel_is_noted_with_who_asked_and_carried_out(stack: Stack) -> None:
    analysis = stack.submit("published cancel", runtime_seconds=30)["id"]
    stack.until_status(analysis, "running")
    command = event_about(
        EventType.CANCEL, project=stack.project, subject=analysis, sequence=1, at=stack.ports.clock(),
        data={"analysis_id": analysis, "by": "lims@lab.example"},
    ).model_copy(update={"id": "lims-cancel-1"})
    stack.ports.bus.publish(EventType.CANCEL.topic, message_of(command))
    document = stack.until_status(analysis, "cancelled")
    assert document["cancel_requested"]["by"] == "lims@lab.example"
    assert document["history"][-1]["reason"] == "Cancelled as lims@lab.example asked."
