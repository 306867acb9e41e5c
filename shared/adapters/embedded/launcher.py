"""Begins the work of an ingest in a process of its own: a file that kills it kills nothing else."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shared.domain.analysis import Analysis
from shared.domain.ingest import work_module

AT_ONCE = 2
"""Ingests of this stack that run at the same time; the others wait with their lease, and take a new one if it ends."""

log = logging.getLogger(__name__)


class ProcessLauncher:
    def __init__(self, state_dir: Path) -> None:
        self._environment = {**os.environ, "IFLOW_STATE_DIR": str(state_dir.resolve())}
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="ingest")

    def launch(self, analysis: Analysis, holder: str) -> float:
        self._pool.submit(self._run, analysis, holder)
        return 0

    def _run(self, analysis: Analysis, holder: str) -> None:
        command = [sys.executable, "-m", *work_module(analysis, holder)]
        ended = subprocess.run(command, env=self._environment, stdin=subprocess.DEVNULL, check=False)
        if ended.returncode:
            log.error("an ingest died", extra={"analysis_id": analysis.id, "reason": f"exit code {ended.returncode}"})
