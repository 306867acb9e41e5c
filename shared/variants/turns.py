"""A few at a time, first come, first served."""

from __future__ import annotations

from collections import deque
from threading import Lock


class Turns:
    """`with turns:` waits until fewer than `at_once` are within and all that came before have been let in. A place is
    handed on to who waits longest, so that nobody who comes back at once is before him (as with a Semaphore)."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: deque[Lock] = deque()
        self._lock = Lock()

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def __enter__(self) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            mine = Lock()
            mine.acquire()
            self._waiting.append(mine)
        mine.acquire()

    def __exit__(self, *_: object) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._free += 1
