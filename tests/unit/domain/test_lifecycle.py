"""The state machine as a table: every status, every Batch state, with and without a cancel."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.analysis import Analysis, FailureKind, IngestStatus, Output, OutputKind, Status
from shared.domain.events import EventType
from shared.domain.job import JobSeen, JobState, StatusEvent, TaskState
from shared.domain.lifecycle import TABLE, Advanced, Move, Unchanged, job_created, job_refused, request_cancel
from shared.domain.outputs import Collected
from tests.builders import (
    JOB,
    QUEUED,
    RULES,
    RUNNING,
    SCHEDULED,
    T0,
    a_job,
    a_task,
    after,
    an_analysis,
    at,
    look,
    moved,
    running,
    task_event,
)

VCF = Output(path="analyses/wgs-12-a/calls.vcf.gz", kind=OutputKind.VCF, size=9, crc32c="AAAAAA==", generation=1)
COMPLETE = Collected(outputs=(VCF,), total=1)

# What DESIGN section 5 says, row by row: the status afterwards, `=` for one that must not change.
EXPECTED = {
    "QUEUED": ("=", "=", "="), "SCHEDULED": ("=", "=", "="), "RUNNING": ("running", "=", "="),
    "SUCCEEDED": ("succeeded", "succeeded", "="), "FAILED": ("failed", "failed", "="),
    "CANCELLATION_IN_PROGRESS": ("=", "=", "="), "DELETION_IN_PROGRESS": ("=", "=", "="),
    "CANCELLED": ("cancelled", "cancelled", "="), "NOT_FOUND": ("=", "=", "="), "STATE_UNSPECIFIED": ("=", "=", "="),
}


def finals() -> list[Analysis]:
    ends = [(JobState.SUCCEEDED, COMPLETE), (JobState.FAILED, None), (JobState.CANCELLED, None)]
    return [after(look(running(), a_job(state, RUNNING), collected=collected)) for state, collected in ends]


@pytest.mark.parametrize(("state", "cancelled"), list(itertools.product(JobState, (False, True))))
def test_every_status_has_an_answer_to_every_batch_state(state: JobState, cancelled: bool) -> None:
    queued, running_, final = EXPECTED[state]
    for analysis, expected in [(an_analysis(), queued), (running(), running_), *((a, final) for a in finals())]:
        if cancelled and not analysis.status.final:
            analysis = after(request_cancel(analysis, "dr.b", at(500)))
        answer = look(analysis, a_job(state, QUEUED), collected=COMPLETE)
        status = answer.analysis.status if isinstance(answer, Advanced) else analysis.status
        assert status == (analysis.status if expected == "=" else expected)


def test_the_table_is_total_and_final_statuses_absorb() -> None:
    assert {(status, state) for status in TABLE for state in TABLE[status]} == set(itertools.product(Status, JobState))
    assert all(set(TABLE[status].values()) == {Move.IGNORE} for status in Status if status.final)


def test_a_final_document_is_unchanged_by_everything() -> None:
    """C16: late RUNNING and QUEUED after SUCCEEDED change nothing."""
    for analysis in finals():
        assert all(isinstance(look(analysis, a_job(state, QUEUED, RUNNING)), Unchanged) for state in JobState)


def test_running_is_entered_once_with_batchs_own_time() -> None:
    analysis = running()
    assert (analysis.status, analysis.started_at, analysis.status_detail) == ("running", at(421), "Running.")
    assert [(c.from_, c.to, c.by) for c in analysis.history] == [
        (None, "queued", "dr.a@lab.example"), ("queued", "running", "batch")
    ]
    again = look(analysis, a_job(JobState.RUNNING, QUEUED, SCHEDULED, RUNNING))
    assert isinstance(again, Unchanged)


def test_success_from_queued_backfills_running_from_the_status_events() -> None:
    job = a_job(JobState.SUCCEEDED, moved("RUNNING", "SUCCEEDED", 1021), QUEUED, RUNNING, SCHEDULED)
    analysis = after(look(an_analysis(), job, collected=COMPLETE))
    assert [c.to for c in analysis.history] == ["queued", "running", "succeeded"]
    assert [e.type for e in analysis.unsent] == [EventType.QUEUED, EventType.RUNNING, EventType.SUCCEEDED]
    assert (analysis.started_at, analysis.finished_at) == (at(421), at(1021))
    assert analysis.ingest.status is IngestStatus.PENDING


def test_queue_prepare_and_run_seconds_and_two_attempts() -> None:
    """C32, C30: 120 s queued, 300 s scheduled, attempts of 200 s and 400 s; billed from SCHEDULED."""
    task = a_task(
        TaskState.SUCCEEDED, task_event(TaskState.RUNNING, 421), task_event(TaskState.FAILED, 621, code=50001),
        task_event(TaskState.RUNNING, 621), task_event(TaskState.SUCCEEDED, 1021),
    )
    job = a_job(
        JobState.SUCCEEDED, QUEUED, SCHEDULED, RUNNING, moved("RUNNING", "SUCCEEDED", 1021), tasks=(task,)
    )
    metrics = after(look(running(), job, collected=COMPLETE)).metrics
    assert (metrics.queue_seconds, metrics.prepare_seconds, metrics.run_seconds) == (120, 300, 600)
    assert (metrics.retries, metrics.preemptions) == (1, 1)
    assert metrics.cost is not None and metrics.cost.billed_seconds == 900
    assert metrics.cost.amount == pytest.approx(0.036 * 900 / 3600) and metrics.cost.complete


def test_spot_with_an_unknown_zone_is_an_incomplete_estimate() -> None:
    """C31."""
    job = a_job(JobState.SUCCEEDED, QUEUED, SCHEDULED, RUNNING, moved("RUNNING", "SUCCEEDED", 1021))
    cost = after(look(running(), job, collected=COMPLETE)).metrics.cost
    assert cost is not None and (cost.basis, cost.complete) == ("estimate", False)
    assert cost.reason is not None and "zone is not known" in cost.reason


def test_a_preempted_attempt_does_not_stick_to_a_task_that_then_succeeded() -> None:
    """C09: events out of order, SUCCEEDED without an exit code."""
    task = a_task(
        TaskState.SUCCEEDED, task_event(TaskState.SUCCEEDED, 900), task_event(TaskState.RUNNING, 700),
        task_event(TaskState.FAILED, 600, code=50001),
    )
    job = a_job(JobState.SUCCEEDED, RUNNING, tasks=(task,))
    analysis = after(look(running(), job, collected=COMPLETE))
    assert (analysis.status, analysis.failure) == ("succeeded", None)
    assert (analysis.metrics.preemptions, analysis.metrics.retries) == (1, 1)


@pytest.mark.parametrize(("code", "kind", "hint"), [
    (50000, FailureKind.UNKNOWN, "rerun is safe"), (50001, FailureKind.PREEMPTED, "rerun is safe"),
    (50002, FailureKind.VM_LOST, "rerun is safe"), (50003, FailureKind.VM_LOST, "rerun is safe"),
    (50004, FailureKind.VM_LOST, "rerun is safe"), (50005, FailureKind.TIMEOUT, "rerun is safe"),
    (50006, FailureKind.VM_LOST, "rerun is safe"), (1, FailureKind.EXIT_CODE, "log"),
    (137, FailureKind.EXIT_CODE, "memory"),
])
def test_the_last_attempts_exit_code_is_the_failures(code: int, kind: FailureKind, hint: str) -> None:
    """C10."""
    task = a_task(
        TaskState.FAILED, task_event(TaskState.FAILED, 500, code=3), task_event(TaskState.RUNNING, 501),
        task_event(TaskState.FAILED, 600, code=code),
    )
    failure = after(look(running(), a_job(JobState.FAILED, RUNNING, tasks=(task,)))).failure
    assert failure is not None
    assert (failure.kind, failure.exit_code, failure.task) == (kind, code, 0)
    assert hint in failure.hint


def test_a_job_that_batch_could_never_run_fails_from_queued_in_one_step() -> None:
    """C08, C30: no running in the history, run seconds empty, cost 0 and complete."""
    text = "CODE_GCE_INVALID_FIELD_VALUE: the resource acceleratorTypes/x was not found"
    job = a_job(
        JobState.FAILED, QUEUED, SCHEDULED, StatusEvent(at(130), text), moved("SCHEDULED", "FAILED", 131)
    )
    analysis = after(look(an_analysis(), job))
    assert [c.to for c in analysis.history] == ["queued", "failed"]
    assert analysis.failure is not None and analysis.failure.kind is FailureKind.REJECTED_BY_BATCH
    assert text in analysis.failure.message
    assert analysis.metrics.run_seconds is None
    never_scheduled = after(look(an_analysis(), a_job(JobState.FAILED, QUEUED, moved("QUEUED", "FAILED", 9))))
    cost = never_scheduled.metrics.cost
    assert cost is not None and (cost.amount, cost.complete) == (0, True)


def test_a_permission_failure_names_the_account_and_the_resource() -> None:
    """C36: not a sentence about missing logs."""
    text = "PERMISSION_DENIED: account runner@lab.example has no access to bucket lab-data"
    failure = after(look(an_analysis(), a_job(JobState.FAILED, QUEUED, StatusEvent(at(5), text)))).failure
    assert failure is not None and failure.kind is FailureKind.PERMISSION
    assert "runner@lab.example" in failure.message and "lab-data" in failure.message
    assert "administrator" in failure.hint


def test_the_reason_behind_a_change_of_state_is_kept() -> None:
    """Batch appends it to the sentence, without a space."""
    text = f"Job state is set from SCHEDULED to FAILED for job {JOB}.Job failed since the zone has no such disk."
    failure = after(look(an_analysis(), a_job(JobState.FAILED, QUEUED, StatusEvent(at(9), text)))).failure
    assert failure is not None and failure.message == "Job failed since the zone has no such disk."


def test_quota_wait_is_one_sentence_written_once_and_cleared() -> None:
    """C19."""
    told = "CODE_GCE_QUOTA_EXCEEDED: Quota 'CPUS' exceeded. Limit: 0.0 in region us-central1."
    waiting = after(look(an_analysis(), a_job(JobState.QUEUED, QUEUED, StatusEvent(at(60), told))))
    assert (waiting.status, waiting.status_detail) == (
        "queued", "Waiting for quota: CPUS is used up in us-central1 (limit 0.0)."
    )
    poll = a_job(JobState.QUEUED, QUEUED, StatusEvent(at(60), told), StatusEvent(at(120), told))
    assert isinstance(look(waiting, poll), Unchanged)
    begun = after(look(waiting, a_job(JobState.RUNNING, StatusEvent(at(60), told), RUNNING)))
    assert "quota" not in begun.status_detail.lower()
    assert len(begun.history) == 2


def test_not_found_for_minutes_and_then_running() -> None:
    """C11: `job_lost` never appears."""
    made = after(job_created(an_analysis(), a_job(JobState.QUEUED, QUEUED), at(2)))
    missing = after(look(made, JobSeen.missing(JOB), seconds=10))
    assert (missing.status, missing.job.missing_since) == ("queued", at(10))
    assert isinstance(look(missing, JobSeen.missing(JOB), seconds=240), Unchanged)
    begun = after(look(missing, a_job(JobState.RUNNING, RUNNING), seconds=422))
    assert (begun.status, begun.job.missing_since, begun.failure) == ("running", None, None)


def test_a_job_that_was_never_made_is_not_lost_however_long_that_takes() -> None:
    """A cancel looks before CreateJob has come through; found by the simulation, seed 131."""
    for seconds in (10, 10 + RULES.policy.missing_grace_s):
        assert isinstance(look(an_analysis(), JobSeen.missing(JOB), seconds=seconds), Unchanged)


def test_a_deleted_job_is_lost_after_the_grace_period_and_not_before() -> None:
    """C13."""
    missing = after(look(running(), JobSeen.missing(JOB), seconds=1000))
    almost = look(missing, JobSeen.missing(JOB), seconds=1000 + RULES.policy.missing_grace_s - 1)
    assert isinstance(almost, Unchanged)
    lost = after(look(missing, JobSeen.missing(JOB), seconds=1000 + RULES.policy.missing_grace_s))
    assert lost.status == "failed"
    assert lost.failure is not None and lost.failure.kind is FailureKind.JOB_LOST
    assert "deleted" in lost.failure.message
    assert lost.metrics.cost is not None and not lost.metrics.cost.complete


def test_outputs_missing_is_a_failure_that_names_the_path() -> None:
    """C20."""
    collected = Collected(missing=("analyses/wgs-12-a/calls.vcf.gz (vcf) was not written",))
    analysis = after(look(running(), a_job(JobState.SUCCEEDED, RUNNING), collected=collected))
    assert analysis.status == "failed"
    assert analysis.failure is not None and analysis.failure.kind is FailureKind.OUTPUTS_MISSING
    assert "analyses/wgs-12-a/calls.vcf.gz" in analysis.failure.message
    assert analysis.ingest.status is IngestStatus.NOT_APPLICABLE


def test_batchs_times_in_other_offsets_become_utc_and_never_run_backwards() -> None:
    """C15: SUCCEEDED is seen first; created <= started <= finished."""
    ended = StatusEvent(
        datetime.fromisoformat("2024-05-01T16:21:14-07:00"), f"Job state is set from RUNNING to SUCCEEDED for {JOB}"
    )
    long_ago = an_analysis().changed(created_at=datetime(2024, 5, 1, 23, 0, tzinfo=UTC), history=())
    analysis = after(look(long_ago, a_job(JobState.SUCCEEDED, ended), collected=COMPLETE))
    document = analysis.to_document()
    assert document["finished_at"] == "2024-05-01T23:21:14.000000Z"
    skewed = after(look(running(), a_job(JobState.SUCCEEDED, ended), collected=COMPLETE))
    assert skewed.started_at is not None and skewed.finished_at is not None
    assert skewed.created_at <= skewed.started_at <= skewed.finished_at
    assert [c.at for c in skewed.history] == sorted(c.at for c in skewed.history)


def test_cancel_is_noted_once_and_confirmed_by_batch_alone() -> None:
    """C22, C25: cancelled from queued has no running in its history, costs 0 and is not ingested."""
    asked = after(request_cancel(an_analysis(), "dr.b", at(30)))
    assert (asked.status, asked.cancel_requested and asked.cancel_requested.by) == ("queued", "dr.b")
    assert "has not confirmed" in asked.status_detail
    assert [event.type for event in asked.unsent][-1] is EventType.CANCEL
    assert isinstance(request_cancel(asked, "dr.c", at(40)), Unchanged)
    cancelled = after(look(asked, a_job(JobState.CANCELLED, QUEUED)))
    assert [c.to for c in cancelled.history] == ["queued", "cancelled"]
    assert cancelled.metrics.cost is not None and cancelled.metrics.cost.amount == 0
    assert cancelled.ingest.status is IngestStatus.NOT_APPLICABLE
    assert "dr.b" in cancelled.status_detail


def test_a_cancel_that_came_too_late_leaves_the_true_end() -> None:
    asked = after(request_cancel(running(), "dr.b", at(900)))
    ended = after(look(asked, a_job(JobState.SUCCEEDED, RUNNING), collected=COMPLETE))
    assert (ended.status, ended.status_detail) == ("succeeded", "Finished before the cancel could take effect.")


def test_cancelled_after_a_preemption_is_cancelled() -> None:
    """C26: whatever hints came, the final GetJob says CANCELLED."""
    asked = after(request_cancel(running(), "dr.b", at(900)))
    task = a_task(TaskState.FAILED, task_event(TaskState.FAILED, 950, code=50001))
    assert after(look(asked, a_job(JobState.CANCELLED, RUNNING, tasks=(task,)))).status == "cancelled"


def test_the_jobs_uid_is_noted_once() -> None:
    job = a_job(JobState.QUEUED, QUEUED)
    noted = after(job_created(an_analysis(), job, at(2)))
    assert (noted.job.uid, noted.status_detail) == ("a-x-1", "Waiting for Batch to schedule the job.")
    assert isinstance(job_created(noted, job, at(3)), Unchanged)


def test_a_refused_job_fails_with_batchs_sentence_and_no_state_of_a_job() -> None:
    """C07."""
    analysis = after(job_refused(an_analysis(), "machine type e2-huge does not exist", at(2), RULES))
    assert analysis.failure is not None and analysis.failure.kind is FailureKind.REJECTED_BY_BATCH
    assert "e2-huge" in analysis.failure.message
    assert (analysis.status, analysis.job.uid, analysis.job.state) == ("failed", None, None)


LEGAL = {(None, "queued"), ("queued", "running"), ("queued", "succeeded"), ("queued", "failed"),
         ("queued", "cancelled"), ("running", "succeeded"), ("running", "failed"), ("running", "cancelled")}


@given(st.lists(st.tuples(st.sampled_from(JobState), st.booleans(), st.floats(0, 10_000)), max_size=12))
def test_any_sequence_of_observations_leaves_a_legal_history(
    observations: list[tuple[JobState, bool, float]],
) -> None:
    """Whatever Batch is seen to say, in whatever order: legal steps, ordered times, one event for each step."""
    analysis = an_analysis()
    for state, cancel, seconds in observations:
        before = analysis
        answers = [request_cancel(analysis, "dr.b", at(seconds))] if cancel else []
        answers.append(look(analysis, a_job(state, QUEUED, RUNNING), seconds=seconds, collected=COMPLETE))
        for answer in answers:
            if isinstance(answer, Advanced) and answers[-1] is answer:
                analysis = answer.analysis
        if before.status.final:
            assert analysis == before
    steps = [(change.from_, str(change.to)) for change in analysis.history]
    assert all(step in LEGAL for step in steps)
    assert [change.at for change in analysis.history] == sorted(change.at for change in analysis.history)
    assert len([e for e in analysis.unsent if e.type is not EventType.CANCEL]) == len(analysis.history)
    assert len({event.id for event in analysis.unsent}) == len(analysis.unsent)
    assert analysis.created_at == T0
    assert Analysis.from_document(analysis.to_document()) == analysis
