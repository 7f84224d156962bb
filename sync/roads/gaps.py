"""Which pieces of a file to ask a tree for next, so that those who share a file ask for different ones: pure.

The pieces are divided into as many territories as there are who ask, in order. Each goes through its own from the
beginning, in runs, leaving out what somebody it meets has by now; so a run of small requests is one stretch of the
file, and what has come first is a beginning. Who is through with its own helps where most is left, from the end of the
gap, since its owner comes from the beginning. Invariant: where everybody keeps to this, two ask for the same piece
only at the very end of a gap; where somebody vanished, `alone` gives all that is left to who remains.
"""

from __future__ import annotations

from collections.abc import Sequence

Share = tuple[int, int]
"""Rank and number of those who ask: (0, 1) is alone."""
UNSEEN_RUNS = 6


def next_own(open_pieces: Sequence[bool], share: Share, most: int) -> range:
    """Return the next run of our own territory, of at most `most` pieces; empty where nothing of it is open.

    `open_pieces`: for each piece whether it is not here, not asked for, and with nobody that we meet.
    """
    rank, number = share
    count = len(open_pieces)
    return _run(open_pieces, count * rank // number, count * (rank + 1) // number, most)


def next_helping(open_pieces: Sequence[bool], share: Share, most: int, *, alone: bool) -> range:
    """Return a run of another's territory: the first open one where we are `alone`, else near the end of the largest gap.

    Each who helps keeps a distance of its own from that end. A gap of a few runs is left to who is at it: what others
    have asked for and do not have yet can not be seen, and that is `UNSEEN_RUNS`.
    """
    rank, number = share
    count = len(open_pieces)
    if alone:
        return _run(open_pieces, 0, count, most)
    largest = range(0)
    start = 0
    while start < count:
        gap = _run(open_pieces, start, count, count)
        if len(gap) > len(largest):
            largest = gap
        start = gap.stop if gap else count
    if len(largest) < (number + UNSEEN_RUNS) * most:
        return range(0)
    end = largest.stop - rank * most
    return range(end - most, end)


def _run(open_pieces: Sequence[bool], start: int, end: int, most: int) -> range:
    """Return the first run of open pieces in `start:end`."""
    first = next((index for index in range(start, end) if open_pieces[index]), end)
    last = first
    while last < end and last - first < most and open_pieces[last]:
        last += 1
    return range(first, last)
