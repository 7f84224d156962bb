"""Who asks for which pieces: everything once, whoever comes and goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.roads.gaps import next_helping, next_own


def test_alone_goes_from_the_beginning() -> None:
    assert next_own([True] * 10, (0, 1), 4) == range(0, 4)
    assert next_own([False] * 4 + [True] * 3 + [False] + [True] * 2, (0, 1), 4) == range(4, 7)
    assert not next_own([False] * 5, (0, 1), 4)
    assert not next_own([], (0, 1), 4) and not next_helping([], (0, 1), 4, alone=True)


def test_each_keeps_to_its_territory() -> None:
    assert next_own([True] * 10, (1, 2), 4) == range(5, 9)
    assert not next_own([True] * 5 + [False] * 5, (1, 2), 4)


def test_help_goes_to_the_end_of_the_largest_gap() -> None:
    pieces = [True] * 4 + [False] * 4 + [True] * 32
    assert next_helping(pieces, (0, 2), 4, alone=False) == range(36, 40)
    assert next_helping(pieces, (1, 2), 4, alone=False) == range(32, 36)
    # A short gap is its owner's business, but for who is alone.
    assert not next_helping([True] * 31, (0, 2), 4, alone=False)
    assert next_helping([True] * 32, (0, 2), 4, alone=False) == range(28, 32)
    assert next_helping([True] * 8, (0, 2), 4, alone=True) == range(0, 4)


@given(pieces=st.integers(1, 300), askers=st.integers(1, 9), most=st.integers(1, 8))
def test_all_territories_together_are_everything_once(pieces: int, askers: int, most: int) -> None:
    open_pieces = [True] * pieces
    asked: list[int] = []
    for rank in range(askers):
        while run := next_own(open_pieces, (rank, askers), most):
            assert len(run) <= most
            asked += run
            for index in run:
                open_pieces[index] = False
    assert sorted(asked) == list(range(pieces))


@pytest.mark.parametrize("slow", [1, 5])
@pytest.mark.parametrize("askers", [2, 3, 6])
def test_the_fast_help_the_slow_and_little_is_asked_twice(askers: int, slow: int) -> None:
    """A run that was asked for in one turn is here in the next; who is slow asks in every `slow`th."""
    pieces, most = 640, 4
    here: set[int] = set()
    asked = turns = 0
    while len(here) < pieces:
        turns += 1
        runs = []
        for rank in range(askers):
            if rank or not turns % slow:
                open_pieces = [index not in here for index in range(pieces)]
                runs.append(
                    next_own(open_pieces, (rank, askers), most)
                    or next_helping(open_pieces, (rank, askers), most, alone=False)
                )
        asked += sum(map(len, runs))
        for run in runs:
            here.update(run)
    assert asked <= pieces * 1.2
    # Left to themselves it would take the slow one its whole territory's time.
    assert turns <= pieces / most / askers * slow * 0.8 or slow == 1
