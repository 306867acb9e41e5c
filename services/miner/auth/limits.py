"""How many requests one person may make: a bucket of tokens each, in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

MOST_KEPT = 10_000
"""People whose buckets are kept; those that are full again are forgotten first."""


@dataclass
class _Bucket:
    tokens: float
    at: float


class Limits:
    """`burst` requests at once, and `per_s` each second after that. `monotonic` is a clock in seconds."""

    def __init__(self, per_s: float, burst: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._burst, self._monotonic = per_s, burst, monotonic
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}

    def wait_s(self, who: str) -> float:
        """Takes one token, and answers 0; or takes none, and answers in how many seconds there will be one."""
        with self._lock:
            now = self._monotonic()
            bucket = self._buckets.get(who)
            if bucket is None:
                self._forget(now)
                bucket = self._buckets[who] = _Bucket(self._burst, now)
            bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.at) * self._per_s)
            bucket.at = now
            if bucket.tokens < 1:
                return (1 - bucket.tokens) / self._per_s
            bucket.tokens -= 1
            return 0.0

    def _forget(self, now: float) -> None:
        if len(self._buckets) < MOST_KEPT:
            return
        filled_in_s = self._burst / self._per_s
        self._buckets = {who: each for who, each in self._buckets.items() if now - each.at < filled_in_s}
