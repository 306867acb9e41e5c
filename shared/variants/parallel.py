"""Work on several things at a time, with the results in the order of the things."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")

# NumPy and Arrow work outside Python's lock most of the time; more threads than this wait for each other.
_MOST_THREADS = 4


def threads() -> int:
    """One for each processor that this process may use, up to a bound."""
    return min(len(os.sched_getaffinity(0)), _MOST_THREADS)


def in_order(work: Callable[[Given], Made], things: Iterator[Given]) -> Iterator[Made]:
    """`work` of each thing, in their order; at most one more thing than there are threads is under way.

    The first error, of `things` or of `work`, is raised at its place in the order: what comes before it is yielded.
    """
    n = threads()
    with ThreadPoolExecutor(n) as pool:
        waiting: deque[Future[Made]] = deque()
        try:
            yield from _fed(pool, work, things, waiting, n + 1)
        finally:
            for future in waiting:
                future.cancel()


def _fed(
    pool: ThreadPoolExecutor, work: Callable[[Given], Made], things: Iterator[Given],
    waiting: deque[Future[Made]], most: int,
) -> Iterator[Made]:
    stopped: Exception | None = None
    while True:
        try:
            thing = next(things)
        except StopIteration:
            break
        except Exception as error:
            stopped = error
            break
        waiting.append(pool.submit(work, thing))
        if len(waiting) >= most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
    if stopped:
        raise stopped
