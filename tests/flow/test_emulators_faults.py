"""On Google's emulators: outages of each service, notifications that are doubled, turned round and lost, and functions
whose process is killed. Nothing is lost, nothing is done twice, and nobody lends a hand.

Reduced from the embedded stack's: 8 patterns of notifications, and 8 of the points at which a function can be killed.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from google.cloud import batch_v1

from infra.local.batch import Fault, Notify, Refusal
from shared.domain.ingest import WAITING
from tests.flow.crash_life import VCF
from tests.flow.emulated import Emulated, emulated_over
from tests.flow.stacks import analysis_of, job_of, shell_pipeline, steps

State = batch_v1.JobStatus.State
WHOLE_LIFE = ("queued", "running", "succeeded")
PATTERNS = 8
KILLS = 8
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated_over(tmp_path_factory.mktemp("faults"), ingest_lease_s=5) as up:
        up.put("samples/s1/uploads/in.vcf", VCF.encode())
        up.register(shell_pipeline(
            "calls", 'cp "$IFLOW_BUCKET_DIR/samples/s1/uploads/in.vcf" "$OUT/calls.vcf"',
            [{"glob": "calls.vcf", "kind": "vcf", "required": True}],
        ))
        yield up


def until_all_is_well(lab: Emulated, *requests: str, ingested: bool = False) -> None:
    """Each has gone its whole way once, and nothing was refused or given up."""
    for request in requests:
        analysis = analysis_of(request)
        lab.until(lambda analysis=analysis: lab.found(analysis), WITHIN_S)  # type: ignore[misc]
        done = lab.until_ends(analysis, "succeeded", within_s=WITHIN_S)
        assert steps(done) == list(WHOLE_LIFE), request
        assert len(lab.jobs_of(analysis)) == 1, request
        if ingested:
            lab.until(lambda analysis=analysis: at_rest(lab.document(analysis)), WITHIN_S)  # type: ignore[misc]
            assert lab.document(analysis)["ingest"]["rows"] == 1, lab.document(analysis)["ingest"]
        lab.until_events(analysis, *WHOLE_LIFE, *(["ingested"] if ingested else []))
    assert lab.rejections() == []
    assert lab.dead_letters() == []


def at_rest(document: Mapping[str, Any]) -> bool:
    return document["ingest"]["status"] in ("ready", "failed") and not document["unsent"]


# -- outages ------------------------------------------------------------------------------------------------------

SIGNS = {
    "pubsub": ("api", "not published, left to the reconciler"),
    "firestore": ("submit", "Firestore could not"),
    "batch": ("submit", "Batch could not"),
}
"""What a process says, in which log, once it has met the outage."""


def ask(lab: Emulated, request: str, *, by_rest: bool) -> None:
    if by_rest:  # no event of an upstream service reaches a bus that is away
        body = {"display_id": request, "pipeline": "fail-on-request", "inputs": {"exit_code": 0, "runtime_seconds": 0}}
        answer = lab.client.post("/analyses", json=body, headers={"Idempotency-Key": request})
        assert answer.status_code == 201, answer.text
    else:
        lab.order(request)


@pytest.mark.parametrize("service", SIGNS)
def test_an_outage_while_analyses_are_asked_for_start_and_end_loses_and_doubles_nothing(
    lab: Emulated, service: str
) -> None:
    """C81, C87; and the same for Firestore, and for Batch."""
    before, during = ([f"{service}-{when}-{n}" for n in range(3)] for when in ("before", "during"))
    for request in before:
        lab.start(request)
    log, sign = SIGNS[service]
    with lab.log_of(log) as said, lab.proxies[service].cut():
        for request in before:
            lab.go(request)
            lab.batch_says(analysis_of(request), State.SUCCEEDED)
        for request in during:
            ask(lab, request, by_rest=service == "pubsub")
        lab.until(lambda: sign in said(), WITHIN_S)
    until_all_is_well(lab, *before, *during)


# -- notifications ------------------------------------------------------------------------------------------------


def a_pattern(seed: int) -> Notify:
    chosen = random.Random(seed)
    states = tuple(chosen.sample(("QUEUED", "SCHEDULED", "RUNNING", "SUCCEEDED"), chosen.randint(1, 4)))
    return Notify(
        states=states, drop=chosen.random() < 0.3, duplicate=chosen.randint(0, 3), reorder=chosen.randint(0, 3),
        delay_s=chosen.choice((0.0, 0.2)),
    )


def test_whatever_becomes_of_the_notifications_each_analysis_goes_its_way_once(lab: Emulated) -> None:
    requests = [f"pattern-{seed}" for seed in range(PATTERNS)]
    lab.faults(*(Fault(jobs=job_of(request), notify=a_pattern(seed)) for seed, request in enumerate(requests)))
    for request in requests:
        lab.order(request)
    until_all_is_well(lab, *requests)
    lab.faults()


# -- deaths -------------------------------------------------------------------------------------------------------


def test_a_function_that_is_killed_between_two_calls_leaves_nothing_half_done(lab: Emulated) -> None:
    """The points are found by looking at an undisturbed life, and spread over it."""
    with lab.recorded() as points:
        lab.order("undisturbed", pipeline="calls", inputs={})
        until_all_is_well(lab, "undisturbed", ingested=True)
    points = [point for point in points if point.split()[0] in ("submit", "track", "ingest")]
    assert {point.split()[0] for point in points} == {"submit", "track", "ingest"}
    chosen = points[:: max(1, len(points) // KILLS)][:KILLS]
    unreached = []
    for number, point in enumerate(chosen):
        lab.kill_at(point, number)
        request = f"killed-{number}"
        lab.order(request, pipeline="calls", inputs={})
        until_all_is_well(lab, request, ingested=True)
        if not lab.was_killed():
            unreached.append(point)
    assert len(unreached) <= KILLS // 4, unreached


RECORDS = 200_000
"""Enough for a second's work."""


def workers_of(analysis: str) -> list[int]:
    """The processes that work on its ingest."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = command.read_bytes().split(b"\0")
            if b"services.vcf_ingest" in words and analysis.encode() in words:
                found.append(int(command.parent.name))
    return found


def a_large_one(lab: Emulated, request: str) -> str:
    """Its id, once it has succeeded and its ingest is under way."""
    head, line = VCF.rsplit("1\t5\t", 1)
    lab.put("samples/s1/uploads/in.vcf", (head + "".join(f"1\t{5 + n}\t{line}" for n in range(RECORDS))).encode())
    analysis = lab.order(request, pipeline="calls", inputs={})
    lab.until_found(analysis)
    lab.until_ends(analysis, "succeeded", within_s=WITHIN_S)
    return analysis


def test_a_large_ingest_that_batch_refuses_fails_with_batchs_own_sentence(lab: Emulated) -> None:
    lab.faults(Fault(jobs="i-*", refuse_create=Refusal(code="PERMISSION_DENIED", text="iam.serviceAccounts.actAs")))
    analysis = a_large_one(lab, "refused")
    lab.until(lambda: at_rest(lab.document(analysis)), WITHIN_S)
    ingest = lab.document(analysis)["ingest"]
    assert ingest["status"] == "failed" and "iam.serviceAccounts.actAs" in ingest["failure"]
    lab.until_events(analysis, *WHOLE_LIFE, "ingest_failed")
    lab.faults()


def test_a_large_ingest_whose_job_is_killed_at_work_is_taken_over_by_another_job(lab: Emulated) -> None:
    """C50, C54: its lease runs out, and the reconciler has it begun again."""
    analysis = a_large_one(lab, "mortal")
    lab.until(lambda: lab.document(analysis)["ingest"]["progress"] == WAITING, WITHIN_S)
    lab.until(lambda: lab.document(analysis)["ingest"]["progress"] != WAITING, WITHIN_S)
    workers = workers_of(analysis)
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    assert workers
    lab.until(lambda: at_rest(lab.document(analysis)), WITHIN_S)
    ingest = lab.document(analysis)["ingest"]
    assert (ingest["status"], ingest["rows"], ingest["attempts"]) == ("ready", RECORDS, 2)
    assert len([job for job in lab.jobs() if f"/jobs/i-{analysis}" in job.name]) == 2
    lab.until_events(analysis, *WHOLE_LIFE, "ingested")
