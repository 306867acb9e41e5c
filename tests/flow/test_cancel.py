"""A cancel is asked for at once, retried until Batch takes it, and written as `cancelled` only when Batch confirms."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from google.cloud import batch_v1

from infra.local.batch import Fault, Notify, Preempt, Quota
from services.reconciler.handler import reconcile
from shared import runtime
from shared.domain.errors import Unavailable
from shared.ports import Message
from shared.topology import Retry
from tests.flow.pulled import Emulators
from tests.flow.stacks import (
    TICK,
    WAIT_FOR_GO,
    Lab,
    Through,
    batch_client,
    job_of,
    lab_over,
    ports_with,
    shell_pipeline,
    steps,
)

State = batch_v1.JobStatus.State


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, emulators: Emulators | None) -> Iterator[Lab]:
    """The reconciler's clock stands still; its rounds are made by hand."""
    with lab_over(
        tmp_path_factory.mktemp("cancel"), emulators=emulators, reconcile_every_s=3600, silent_after_s=0,
        unsent_after_s=0, retry={"cancel": Retry(min_s=0.05, max_s=0.05)}, attempts={"cancel": 100},
    ) as up:
        up.register(shell_pipeline("deaf", f"trap '' TERM; {WAIT_FOR_GO}", max_run_seconds=120))
        yield up


@pytest.fixture(autouse=True)
def _nothing_stays_wrong(lab: Lab) -> Iterator[None]:
    yield
    lab.faults()


class Counted(Through):
    """An engine whose calls are counted by name."""

    def __init__(self, port: Any, calls: Counter[str]) -> None:
        super().__init__(port)
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        self._calls[name] += 1
        return getattr(self._port, name)


def counting(calls: Counter[str]) -> Callable[[Any], Counted]:
    return lambda engine: Counted(engine, calls)


def confirmed(lab: Lab, analysis: str) -> Mapping[str, Any]:
    """The document, cancelled. Batch announces no job's CANCELLED: where no task failed, the reconciler asks for it."""
    lab.until(lambda: lab.reconcile() or lab.document(analysis)["status"] == "cancelled")
    return lab.until_ends(analysis, "cancelled")


def test_a_cancel_that_batch_cannot_take_yet_is_tried_again_and_confirmed_at_the_end(lab: Lab) -> None:
    """C22: CancelJob answers 503 three times; the job then takes its time to end."""
    calls: Counter[str] = Counter()
    lab.faults(Fault(jobs=job_of("c22"), cancel_unavailable=3))
    analysis = lab.start("c22", pipeline="deaf")
    with ports_with(engine=counting(calls)):
        asked = lab.cancel(analysis)
        assert (asked["status"], asked["cancel_requested"]["by"]) == ("running", "ada@lab.example")
        assert asked["status_detail"].startswith("Being cancelled as ada@lab.example asked at ")
        winding_down = lab.until_detail(analysis, "Batch is cancelling the job.")
        assert winding_down["status"] == "running"
        assert "Batch has not confirmed yet" in winding_down["status_detail"]
        assert calls["cancel"] == 4
        lab.go("c22")
        job = lab.batch_says(analysis, State.CANCELLED)
        document = confirmed(lab, analysis)
    assert steps(document) == ["queued", "running", "cancelled"]
    assert document["cancel_requested"] == asked["cancel_requested"]
    assert document["finished_at"] >= asked["cancel_requested"]["at"]
    assert job.status.state == State.CANCELLED
    lab.until(lambda: lab.events(analysis) == ["queued", "running", "cancelled"])


def test_a_cancelled_job_is_still_there_with_its_times_and_its_log(lab: Lab) -> None:
    """C24: CancelJob, and never DeleteJob, which would lose its history."""
    analysis = lab.start("c24")
    lab.cancel(analysis)
    document = lab.until_ends(analysis, "cancelled")
    job = batch_client(lab).get_job(name=document["job"]["name"])
    assert (job.status.state, job.uid) == (State.CANCELLED, document["job"]["uid"])
    assert document["started_at"] < document["finished_at"]
    assert document["metrics"]["run_seconds"] > 0
    assert document["logs_url"].startswith("file:///")
    assert "analyses/c24/logs/task-0.txt" in [output["path"] for output in document["outputs"]]
    assert "begun\n" in lab.client.get(f"/analyses/{analysis}/logs").json()["text"]


def test_what_is_cancelled_while_it_waits_never_ran_and_costs_nothing(lab: Lab) -> None:
    """C25."""
    lab.faults(Fault(jobs=job_of("c25"), quota=Quota()))
    analysis = lab.order("c25")
    lab.until_job(analysis)
    lab.cancel(analysis)
    document = confirmed(lab, analysis)
    assert steps(document) == ["queued", "cancelled"]
    assert document["started_at"] is None
    assert document["metrics"]["run_seconds"] is None
    assert (document["metrics"]["cost"]["amount"], document["metrics"]["cost"]["complete"]) == (0.0, True)
    assert document["ingest"]["status"] == "not_applicable"


@pytest.mark.parametrize("hints", [("RUNNING", "FAILED"), ("FAILED", "RUNNING")])
def test_a_preemption_between_the_cancel_and_its_confirmation_changes_nothing(
    lab: Lab, hints: tuple[str, ...]
) -> None:
    """C26: whatever the hints say and in what order, the job ends CANCELLED, and no job is created anew."""
    request = f"c26-{hints[0].lower()}"
    calls: Counter[str] = Counter()
    lab.faults(Fault(jobs=job_of(request), cancel_unavailable=1000, preempt=Preempt(attempts=1, after_s=0.4)))
    with ports_with(engine=counting(calls)):
        analysis = lab.start(request)
        lab.cancel(analysis)
        lab.until(lambda: "50001" in task_events(lab, analysis))
        for state in hints:
            lab.hint(analysis, state)
        lab.faults()
        document = confirmed(lab, analysis)
    assert steps(document) == ["queued", "running", "cancelled"]
    assert document["failure"] is None
    assert document["metrics"]["preemptions"] == 1
    assert calls["start"] == 1


def task_events(lab: Lab, analysis: str) -> str:
    """What Batch tells of the only task, in one text."""
    (job,) = lab.jobs_of(analysis)
    (task,) = batch_client(lab).list_tasks(parent=f"{job.name}/taskGroups/group0")
    return " ".join(event.description for event in task.status.status_events)


class Down(Through):
    """A bus that takes nothing while it is down."""

    def publish(self, topic: str, message: Message) -> str:
        raise Unavailable("the bus is down")


class Killed(BaseException):
    """Ends a round of the reconciler as SIGKILL would: nothing catches it."""


class KilledAfter(Through):
    """An engine under which the process is killed at the call after the first `calls`."""

    def __init__(self, port: Any, calls: int) -> None:
        super().__init__(port)
        self._left = calls
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            self._left -= 1
        if self._left < 0:
            raise Killed
        return getattr(self._port, name)


CANCELS, CANCELS_ON_EMULATORS = 200, 40
"""An analysis takes 0.15 s of the emulators' time."""


def test_many_cancels_at_once_are_all_confirmed_though_the_reconciler_is_killed_twice(
    lab: Lab, emulators: Emulators | None
) -> None:
    """C28: no command and no notification gets through; the first CancelJob of each answers 503."""
    count = CANCELS_ON_EMULATORS if emulators else CANCELS
    requests = [f"c28-{n}" for n in range(count)]
    lab.faults(Fault(notify=Notify(drop=True), quota=Quota(), cancel_unavailable=1))
    analyses = [lab.order(request, pipeline="ends", inputs={}) for request in requests]
    lab.until(lambda: all((found := lab.found(one)) and found["job"]["uid"] for one in analyses))
    with ports_with(bus=Down), ThreadPoolExecutor(8) as pool:
        assert all(one["cancel_requested"] for one in pool.map(lab.cancel, analyses))
        assert unconfirmed(lab) >= set(analyses)
        for calls in (count * 3 // 4, count * 3 // 2):
            with pytest.raises(Killed):
                reconcile(TICK, replace(runtime.ports(), engine=KilledAfter(lab.ports.engine, calls)))
    lab.until(lambda: lab.reconcile() or not unconfirmed(lab) & set(analyses))
    lab.until_idle()
    lab.reconcile()
    ended = [lab.document(one) for one in analyses]
    assert Counter(document["status"] for document in ended) == {"cancelled": count}
    assert [document["unsent"] for document in ended if document["unsent"]] == []
    assert len(lab.jobs_of(analyses[0])) == 1


def unconfirmed(lab: Lab) -> set[str]:
    """What `iflow ops` lists as asked for and not confirmed."""
    found: set[str] = set()
    cursor: dict[str, str] = {}
    while True:
        page = lab.client.get("/ops/cancels", params={"limit": 200, **cursor}).json()
        found |= {one["id"] for one in page["items"]}
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}
