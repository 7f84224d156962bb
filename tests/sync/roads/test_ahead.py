"""Work ahead: in order, bounded, its failures raised where the results are read, its thread gone in the end."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from sync.roads.ahead import ahead


def numbers(count: int, made: list[int], failing: bool = False) -> Generator[int, None, None]:
    for number in range(count):
        made.append(number)
        yield number
    if failing:
        raise OSError("the disk")


def threads() -> int:
    return sum(thread.name == "ahead" for thread in threading.enumerate())


def test_results_come_in_order_and_bounded() -> None:
    made: list[int] = []
    with ahead(lambda: numbers(1000, made), 4) as results:
        for at, number in enumerate(results):
            assert number == at
            # Four wait, one is held by the thread, one is being read here.
            assert len(made) <= at + 7
    assert threads() == 0


def test_a_failure_comes_after_what_was_made_before_it() -> None:
    found = []
    with pytest.raises(OSError, match="the disk"), ahead(lambda: numbers(3, [], True), 2) as results:
        for number in results:
            found.append(number)
    assert found == [0, 1, 2] and threads() == 0


def test_leaving_early_ends_the_work() -> None:
    made: list[int] = []
    with pytest.raises(KeyError), ahead(lambda: numbers(10**9, made), 3) as results:
        next(results)
        raise KeyError
    assert threads() == 0 and len(made) < 10
