"""A line in the log, and a span, for each transition that was committed: what metrics by status and time count."""

from __future__ import annotations

import logging
from datetime import timedelta

from shared import tracing
from shared.domain.analysis import Analysis
from shared.logs import Line

log = logging.getLogger(__name__)

NONE = "none"
"""The status of what did not exist before."""


def log_transitions(before: Analysis | None, after: Analysis) -> None:
    """`seconds` is the time spent in the status that was left. `before` is None for a new analysis."""
    entered = after.created_at
    for number, change in enumerate(after.history, start=1 + after.history_total - len(after.history)):
        if change.from_ == change.to:
            continue
        if number > (before.history_total if before else 0):
            _say(after, Line.TRANSITION, change.from_ or NONE, change.to, change.at - entered)
        entered = change.at
    if before is not None and before.ingest.status is not after.ingest.status:
        began, ended = after.ingest.started_at, after.ingest.finished_at
        took = ended - began if began and ended else timedelta()
        _say(after, Line.INGEST_TRANSITION, before.ingest.status, after.ingest.status, took)


def _say(analysis: Analysis, line: Line, left: str, entered: str, took: timedelta) -> None:
    about = {"analysis_id": analysis.id, "project": analysis.project}
    states = {"from_status": str(left), "to_status": str(entered)}
    with tracing.span(line, {**about, **states}):
        log.info(line, extra={**about, **states, "seconds": took.total_seconds()})
