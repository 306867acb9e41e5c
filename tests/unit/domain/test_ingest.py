"""The lease of an ingest."""

from __future__ import annotations

from shared.domain.analysis import Analysis, IngestStatus, Output, OutputKind
from shared.domain.events import EventType
from shared.domain.ingest import WAITING, ingest_failed, ingest_ready, renew_lease, take_lease, wait_for_machine
from shared.domain.job import JobState
from shared.domain.lifecycle import Unchanged
from shared.domain.outputs import Collected
from shared.domain.policy import Policy
from tests.builders import RUNNING, a_job, after, an_analysis, at, look, running

POLICY = Policy(ingest_lease_s=100, ingest_attempts=3)
VCF = Output(path="analyses/wgs-12-a/calls.vcf.gz", kind=OutputKind.VCF, size=9, crc32c="AAAAAA==", generation=1)


def succeeded(*outputs: Output) -> Analysis:
    collected = Collected(outputs=outputs, total=len(outputs))
    return after(look(running(), a_job(JobState.SUCCEEDED, RUNNING), collected=collected))


def ready(analysis: Analysis) -> Analysis:
    return after(ingest_ready(analysis, (), cache=None, report=(), versions={}, now=at(5001)))


def test_a_second_trigger_waits_for_the_lease_takes_over_after_it_and_never_repeats() -> None:
    """C54: before the lease ends a no-op; after it taken over; after ready a no-op unless forced."""
    held = after(take_lease(succeeded(VCF), "one", at(5000), POLICY))
    assert (held.ingest.status, held.ingest.attempts) == (IngestStatus.RUNNING, 1)
    assert isinstance(take_lease(held, "two", at(5099), POLICY), Unchanged)
    taken = after(take_lease(held, "two", at(5100), POLICY))
    assert taken.ingest.lease is not None and taken.ingest.lease.holder == "two"
    assert taken.ingest.attempts == 2
    done = ready(taken)
    assert isinstance(take_lease(done, "three", at(9000), POLICY), Unchanged)
    assert after(take_lease(done, "three", at(9000), POLICY, force=True)).ingest.attempts == 1


def test_a_holder_that_lost_its_lease_cannot_renew_it() -> None:
    held = after(take_lease(succeeded(VCF), "one", at(5000), POLICY))
    assert after(renew_lease(held, "one", at(5050), POLICY, "half")).ingest.progress == "half"
    taken = after(take_lease(held, "two", at(5100), POLICY))
    assert isinstance(renew_lease(taken, "one", at(5101), POLICY, "half"), Unchanged)


def test_while_a_job_waits_for_its_machine_nobody_takes_over_and_its_first_renewal_ends_that() -> None:
    held = after(take_lease(succeeded(VCF), "one", at(5000), POLICY))
    waiting = after(wait_for_machine(held, "one", at(5001), 1800))
    assert waiting.ingest.progress == WAITING
    assert isinstance(take_lease(waiting, "two", at(6800), POLICY), Unchanged)
    begun = after(renew_lease(waiting, "one", at(6000), POLICY, "Starting."))
    assert begun.ingest.lease is not None and begun.ingest.lease.until == at(6100)


def test_work_that_began_before_its_launcher_said_so_is_not_said_to_wait() -> None:
    held = after(take_lease(succeeded(VCF), "one", at(5000), POLICY))
    at_it = after(renew_lease(held, "one", at(5001), POLICY, "half"))
    assert isinstance(wait_for_machine(at_it, "one", at(5002), 1800), Unchanged)
    assert isinstance(wait_for_machine(held, "two", at(5002), 1800), Unchanged)


def test_an_ingest_that_keeps_dying_fails_with_that_as_its_reason() -> None:
    analysis = succeeded(VCF)
    for n in range(POLICY.ingest_attempts):
        analysis = after(take_lease(analysis, f"holder-{n}", at(5000 + 200 * n), POLICY))
    given_up = after(take_lease(analysis, "last", at(9000), POLICY))
    assert given_up.ingest.status is IngestStatus.FAILED
    assert given_up.ingest.failure is not None and "died 3 times" in given_up.ingest.failure
    assert given_up.unsent[-1].type is EventType.INGEST_FAILED


def test_nothing_is_ingested_without_a_vcf_or_before_success() -> None:
    """C49 (a)."""
    assert succeeded().ingest.status is IngestStatus.NOT_APPLICABLE
    assert isinstance(take_lease(succeeded(), "one", at(5000), POLICY), Unchanged)
    assert isinstance(take_lease(an_analysis(), "one", at(5000), POLICY), Unchanged)


def test_a_failed_ingest_leaves_the_analysis_succeeded() -> None:
    """C38."""
    held = after(take_lease(succeeded(VCF), "one", at(5000), POLICY))
    failed = after(ingest_failed(held, "truncated at byte 9", at(5001)))
    assert (failed.status, failed.ingest.status, failed.ingest.lease) == ("succeeded", IngestStatus.FAILED, None)
    assert failed.ingest.failure == "truncated at byte 9"


def test_the_event_that_wakes_the_ingest_proves_what_was_published() -> None:
    """It and those before it leave the outbox with the lease; those after it stay."""
    analysis = succeeded(VCF)
    later = analysis.with_event(EventType.INGEST_FAILED, at(5000), {})
    woke = next(event for event in later.unsent if event.type is EventType.SUCCEEDED)
    assert [event.type for event in later.received(woke.id).unsent] == [EventType.INGEST_FAILED]
    assert later.received("of-somebody-else") == later
    assert analysis.received(woke.id).unsent_since is None
