"""How far long work is: one value that a terminal's bar, a page's bar and a test read alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a phase of long work is, in things and in bytes; a total of 0 is not known yet.

    `phase` is a stable English word (`scan`, `copy`, `describe`, `metadata`, `catalogue`, `content`, `verify`, …);
    screens translate it. `item` names what is being worked on.
    """

    phase: str
    done: int = 0
    total: int = 0
    done_bytes: int = 0
    total_bytes: int = 0
    item: str = ""

    @property
    def share(self) -> float | None:
        """How much of the phase is done, 0 to 1: by bytes where they are known, else by things."""
        if self.total_bytes:
            return min(1.0, self.done_bytes / self.total_bytes)
        return min(1.0, self.done / self.total) if self.total else None


OnProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Take progress and show nothing."""


def both(first: OnProgress, second: OnProgress) -> OnProgress:
    """Return what tells progress to both."""

    def tell(progress: Progress) -> None:
        first(progress)
        second(progress)

    return tell
