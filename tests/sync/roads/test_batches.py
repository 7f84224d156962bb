"""Batches for the door: by age and size, so that many small files cost few flushes."""

from __future__ import annotations

from pathlib import Path

from catalog.blobs import Blob, Staged
from sync.roads.road import BATCH_MOST_BYTES, BATCH_MOST_FILES, Batches

MIB = 1 << 20


def item(size_bytes: int) -> Staged:
    return Staged(path=Path("staged"), blob=Blob(sha256="00" * 32, size_bytes=size_bytes))


def sizes(least_seconds: float, *steps: tuple[float, int]) -> list[int]:
    """Return how many files each batch has when a file of so many bytes comes at each moment."""
    now = 0.0
    found: list[int] = []
    batches = Batches(lambda batch: found.append(len(batch)), lambda: now, least_seconds=least_seconds)
    for moment, size_bytes in steps:
        now = moment
        batches.add(item(size_bytes))
    batches.flush()
    return found


def test_a_road_says_how_long_its_files_may_wait() -> None:
    steps = [(number / 16, MIB) for number in range(20)]
    assert sizes(0.125, *steps) == [3] * 6 + [2]
    assert sizes(0.5, *steps) == [9, 9, 2]


def test_neither_number_nor_bytes_grow_without_end() -> None:
    assert sizes(0.5, *[(0.0, 1)] * (BATCH_MOST_FILES + 1)) == [BATCH_MOST_FILES, 1]
    assert sizes(0.5, (0.0, BATCH_MOST_BYTES), (0.0, 1)) == [1, 1]


def test_few_small_files_wait_two_seconds_at_most() -> None:
    assert sizes(0.5, (0.0, 1), (1.9, 1), (2.0, 1), (2.1, 1)) == [3, 1]
