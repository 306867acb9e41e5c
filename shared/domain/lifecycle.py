"""The state machine: what Batch shows decides what an analysis becomes. One table, total, pure (DESIGN section 5).

`advance` answers for every status, every Batch state, and whether or not a cancel was requested; it never raises.
Final statuses absorb. Every answer is either `Advanced` (another document, with its events in `unsent`) or
`Unchanged` with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from shared.domain.analysis import (
    Analysis,
    CancelRequested,
    CostSeen,
    Failure,
    FailureKind,
    Ingest,
    IngestStatus,
    Job,
    Metrics,
    Status,
)
from shared.domain.clock import seconds_between
from shared.domain.detail import detail_of
from shared.domain.events import EventType
from shared.domain.failure import HINTS, failure_of
from shared.domain.job import JobSeen, JobState
from shared.domain.outputs import NOTHING_COLLECTED, Collected
from shared.domain.part import Change, shorten
from shared.domain.pipeline import OutputKind
from shared.domain.policy import Policy
from shared.domain.prices import PriceTable, Vm, estimate
from shared.domain.timeline import Timeline, timeline

BATCH = "batch"
EVENT_OF = {
    Status.QUEUED: EventType.QUEUED,
    Status.RUNNING: EventType.RUNNING,
    Status.SUCCEEDED: EventType.SUCCEEDED,
    Status.FAILED: EventType.FAILED,
    Status.CANCELLED: EventType.CANCELLED,
}


@dataclass(frozen=True)
class Advanced:
    """`analysis` is what is to be committed; its new events stand in `analysis.unsent`."""

    analysis: Analysis


@dataclass(frozen=True)
class Unchanged:
    """`reason` is for logs and tests: why nothing is to be written."""

    reason: str


Answer = Advanced | Unchanged


@dataclass(frozen=True)
class Observation:
    """What GetJob said at `now`, and, for a job that ended, what its folder held."""

    job: JobSeen
    now: datetime
    collected: Collected = NOTHING_COLLECTED


@dataclass(frozen=True)
class Rules:
    """What decisions need to know beside the analysis and the observation; `prices` by a table's name."""

    policy: Policy
    prices: Mapping[str, PriceTable]


class Move(Enum):
    DETAIL = "only the detail may change"
    START = "to running"
    SUCCEED = "to succeeded, or to failed when a required output is missing"
    FAIL = "to failed"
    CANCEL = "to cancelled"
    LOSE = "to failed as lost, once the grace period is over"
    IGNORE = "nothing: a state that is late, or that we do not know"


_FROM_QUEUED: dict[JobState, Move] = {
    JobState.QUEUED: Move.DETAIL,
    JobState.SCHEDULED: Move.DETAIL,
    JobState.RUNNING: Move.START,
    JobState.SUCCEEDED: Move.SUCCEED,
    JobState.FAILED: Move.FAIL,
    JobState.CANCELLATION_IN_PROGRESS: Move.DETAIL,
    JobState.DELETION_IN_PROGRESS: Move.DETAIL,
    JobState.CANCELLED: Move.CANCEL,
    JobState.NOT_FOUND: Move.LOSE,
    JobState.UNKNOWN: Move.IGNORE,
}
_FROM_RUNNING: dict[JobState, Move] = _FROM_QUEUED | {
    JobState.QUEUED: Move.IGNORE,
    JobState.SCHEDULED: Move.IGNORE,
    JobState.RUNNING: Move.DETAIL,
}
TABLE: dict[Status, dict[JobState, Move]] = {
    Status.QUEUED: _FROM_QUEUED,
    Status.RUNNING: _FROM_RUNNING,
    Status.SUCCEEDED: dict.fromkeys(JobState, Move.IGNORE),
    Status.FAILED: dict.fromkeys(JobState, Move.IGNORE),
    Status.CANCELLED: dict.fromkeys(JobState, Move.IGNORE),
}


def advance(analysis: Analysis, seen: Observation, rules: Rules) -> Answer:
    """What the analysis becomes now that Batch shows `seen`. Total: no answer is an exception."""
    move = TABLE[analysis.status][seen.job.state]
    return _MOVES[move](analysis, seen, rules)


def wants_outputs(analysis: Analysis, state: JobState) -> bool:
    """Whether `advance` will need the folder's content: only for a job that ended and a document that has not."""
    return TABLE[analysis.status][state] in (Move.SUCCEED, Move.FAIL, Move.CANCEL)


# -- moves --------------------------------------------------------------------------------------------------------


def _ignore(analysis: Analysis, seen: Observation, rules: Rules) -> Answer:
    del rules
    return Unchanged(f"{analysis.status} and Batch says {seen.job.state}: late, or not known to this version")


def _detail(analysis: Analysis, seen: Observation, rules: Rules) -> Answer:
    del rules
    job = _job_as_seen(analysis, seen)
    detail = detail_of(seen.job, analysis.cancel_requested)
    if job == analysis.job and detail == analysis.status_detail:
        return Unchanged(f"{analysis.status} and Batch says {seen.job.state}: known already")
    return Advanced(analysis.changed(job=job, status_detail=detail, updated_at=_later(analysis, seen.now)))


def _start(analysis: Analysis, seen: Observation, rules: Rules) -> Answer:
    del rules
    started = _running(analysis, seen, timeline(seen.job))
    detail = detail_of(seen.job, analysis.cancel_requested)
    return Advanced(started.changed(job=_job_as_seen(analysis, seen), status_detail=detail))


def _succeed(analysis: Analysis, seen: Observation, rules: Rules) -> Answer:
    if seen.collected.missing:
        missing = Failure(
            kind=FailureKind.OUTPUTS_MISSING, exit_code=0,
            message=shorten("; ".join(seen.collected.missing)), hint=HINTS[FailureKind.OUTPUTS_MISSING],
        )
        return Advanced(_end(analysis, seen, rules, Status.FAILED, missing))
    return Advanced(_end(analysis, seen, rules, Status.SUCCEEDED, None))


def _fail(analysis: Analysis, seen: Observation, rules: Rules) -> Answer:
    failure = failure_of(seen.job, seen.collected.last_log_line)
    return Advanced(_end(analysis, seen, rules, Status.FAILED, failure))


def _cancel(analysis: Analysis, seen: Observation, rules: Rules) -> Answer:
    return Advanced(_end(analysis, seen, rules, Status.CANCELLED, None))


def _lose(analysis: Analysis, seen: Observation, rules: Rules) -> Answer:
    if analysis.job.uid is None:
        return Unchanged("the job is not made yet: what never was cannot be lost")
    since = analysis.job.missing_since
    if since is None:
        waiting = analysis.job.model_copy(update={"missing_since": seen.now})
        return Advanced(analysis.changed(
            job=waiting, updated_at=_later(analysis, seen.now),
            status_detail="Batch does not know the job at the moment; it is being asked again.",
        ))
    missing_s = (seen.now - since).total_seconds()
    if missing_s < rules.policy.missing_grace_s:
        return Unchanged(f"the job has been missing for {missing_s:.0f} s, within the grace period")
    lost = Failure(
        kind=FailureKind.JOB_LOST, hint=HINTS[FailureKind.JOB_LOST],
        message=f"Batch has not known the job {analysis.job.name} for {missing_s / 60:.0f} minutes: it was deleted.",
    )
    return Advanced(_end(analysis, seen, rules, Status.FAILED, lost))


_MOVES: dict[Move, Callable[[Analysis, Observation, Rules], Answer]] = {
    Move.DETAIL: _detail,
    Move.START: _start,
    Move.SUCCEED: _succeed,
    Move.FAIL: _fail,
    Move.CANCEL: _cancel,
    Move.LOSE: _lose,
    Move.IGNORE: _ignore,
}


# -- what people and Batch ask for --------------------------------------------------------------------------------


def job_created(analysis: Analysis, job: JobSeen, now: datetime) -> Answer:
    """CreateJob has answered (or the job was there already): its uid is noted, once."""
    if analysis.job.uid == job.uid or analysis.status.final:
        return Unchanged("the job is noted already")
    if job.state is JobState.NOT_FOUND:
        return Unchanged("the job exists, but Batch does not show it yet")
    noted = analysis.job.model_copy(update={
        "uid": job.uid, "created_at": job.created_at or now, "state": analysis.job.state or JobState.QUEUED,
    })
    detail = detail_of(JobSeen(name=job.name, state=JobState.QUEUED), analysis.cancel_requested)
    detail = detail if analysis.status is Status.QUEUED else analysis.status_detail
    return Advanced(analysis.changed(job=noted, status_detail=detail, updated_at=_later(analysis, now)))


def job_refused(analysis: Analysis, sentence: str, now: datetime, rules: Rules) -> Answer:
    """Batch will never take the job (C07): the analysis has failed, and says so in Batch's own sentence."""
    if analysis.status is not Status.QUEUED or analysis.job.uid is not None:
        return Unchanged("the job exists")
    refused = Failure(
        kind=FailureKind.REJECTED_BY_BATCH, message=shorten(sentence), hint=HINTS[FailureKind.REJECTED_BY_BATCH]
    )
    seen = Observation(JobSeen.missing(analysis.job.name), now)
    return Advanced(_end(analysis, seen, rules, Status.FAILED, refused))


def request_cancel(analysis: Analysis, by: str, now: datetime, *, command: bool = True) -> Answer:
    """Notes who asked and when, once; `cancelled` is written only when Batch confirms.

    With `command` the order to ask Batch is committed beside it; without, the caller is the one who carries it out.
    """
    if analysis.status.final:
        return Unchanged(f"the analysis is {analysis.status} already")
    if analysis.cancel_requested:
        return Unchanged("a cancel was requested already")
    requested = CancelRequested(by=by, at=now)
    job = JobSeen(name=analysis.job.name, state=analysis.job.state or JobState.QUEUED)
    asked = analysis.changed(
        cancel_requested=requested, status_detail=detail_of(job, requested), updated_at=_later(analysis, now)
    )
    if not command:
        return Advanced(asked)
    return Advanced(asked.with_event(EventType.CANCEL, now, {"analysis_id": analysis.id, "by": by}))


# -- pieces -------------------------------------------------------------------------------------------------------


def entered(analysis: Analysis, to: Status, at: datetime, *, by: str, source: str, reason: str) -> Analysis:
    """The history entry and the event of a change of status, at no earlier time than the entry before."""
    before = analysis.history[-1] if analysis.history else None
    at = max(at, before.at) if before else at
    change = Change(
        at=at, from_=analysis.status if before else None, to=to, by=by, source=source, reason=shorten(reason, 500)
    )
    moved = analysis.changed(status=to, stuck=None, updated_at=_later(analysis, at)).with_history(change)
    return moved.with_event(EVENT_OF[to], at, _announcement(moved, change))


def _announcement(analysis: Analysis, change: Change) -> dict[str, object]:
    return {
        "analysis_id": analysis.id, "display_id": analysis.display_id, "slug": analysis.slug,
        "status": analysis.status, "from": change.from_, "at": change.model_dump(mode="json")["at"],
        "pipeline": f"{analysis.pipeline.slug}@{analysis.pipeline.version}", "order_id": analysis.order_id,
        "failure": analysis.failure.kind if analysis.failure else None,
        "ingest": analysis.ingest.status,
    }


def _running(analysis: Analysis, seen: Observation, times: Timeline) -> Analysis:
    at = max(analysis.created_at, times.running_at or seen.now)
    moved = analysis.changed(started_at=at)
    return entered(moved, Status.RUNNING, at, by=BATCH, source="GetJob", reason="The first task began.")


def _end(analysis: Analysis, seen: Observation, rules: Rules, to: Status, failure: Failure | None) -> Analysis:
    times = timeline(seen.job)
    if analysis.status is Status.QUEUED and times.running_at is not None:
        analysis = _running(analysis, seen, times)
    floor = analysis.started_at or analysis.created_at
    finished = max(floor, times.ended_at or seen.now)
    ended = analysis.changed(
        job=_job_as_seen(analysis, seen),
        failure=failure,
        finished_at=finished,
        status_detail=_last_words(analysis, to, failure),
        metrics=_metrics(analysis, seen, times, finished, rules),
        outputs=seen.collected.outputs,
        outputs_total=seen.collected.total,
        outputs_path=seen.collected.path,
    )
    ended = ended.changed(ingest=_ingest_after(ended, to))
    reason = failure.message if failure else ended.status_detail
    return entered(ended, to, finished, by=BATCH, source="GetJob", reason=reason)


def _last_words(analysis: Analysis, to: Status, failure: Failure | None) -> str:
    asked = analysis.cancel_requested
    if failure:
        return f"Failed: {shorten(failure.message, 300)}"
    if to is Status.CANCELLED:
        return f"Cancelled as {asked.by} asked." if asked else "Cancelled in Batch, not through this service."
    return "Finished before the cancel could take effect." if asked else "Finished."


def _ingest_after(analysis: Analysis, to: Status) -> Ingest:
    has_vcf = any(output.kind is OutputKind.VCF for output in analysis.outputs)
    wanted = to is Status.SUCCEEDED and has_vcf
    return Ingest(status=IngestStatus.PENDING if wanted else IngestStatus.NOT_APPLICABLE)


def _metrics(
    analysis: Analysis, seen: Observation, times: Timeline, finished: datetime, rules: Rules
) -> Metrics:
    job = seen.job
    return Metrics(
        queue_seconds=seconds_between(times.queued_at or analysis.created_at, times.scheduled_at or finished),
        prepare_seconds=seconds_between(times.scheduled_at, times.running_at or finished),
        run_seconds=seconds_between(times.running_at or analysis.started_at, finished),
        tasks=max(job.tasks_total, len(job.tasks)),
        retries=times.retries,
        preemptions=times.preemptions,
        cost=_cost(analysis, seen, times, finished, rules),
        pipeline=seen.collected.metrics or {},
        note=seen.collected.metrics_note,
    )


def _cost(analysis: Analysis, seen: Observation, times: Timeline, finished: datetime, rules: Rules) -> CostSeen:
    if seen.job.state is JobState.NOT_FOUND and analysis.job.uid is not None:
        return _no_cost("the job is gone from Batch, and with it the times of its VM")
    definition = analysis.pipeline.definition
    table = rules.prices.get(definition["price_table"])
    if table is None:
        return _no_cost(f"there is no price table named {definition['price_table']}")
    resources = definition["resources"]
    vm = Vm(
        region=analysis.job.region, machine_type=resources["machine_type"], spot=resources["spot"], zone=times.zone
    )
    began = times.scheduled_at or times.running_at
    cost = estimate(table, vm, scheduled_at=began, ended_at=finished, now=seen.now)
    return CostSeen(
        amount=cost.amount, currency=cost.currency, billed_seconds=cost.billed_seconds, basis=cost.basis,
        complete=cost.complete, reason=cost.reason or None,
    )


def _no_cost(reason: str) -> CostSeen:
    return CostSeen(amount=None, currency=None, billed_seconds=None, complete=False, reason=reason)


def _job_as_seen(analysis: Analysis, seen: Observation) -> Job:
    job = analysis.job
    if seen.job.state is JobState.NOT_FOUND:
        return job
    return job.model_copy(update={
        "state": seen.job.state, "missing_since": None,
        "uid": seen.job.uid or job.uid, "created_at": job.created_at or seen.job.created_at,
    })


def _later(analysis: Analysis, now: datetime) -> datetime:
    return max(analysis.updated_at, now)
