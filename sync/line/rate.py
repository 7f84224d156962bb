"""The one governor of a run: every byte of every road over the shared line passes it.

Invariants: over any ten seconds no more than the rate and a tenth passes (what may come at once after a pause, and
what a kernel holds ahead, are less than a second of it: `sync.roads.connection`); a byte is
counted against the month's budget before the next one is asked for, durably in steps, so that a kill costs at most a
step of the budget and never gives one away. Neighbours are exempt (`sync.line.network`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from catalog.errors import RoadError
from catalog.local import Local
from sync.line.network import IsLan, is_lan

METERED = "metered"
"""Setting of `local.db`: month (`2026-11`) -> bytes that came and went over the shared line."""
MONTHS_KEPT = 24
STEP_MOST_BYTES, STEP_LEAST_BYTES = 16 << 20, 256 << 10
# How much may pass at once after a pause of the line, and how much one reading may bring.
CREDIT_SECONDS, READ_SECONDS, DEBT_SECONDS = 0.25, 0.05, 2.0
LEAST_READ_BYTES = 1 << 10
_LOOK_SECONDS = 1.0


class Meter:
    """What one process uses of a month's budget. `budget_bytes` None only counts. Threads may share it.

    Bytes are written to `local.db` a step ahead: a card must not be worn by counting, nor a kill forget what was used.
    """

    def __init__(self, local: Local, *, month: str, budget_bytes: int | None = None) -> None:
        self.month = month
        self.budget_bytes = budget_bytes
        self._local = local
        self._lock = threading.Lock()
        share = (budget_bytes or 0) // 100 or STEP_MOST_BYTES
        self._step_bytes = max(STEP_LEAST_BYTES, min(STEP_MOST_BYTES, share))
        self._before_bytes = used_bytes(local, month)
        self._reserved_bytes = 0
        self._counted_bytes = 0
        self._closed = False

    @property
    def used_bytes(self) -> int:
        """What the month has used up to now."""
        return self._before_bytes + self._counted_bytes

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left of the budget."""
        return self.budget_bytes is not None and self.used_bytes >= self.budget_bytes

    def add(self, count: int) -> None:
        """Count bytes that have passed; what comes after the end is not written: nobody would give the step back."""
        with self._lock:
            self._counted_bytes += count
            if self._counted_bytes > self._reserved_bytes and not self._closed:
                self._reserve(self._counted_bytes - self._reserved_bytes + self._step_bytes)

    def close(self) -> None:
        """Give back what was written ahead and not used."""
        with self._lock:
            self._closed = True
            if self._reserved_bytes != self._counted_bytes:
                self._reserve(self._counted_bytes - self._reserved_bytes)

    def _reserve(self, count: int) -> None:
        months = dict(self._local.get(METERED, {}))
        stored = max(0, int(months.get(self.month, 0)) + count)
        self._reserved_bytes += count
        # Another process may have counted too.
        self._before_bytes = max(self._before_bytes, stored - self._reserved_bytes)
        months[self.month] = stored
        for oldest in sorted(months)[: max(0, len(months) - MONTHS_KEPT)]:
            if oldest != self.month:
                del months[oldest]
        self._local.put(METERED, months)


def used_bytes(local: Local, month: str) -> int:
    """Return what the shared line has carried in `month` (`2026-11`)."""
    return int(local.get(METERED, {}).get(month, 0))


class Governor:
    """The rate of a run, changed at any time, and its end. `bytes_per_second` None is no limit. Thread-safe."""

    def __init__(
        self, bytes_per_second: int | None = None, *, meter: Meter | None = None, lan: IsLan = is_lan
    ) -> None:
        self._changed = threading.Condition()
        self._rate = bytes_per_second
        self._meter = meter
        self._lan = lan
        self._stopped = False
        self._debt_bytes = 0.0
        self._settled_at = time.monotonic()
        self._listeners: list[Callable[[int | None], None]] = []

    @property
    def bytes_per_second(self) -> int | None:
        """The rate for the shared line now; None for no limit."""
        return self._rate

    @property
    def metered(self) -> bool:
        """Whether what passes is counted against a month."""
        return self._meter is not None

    @property
    def stopped(self) -> bool:
        """Whether the run was told to end."""
        return self._stopped

    def governs(self, host: str) -> bool:
        """Return whether what comes from `host` passes the governor: a neighbour's bytes do not."""
        return not self._lan(host)

    def set_rate(self, bytes_per_second: int | None) -> None:
        """Change the rate; who waits is given the new one at once."""
        with self._changed:
            self._settle()
            self._rate = bytes_per_second
            if bytes_per_second is not None:
                self._debt_bytes = min(self._debt_bytes, bytes_per_second * CREDIT_SECONDS)
            self._changed.notify_all()
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(bytes_per_second)

    def on_rate(self, listener: Callable[[int | None], None]) -> None:
        """Call `listener` with each new rate, in the thread that sets it."""
        with self._changed:
            self._listeners.append(listener)

    def stop(self) -> None:
        """End the run: every wait ends and every later byte is refused with E-PAUSED."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def failure(self, *, lan: bool = False) -> RoadError | None:
        """Return why nothing more may come: E-PAUSED, or but from a neighbour E-BUDGET; None where it may."""
        if self._stopped:
            return RoadError("E-PAUSED")
        if not lan and self._meter is not None and self._meter.exhausted:
            return RoadError(
                "E-BUDGET",
                where=self._meter.month,
                expected=f"<= {self._meter.budget_bytes}",
                found=self._meter.used_bytes,
            )
        return None

    def check(self, *, lan: bool = False) -> None:
        """Raise `failure`, where there is one: before something is asked for."""
        if (failure := self.failure(lan=lan)) is not None:
            raise failure

    def read_bytes(self, most: int) -> int:
        """Return how much one reading should ask for: little at a low rate, so that the rate is even."""
        rate = self._rate
        return most if rate is None else max(LEAST_READ_BYTES, min(most, int(rate * READ_SECONDS)))

    def count(self, received: int, *, sent: int = 0) -> None:
        """Count bytes that have passed, without waiting: for a road that keeps the rate by itself (the swarm)."""
        if self._meter is not None:
            self._meter.add(received + sent)
        with self._changed:
            self._owe(received)

    def lend(self, count: int) -> None:
        """Note that a kernel's buffer may take `count` bytes before anything is read (negative: it is given back).

        Else each new connection would begin with a burst above the rate.
        """
        with self._changed:
            self._owe(count)

    def take(self, count: int) -> None:
        """Count `count` bytes that have come, and wait until the next may come.

        Raises `RoadError` E-PAUSED where the run was told to end, E-BUDGET where the month's budget is used up.
        """
        if self._meter is not None:
            self._meter.add(count)
        self.check()
        with self._changed:
            self._owe(count)
            while self._rate is not None and self._debt_bytes > 0 and not self._stopped:
                self._changed.wait(min(_LOOK_SECONDS, self._debt_bytes / self._rate))
                self._settle()
        self.check()

    def close(self) -> None:
        """Write what was counted exactly."""
        if self._meter is not None:
            self._meter.close()

    def _owe(self, count: int) -> None:
        self._settle()
        if self._rate is not None:
            self._debt_bytes = min(self._debt_bytes + count, max(count, self._rate * DEBT_SECONDS))

    def _settle(self) -> None:
        now = time.monotonic()
        if self._rate is None:
            self._debt_bytes = 0.0
        else:
            earned = self._rate * (now - self._settled_at)
            self._debt_bytes = max(self._debt_bytes - earned, -self._rate * CREDIT_SECONDS)
        self._settled_at = now
