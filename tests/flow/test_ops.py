"""What operators rely on: dead letters that can be played again, events in order after a fault, work done once."""

from __future__ import annotations

import base64
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from cloudevents.http.event import CloudEvent
from google.cloud import batch_v1

from infra.local.batch import Fault, Notify
from services.cli.exits import Exit
from services.status_tracker.main import track
from shared import runtime
from shared.adapters.embedded.bus import Leased
from shared.adapters.embedded.dispatcher import cloud_event
from shared.delivery import Delivery, event_of
from shared.domain.errors import Unavailable
from shared.domain.events import EventType, Topic, event_about
from shared.ports import Message, Ports
from shared.receive import receive
from shared.steps.announce import message_of
from shared.topology import Retry
from tests.builders import T0
from tests.flow.pulled import Emulators
from tests.flow.stacks import (
    Lab,
    Through,
    a_submission,
    analysis_of,
    batch_client,
    consumer,
    hint_attributes,
    ingesting_here,
    lab_over,
    ports_with,
    shell_pipeline,
    steps,
)

State = batch_v1.JobStatus.State
VCF = (
    "##fileformat=VCFv4.2\n##contig=<ID=1>\n##FORMAT=<ID=GT,Number=1,Type=String,Description=\"g\">\n"
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1\n1\t5\t.\tA\tC\t9\tPASS\t.\tGT\t0/1\n"
)

GROWING = Retry(min_s=0.004, max_s=10)
STUBBORN = consumer(
    "tests.flow.test_ops:stubborn_function", retry=GROWING, max_attempts=10,
    types=(EventType.RUNNING, EventType.CANCELLED),
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, emulators: Emulators | None) -> Iterator[Lab]:
    """The reconciler's clock stands still; its rounds are made by hand."""
    with lab_over(
        tmp_path_factory.mktemp("ops"), emulators=emulators, reconcile_every_s=3600, silent_after_s=0, unsent_after_s=0,
        consumers={"stubborn": STUBBORN},
    ) as up:
        up.put("samples/s1/uploads/in.vcf", VCF.encode())
        up.register(shell_pipeline(
            "calls", 'cp "$IFLOW_BUCKET_DIR/samples/s1/uploads/in.vcf" "$OUT/calls.vcf"',
            [{"glob": "calls.vcf", "kind": "vcf", "required": True}],
        ))
        up.register(shell_pipeline("fails", "exit 1"))
        yield up
        up.until_ingested()


# -- dead letters -------------------------------------------------------------------------------------------------

fails: set[str] = set()
attempts: list[float] = []
done: list[EventType] = []


def stubborn(delivery: Delivery, ports: Ports) -> None:
    """Handles the events of analysis c80, and fails for those named in `fails`, until they are taken out of it."""
    event = event_of(delivery)
    if event.id in fails:
        attempts.append(time.monotonic())
        raise ConnectionError("the order service is away")
    if event.subject == "c80":
        done.append(event.type)


def stubborn_function(event: CloudEvent) -> None:
    receive("stubborn", event, stubborn, runtime.ports())


def test_what_fails_ten_times_is_a_dead_letter_and_is_done_once_when_it_is_played_again(lab: Lab) -> None:
    """C80: growing pauses, then the whole message with the reason; the replay reaches that subscription alone."""
    first, second = (
        event_about(kind, project="demo", subject="c80", sequence=n, at=T0, data={"analysis_id": "c80"})
        for n, kind in enumerate((EventType.RUNNING, EventType.CANCELLED), 1)
    )
    attempts.clear()  # of the other backend
    done.clear()
    fails.add(first.id)
    for event in (first, second):
        lab.bus.publish(Topic.EVENTS, message_of(event))
    lab.until(lambda: lab.events("c80") == ["running", "cancelled"])
    assert len(attempts) < 10, "the other consumer did not wait for the stubborn one"
    (letter,) = lab.until(lambda: [one for one in lab.dead_letters() if one["attributes"].get("id") == first.id])
    lab.until(lambda: done == [EventType.CANCELLED])

    pauses = [later - earlier for earlier, later in pairwise(attempts)]
    assert len(attempts) == 10
    assert all(pause >= GROWING.pause_s(number) for number, pause in enumerate(pauses, 1))
    assert (letter["subscription"], letter["topic"], letter["attempts"]) == ("stubborn", "analysis-events", 10)
    assert letter["reason"] == "refused 10 times: ConnectionError: the order service is away"
    assert (letter["ordering_key"], letter["attributes"]) == ("c80", first.attributes())
    assert base64.b64decode(letter["payload"]) == first.to_bytes()
    assert letter["id"] in [one["id"] for one in lab.client.get("/ops/dead-letters").json()["items"]]

    fails.remove(first.id)
    assert lab.iflow("ops", "dead-letters", "replay", letter["id"]).exit_code == Exit.DONE
    lab.until(lambda: len(done) == 2)
    lab.until_idle()
    assert done == [EventType.CANCELLED, EventType.RUNNING]
    assert len(attempts) == 10
    assert len(lab.dead_letters()) == 1


def test_what_can_never_be_understood_is_not_tried_again(lab: Lab) -> None:
    """C80, second half: each function keeps it at its first attempt."""
    before = len(lab.dead_letters())
    for type_ in ("analysis.cancel", "analysis.ingest"):
        lab.publish(b"\x00 no event", type=type_)
    lab.bus.publish(Topic.EVENTS, Message(b"\x00 no event", {"type": "analysis.running"}))
    letters = lab.until(lambda: len(lab.dead_letters()) == before + 3 and lab.dead_letters()[:])
    lab.until_idle()
    kept = Counter(letter["subscription"] for letter in letters if letter["text"].endswith("no event"))
    assert kept == {"cancel": 1, "reingest": 1, "stubborn": 1}
    assert {letter["attempts"] for letter in letters if letter["text"].endswith("no event")} == {1}


# -- the outbox ---------------------------------------------------------------------------------------------------


def failing_once(event: str, *, applied: bool) -> Callable[[Any], Through]:
    """Makes a bus of which one publish of `event` times out, with or without its effect."""

    class Bus(Through):
        failed = False

        def publish(self, topic: str, message: Message) -> Any:
            hit = message.attributes.get("id") == event and not self.failed
            if hit:
                Bus.failed = True
            if not hit or applied:
                self._port.publish(topic, message)
            if hit:
                raise Unavailable("publish timed out")

    return Bus


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_publish_that_times_out_once_disturbs_neither_the_order_nor_others(
    lab: Lab, number: int, applied: bool
) -> None:
    """C81: the events of A arrive in order after one round of the reconciler at most; B waits for nothing."""
    request = f"c81-{number}-{applied}".lower()
    analysis = analysis_of(request)
    every = ["queued", "running", "succeeded", "ingested"]
    with ingesting_here(bus=failing_once(f"{analysis}.{number}", applied=applied)):
        lab.order(request, pipeline="calls", inputs={})
        other = lab.order(f"{request}-other", pipeline="calls", inputs={})
        lab.until(lambda: lab.events(other) == every)
        lab.until(lambda: (found := lab.found(analysis)) and found["finished_at"])
        lab.until_idle()
        lab.reconcile()
        lab.until_ingested(analysis)
        lab.reconcile()
        lab.until(lambda: lab.events(analysis) == every)
        lab.until(lambda: lab.document(analysis)["unsent"] == [])
    assert lab.document(analysis)["unsent_since"] is None


class Down(Through):
    """A bus that takes nothing."""

    def publish(self, topic: str, message: Message) -> str:
        raise Unavailable("the bus is down")


def test_fifty_analyses_that_start_run_and_end_while_the_bus_is_down_are_all_told_in_order_after_it(lab: Lab) -> None:
    """C87: by REST, since nothing else can ask while the bus is down; Batch's notifications are lost as well.

    Once per consumer, that is by event id: the bus delivers at least once.
    """
    lab.faults(Fault(notify=Notify(drop=True)))
    with ports_with(bus=Down):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(
                lambda n: lab.client.post("/analyses", json=asked(f"c87-{n}", exit_code=n % 2)), range(50)
            ))
        assert {answer.status_code for answer in answers} == {201}
        analyses = [answer.json()["id"] for answer in answers]
        lab.until(lambda: lab.reconcile() or all(ended(lab, one) for one in analyses), within_s=60)
        assert [lab.events(one) for one in analyses] == [[]] * 50
        assert all(lab.document(one)["unsent"] for one in analyses)
    lab.faults()
    lab.reconcile()
    lab.until_idle()
    for number, analysis in enumerate(analyses):
        final = "failed" if number % 2 else "succeeded"
        assert lab.events(analysis) == ["queued", "running", final]
        assert steps(lab.document(analysis)) == ["queued", "running", final]
        assert lab.document(analysis)["unsent"] == []
    in_batch = {job.labels["iflow-analysis"]: State(job.status.state).name.lower() for job in lab.jobs()}
    shown = lab.client.get("/analyses", params={"text": "c87", "limit": 200}).json()["items"]
    assert {one["id"]: one["status"] for one in shown} == {one: in_batch[one] for one in analyses}


def asked(request: str, *, exit_code: int) -> Mapping[str, Any]:
    """One attempt, whatever its end: the retry would only take time."""
    whole = a_submission(request, pipeline="fails" if exit_code else "ends", inputs={})
    return {name: value for name, value in whole.items() if name not in ("project", "requested_by")}


def ended(lab: Lab, analysis: str) -> bool:
    return lab.document(analysis)["finished_at"] is not None


# -- work that is done once ---------------------------------------------------------------------------------------


class Counted(Through):
    """An engine whose calls are counted by name."""

    def __init__(self, port: Any, calls: Counter[str]) -> None:
        super().__init__(port)
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        self._calls[name] += 1
        return getattr(self._port, name)


def test_a_final_analysis_outlives_its_job_and_batch_is_not_asked_about_it(lab: Lab) -> None:
    """C85: the jobs are deleted, as Google does after 60 days; status, times, exit code, cost and outputs stay."""
    finals = [lab.order(f"c85-{n}", inputs={"exit_code": n, "runtime_seconds": 0}) for n in range(3)]
    before = [lab.until_ends(one) for one in finals]
    lab.until_idle()
    for document in before:
        batch_client(lab).delete_job(name=document["job"]["name"])
    lab.until(lambda: not any(lab.jobs_of(one) for one in finals))
    calls: Counter[str] = Counter()
    with ports_with(engine=lambda engine: Counted(engine, calls)):
        lab.reconcile(rounds=5)
        for one in finals:
            lab.hint(one, "RUNNING")
            assert lab.client.get(f"/analyses/{one}").json() == lab.document(one)
            assert lab.client.get(f"/analyses/{one}/outputs").status_code == 200
        assert lab.client.get("/analyses").status_code == 200
        lab.until_idle()
    assert calls == {}
    assert [lab.document(one) for one in finals] == before
    assert [document["status"] for document in before] == ["succeeded", "failed", "failed"]


def test_forty_hints_and_a_cancel_in_parallel_lose_no_change(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """C83, embedded: handled in less than 10 s, the cancel request is there, and no error leaves a handler, but that
    which says to come again: a log was written anew while another hint's tracker looked at it."""
    caplog.set_level(logging.WARNING)
    analysis = lab.start("c83")
    ready = threading.Barrier(41)
    errors: list[BaseException] = []

    def at_once(action: Callable[[], object]) -> None:
        ready.wait()
        while True:
            try:
                action()
            except Unavailable:
                continue  # as the bus does
            except BaseException as error:
                errors.append(error)
            return

    hints = [hint_event(analysis, number, ("QUEUED", "SCHEDULED", "RUNNING", "SUCCEEDED")[number % 4])
             for number in range(40)]
    actions = [*(lambda event=event: track(event) for event in hints), lambda: lab.cancel(analysis)]
    threads = [threading.Thread(target=at_once, args=(action,)) for action in actions]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 10
    assert errors == []
    document = lab.until_ends(analysis, "cancelled")
    assert document["cancel_requested"]["by"] == "ada@lab.example"
    assert steps(document) == ["queued", "running", "cancelled"]
    assert [record.getMessage() for record in caplog.records] == []


def hint_event(analysis: str, number: int, state: str) -> CloudEvent:
    message = Message(b"", hint_attributes(analysis, state))
    return cloud_event(Leased(0, "track", f"hint-{number}", message, "2026-11-25T08:00:00Z", 1))


def test_the_log_of_a_failed_run_is_among_its_outputs_and_the_api_gives_it(lab: Lab) -> None:
    """C35: exit 1 after 20 lines; whoever reads it has no account in the cloud."""
    lines = [f"line {n} of the pipeline" for n in range(20)]
    inputs = {"exit_code": 1, "runtime_seconds": 0, "log_lines": lines}
    document = lab.until_ends(lab.order("c35", inputs=inputs), "failed")
    assert (document["failure"]["kind"], document["failure"]["exit_code"]) == ("exit_code", 1)
    logs = [output["path"] for output in document["outputs"] if output["kind"] == "log"]
    assert "analyses/c35/logs/task-0.txt" in logs
    text = lab.client.get(f"/analyses/{document['id']}/outputs/logs/task-0.txt").text
    assert text.count("\n".join(lines)) == 2, "two attempts, each with its twenty lines"
    assert lab.client.get(f"/analyses/{document['id']}/logs").json()["text"] == text
    assert "was asked to end with exit code 1" in document["failure"]["message"]
