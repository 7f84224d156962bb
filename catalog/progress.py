"""How far long work is: one value that a terminal's bar, a page's bar and a test read alike."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

SPEED_SECONDS = 10.0
_SPEED_STEP_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a phase of long work is, in things and in bytes; a total of 0 is not known yet.

    `phase` is a stable English word (`scan`, `copy`, `describe`, `metadata`, `catalogue`, `content`, `verify`, …);
    screens translate it. `item` names what is being worked on. Work that carries bytes says how fast it has been over
    the last seconds, how long the rest takes at that speed, and over which `road` (`http`, `rsync`, `swarm`, …).
    """

    phase: str
    done: int = 0
    total: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    item: str = ""
    bytes_per_second: int | None = None
    seconds_left: int | None = None
    road: str = ""

    @property
    def share(self) -> float | None:
        """How much of the phase is done, 0 to 1: by bytes where they are known, else by things."""
        if self.total_bytes:
            return min(1.0, self.done_bytes / self.total_bytes)
        return min(1.0, self.done / self.total) if self.total else None


OnProgress = Callable[[Progress], None]


class Speed:
    """How fast bytes have come over the last ten seconds; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # When, and how many bytes had come by then: a mark each quarter of a second, not each read.
        self._marks: deque[tuple[float, int]] = deque([(clock(), 0)])
        self._total = 0

    def add(self, count: int) -> None:
        """Take note of `count` more bytes."""
        self._total += count
        now = self._clock()
        if now - self._marks[-1][0] >= _SPEED_STEP_SECONDS:
            self._marks.append((now, self._total))
        while len(self._marks) > 1 and now - self._marks[1][0] >= SPEED_SECONDS:
            self._marks.popleft()

    @property
    def bytes_per_second(self) -> int | None:
        """The speed; None in the first moment, when it means nothing."""
        since, before = self._marks[0]
        seconds = self._clock() - since
        return round((self._total - before) / seconds) if seconds >= _SPEED_STEP_SECONDS else None

    def seconds_for(self, count: int) -> int | None:
        """Return how long `count` bytes take at this speed; None where it is not known or nothing comes."""
        speed = self.bytes_per_second
        return -(-count // speed) if speed else None


def silent(_: Progress) -> None:
    """Take progress and show nothing."""


def both(first: OnProgress, second: OnProgress) -> OnProgress:
    """Return what tells progress to both."""

    def tell(progress: Progress) -> None:
        first(progress)
        second(progress)

    return tell
