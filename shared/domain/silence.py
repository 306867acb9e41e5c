"""Which silent analyses Batch is asked about: each change has its notification, and a look is for one that was lost."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.analysis import Analysis, Status
from shared.domain.policy import Policy

LOOK_EVERY = 5
"""Times `silent_after_s`: how often a running job is asked about whose notifications come."""


def due(analysis: Analysis, now: datetime, policy: Policy) -> bool:
    """Whether this round asks. Always, unless the job runs and a notification has told of it (C12, C13, C22).

    A look that finds nothing writes nothing, so the age of the last change alone says when it is time; of rounds that
    are `silent_after_s` apart one falls into each turn.
    """
    if analysis.status is not Status.RUNNING or not analysis.job.noticed:
        return True
    if analysis.cancel_requested or analysis.job.missing_since or not policy.silent_after_s:
        return True
    silent = (now - analysis.updated_at) / timedelta(seconds=policy.silent_after_s)
    return silent >= LOOK_EVERY and silent % LOOK_EVERY < 1
