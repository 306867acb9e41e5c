"""Batch's notifications are hints and GetJob is the truth: what comes of lost, late, repeated and misshapen ones.

The reconciler's clock stands still here: a test that wants a round makes it.
"""

from __future__ import annotations

import base64
import itertools
import json
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from cloudevents.http.event import CloudEvent
from google.cloud import batch_v1

from infra.local.batch import Fault, Notify, Preempt, Quota
from services.status_tracker.main import track
from shared.domain.clock import iso
from shared.domain.events import Topic
from shared.ports import Message
from tests.flow.pulled import Emulators
from tests.flow.stacks import (
    Lab,
    analysis_of,
    batch_client,
    entered,
    hint_attributes,
    job_of,
    lab_over,
    only_embedded,
    shell_pipeline,
    steps,
)

State = batch_v1.JobStatus.State
VCF = (
    "##fileformat=VCFv4.2\n##contig=<ID=1>\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"g\">\n"
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\n1\t5\t.\tA\tC\t9\tPASS\t.\tGT\t0/1\n"
)
IN_VCF = '"$IFLOW_BUCKET_DIR/samples/s1/uploads/in.vcf"'
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, emulators: Emulators | None) -> Iterator[Lab]:
    with lab_over(
        tmp_path_factory.mktemp("track"), emulators=emulators, reconcile_every_s=3600, silent_after_s=0,
        missing_grace_s=0.3, unsent_after_s=20,
    ) as up:
        up.put("samples/s1/uploads/in.vcf", VCF.encode())
        yield up
        up.until_ingested()


@pytest.fixture(autouse=True)
def _no_exception_leaves_a_function(lab: Lab, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    lab.faults()
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


def silent(lab: Lab, request: str, **fault: Any) -> None:
    """Batch sends no notification about this one."""
    lab.faults(Fault(jobs=job_of(request), notify=Notify(drop=True), **fault))


def ended_unnoticed(lab: Lab, request: str, **fault: Any) -> str:
    """An analysis that is queued for all that we know, while its job has succeeded."""
    silent(lab, request, **fault)
    analysis = lab.order(request, pipeline="ends", inputs={})
    lab.batch_says(analysis, State.SUCCEEDED)
    lab.until_job(analysis)
    return analysis


def push(**message: Any) -> CloudEvent:
    number = next(numbers)
    whole = {"messageId": f"m-{number}", "publishTime": "2026-11-25T08:00:00Z", **message}
    return CloudEvent({"type": "t", "source": "s", "id": f"m-{number}"}, {"message": whole, "subscription": "track"})


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def job_text(analysis: str, state: str) -> str:
    return (
        f"Job state was updated: jobName={hint_attributes(analysis, state)['JobName']}, jobUID=a-x-1, "
        f"previousState=RUNNING, currentState={state}, timestamp=2023-08-24T16:21:14-07:00"
    )


# -- lost ---------------------------------------------------------------------------------------------------------


def test_without_one_notification_the_reconciler_alone_tracks_a_run_with_batchs_own_times(lab: Lab) -> None:
    """C12: within two rounds of what happened."""
    silent(lab, "c12")
    analysis = lab.order("c12", pipeline="waits", inputs={})
    lab.batch_says(analysis, State.RUNNING)
    lab.until_job(analysis)
    lab.reconcile(rounds=2)
    assert lab.document(analysis)["status"] == "running"
    lab.go("c12")
    job = lab.batch_says(analysis, State.SUCCEEDED)
    lab.reconcile(rounds=2)
    document = lab.document(analysis)
    assert (document["status"], steps(document)) == ("succeeded", ["queued", "running", "succeeded"])
    assert document["started_at"] == iso(entered(job, "RUNNING"))
    assert document["finished_at"] == iso(entered(job, "SUCCEEDED"))
    lab.until(lambda: lab.events(analysis) == ["queued", "running", "succeeded"])


def test_a_job_that_was_deleted_in_the_console_is_lost_after_the_grace_period(lab: Lab) -> None:
    """C13: no notification comes; the document says what happened, and it is in progress no more."""
    analysis = lab.start("c13")
    silent(lab, "c13")
    batch_client(lab).delete_job(name=lab.document(analysis)["job"]["name"])
    lab.until(lambda: not lab.jobs_of(analysis))
    lab.reconcile()
    first = lab.document(analysis)
    assert first["status"] == "running"
    assert "does not know the job at the moment" in first["status_detail"]
    lab.until(lambda: lab.reconcile() or lab.document(analysis)["status"] == "failed")
    document = lab.document(analysis)
    assert document["failure"]["kind"] == "job_lost"
    assert "it was deleted" in document["failure"]["message"]
    assert steps(document) == ["queued", "running", "failed"]
    in_progress = lab.client.get("/analyses", params={"status": "in_progress"}).json()["items"]
    assert analysis not in [one["id"] for one in in_progress]
    lab.until(lambda: lab.events(analysis) == ["queued", "running", "failed"])


# -- late, of a task, repeated ------------------------------------------------------------------------------------


def test_a_failed_task_is_not_a_failed_job(lab: Lab) -> None:
    """C14: GetJob says RUNNING."""
    analysis = lab.start("c14")
    before = lab.document(analysis)
    task = f"{hint_attributes(analysis, '')['JobName']}/taskGroups/group0/tasks/3"
    lab.bus.publish(Topic.BATCH, Message(b"", {
        "JobUID": "a-x-1", "NewTaskState": "FAILED", "TaskName": task, "Type": "TASK_STATE_CHANGED",
    }))
    lab.until_idle()
    assert (lab.document(analysis)["status"], lab.document(analysis)["history"]) == ("running", before["history"])
    lab.go("c14")
    lab.until_ends(analysis, "succeeded")
    lab.until(lambda: lab.events(analysis) == ["queued", "running", "succeeded"])


def test_hints_that_come_after_the_end_change_nothing(lab: Lab) -> None:
    """C16: SUCCEEDED is handled, then the delayed RUNNING and QUEUED, then a round of the reconciler."""
    analysis = lab.order("c16", pipeline="ends", inputs={})
    before = lab.until_ends(analysis, "succeeded")
    lab.until_idle()
    lab.hint(analysis, "RUNNING")
    lab.hint(analysis, "QUEUED")
    lab.until_idle()
    lab.reconcile()
    assert lab.document(analysis) == before
    assert steps(before) == ["queued", "running", "succeeded"]


def test_one_notification_in_parallel_and_again_later_is_counted_once(lab: Lab) -> None:
    """C17: three deliveries at once, and one with a new message id after that, of a run that was preempted once."""
    analysis = ended_unnoticed(lab, "c17", preempt=Preempt(attempts=1))
    hint = {"attributes": hint_attributes(analysis, "SUCCEEDED"), "data": in_base64(job_text(analysis, "SUCCEEDED"))}
    same = push(**hint)
    threads = [threading.Thread(target=track, args=(same,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    document = lab.document(analysis)
    assert steps(document) == ["queued", "running", "succeeded"]
    assert (document["metrics"]["preemptions"], document["metrics"]["retries"]) == (1, 1)
    assert document["metrics"]["cost"]["billed_seconds"] > 0

    track(push(**hint))
    assert lab.document(analysis) == {**document, "unsent": [], "unsent_since": None}
    lab.until(lambda: lab.events(analysis) == ["queued", "running", "succeeded"])
    lab.until_idle()
    assert [event.id for event in lab.received if event.subject == analysis] == [f"{analysis}.{n}" for n in (1, 2, 3)]


# -- misshapen ----------------------------------------------------------------------------------------------------


def test_a_push_body_without_attributes_is_read_from_its_text(lab: Lab) -> None:
    """C18, first half."""
    analysis = ended_unnoticed(lab, "c18-text")
    track(push(data=in_base64(job_text(analysis, "SUCCEEDED"))))
    assert lab.document(analysis)["status"] == "succeeded"


def test_a_push_body_without_data_is_read_from_its_attributes(lab: Lab) -> None:
    """C18, second half."""
    analysis = ended_unnoticed(lab, "c18-attributes")
    track(push(attributes=hint_attributes(analysis, "SUCCEEDED")))
    assert lab.document(analysis)["status"] == "succeeded"


@only_embedded("Pub/Sub takes no message that has neither data nor attributes")
def test_a_notification_of_nothing_is_a_dead_letter_at_once(lab: Lab) -> None:
    """C18."""
    kept_at_once(lab, Message(b"", {}))


def test_a_notification_that_names_no_job_is_a_dead_letter_at_once(lab: Lab) -> None:
    """C18: no traceback, no endless redelivery, and the message is whole."""
    kept_at_once(lab, Message(b"\xff\x00 no job", {"JobUID": "u"}))


def kept_at_once(lab: Lab, message: Message) -> None:
    identity = lab.bus.publish(Topic.BATCH, message)
    (letter,) = lab.until(lambda: [found for found in lab.dead_letters() if found["id"] == identity])
    lab.until_idle()
    assert (letter["subscription"], letter["attempts"], letter["attributes"]) == ("track", 1, message.attributes)
    assert base64.b64decode(letter["payload"]) == message.data


def test_a_notification_about_somebody_elses_job_is_passed_over(lab: Lab) -> None:
    letters = len(lab.dead_letters())
    lab.bus.publish(Topic.BATCH, Message(b"", {"JobName": "projects/1/locations/r/jobs/nextflow-1"}))
    lab.hint(analysis_of("never-asked-for"), "RUNNING")
    lab.until_idle()
    assert len(lab.dead_letters()) == letters


# -- what Batch says of a job -------------------------------------------------------------------------------------


def test_a_wait_for_quota_is_one_sentence_that_is_written_once(lab: Lab) -> None:
    """C19: however often it is polled; it goes when RUNNING comes."""
    lab.faults(Fault(jobs=job_of("c19"), quota=Quota(name="C2_CPUS", limit=0.0)))
    analysis = lab.order("c19", pipeline="waits", inputs={})
    lab.until_job(analysis)
    lab.until_idle()
    lab.until(lambda: lab.reconcile() or "quota" in lab.document(analysis)["status_detail"])
    waiting = lab.document(analysis)
    assert waiting["status"] == "queued"
    assert waiting["status_detail"] == "Waiting for quota: C2_CPUS is used up in us-central1 (limit 0.0)."
    lab.reconcile(rounds=10)
    assert lab.document(analysis) == waiting
    assert steps(waiting) == ["queued"]
    lab.faults()
    assert lab.until_status(analysis, "running")["status_detail"] == "Running."
    lab.go("c19")
    lab.until_ends(analysis, "succeeded")


def test_a_job_that_batch_could_never_run_has_failed_and_never_ran(lab: Lab) -> None:
    """C08: FAILED without a task."""
    reason = "CODE_GCE_INVALID_FIELD_VALUE: Invalid value for field: acceleratorTypes/x was not found"
    lab.faults(Fault(jobs=job_of("c08"), fail_before_start=reason))
    document = lab.until_ends(lab.order("c08", pipeline="ends", inputs={}), "failed")
    assert document["failure"]["kind"] == "rejected_by_batch"
    assert reason in document["failure"]["message"]
    assert steps(document) == ["queued", "failed"]
    assert (document["started_at"], document["metrics"]["run_seconds"]) == (None, None)


# -- what a run left ----------------------------------------------------------------------------------------------

CALLS = {"glob": "calls.vcf", "kind": "vcf", "required": True}
REQUIRED = {**CALLS, "index": {"suffixes": [".tbi"], "required": True}}
OPTIONAL = {**CALLS, "index": {"suffixes": [".tbi"], "required": False}}


@pytest.mark.parametrize(("name", "script", "output", "message"), [
    ("c20-absent", "true", CALLS, "analyses/c20-absent/calls.vcf (vcf) was not written"),
    ("c20-empty", ': > "$OUT/calls.vcf"', CALLS, "analyses/c20-empty/calls.vcf (vcf) is empty (0 bytes)"),
    ("c20-index", f'cp {IN_VCF} "$OUT/calls.vcf"', REQUIRED, "analyses/c20-index/calls.vcf has no index beside it"),
])
def test_a_required_output_that_is_absent_or_empty_is_a_failure_that_names_it(
    lab: Lab, name: str, script: str, output: Mapping[str, Any], message: str
) -> None:
    """C20 (a), (b), and (c) where the pipeline wants the index."""
    lab.register(shell_pipeline(name, script, [output]))
    document = lab.until_ends(lab.order(name, pipeline=name, inputs={}), "failed")
    assert document["failure"]["kind"] == "outputs_missing"
    assert document["failure"]["message"].startswith(message)
    assert document["ingest"]["status"] == "not_applicable"
    lab.until_idle()
    assert lab.events(document["id"]) == ["queued", "running", "failed"]


def test_an_index_that_the_pipeline_does_not_require_may_be_absent(lab: Lab) -> None:
    """C20 (c) where the pipeline can do without."""
    lab.register(shell_pipeline("c20-optional", f'cp {IN_VCF} "$OUT/calls.vcf"', [OPTIONAL]))
    document = lab.until_ends(lab.order("c20-optional", pipeline="c20-optional", inputs={}), "succeeded")
    assert lab.until(lambda: lab.document(document["id"])["ingest"]["status"] == "ready")


METRICS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "could not be read: Expecting value"),
    "half": (b'{"reads": 12, "dupl', "could not be read: Unterminated string"),
    "list": (b"[1, 2]", "could not be read: it is a JSON list, an object is wanted"),
    "nan": (b'{"mean": NaN}', "could not be read: NaN is not a JSON number"),
    "huge-number": (b'{"mean": 1e999}', "could not be read: the number 1e999 is too large"),
    "surrogate": (b'{"note": "\\ud800"}', r"could not be read: a string holds \ud800"),
    "large": (json.dumps({"all": "x" * 5_000_000}).encode(), "is larger than 50,000 bytes"),
}


@pytest.mark.parametrize("kind", METRICS)
def test_metrics_that_cannot_be_read_are_noted_and_fail_nothing(lab: Lab, kind: str) -> None:
    """C21: the VCF is in place; Batch's own metrics are kept."""
    content, note = METRICS[kind]
    name = f"c21-{kind}"
    lab.put(f"samples/{name}/uploads/m.json", content)
    copy = f'cp "$IFLOW_BUCKET_DIR/samples/{name}/uploads/m.json" "$OUT/metrics.json"'
    lab.register(shell_pipeline(name, f'cp {IN_VCF} "$OUT/calls.vcf"; {copy}', [CALLS]))
    document = lab.until_ends(lab.order(name, pipeline=name, inputs={}), "succeeded")
    assert document["metrics"]["pipeline"] == {}
    assert f"analyses/{name}/metrics.json" in document["metrics"]["note"]
    assert note in document["metrics"]["note"]
    assert document["metrics"]["run_seconds"] is not None
    assert document["metrics"]["cost"]["currency"] == "USD"
    assert [output["size"] for output in document["outputs"] if output["path"].endswith("metrics.json")] == [
        len(content)
    ]
