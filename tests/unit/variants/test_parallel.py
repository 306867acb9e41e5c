"""Results come in the order of the things, and so do errors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.variants.parallel import in_order


def test_results_are_in_order() -> None:
    assert list(in_order(lambda i: i * i, iter(range(50)))) == [i * i for i in range(50)]


def test_an_error_of_the_work_stands_at_its_place() -> None:
    seen = []
    with pytest.raises(ZeroDivisionError):
        for result in in_order(lambda i: 1 // (3 - i), iter(range(50))):
            seen.append(result)
    assert seen == [0, 0, 1]


def test_an_error_of_the_things_comes_after_what_stood_before_it() -> None:
    def things() -> Iterator[int]:
        yield from range(5)
        raise ValueError("cut")

    seen = []
    with pytest.raises(ValueError, match="cut"):
        for result in in_order(lambda i: i, things()):
            seen.append(result)
    assert seen == [0, 1, 2, 3, 4]


def test_work_that_fails_early_is_raised_before_things_that_fail_late() -> None:
    def things() -> Iterator[int]:
        yield 0
        raise ValueError("cut")

    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda i: 1 // i, things()))
