"""Which job a Batch notification is about. All else in it is a hint that only GetJob can confirm.

Wire form: ../shared/PLATFORM.md "Google Batch". Attributes are trusted first; the text is read when they are missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.delivery import Delivery
from shared.domain import paths
from shared.domain.errors import Permanent

_JOB_NAME = re.compile(r"jobName=([^,\s]+)")
_STATE = re.compile(r"currentState=(\w+)")


class NotAHint(Permanent):
    """The message names no job."""


@dataclass(frozen=True)
class Hint:
    """`analysis_id` is None for a job that is not one of ours. `job_state` is None for a task's notification."""

    job_name: str
    analysis_id: str | None
    job_state: str | None


def hint_of(delivery: Delivery) -> Hint:
    """Raises NotAHint."""
    attributes, text = delivery.attributes, delivery.text()
    task = attributes.get("TaskName", "").partition("/taskGroups/")[0]
    in_text = _JOB_NAME.search(text)
    name = attributes.get("JobName") or task or (in_text.group(1) if in_text else "")
    if not name:
        raise NotAHint(f"the notification names no job: attributes {dict(attributes)}, text {text[:200]!r}")
    state = attributes.get("NewJobState")
    if state is None and not task and (found := _STATE.search(text)):
        state = found.group(1)
    return Hint(name, paths.analysis_of_job(name), state)
