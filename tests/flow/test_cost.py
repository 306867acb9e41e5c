"""What a run took and cost, out of Batch's own times, and the labels that a bill is split by."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from infra.local.batch import Fault, Preempt, Quota
from shared.domain.clock import seconds_between
from tests.flow.pulled import Emulators
from tests.flow.stacks import ENDS, Lab, entered, job_of, lab_over, shell_pipeline

SPOT_PER_HOUR_IN_ZONE_A = 0.0210
"""Of e2-standard-2 in us-central1-a: infra/pipelines/prices.yaml. The local Batch server's VMs stand in that zone."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, emulators: Emulators | None) -> Iterator[Lab]:
    with lab_over(tmp_path_factory.mktemp("cost"), emulators=emulators) as up:
        unpriced = {**ENDS.resources.model_dump(), "machine_type": "n9-huge"}
        up.register(shell_pipeline("unpriced", "true", resources=unpriced))
        up.register(shell_pipeline("brief", "sleep 0.3", retries={"max": 2}))
        yield up


def test_every_job_and_its_vms_carry_the_labels_that_a_bill_is_split_by(lab: Lab) -> None:
    """C29: as ListJobs shows them; Google's rule for labels is kept and no reserved prefix is used."""
    analysis = lab.until_ends(lab.order("c29"), "succeeded")
    (job,) = lab.jobs_of(analysis["id"])
    labels = {
        "iflow-analysis": analysis["id"], "iflow-project": "demo", "iflow-pipeline": "fail-on-request",
        "iflow-pipeline-version": "1-0-0",
    }
    assert dict(job.labels) == labels
    assert dict(job.allocation_policy.labels) == labels
    for text in (*labels, *labels.values()):
        assert re.fullmatch(r"(?!goog-|google-)[a-z0-9_-]{1,63}", text)


def test_seconds_and_cost_follow_from_batchs_times_with_two_attempts_and_a_wait(lab: Lab) -> None:
    """C30, C31 (a), C32: billing begins with SCHEDULED, run seconds with RUNNING, both last over two attempts."""
    lab.faults(Fault(jobs=job_of("c32"), quota=Quota(seconds=0.2), preempt=Preempt(attempts=1, after_s=0.1)))
    document = lab.until_ends(lab.order("c32", pipeline="brief", inputs={}), "succeeded")
    lab.faults()
    (job,) = lab.jobs_of(document["id"])
    scheduled, began, ended = (entered(job, state) for state in ("SCHEDULED", "RUNNING", "SUCCEEDED"))
    metrics = document["metrics"]
    assert metrics["queue_seconds"] == pytest.approx(seconds_between(job.create_time, scheduled), abs=0.002)
    assert metrics["prepare_seconds"] == pytest.approx(seconds_between(scheduled, began), abs=0.002)
    assert metrics["run_seconds"] == pytest.approx(seconds_between(began, ended), abs=0.002)
    assert metrics["queue_seconds"] >= 0.2
    assert metrics["run_seconds"] >= 0.4
    assert (metrics["retries"], metrics["preemptions"]) == (1, 1)
    billed = metrics["cost"]["billed_seconds"]
    assert billed == pytest.approx(seconds_between(scheduled, ended), abs=0.002)
    assert metrics["cost"] == {
        "amount": round(SPOT_PER_HOUR_IN_ZONE_A * billed / 3600, 6), "currency": "USD", "billed_seconds": billed,
        "basis": "estimate", "complete": True, "reason": None,
    }


def test_list_and_detail_give_the_same_seconds_and_the_longest_run_comes_first(lab: Lab) -> None:
    """C32."""
    for request, seconds in (("ladder-short", 0), ("ladder-long", 0.6), ("ladder-middle", 0.3)):
        lab.until_ends(lab.order(request, inputs={"exit_code": 0, "runtime_seconds": seconds}), "succeeded")
    listed = lab.client.get("/analyses", params={"sort": "-run_seconds", "text": "ladder"}).json()["items"]
    assert [one["display_id"] for one in listed] == ["ladder-long", "ladder-middle", "ladder-short"]
    for one in listed:
        detail = lab.client.get(f"/analyses/{one['id']}").json()["metrics"]
        assert one["metrics"] == {name: detail[name] for name in one["metrics"]}
        assert {"queue_seconds", "run_seconds", "cost"} <= set(one["metrics"])


def test_a_machine_without_a_price_has_no_amount_and_says_so(lab: Lab) -> None:
    """C31 (b): never silently another one's price."""
    document = lab.until_ends(lab.order("c31", pipeline="unpriced", inputs={}), "succeeded")
    cost = document["metrics"]["cost"]
    assert (cost["amount"], cost["complete"], cost["basis"]) == (None, False, "estimate")
    assert cost["reason"] == "price table list-prices-example has no n9-huge in us-central1"
    assert cost["billed_seconds"] > 0


def test_a_job_that_failed_before_a_task_began_costs_nothing(lab: Lab) -> None:
    """C30, first half: no VM was ever there."""
    lab.faults(Fault(jobs=job_of("c30"), fail_before_start="CODE_GCE_INVALID_FIELD_VALUE: no such accelerator"))
    document = lab.until_ends(lab.order("c30"), "failed")
    lab.faults()
    metrics = document["metrics"]
    assert (metrics["run_seconds"], metrics["cost"]["amount"], metrics["cost"]["complete"]) == (None, 0.0, True)
