"""Each person's role in each project, kept for a moment: a right that is taken away is gone that soon (C79)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from shared.domain.member import Role
from shared.ports import Documents
from shared.steps.members import member

KEPT_S = 3.0
MOST_KEPT = 10_000


class Roles:
    """`monotonic` is a clock in seconds."""

    def __init__(self, documents: Callable[[], Documents], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._documents, self._monotonic = documents, monotonic
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], tuple[float, Role | None]] = {}

    def of(self, email: str, project: str) -> Role | None:
        key, now = (email, project), self._monotonic()
        with self._lock:
            found = self._kept.get(key)
        if found is not None and now - found[0] < KEPT_S:
            return found[1]
        known = member(self._documents(), project, email)
        role = known.role if known else None
        with self._lock:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[key] = (now, role)
        return role

    def forget(self) -> None:
        """What this process has just changed holds at once."""
        with self._lock:
            self._kept.clear()
