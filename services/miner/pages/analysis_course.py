"""The course of an analysis: the stages that it goes through, when each began and how long it took, for the strip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from services.miner.pages import words
from shared.domain.analysis import Analysis, FailureKind, IngestStatus, Status
from shared.domain.job import JobState
from shared.domain.pipeline import OutputKind

WIDTH = 1000.0
"""Of the whole bar, in its own units."""

NARROWEST = 4.0
"""Of a stage that took any time at all, so that it is seen."""


class Stage(StrEnum):
    ACCEPTED = "accepted"
    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    OUTPUTS = "outputs"
    INGESTING = "ingesting"
    DONE = "done"


TITLES = {
    Stage.ACCEPTED: "Accepted", Stage.QUEUED: "Queued", Stage.PREPARING: "Preparing", Stage.RUNNING: "Running",
    Stage.OUTPUTS: "Writing outputs", Stage.INGESTING: "Ingesting variants", Stage.DONE: "Done",
}
MEANINGS = {
    Stage.ACCEPTED: "Until Batch had the job", Stage.QUEUED: "Until Batch scheduled the job",
    Stage.PREPARING: "Until the first task ran: the machine starts, the image is pulled",
    Stage.RUNNING: "Until the last task ended", Stage.OUTPUTS: "Until the outputs were listed and handed on",
    Stage.INGESTING: "Until the variants could be browsed", Stage.DONE: "",
}


@dataclass(frozen=True)
class Step:
    """`state`: done, now, failed, cancelled, to_come or skipped. `seconds` until the next one, None where not known."""

    stage: Stage
    state: str
    at: datetime | None
    seconds: float | None
    note: str = ""

    @property
    def title(self) -> str:
        if self.stage is Stage.DONE and self.state in ("failed", "cancelled"):
            return self.state.capitalize()
        return TITLES[self.stage]

    @property
    def meaning(self) -> str:
        return MEANINGS[self.stage]


@dataclass(frozen=True)
class Span:
    """Of the bar: where it begins and how wide it is, in units of which the whole has WIDTH."""

    step: Step
    x: float
    width: float
    share: int


@dataclass(frozen=True)
class Course:
    steps: tuple[Step, ...]
    total_seconds: float

    @property
    def spans(self) -> tuple[Span, ...]:
        known = [step for step in self.steps if step.seconds]
        whole = sum(step.seconds or 0.0 for step in known)
        free = WIDTH - NARROWEST * len(known)
        found, x = [], 0.0
        for step in known:
            share = (step.seconds or 0.0) / whole
            width = NARROWEST + share * free
            found.append(Span(step, round(x, 2), round(width, 2), round(100 * share)))
            x += width
        return tuple(found)

    @property
    def in_words(self) -> str:
        """What the bar shows."""
        return ", ".join(f"{span.step.title.lower()} {words.duration(span.step.seconds)}" for span in self.spans)


def course_of(analysis: Analysis, now: datetime) -> Course:
    stages = [stage for stage in Stage if stage is not Stage.INGESTING or _ingests(analysis)]
    reached, state = _reached(analysis)
    begun = dict(_begun(analysis))
    place = stages.index(reached)
    steps = []
    for number, stage in enumerate(stages):
        how = state if number == place else "done" if number < place else "skipped" if _stopped(state) else "to_come"
        at = begun.get(stage) if number <= place else None
        took = _took(stages[: place + 1], number, begun, analysis, now)
        steps.append(Step(stage, how, at, took, _note(analysis, stage, how)))
    if _stopped(state):  # the last word is when and how it ended
        steps[-1] = Step(Stage.DONE, state, analysis.ingest.finished_at or analysis.finished_at, None)
    end = _end(analysis) or now
    return Course(tuple(steps), max(0.0, (end - analysis.created_at).total_seconds()))


def _stopped(state: str) -> bool:
    return state in ("failed", "cancelled")


def _ingests(analysis: Analysis) -> bool:
    """Whether its variants are read, or will be as far as anybody knows."""
    if analysis.status is Status.SUCCEEDED:
        return analysis.ingest.status is not IngestStatus.NOT_APPLICABLE
    return any(output["kind"] == OutputKind.VCF for output in analysis.pipeline.definition["outputs"])


def _reached(analysis: Analysis) -> tuple[Stage, str]:
    """The stage that it is in or has ended in, and whether it goes on there (`now`) or how it ended."""
    match analysis.status:
        case Status.QUEUED:
            return _waits_in(analysis), "now"
        case Status.RUNNING:
            return Stage.RUNNING, "now"
        case Status.SUCCEEDED if analysis.ingest.status is IngestStatus.FAILED:
            return Stage.INGESTING, "failed"
        case Status.SUCCEEDED if analysis.ingest.status in (IngestStatus.PENDING, IngestStatus.RUNNING):
            return Stage.INGESTING if analysis.ingest.started_at else Stage.OUTPUTS, "now"
        case Status.SUCCEEDED:
            return Stage.DONE, "done"
    if analysis.failure and analysis.failure.kind is FailureKind.OUTPUTS_MISSING:
        return Stage.OUTPUTS, "failed"
    return Stage.RUNNING if analysis.started_at else _waits_in(analysis), analysis.status.value


def _waits_in(analysis: Analysis) -> Stage:
    if analysis.job.uid is None:
        return Stage.ACCEPTED
    prepared = analysis.job.state is JobState.SCHEDULED or analysis.metrics.prepare_seconds is not None
    return Stage.PREPARING if prepared else Stage.QUEUED


def _begun(analysis: Analysis) -> Iterator[tuple[Stage, datetime]]:
    """When each stage began, as far as the document tells; none before the one ahead of it."""
    metrics, last = analysis.metrics, analysis.created_at
    scheduled = None
    if analysis.started_at and metrics.prepare_seconds is not None:
        scheduled = analysis.started_at - timedelta(seconds=metrics.prepare_seconds)
    elif analysis.finished_at and metrics.prepare_seconds is not None:
        scheduled = analysis.finished_at - timedelta(seconds=metrics.prepare_seconds)
    for stage, at in (
        (Stage.ACCEPTED, analysis.created_at), (Stage.QUEUED, analysis.job.created_at), (Stage.PREPARING, scheduled),
        (Stage.RUNNING, analysis.started_at), (Stage.OUTPUTS, analysis.finished_at),
        (Stage.INGESTING, analysis.ingest.started_at), (Stage.DONE, _end(analysis)),
    ):
        if at is not None:
            last = max(last, at)
            yield stage, last


def _end(analysis: Analysis) -> datetime | None:
    """Of all that is to be done."""
    if analysis.ingest.status in (IngestStatus.PENDING, IngestStatus.RUNNING):
        return None if analysis.status is Status.SUCCEEDED or not analysis.status.final else analysis.finished_at
    return analysis.ingest.finished_at or analysis.finished_at


def _took(
    stages: list[Stage], number: int, begun: dict[Stage, datetime], analysis: Analysis, now: datetime
) -> float | None:
    """Until the next stage of which it is known when it began; of the one it is in until now."""
    if number >= len(stages) or stages[number] is Stage.DONE or (start := begun.get(stages[number])) is None:
        return None
    following = next((begun[stage] for stage in stages[number + 1 :] if stage in begun), None)
    end = following or _end(analysis) or now
    return max(0.0, (end - start).total_seconds())


def _note(analysis: Analysis, stage: Stage, state: str) -> str:
    if stage is Stage.OUTPUTS and state in ("done", "now") and analysis.outputs_total:
        return f"{analysis.outputs_total:,} file{'' if analysis.outputs_total == 1 else 's'}"
    if stage is Stage.INGESTING and state in ("now", "done"):
        return analysis.ingest.progress or ""
    return ""
