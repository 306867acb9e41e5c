"""Virtual time and the actors in it: one thread, one heap of moments, and an order that follows from the seed alone."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

from greenlet import getcurrent, greenlet

BEGINNING = datetime(2026, 11, 25, tzinfo=UTC)


class Crashed(BaseException):
    """The process of an actor is gone: not an error that its code could handle."""


class Scheduler:
    """`now_s` counts virtual seconds from the beginning. Actors are greenlets that give way in `pause`."""

    def __init__(self, seed: int) -> None:
        self.random = Random(f"iflow-{seed}")
        self.now_s = 0.0
        self.trace: list[tuple[float, str, str]] = []
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._order = count()
        self._hub = getcurrent()
        self._names: dict[greenlet, str] = {}

    def clock(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.now_s)

    def note(self, what: str) -> None:
        self.trace.append((self.now_s, self._names.get(getcurrent(), "-"), what))

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        heapq.heappush(self._heap, (self.now_s + seconds, next(self._order), act))

    def spawn(self, name: str, run: Callable[[], object], delay_s: float = 0.0) -> None:
        """Begins an actor. A crash ends it and nothing else; any other exception of it ends the simulation."""

        def live() -> None:
            try:
                run()
            except Crashed:
                self.note("CRASHED")
            finally:
                del self._names[actor]

        actor = greenlet(live, self._hub)
        self._names[actor] = name
        self.after(delay_s, actor.switch)

    def pause(self, seconds: float) -> None:
        """The calling actor goes on after that time; others run meanwhile."""
        self.after(seconds, getcurrent().switch)
        self._hub.switch()

    def crash(self, which: Callable[[str], bool]) -> None:
        """Every actor that has begun and whose name `which` picks is gone at once, as with its machine."""
        for actor, name in list(self._names.items()):
            if actor and which(name):
                actor.throw(Crashed)

    def run(self, until_s: float) -> None:
        """All that is due up to then, in order of time; moments that tie, in the order they were asked for."""
        while self._heap and self._heap[0][0] <= until_s:
            self.now_s, _, act = heapq.heappop(self._heap)
            act()
        self.now_s = max(self.now_s, until_s)

    def run_dry(self, until_s: float) -> None:
        """As `run`, but time stands still at the last thing that happened."""
        while self._heap and self._heap[0][0] <= until_s:
            self.now_s, _, act = heapq.heappop(self._heap)
            act()

    def close(self) -> None:
        """Ends what is still waiting, so that no file or greenlet is left over."""
        self.crash(lambda _: True)
        self._heap.clear()
