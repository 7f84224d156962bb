"""How fast work has been over the last seconds, and how long the rest takes."""

from __future__ import annotations

from catalog.progress import SPEED_SECONDS, Speed


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_speed_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    speed = Speed(clock)
    assert speed.bytes_per_second is None and speed.seconds_for(1000) is None
    for _ in range(40):
        clock.now += 1
        speed.add(1000)
    assert speed.bytes_per_second == 1000 and speed.seconds_for(5500) == 6
    # The line got ten times as fast: after ten seconds nothing of the past is in it.
    for _ in range(round(SPEED_SECONDS) + 1):
        clock.now += 1
        speed.add(10_000)
    assert speed.bytes_per_second == 10_000


def test_a_line_that_stands_still_is_told() -> None:
    clock = Clock()
    speed = Speed(clock)
    clock.now += 1
    speed.add(50_000)
    clock.now += 3 * SPEED_SECONDS
    speed.add(0)
    clock.now += SPEED_SECONDS
    speed.add(0)
    assert speed.bytes_per_second == 0 and speed.seconds_for(1) is None


def test_many_small_reads_keep_few_marks() -> None:
    clock = Clock()
    speed = Speed(clock)
    for _ in range(100_000):
        clock.now += 0.001
        speed.add(10)
    assert speed.bytes_per_second is not None and abs(speed.bytes_per_second - 10_000) < 300
    assert len(speed._marks) < 50
