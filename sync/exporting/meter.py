"""How far an export is, as it is told: writing a byte and reading it back are one half of it each."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.progress import OnProgress, Progress, Speed
from sync.exporting.units import Unit


class Meter:
    """Tells `progress` of what is done of `units`; `done` of them are written and read back."""

    def __init__(self, progress: OnProgress, units: Sequence[Unit]) -> None:
        self.done = 0
        self._progress = progress
        self._total = sum(len(unit.items) for unit in units)
        self._total_bytes = sum(unit.size_bytes for unit in units)
        self._halves = 0
        self._speed = Speed()
        if units:
            self.tell(0)

    def tell(self, count: int) -> None:
        """Take note of bytes that were written or read back."""
        before = self._halves // 2
        self._halves += count
        done_bytes = min(self._halves // 2, self._total_bytes)
        self._speed.add(self._halves // 2 - before)
        self._progress(
            Progress(
                phase="export",
                done=self.done,
                total=self._total,
                done_bytes=done_bytes,
                total_bytes=self._total_bytes,
                bytes_per_second=self._speed.bytes_per_second,
                seconds_left=self._speed.seconds_for(self._total_bytes - done_bytes),
            )
        )
