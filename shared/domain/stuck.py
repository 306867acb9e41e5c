"""Which analyses are stuck: they wait, run, or are being cancelled for longer than anybody would expect."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import ceil

from shared.domain.analysis import Analysis, Status, Stuck
from shared.domain.events import EventType
from shared.domain.lifecycle import Advanced, Answer, Unchanged
from shared.domain.pipeline import Pipeline
from shared.domain.policy import Policy


def mark_stuck(analysis: Analysis, now: datetime, policy: Policy) -> Answer:
    """Once for each status: it is marked, and announced as `analysis.stuck`. What moves on loses the mark."""
    if analysis.stuck is not None:
        return Unchanged("it is marked as stuck already")
    reason = _reason(analysis, now, timedelta(seconds=policy.stuck_after_s))
    if reason is None:
        return Unchanged("it is within its time")
    marked = analysis.changed(stuck=Stuck(since=now, reason=reason), updated_at=max(now, analysis.updated_at))
    return Advanced(marked.with_event(EventType.STUCK, now, {
        "analysis_id": analysis.id, "display_id": analysis.display_id, "slug": analysis.slug,
        "status": analysis.status, "order_id": analysis.order_id, "reason": reason,
    }))


def _reason(analysis: Analysis, now: datetime, allowed: timedelta) -> str | None:
    if analysis.status.final:
        return None
    asked = analysis.cancel_requested
    if asked is not None:
        late = now - asked.at > allowed
        return f"Batch has not confirmed its cancel for {_hours(now - asked.at)}." if late else None
    if analysis.status is Status.QUEUED:
        waited = now - analysis.created_at
        return f"It has waited for a machine for {_hours(waited)}." if waited > allowed else None
    ran = now - (analysis.started_at or analysis.created_at)
    if ran <= allowed:
        return None
    longest = _longest_run(analysis)
    if ran <= longest + allowed:
        return None
    return f"It has run for {_hours(ran)}; its pipeline allows {_hours(longest)} with every retry."


def _longest_run(analysis: Analysis) -> timedelta:
    """Each attempt of each task at its longest, as many at a time as may be; Batch ends an attempt that is over."""
    pipeline = Pipeline.model_validate(analysis.pipeline.definition)
    turns = ceil(pipeline.task_count / pipeline.parallelism)
    return timedelta(seconds=pipeline.max_run_seconds * (1 + pipeline.retries.max) * turns)


def _hours(time: timedelta) -> str:
    hours = time.total_seconds() / 3600
    return f"{hours:.0f} hours" if hours >= 2 else f"{hours * 60:.0f} minutes"
