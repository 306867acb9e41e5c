"""One call to a Google service: how often it is tried, and which of our two kinds of error its failure is."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from google.api_core.exceptions import GoogleAPICallError, InvalidArgument, RetryError
from google.api_core.retry import Retry

from shared.domain.errors import Permanent, Transient, Unavailable

ATTEMPTS = 3
"""Of what may be repeated. Whoever called is tried again by its bus, too, with pauses that grow to minutes."""

FIRST_PAUSE_S = 0.1

ONCE = Retry(predicate=lambda _: False)
"""For the clients: no attempt of their own beside ours. (`retry=None` ends Firestore's queries with an
AttributeError in the place of their error: googleapis/python-firestore, `_retry_query_after_exception`.)"""

Failure = GoogleAPICallError | RetryError
Answer = TypeVar("Answer")

log = logging.getLogger(__name__)


def attempt(
    call: Callable[[], Answer], again_on: tuple[type[Exception], ...], *, attempts: int = ATTEMPTS
) -> Answer:
    """The call's answer. A failure of a kind in `again_on` is tried again, after pauses that double and that differ
    between callers; the last one, and any other, is raised."""
    for number in range(1, attempts):
        try:
            return call()
        except again_on as error:
            log.info("to be tried again", extra={"attempt": number, "reason": str(error)})
            time.sleep(pause_s(number))
    return call()


def pause_s(attempt_number: int) -> float:
    """Seconds after that attempt (1-based)."""
    return FIRST_PAUSE_S * 2.0 ** (attempt_number - 1) * random.uniform(0.5, 1.5)


def failed(service: str, what: str, error: Failure) -> Transient | Permanent:
    """A request that can never be right is Permanent; everything else may pass: an outage, a quota, a missing role."""
    kind = Permanent if isinstance(error, InvalidArgument) else Unavailable
    return kind(f"{service} could not {what}: {error}")
