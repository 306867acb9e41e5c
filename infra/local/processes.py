"""Processes that a stack starts together, waits for together, and stops together."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from infra.local.emulators import HOST

READY_WITHIN_S = 90.0
"""Each is up in a second or two; a dozen on two busy cores take turns."""

STOP_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.05
_LOG_BYTES = 2_000
T = TypeVar("T")


class ProcessFailed(Exception):
    """It ended, or did not listen in time; the message holds the end of what it wrote."""


@dataclass(frozen=True)
class _Started:
    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path


class Processes:
    """Each listens on a loopback port, writes to `logs_dir/NAME.log`, and has a group of its own: Ctrl-C reaches it
    by us alone."""

    def __init__(self, logs_dir: Path) -> None:
        self._logs_dir = logs_dir
        self._logs_dir.mkdir(parents=True, exist_ok=True)
        self._started: list[_Started] = []

    def start(self, name: str, command: Sequence[str], port: int, environment: Mapping[str, str]) -> None:
        """`environment` comes on top of this process's own. Raises ProcessFailed."""
        if _listens(port):  # whoever has it would be taken for the process
            raise ProcessFailed(f"{name} cannot have port {port}: something else listens there")
        path = self._logs_dir / f"{name}.log"
        with path.open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0,
                env={**os.environ, **environment},
            )
        self._started.append(_Started(name, process, port, path))

    def until_ready(self) -> None:
        """Raises ProcessFailed."""
        give_up = time.monotonic() + READY_WITHIN_S
        for each in self._started:
            while not _listens(each.port):
                if each.process.poll() is not None:
                    raise ProcessFailed(f"{each.name} ended with exit code {each.process.returncode}: {_end(each.log)}")
                if time.monotonic() > give_up:
                    raise ProcessFailed(f"{each.name} did not listen within {READY_WITHIN_S:.0f} s: {_end(each.log)}")
                time.sleep(_LOOK_EVERY_S)

    def stop(self) -> None:
        """All are asked to end what they are at; who has not done so in time is killed."""
        for each in self._started:
            each.process.terminate()
        give_up = time.monotonic() + STOP_WITHIN_S
        for each in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                each.process.wait(max(0.0, give_up - time.monotonic()))
        for each in self._started:
            each.process.kill()  # nothing happens to one that has ended
            each.process.wait()


@contextmanager
def begun(context: AbstractContextManager[T]) -> Iterator[Callable[[], T]]:
    """Enters the context by a thread, so that several begin at the same time; what is called for waits for it."""
    with ThreadPoolExecutor(1) as thread:
        entering = thread.submit(context.__enter__)
        try:
            yield entering.result
        finally:
            if entering.exception() is None:
                context.__exit__(None, None, None)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def _end(log: Path) -> str:
    return log.read_bytes()[-_LOG_BYTES:].decode(errors="replace").strip()
