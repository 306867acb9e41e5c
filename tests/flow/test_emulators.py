"""The product on Google's emulators: a process for each function, behind the push subscriptions of topology.yaml.

The handlers, and what they must not do, are those of the other flow tests; here it is what the emulators, the push
bodies and the functions framework put between that is tried.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from google.cloud import batch_v1

from infra.local.batch import Fault, Notify
from infra.local.demo import run_demo
from infra.local.setup import register_demo
from services.cli.exits import Exit
from shared.domain import paths
from shared.domain.clock import iso
from shared.domain.events import EventType, Topic, event_about
from shared.ports import Message, Update
from shared.steps.announce import message_of
from tests.builders import T0
from tests.flow.crash_life import VCF
from tests.flow.emulated import ATTEMPTS, INGEST_AS_JOB_OVER, Emulated, emulated_over
from tests.flow.stacks import analysis_of, hint_attributes, shell_pipeline, steps, submit_event

State = batch_v1.JobStatus.State
WHOLE_LIFE = ("queued", "running", "succeeded")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated_over(tmp_path_factory.mktemp("emulated")) as up:
        up.register(shell_pipeline(
            "calls", 'cp "$IFLOW_BUCKET_DIR/samples/s1/uploads/$(basename "$OUT").vcf" "$OUT/calls.vcf"',
            [{"glob": "calls.vcf", "kind": "vcf", "required": True}],
        ))
        yield up


def test_the_demo_runs_to_succeeded_and_ready(lab: Emulated) -> None:
    """`make emulators-demo`."""
    run_demo(lab.ports, register_demo(lab.ports), lab.api, lab.token(), None)


def test_a_request_that_is_delivered_a_hundred_times_at_once_is_one_analysis_with_one_job(lab: Emulated) -> None:
    message = message_of(submit_event("hundred"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: lab.bus.publish(Topic.COMMANDS, message), range(100)))
    done = lab.until_ends(analysis_of("hundred"), "succeeded")
    lab.until_events(done["id"], *WHOLE_LIFE)
    assert steps(done) == list(WHOLE_LIFE)
    assert len(lab.jobs_of(done["id"])) == 1
    assert lab.rejections("hundred") == []


def push_body(lab: Emulated, analysis: str, state: str) -> dict[str, Any]:
    return {
        "data": base64.b64encode(b"Job state was updated").decode(), "messageId": "900001",
        "publishTime": iso(T0), "attributes": hint_attributes(analysis, state),
    }


def test_a_notification_that_comes_three_times_at_once_and_a_day_later_counts_once(lab: Emulated) -> None:
    """C17."""
    lab.faults(Fault(notify=Notify(drop=True, states=("SUCCEEDED",))))
    analysis = lab.start("again")
    lab.go("again")
    lab.batch_says(analysis, State.SUCCEEDED)
    body = push_body(lab, analysis, "SUCCEEDED")
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: lab.push("track", body), range(3)))
    answers.append(lab.push("track", {**body, "messageId": "900002", "publishTime": "2026-12-01T00:00:00Z"}))
    assert {answer.status_code for answer in answers} <= {200, 503}
    done = lab.until_ends(analysis, "succeeded")
    lab.until_events(analysis, *WHOLE_LIFE)
    assert steps(done) == list(WHOLE_LIFE)
    assert (done["metrics"]["retries"], done["metrics"]["preemptions"]) == (0, 0)
    lab.faults()


def test_a_notification_without_attributes_and_one_without_data_are_both_understood(lab: Emulated) -> None:
    """C18: the framework alone answers 500 to the second, and the message comes again until it is a dead letter."""
    lab.faults(Fault(notify=Notify(drop=True, states=("RUNNING", "SUCCEEDED"))))
    analysis = lab.order("bare", pipeline="waits", inputs={})
    job = lab.batch_says(analysis, State.RUNNING)
    text = f"Job state was updated: jobName={job.name}, jobUID={job.uid}, previousState=SCHEDULED, currentState=RUNNING"
    plain = {"data": base64.b64encode(text.encode()).decode(), "messageId": "900003", "publishTime": iso(T0)}
    assert lab.push("track", plain).status_code == 200
    assert lab.document(analysis)["status"] == "running"
    lab.go("bare")
    lab.batch_says(analysis, State.SUCCEEDED)
    empty = {"messageId": "900004", "publishTime": iso(T0), "attributes": hint_attributes(analysis, "SUCCEEDED")}
    assert lab.until(lambda: lab.push("track", empty).status_code == 200)
    assert lab.until_ends(analysis)["status"] == "succeeded"
    assert lab.dead_letters() == []
    lab.faults()


def test_a_body_that_is_no_message_is_kept_whole_and_not_asked_for_again(lab: Emulated) -> None:
    """C80, the second half: what can never be understood is a dead letter at once."""
    assert lab.push("track", {"messageId": "900005", "data": "not base64!"}).status_code == 200
    (letter,) = lab.dead_letters()
    assert (letter["subscription"], letter["attempts"]) == ("track", 1)
    assert b"not base64!" in base64.b64decode(letter["payload"])


def test_what_always_fails_becomes_a_dead_letter_and_succeeds_when_the_cause_is_mended(lab: Emulated) -> None:
    """C80, C86: an exception is a 500, the message comes again, ATTEMPTS times; its replay is done once."""
    analysis = lab.start("mend")
    path = paths.analysis_doc("demo", analysis)
    stored = lab.ports.documents.get(path)
    assert stored is not None
    (spoilt,) = lab.ports.documents.commit([Update(path, {**stored.data, "from_the_future": 1}, stored.version)])
    command = message_of(event_about(
        EventType.CANCEL, project="demo", subject=analysis, sequence=99, at=T0, data={"by": "grace@lab.example"},
    ))
    lab.bus.publish(Topic.COMMANDS, command)
    letter = lab.until(lambda: next((one for one in lab.dead_letters() if one["subscription"] == "cancel"), None))
    assert letter["attempts"] == ATTEMPTS
    assert base64.b64decode(letter["payload"]) == command.data
    assert letter["attributes"] == dict(command.attributes)
    lab.ports.documents.commit([Update(path, stored.data, spoilt)])
    assert lab.iflow("ops", "dead-letters", "replay", letter["id"]).exit_code == Exit.DONE
    done = lab.until_ends(analysis, "cancelled")
    assert done["cancel_requested"]["by"] == "grace@lab.example"
    assert steps(done) == ["queued", "running", "cancelled"]


def ingested(lab: Emulated, request: str, records: int) -> dict[str, Any]:
    """An analysis whose VCF has so many records, once its ingest is at rest."""
    head, line = VCF.rsplit("1\t5\t", 1)
    rows = "".join(f"1\t{5 + n}\t{line}" for n in range(records))
    lab.put(f"samples/s1/uploads/{request}.vcf", (head + rows).encode())
    analysis = lab.order(request, pipeline="calls", inputs={})
    lab.until_ends(analysis, "succeeded")
    (document,) = lab.until_ingested(analysis)
    return dict(document)


def test_a_large_ingest_is_a_batch_job_of_its_own_and_a_small_one_is_not(lab: Emulated) -> None:
    """Its notifications reach the tracker like any job's, and move nothing."""
    small, large = ingested(lab, "small", 10), ingested(lab, "large", INGEST_AS_JOB_OVER // 20)
    assert [done["ingest"]["status"] for done in (small, large)] == ["ready", "ready"]
    assert (small["ingest"]["rows"], large["ingest"]["rows"]) == (10, 1000)
    jobs = [job for job in lab.jobs() if "/jobs/i-" in job.name]
    assert [large["id"] in job.name for job in jobs] == [True]
    assert jobs[0].labels["iflow-step"] == "ingest"
    assert steps(large) == list(WHOLE_LIFE)
    assert json.dumps(large["job"]["name"]).endswith(f'{paths.job_id(large["id"])}"')
    lab.until_events(large["id"], *WHOLE_LIFE, "ingested")


def test_a_cancel_and_forty_hints_at_once_all_count_and_none_fails(lab: Emulated) -> None:
    """C83."""
    analysis = lab.start("storm")
    message = Message(b"Job state was updated", hint_attributes(analysis, "RUNNING"))
    with ThreadPoolExecutor(8) as pool:
        hints = pool.map(lambda _: lab.bus.publish(Topic.BATCH, message), range(40))
        lab.cancel(analysis)
        list(hints)
    done = lab.until_ends(analysis, "cancelled")
    assert done["cancel_requested"]["by"] == "ada@lab.example"
    assert [one for one in lab.dead_letters() if one["subscription"] == "track" and one["attempts"] > 1] == []
