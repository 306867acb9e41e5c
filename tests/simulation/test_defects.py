"""The simulation finds bugs: each defect that is put in on purpose is caught in a few seeds, by the right invariant."""

from __future__ import annotations

import pytest

from tests.simulation import defects
from tests.simulation.world import simulate

WITHIN = 200
"""Seeds, from 0. Most defects show in the first few; a step backwards takes an observation that is overtaken."""

LOST_UPDATES = {
    "events-numbered", "legal-path", "history-append-only", "cancel-kept", "a-write-says-something",
    "published-before-cleared",
}

CAUGHT: tuple[tuple[defects.Defect, set[str]], ...] = (
    (defects.acknowledge_before_commit, {"nothing-lost"}),
    (defects.trust_the_notification, {"status-is-batchs"}),
    (defects.no_outbox, {"each-event-once-in-order"}),
    (defects.clear_unsent_before_publish, {"published-before-cleared"}),
    (defects.no_lease, {"one-holder-of-a-lease"}),
    (defects.running_after_succeeded, {"legal-path"}),
    (defects.random_job_id, {"one-job-per-request", "status-is-batchs"}),  # the document names a job that is not there
    (defects.cancelled_at_request, {"status-is-batchs"}),
    (defects.overwrite_on_conflict, LOST_UPDATES),
    (defects.no_grace_for_a_missing_job, {"status-is-batchs"}),
    (defects.visible_before_it_is_there, {"ready-means-tables", "one-ready-ingest"}),  # its cache wants the table, too
    (defects.nobody_looks_after_orders, {"always-built"}),
    (defects.manifest_before_its_table, {"ready-means-tables", "rows-equal"}),
)


@pytest.mark.parametrize(("defect", "by"), CAUGHT, ids=[defect.__name__ for defect, _ in CAUGHT])
def test_a_defect_is_caught(defect: defects.Defect, by: set[str]) -> None:
    with defect():
        caught = next((outcome for outcome in map(simulate, range(WITHIN)) if outcome.broken), None)
    assert caught is not None, f"not caught in {WITHIN} seeds"
    assert caught.broken.invariant in by, f"seed {caught.seed}: {caught.broken}"


def test_a_defect_is_gone_when_its_context_ends() -> None:
    for defect, _ in CAUGHT:
        with defect():
            pass
    assert not any(simulate(seed).broken for seed in range(5))
