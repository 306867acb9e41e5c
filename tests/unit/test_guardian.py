"""Whoever a killed stack has started does not outlive it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.local.guardian import VARIABLE

STACK = """
import os, subprocess, sys, time
from infra.local.guardian import VARIABLE, guarded
os.environ[VARIABLE] = sys.argv[1]
with guarded(sys.argv[1]):
    # the child has a child of its own, as gunicorn does, and a group that no signal of the terminal reaches
    child = subprocess.Popen(["/bin/sh", "-c", "sleep 60 & echo $! $$; wait"], start_new_session=True)
    time.sleep(60)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM])
def test_the_processes_of_a_stack_that_was_killed_are_gone_and_nobody_elses_are(death: signal.Signals) -> None:
    mark = f"test-{os.getpid()}-{death}"
    other = subprocess.Popen(["sleep", "60"], env={VARIABLE: mark + "-other"})
    stack = subprocess.Popen([sys.executable, "-c", STACK, mark], stdout=subprocess.PIPE, text=True)
    assert stack.stdout is not None
    pids = [int(pid) for pid in stack.stdout.readline().split()]
    assert len(pids) == 2 and all(map(alive, pids))
    stack.send_signal(death)
    stack.wait()
    give_up = time.monotonic() + 60
    while any(map(alive, pids)):
        assert time.monotonic() < give_up, pids
        time.sleep(0.02)
    assert other.poll() is None
    other.kill()
    other.wait()
    stack.stdout.close()
