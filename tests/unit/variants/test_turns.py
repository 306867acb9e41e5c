"""A few at a time, first come, first served."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from shared.variants.turns import Turns


def until(probe: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not probe():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_who_waits_longest_is_next_and_who_comes_back_is_behind_him() -> None:
    turns, entered = Turns(1), []

    def person(name: int) -> None:
        with turns:
            entered.append(name)

    threads = [threading.Thread(target=person, args=(name,)) for name in range(5)]
    with turns:
        for number, thread in enumerate(threads):
            thread.start()
            until(lambda n=number: turns.waiting == n + 1)  # type: ignore[misc]
    with turns:
        assert entered == [0, 1, 2, 3, 4]
    for thread in threads:
        thread.join()


def test_no_more_are_within_than_may_be_and_a_fault_gives_the_place_back() -> None:
    turns, lock, within, most = Turns(2), threading.Lock(), 0, 0

    def person() -> None:
        nonlocal within, most
        for _ in range(200):
            with turns:
                with lock:
                    within += 1
                    most = max(most, within)
                time.sleep(0)
                with lock:
                    within -= 1

    for _ in range(3):
        with pytest.raises(ValueError, match="no"), turns:
            raise ValueError("no")
    threads = [threading.Thread(target=person) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2
    assert (within, turns.waiting) == (0, 0)


def test_who_is_within_may_enter_again_and_leaves_once() -> None:
    turns = Turns(1)
    with turns:
        with turns:
            pass
        thread = threading.Thread(target=turns.__enter__)
        thread.start()
        until(lambda: turns.waiting == 1)
    thread.join()
