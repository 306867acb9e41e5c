"""Ends the processes of a stack whose own process was killed: they must not outlive it, and it can no longer tell them.

Run as `python guardian.py MARK`, with a pipe as its standard input whose other end only the stack's process has. When
that end is closed, by whatever death, it kills every process that has `IFLOW_STACK=MARK` in its environment: those that
the stack started, and those that these started. Tasks of Batch jobs are given an environment of their own, and live on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "IFLOW_STACK"
ROUNDS = 20
"""Of looking: a process that was just being started is found by the next one."""


@contextlib.contextmanager
def guarded(mark: str) -> Iterator[None]:
    """Whoever is started within the context with `VARIABLE` set to `mark` is dead after it, or after our death."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, mark], stdin=subprocess.PIPE, env={}, start_new_session=True
    )
    try:
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


def kill_marked(mark: str) -> int:
    """How many there were. Other users' processes cannot be read, and are none of ours."""
    wanted = f"{VARIABLE}={mark}".encode()
    found = 0
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)
                found += 1
    return found


if __name__ == "__main__":
    sys.stdin.buffer.read()
    for _ in range(ROUNDS):
        if not kill_marked(sys.argv[1]):
            break
