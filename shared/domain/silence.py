"""Which silent analyses Batch is asked about: each change has its notification, and a look is for one that was lost."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.domain.analysis import Analysis, Status
from shared.domain.policy import Policy

FIRST_LOOK = 10
"""Times `silent_after_s`: a run whose notifications come is first asked about then, and at each doubling of that."""

LONGEST = 8
"""Times the first look: no two are farther apart than this."""

WIDTH = 2
"""Times `silent_after_s`, of a look: rounds are late at times, and one that is missed is made up by the next look."""


def due(analysis: Analysis, now: datetime, policy: Policy) -> bool:
    """Whether this round asks. Always, unless the job runs and a notification has told of it (C12, C13, C22).

    A look that finds nothing writes nothing, so the age of the last change alone says when it is time.
    """
    if analysis.status is not Status.RUNNING or not analysis.job.noticed:
        return True
    if analysis.cancel_requested or analysis.job.missing_since or not policy.silent_after_s:
        return True
    silent = (now - analysis.updated_at) / timedelta(seconds=policy.silent_after_s)
    look = float(FIRST_LOOK)
    while look * 2 <= min(silent, FIRST_LOOK * LONGEST):
        look *= 2
    since = silent % look if silent >= FIRST_LOOK * LONGEST else silent - look
    return 0 <= since < WIDTH
