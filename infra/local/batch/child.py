"""The server as a child of the process that uses it: with an interpreter of its own, it has a processor of its own.

Both hold an end of two pipes. On the child's standard output come its address and then its notifications, each a line
of JSON. On its standard input it is told to stop; when that ends without a word, its parent was killed, and it dies as
if it had been killed with it. A child that dies alone is begun again at the same address.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

STOP = b"stop\n"
_READ_BYTES = 65_536

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Note:
    """A notification: `topic` as the job names it (`projects/P/topics/T`)."""

    topic: str
    data: bytes
    attributes: dict[str, str]


Take = Callable[[Sequence[Note]], None]
"""What is done with notifications, in order. One that raises loses them, which Batch may, too; it is logged."""


class ChildFailed(RuntimeError):
    """It ended before it listened."""


@contextmanager
def batch_child(*, state_dir: Path, buckets_dir: Path, port: int, take: Take) -> Iterator[str]:
    """The address, for as long as the context lasts; `take` is called from one thread. Raises ChildFailed."""
    child = _Child(state_dir, buckets_dir, port, take)
    try:
        yield child.address
    finally:
        child.stop()


class _Child:
    def __init__(self, state_dir: Path, buckets_dir: Path, port: int, take: Take) -> None:
        self._state_dir, self._buckets_dir, self._take = state_dir, buckets_dir, take
        self._stopping = False
        self._lock = threading.Lock()  # a child is told to stop, or begun again, but not both
        self._process, self.address = self._begin(port)
        self._thread = threading.Thread(target=self._run, name="batch-notifications", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Notifications that are due are still taken."""
        with self._lock:
            self._stopping = True
            assert self._process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(STOP)
        self._thread.join()
        self._process.stdin.close()

    def _begin(self, port: int) -> tuple[subprocess.Popen[bytes], str]:
        self._state_dir.mkdir(parents=True, exist_ok=True)
        with (self._state_dir / "server.log").open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "infra.local.batch", "--of-parent", "--port", str(port),
                 "--state-dir", str(self._state_dir), "--buckets-dir", str(self._buckets_dir)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0,
            )
        assert process.stdout is not None
        address = _line(process.stdout).decode().strip()
        if not address:
            raise ChildFailed(f"the Batch server ended with {process.wait()}; see {errors.name}")
        return process, address

    def _run(self) -> None:
        while True:
            self._read()
            code = self._process.wait()
            with self._lock:
                if self._stopping:
                    return
                log.error("the Batch server ended and is begun again", extra={"exit_code": code})
                self._process, _ = self._begin(int(self.address.rpartition(":")[2]))

    def _read(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        while found := self._process.stdout.read(_READ_BYTES):
            *lines, rest = (rest + found).split(b"\n")
            if lines:
                self._tell([_note(line) for line in lines])
        self._process.stdout.close()

    def _tell(self, notes: Sequence[Note]) -> None:
        try:
            self._take(notes)
        except Exception:
            log.exception("notifications were not taken and are lost", extra={"count": len(notes)})


def _line(stream: IO[bytes]) -> bytes:
    """The stream is not buffered: what follows the line stays in it."""
    found = b""
    while not found.endswith(b"\n") and (byte := stream.read(1)):
        found += byte
    return found


def _note(line: bytes) -> Note:
    topic, data, attributes = json.loads(line)
    return Note(topic, data.encode(), attributes)


# -- in the child -------------------------------------------------------------------------------------------------


class ToParent:
    """Notifications wait until the address is told: a server that goes on from an earlier life has some at once."""

    def __init__(self) -> None:
        self._told = threading.Event()

    def publish(self, topic: str, data: bytes, attributes: dict[str, str]) -> None:
        self._told.wait()
        _write(json.dumps([topic, data.decode(), attributes]))

    def tell(self, address: str) -> None:
        _write(address)
        self._told.set()

    def until_told_to_stop(self) -> None:
        """Does not return when the parent is dead."""
        if sys.stdin.buffer.readline() != STOP:
            os._exit(1)


def _write(line: str) -> None:
    """Short enough for the pipe to take it whole."""
    os.write(1, line.encode() + b"\n")
