"""An outage of a minute, of each of Google's services: while messages are published, documents committed, jobs created.

Time goes SPEED times as fast: the outage lasts a minute divided by it, and so do the pauses of topology.yaml, the
reconciler's period, and what the policy waits for. IFLOW_TEST_SPEED=1 is the real minute, at the deployed pauses. The
clients' own tries and deadlines are as deployed: a connection is refused at once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from google.cloud import batch_v1

from infra.local.emulator_stack import Servers
from shared.domain.errors import Unavailable
from shared.domain.policy import Policy
from shared.topology import Retry, topology
from tests.flow.proxy import Proxy
from tests.flow.pulled import Emulators
from tests.flow.stacks import Lab, analysis_of, lab_over, steps

State = batch_v1.JobStatus.State
SPEED = float(os.environ.get("IFLOW_TEST_SPEED", "10"))
OUTAGE_S = 60 / SPEED
HEALED_WITHIN_S = 30 + 180 / SPEED
"""The pause after a minute's refusals is of a minute; then a round of the reconciler. 30 s for the machine."""

WHOLE_LIFE = ("queued", "running", "succeeded")
SIGNS = {
    "pubsub": "not published, left to the reconciler", "firestore": "Firestore could not", "batch": "Batch could not",
}
"""What the log says of each."""


@pytest.fixture(scope="module")
def proxies() -> Mapping[str, Proxy]:
    """Between each service and the functions; filled in by the stack."""
    return {}


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, emulators: Emulators, proxies: dict[str, Proxy]
) -> Iterator[Lab]:
    def between(servers: Servers) -> Servers:
        proxies.update({name: Proxy(getattr(servers, name)) for name in SIGNS})
        return replace(servers, **{name: proxy.address for name, proxy in proxies.items()})

    schedule, policy = topology().schedules["reconcile"], Policy()
    pauses = {
        name: Retry(min_s=spec.retry.min_s / SPEED, max_s=spec.retry.max_s / SPEED)
        for name, spec in topology().subscriptions.items()
    }
    with lab_over(
        tmp_path_factory.mktemp("outages"), emulators=emulators, retry=pauses, between=between,
        reconcile_every_s=schedule.every_s / SPEED, silent_after_s=policy.silent_after_s / SPEED,
        unsent_after_s=policy.unsent_after_s / SPEED,
    ) as up:
        yield up
    for proxy in proxies.values():
        proxy.close()


def ask(lab: Lab, request: str, *, by_rest: bool) -> None:
    if by_rest:  # no event of an upstream service reaches a bus that is away
        body = {"display_id": request, "pipeline": "ends", "inputs": {}}
        answer = lab.client.post("/analyses", json=body, headers={"Idempotency-Key": request})
        assert answer.status_code == 201, answer.text
    else:
        lab.order(request, pipeline="ends", inputs={})


def is_reached(lab: Lab) -> bool:
    """Firestore, by this process: a channel that was refused for a while waits before it connects again."""
    try:
        lab.rejections()
    except Unavailable:
        return False
    return True


@pytest.mark.parametrize("emulators", ["emulators"], indirect=True, scope="module")
@pytest.mark.parametrize("service", SIGNS)
def test_a_minute_without_a_service_loses_and_doubles_nothing_and_heals_alone(
    lab: Lab, proxies: Mapping[str, Proxy], service: str, caplog: pytest.LogCaptureFixture
) -> None:
    """C81, C87, C01: three analyses that run end meanwhile, three are asked for: each goes its whole way once."""
    before, during = ([f"{service}-{when}-{n}" for n in range(3)] for when in ("before", "during"))
    for request in before:
        lab.start(request)
    caplog.clear()
    with proxies[service].cut():
        ends = time.monotonic() + OUTAGE_S
        for request in before:
            lab.go(request)
            lab.batch_says(analysis_of(request), State.SUCCEEDED)
        for request in during:
            ask(lab, request, by_rest=service == "pubsub")
        lab.until(lambda: time.monotonic() > ends, OUTAGE_S + 5)
    said = [record.getMessage() + str(getattr(record, "reason", "")) for record in caplog.records]
    assert len([each for each in said if SIGNS[service] in each]) >= len(during), said
    lab.until(lambda: is_reached(lab), HEALED_WITHIN_S)
    for request in (*before, *during):
        analysis = analysis_of(request)
        lab.until(lambda analysis=analysis: lab.found(analysis), HEALED_WITHIN_S)  # type: ignore[misc]
        done = lab.until_ends(analysis, "succeeded", within_s=HEALED_WITHIN_S)
        lab.until_events(analysis, *WHOLE_LIFE)
        assert steps(done) == list(WHOLE_LIFE)
        assert len(lab.jobs_of(analysis)) == 1
    lab.until_idle()
    assert (lab.rejections(), lab.dead_letters()) == ([], [])
