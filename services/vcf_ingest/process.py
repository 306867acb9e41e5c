"""What surrounds the work of an ingest or of an order's build that is a process of its own."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping

from shared import tracing
from shared.domain.errors import Transient
from shared.logs import bound, why
from shared.runtime import Settings, ports, set_up_logs

log = logging.getLogger(__name__)


def run_as_process(name: str, subject: Mapping[str, str], work: Callable[[], None]) -> None:
    """The work within a span that goes on from that of the launcher. Exits with 1 after a fault that may pass."""
    settings = Settings()
    # Embedded, it is one of the stack's own processes; elsewhere what it says is its function's.
    set_up_logs(settings, settings.stack_log if settings.backend == "embedded" else None)
    try:
        with bound(**subject):
            ports()  # which says whether spans are recorded
            with tracing.span(name, subject, carried=os.environ.get(tracing.VARIABLE)):
                work()
    except Transient as error:  # the stack was stopped, or a service does not answer
        log.warning("left until the lease runs out", extra={**subject, "reason": why(error)})
        sys.exit(1)
