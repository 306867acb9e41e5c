"""Sends notifications from a thread of its own, in order, with the faults that were asked for."""

from __future__ import annotations

import heapq
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from infra.local.batch.faults import Faults
from infra.local.batch.wire import Notification

log = logging.getLogger(__name__)
Publish = Callable[[str, bytes, dict[str, str]], None]
_HELD_S = 0.1  # messages that wait to be reordered wait no longer for company


@dataclass(order=True)
class _Due:
    at: float
    order: int
    note: Notification = field(compare=False)


class Notifier:
    """`publish(topic, data, attributes)` is called from this thread only. What is not sent at a kill is lost, as with
    Batch, which promises no notification; an error of `publish` loses the message and is logged."""

    def __init__(self, publish: Publish, faults: Faults) -> None:
        self._publish = publish
        self._faults = faults
        self._inbox: queue.SimpleQueue[Notification | None] = queue.SimpleQueue()
        self._later: list[_Due] = []
        self._held: list[Notification] = []
        self._held_until = 0.0
        self._order = count()
        self._thread = threading.Thread(target=self._run, name="batch-notifier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Sends what is due; what is delayed beyond this moment is lost."""
        self._inbox.put(None)
        self._thread.join()

    def send(self, note: Notification) -> None:
        """From any thread."""
        self._inbox.put(note)

    def _run(self) -> None:
        while True:
            try:
                note = self._inbox.get(timeout=self._timeout())
            except queue.Empty:
                self._send_due()
                continue
            if note is None:
                break
            self._take(note)
            self._send_due()
        self._release()

    def _timeout(self) -> float | None:
        times = [self._later[0].at] if self._later else []
        if self._held:
            times.append(self._held_until)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _take(self, note: Notification) -> None:
        fault = self._faults.of(note.job_id).notify
        if fault.states and note.state not in fault.states:
            self._emit(note)
            return
        if fault.drop:
            return
        for _ in range(1 + fault.duplicate):
            if fault.delay_s:
                heapq.heappush(self._later, _Due(time.monotonic() + fault.delay_s, next(self._order), note))
            elif fault.reorder:
                self._hold(note, fault.reorder)
            else:
                self._emit(note)

    def _hold(self, note: Notification, company: int) -> None:
        self._held.append(note)
        self._held_until = time.monotonic() + _HELD_S
        if len(self._held) > company:
            self._release()

    def _release(self) -> None:
        while self._held:
            self._emit(self._held.pop())

    def _send_due(self) -> None:
        now = time.monotonic()
        while self._later and self._later[0].at <= now:
            self._emit(heapq.heappop(self._later).note)
        if self._held and self._held_until <= now:
            self._release()

    def _emit(self, note: Notification) -> None:
        try:
            self._publish(note.topic, note.data, dict(note.attributes))
        except Exception:
            log.exception("a notification for %s was not taken and is lost: %s", note.topic, note.attributes)
