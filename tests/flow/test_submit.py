"""A request becomes one document and one Batch job, whatever is delivered how often and whatever fails in between."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from infra.local.batch import Fault, Quota, Refusal
from shared.domain.errors import Unavailable
from shared.ports import Create, Update
from tests.builders import a_pipeline
from tests.flow.pulled import Emulators
from tests.flow.stacks import FAST, Lab, Through, analysis_of, job_of, lab_over, ports_with, submit_event


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, emulators: Emulators | None) -> Iterator[Lab]:
    with lab_over(tmp_path_factory.mktemp("submit"), emulators=emulators, retry={"submit": FAST}) as up:
        up.register(FASTQ)
        yield up


@pytest.fixture(autouse=True)
def _nothing_stays_wrong(lab: Lab) -> Iterator[None]:
    yield
    lab.faults()
    assert lab.dead_letters() == []


FASTQ = a_pipeline(
    slug="fastq", runnables=[{"image": "lab/fastq:1", "command": ["/bin/true"]}],
    outputs=[{"glob": "x", "kind": "other", "required": False}], price_table="list-prices-example",
    inputs={"type": "object", "properties": {"reads": {
        "type": "array", "items": {"type": "string", "format": "bucket-path"},
    }}},
)


def at_once(*actions: Callable[[], object]) -> None:
    """All of them in threads of their own that begin together."""
    ready = threading.Barrier(len(actions))

    def begin(action: Callable[[], object]) -> None:
        ready.wait()
        action()

    threads = [threading.Thread(target=begin, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class TwoAtOnce(Through):
    """Documents: the first two commits that create something wait for each other, so that both have read before."""

    def __init__(self, port: Any) -> None:
        super().__init__(port)
        self._number = itertools.count()
        self._meet = threading.Barrier(2, timeout=60)

    def commit(self, writes: Sequence[Any]) -> Any:
        if any(isinstance(write, Create) for write in writes) and next(self._number) < 2:
            self._meet.wait()
        return self._port.commit(writes)


def send_unordered(lab: Lab, request: str, **changes: Any) -> str:
    """Without an ordering key, so that no delivery waits for another."""
    event = submit_event(request, **changes)
    return lab.publish(event.to_bytes(), id=event.id, project=event.project)


def test_a_job_that_was_created_though_batch_said_unavailable_is_the_one_job(lab: Lab) -> None:
    """C01: CreateJob is applied but answers UNAVAILABLE; the redelivery finds ALREADY_EXISTS."""
    lab.faults(Fault(jobs=job_of("c01"), create_then_unavailable=1, quota=Quota()))
    analysis = lab.order("c01")
    document = lab.until_job(analysis)
    lab.until_idle()
    (job,) = lab.jobs_of(analysis)
    assert (document["status"], document["job"]["uid"]) == ("queued", job.uid)
    assert lab.rejections("c01") == []
    lab.faults()
    assert lab.until_ends(analysis)["status"] == "succeeded"
    assert len(lab.jobs_of(analysis)) == 1


class JobNeverNoted(Through):
    """Documents of which the commit that would note a job's uid is lost once, as by a kill right before it."""

    lost = False

    def commit(self, writes: Sequence[Any]) -> Any:
        if not self.lost and any(isinstance(write, Update) and write.data["job"]["uid"] for write in writes):
            JobNeverNoted.lost = True
            raise Unavailable("killed before the commit")
        return self._port.commit(writes)


def test_a_job_that_was_created_but_not_noted_is_the_one_job(lab: Lab) -> None:
    """C01, second half: nothing of it is known after CreateJob but to Batch. (Killed in earnest: test_crash_matrix.)"""
    lab.faults(Fault(jobs=job_of("c01-noted"), quota=Quota()))
    with ports_with(documents=JobNeverNoted):
        document = lab.until_job(lab.order("c01-noted"))
        lab.until_idle()
    (job,) = lab.jobs_of(document["id"])
    assert JobNeverNoted.lost
    assert (document["status"], document["job"]["uid"]) == ("queued", job.uid)
    lab.faults()
    assert lab.until_ends(document["id"])["status"] == "succeeded"
    assert lab.rejections("c01-noted") == []


def test_one_request_in_two_events_at_once_is_one_analysis_and_one_job(lab: Lab) -> None:
    """C03 (a)."""
    with ports_with(documents=TwoAtOnce):
        at_once(*(lambda n=n: send_unordered(lab, "c03a", event_id=f"c03a-{n}") for n in (1, 2)))
        document = lab.until_ends(analysis_of("c03a"), "succeeded")
        lab.until_idle()
    assert [change["to"] for change in document["history"]] == ["queued", "running", "succeeded"]
    assert len(lab.jobs_of(analysis_of("c03a"))) == 1
    assert lab.rejections("c03a") == []


def test_of_two_requests_for_one_slug_one_wins_and_the_other_is_told_who(lab: Lab) -> None:
    """C03 (b)."""
    names = {"c03b-1": "WGS 12/A", "c03b-2": "wgs-12-a"}
    with ports_with(documents=TwoAtOnce):
        at_once(*(lambda r=r, name=name: send_unordered(lab, r, display_id=name) for r, name in names.items()))
        rejection = lab.until_rejected(*names)
    (winner,) = [request for request in names if request != rejection["request_id"]]
    document = lab.until_ends(analysis_of(winner), "succeeded")
    assert document["slug"] == "wgs-12-a"
    assert [reason["field"] for reason in rejection["reasons"]] == ["display_id"]
    assert "'wgs-12-a'" in rejection["reasons"][0]["message"]
    assert analysis_of(winner) in rejection["reasons"][0]["message"]
    assert lab.found(analysis_of(rejection["request_id"])) is None
    assert lab.jobs_of(analysis_of(rejection["request_id"])) == []
    lab.until(lambda: lab.events(rejection["request_id"]) == ["rejected"])


def test_missing_and_empty_input_files_are_each_a_reason_and_no_job(lab: Lab) -> None:
    """C04: four paths, one absent and one of 0 bytes."""
    reads = [f"samples/s1/uploads/{lane}_{end}.fastq.gz" for lane in (1, 2) for end in (1, 2)]
    for path, content in zip(reads, (b"@r1", None, b"@r3", b""), strict=True):
        if content is not None:
            lab.put(path, content)
    refused = lab.order("c04-refused", pipeline="fastq", inputs={"reads": reads})
    rejection = lab.until_rejected("c04-refused")
    assert rejection["reasons"] == [
        {"field": "inputs.reads[1]", "message": f"missing: {reads[1]} is not in the project bucket"},
        {"field": "inputs.reads[3]", "message": f"empty: {reads[3]} has 0 bytes"},
    ]
    assert lab.found(refused) is None
    assert lab.jobs_of(refused) == []

    accepted = lab.until_ends(lab.order("c04-accepted", pipeline="fastq", inputs={"reads": [reads[0], reads[2]]}))
    seen = [lab.ports.objects.stat(lab.bucket, path) for path in (reads[0], reads[2])]
    assert accepted["input_files"] == [
        {"path": file.path, "size": 3, "generation": file.generation} for file in seen if file
    ]


def test_a_failed_analysis_is_run_again_only_when_somebody_asks(lab: Lab) -> None:
    """C05: 100 rounds of the reconciler and five more notifications of the failure make nothing new."""
    failed = lab.until_ends(lab.order("c05", inputs={"exit_code": 3, "runtime_seconds": 0}), "failed")
    lab.until_idle()
    jobs, analyses = len(lab.jobs()), len(lab.all("*/analyses"))
    lab.reconcile(rounds=100)
    for _ in range(5):
        lab.hint(failed["id"], "FAILED")
    lab.until_idle()
    assert (len(lab.jobs()), len(lab.all("*/analyses"))) == (jobs, analyses)
    assert lab.document(failed["id"]) == failed

    again = lab.client.post(f"/analyses/{failed['id']}/rerun")
    assert again.status_code == 201
    assert again.json()["rerun_of"] == failed["id"]
    lab.until_ends(again.json()["id"], "failed")
    assert (len(lab.jobs()), len(lab.all("*/analyses"))) == (jobs + 1, analyses + 1)
    assert lab.document(failed["id"]) == failed


@pytest.mark.parametrize(("code", "sentence"), [
    ("INVALID_ARGUMENT", "machine type e2-huge is not known in us-central1"),
    ("PERMISSION_DENIED", "account runner@lab may not act as batch@lab"),
])
def test_a_job_that_batch_refuses_is_a_failed_analysis_and_is_not_tried_again(
    lab: Lab, code: Any, sentence: str
) -> None:
    """C07."""
    request = f"c07-{code}"
    lab.faults(Fault(jobs=job_of(request), refuse_create=Refusal(code=code, text=sentence)))
    document = lab.until_ends(lab.order(request), "failed")
    lab.until_idle()
    assert document["failure"]["kind"] == "rejected_by_batch"
    assert code in document["failure"]["message"]
    assert sentence in document["failure"]["message"]
    assert [change["to"] for change in document["history"]] == ["queued", "failed"]
    lab.reconcile(rounds=3)
    assert lab.document(document["id"]) == document
    assert lab.jobs_of(document["id"]) == []
    lab.until(lambda: lab.events(document["id"]) == ["queued", "failed"])


def test_one_submit_event_published_a_hundred_times_at_once_is_one_document_and_one_job(lab: Lab) -> None:
    """Every delivery is handled, half of them with an ordering key and half without."""
    publishes = [lambda: send_unordered(lab, "hundred"), lambda: lab.order("hundred")] * 50
    analyses = len(lab.all("*/analyses"))
    at_once(*publishes)
    document = lab.until_ends(analysis_of("hundred"), "succeeded")
    lab.until_idle()
    assert len(lab.all("*/analyses")) == analyses + 1
    assert len(lab.jobs_of(document["id"])) == 1
    assert [change["to"] for change in document["history"]] == ["queued", "running", "succeeded"]
    assert lab.rejections("hundred") == []
