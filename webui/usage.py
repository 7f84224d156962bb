"""Hourly counts of use per resource: no person, no address, no device (rule 6).

Counts are kept in memory and added to `local.db` each minute, since boxes are switched off at the wall. Events:
`open` (its page), `download` (its original), `play` (its package was started). Invariant: a count is in memory or in
`local.db`, never in both, and a flush that fails keeps it in memory.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from catalog.errors import StorageError
from catalog.local import Local, Usage

FLUSH_SECONDS = 60.0

_log = logging.getLogger(__name__)


class UsageCounter:
    """Counts in memory, and a thread that flushes them; `clock` is the display clock, `clock_mark` names it."""

    def __init__(self, local: Local, clock: Callable[[], datetime], clock_mark: Callable[[], str]) -> None:
        self._local = local
        self._clock = clock
        self._clock_mark = clock_mark
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def count(self, resource_id: str, event: str) -> None:
        """Count one event; the thread is started with the first."""
        with self._lock:
            self._counts[resource_id, event] += 1
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="usage", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Add what was counted to the hour of the display clock."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        hour = self._clock().strftime("%Y-%m-%dT%H")
        mark = self._clock_mark()
        lines = [
            Usage(hour=hour, resource_id=resource_id, event=event, clock=mark, count=count)
            for (resource_id, event), count in counts.items()
        ]
        try:
            self._local.add_usage(lines)
        except StorageError as error:
            with self._lock:
                self._counts.update(counts)
            _log.warning("%s", error)

    def close(self) -> None:
        """Stop the thread and flush."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self.flush()

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_SECONDS):
            self.flush()
