"""The supervisor's one decision that a server cannot show: an attempt ends once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "infra/local/batch"
PROGRAM = """
import os, signal, supervise
supervise.say = print
plan = {"header": "", "cwd": "/", "runnables": [], "end_after": LIMIT, "end_code": 50005, "grace": 0.01}
supervise.run_all = lambda _: os.kill(os.getpid(), signal.SIGTERM) or 0 if STOPPED else 7
code = supervise.run(plan)
os.kill(os.getpid(), signal.SIGTERM)
os.kill(os.getpid(), signal.SIGALRM)
print(code)
"""


@pytest.mark.parametrize(
    ("limit", "stopped", "code"), [("None", "False", 7), ("3600", "False", 7), ("3600", "True", 50000)]
)
def test_a_stop_or_a_time_limit_that_comes_after_the_end_changes_nothing(limit: str, stopped: str, code: int) -> None:
    program = PROGRAM.replace("LIMIT", limit).replace("STOPPED", stopped)
    command = [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(FOLDER)!r}){program}"]
    run = subprocess.run(command, capture_output=True, text=True, start_new_session=True, check=True)
    assert run.stdout.splitlines()[-1] == str(code)
