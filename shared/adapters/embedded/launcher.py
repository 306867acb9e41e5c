"""Begins an ingest, or an order's build, in a process of its own: a file that kills it kills nothing else."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shared import tracing
from shared.domain.analysis import Analysis
from shared.domain.order import Order
from shared.domain.order_cache import program_of

AT_ONCE = 2
"""Ingests of this stack, and as many orders; the others wait with their lease, and take a new one if it ends. An order
does not wait for ingests: it takes seconds, and somebody wants to read it.
"""

log = logging.getLogger(__name__)


class ProcessLauncher:
    def __init__(self, state_dir: Path) -> None:
        self._environment = {**os.environ, "IFLOW_STATE_DIR": str(state_dir.resolve())}
        self._ingests = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="ingest")
        self._orders = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="order")

    def launch(self, subject: Analysis | Order, holder: str) -> float:
        pool = self._ingests if isinstance(subject, Analysis) else self._orders
        pool.submit(self._run, subject, holder, tracing.environment())
        return 0

    def _run(self, subject: Analysis | Order, holder: str, trace: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", *program_of(subject, holder)]
        ended = subprocess.run(command, env={**self._environment, **trace}, stdin=subprocess.DEVNULL, check=False)
        if ended.returncode:
            reason = f"exit code {ended.returncode}"
            log.error("the work on variants died", extra={"document": subject.doc_path, "reason": reason})
