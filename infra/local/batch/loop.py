"""One thread that waits for the end of processes, for times, and for calls from other threads."""

from __future__ import annotations

import contextlib
import heapq
import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import count

log = logging.getLogger(__name__)
Call = Callable[[], None]
_POLL_S = 0.05  # how often a process is looked at where the system has no pidfd


class Loop:
    """Runs everything that it is given on its own thread, in turn. A call that raises is logged, not fatal."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._soon: deque[Call] = deque()
        self._later: list[tuple[float, int, Call]] = []
        self._order = count()
        self._inbox, self._outbox = socket.socketpair()
        self._inbox.setblocking(False)
        self._outbox.setblocking(False)
        self._selector.register(self._inbox, selectors.EVENT_READ)
        self._running = True
        self._thread = threading.Thread(target=self._run, name="batch-loop", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended; what it still had to do is not done."""
        self._running = False
        self._wake()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            if key.fileobj is not self._inbox:
                os.close(key.fd)
        self._selector.close()
        self._inbox.close()
        self._outbox.close()

    def call_soon(self, call: Call) -> None:
        """From any thread."""
        self._soon.append(call)
        self._wake()

    def call_later(self, delay_s: float, call: Call) -> None:
        """From any thread."""
        due = time.monotonic() + delay_s
        self.call_soon(lambda: heapq.heappush(self._later, (due, next(self._order), call)))

    def when_ended(self, pid: int, call: Call) -> None:
        """From the loop's thread: `call` once the process, a child or not, has ended."""
        if not hasattr(os, "pidfd_open"):
            self._poll(pid, call)
            return
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self.call_soon(call)
            return
        self._selector.register(fd, selectors.EVENT_READ, call)

    def _poll(self, pid: int, call: Call) -> None:
        if has_ended(pid):
            call()
        else:
            self.call_later(_POLL_S, lambda: self._poll(pid, call))

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full of wake-ups already
            self._outbox.send(b"!")

    def _run(self) -> None:
        while self._running:
            for key, _ in self._selector.select(self._timeout()):
                self._ready(key)
            while self._later and self._later[0][0] <= time.monotonic():
                self._do(heapq.heappop(self._later)[2])
            for _ in range(len(self._soon)):
                self._do(self._soon.popleft())

    def _ready(self, key: selectors.SelectorKey) -> None:
        if key.fileobj is self._inbox:
            self._inbox.recv(4096)
            return
        self._selector.unregister(key.fd)
        os.close(key.fd)
        self._do(key.data)

    def _timeout(self) -> float | None:
        if self._soon:
            return 0
        return max(0.0, self._later[0][0] - time.monotonic()) if self._later else None

    def _do(self, call: Call) -> None:
        try:
            call()
        except Exception:
            log.exception("a step of the Batch server failed; its job waits for the next one")


def has_ended(pid: int) -> bool:
    """Reaps the process if it is a child of ours."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
