"""The month's round: every stored blob read again at a set pace, a little each day, damage mended as it is found.

A round remembers in `local.db` how far it is: a kill costs the reading of some seconds and of the blob at hand. What
was read this month is not read again; what arrives meanwhile was checked at the door. The state need not be held for
reading, since blobs only ever change whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from catalog.blobs import Blob, BlobStore
from catalog.errors import RoadError
from catalog.library import Library
from catalog.local import Local
from catalog.progress import OnProgress, silent
from sync.updating.verify import Mend, Pace, Repair, VerifyResult, is_whole, telling

VERIFY = "verify"
"""Setting of `local.db`: the round under way, or the last one; see `Round`."""
ROUND_EACH = timedelta(days=30)
_KEEP_SECONDS = 10.0
# A round has half of the hours in which the box is on: the others are for lessons, syncs and what was not foreseen.
SHARE_OF_HOURS = 0.5
LEAST_BYTES_PER_SECOND, MOST_BYTES_PER_SECOND = 500_000, 40_000_000
# Of a box that is not known yet: five school days of four hours.
UNKNOWN_HOURS_A_WEEK = 20
_BATCH_BLOBS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One reading of the whole store: begun, how far by hash, how much of it, ended (None: under way)."""

    started: datetime
    cursor: str = ""
    checked: int = 0
    checked_bytes: int = 0
    finished: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the value kept in `local.db`."""
        return {
            "started": self.started.isoformat(timespec="seconds"),
            "cursor": self.cursor,
            "checked": self.checked,
            "checked_bytes": self.checked_bytes,
            "finished": self.finished.isoformat(timespec="seconds") if self.finished else None,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Round:
        """Return the round that `to_json` gave."""
        times = {name: datetime.fromisoformat(value[name]) for name in ("started", "finished") if value[name]}
        return cls(**{**value, **times})


def round_rate(rest_bytes: int, left: timedelta, hours_a_week: int) -> int:
    """Return the bytes per second at which the rest of a round is read in the time that is `left` of its month.

    `hours_a_week` are those in which the box is usually on. Disks and lessons bound it: what is late takes longer.
    """
    hours = hours_a_week or UNKNOWN_HOURS_A_WEEK
    # The last days must not ask for the impossible of a box that was away.
    weeks = max(left, timedelta(days=1)) / timedelta(weeks=1)
    seconds = hours * weeks * SHARE_OF_HOURS * 3600
    return max(LEAST_BYTES_PER_SECOND, min(MOST_BYTES_PER_SECOND, int(rest_bytes / seconds)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PatrolResult(VerifyResult):
    """A part of the month's round, and how far the round is; `damaged` counts what earlier parts found as well."""

    round: Round


@dataclass
class Patrol:
    """One run of the round; `now` gives the trusted time. Whoever mends holds the state meanwhile."""

    library: Library
    blobs: BlobStore
    local: Local
    now: Callable[[], datetime]
    pace: Pace
    repair: Mend | None = None
    progress: OnProgress = silent
    _repair: Repair = field(default_factory=Repair, init=False)
    _checked: int = field(default=0, init=False)

    def rate(self, hours_a_week: int) -> int:
        """Return the bytes per second by which this month's round is full in time; see `round_rate`."""
        stored = self.local.get(VERIFY)
        last = Round.from_json(stored) if stored else None
        now = self.now()
        with self.library.reading() as reader:
            total_bytes = sum(blob.size_bytes for blob in reader.blobs())
        if last is None or last.finished is not None or not last.started <= now:
            return round_rate(total_bytes, ROUND_EACH, hours_a_week)
        return round_rate(
            max(0, total_bytes - last.checked_bytes), last.started + ROUND_EACH - now, hours_a_week
        )

    def go_on(self) -> PatrolResult:
        """Read on from where the last run was until the round is full; read nothing where it was full this month."""
        found = {blob.sha256 for blob in self._known_damage()}
        round_ = self._round()
        if round_.finished is None:
            found |= self._read_on(round_)
        remains = {blob.sha256 for blob in self.local.damage()}
        return PatrolResult(
            checked=self._checked,
            damaged=len(found),
            repaired=len(found - remains),
            fetched_bytes=self._repair.fetched_bytes,
            failure=self._repair.failure,
            round=Round.from_json(self.local.get(VERIFY)),
        )

    def _round(self) -> Round:
        stored = self.local.get(VERIFY)
        now = self.now()
        if stored is not None:
            last = Round.from_json(stored)
            # A round from the future was begun under a wrong clock.
            if last.finished is None or last.started <= now < last.started + ROUND_EACH:
                return last
        fresh = Round(started=now)
        self.local.put(VERIFY, fresh.to_json())
        return fresh

    def _known_damage(self) -> list[Blob]:
        """Look again at what was found earlier: strike out what is whole or gone by now, and mend the rest."""
        known = self.local.damage()
        with self.library.reading() as reader:
            here = [blob for blob in known if reader.has(blob.sha256)]
        damaged = [blob for blob in here if not self._is_whole(blob)]
        self.local.clear_damage({blob.sha256 for blob in known} - {blob.sha256 for blob in damaged})
        self._mend(damaged)
        return damaged

    def _read_on(self, round_: Round) -> set[str]:
        """Read the rest of the round; return the hashes of what is damaged."""
        found: set[str] = set()
        kept_at = time.monotonic()
        try:
            for blob in self._told(round_):
                if not self._is_whole(blob) and self._is_here(blob):
                    found.add(blob.sha256)
                    self.local.note_damage([blob], self.now())
                    self._mend([blob])
                self._checked += 1
                round_ = replace(
                    round_,
                    cursor=blob.sha256,
                    checked=round_.checked + 1,
                    checked_bytes=round_.checked_bytes + blob.size_bytes,
                )
                if time.monotonic() - kept_at >= _KEEP_SECONDS:
                    kept_at = time.monotonic()
                    self.local.put(VERIFY, round_.to_json())
            round_ = replace(round_, finished=self.now())
        finally:
            self.local.put(VERIFY, round_.to_json())
        return found

    def _told(self, round_: Round) -> Iterator[Blob]:
        with self.library.reading() as reader:
            sizes = [blob.size_bytes for blob in reader.blobs()]
        before = (round_.checked, round_.checked_bytes)
        return telling(self._rest(round_), self.progress, len(sizes), sum(sizes), before)

    def _rest(self, round_: Round) -> Iterator[Blob]:
        """Yield the blobs behind the cursor; what arrives meanwhile was checked at the door."""
        cursor = round_.cursor
        while True:
            with self.library.reading() as reader:
                batch = list(islice(reader.blobs(cursor), _BATCH_BLOBS))
            if not batch:
                return
            yield from batch
            cursor = batch[-1].sha256

    def _is_whole(self, blob: Blob) -> bool:
        path = self.blobs.path(blob.sha256)
        # Twice: a loose plug lies once, and a blob may have been replaced under the first reading.
        return is_whole(path, blob, self.pace) or is_whole(path, blob, self.pace)

    def _is_here(self, blob: Blob) -> bool:
        with self.library.reading() as reader:
            return reader.has(blob.sha256)

    def _mend(self, damaged: list[Blob]) -> None:
        """Mend at once, while the roads of this run work; what remains is tried first in the next run."""
        if not damaged or self.repair is None or isinstance(self._repair.failure, RoadError):
            return
        mended = self.repair(damaged)
        self.local.clear_damage(mended.whole)
        self._repair = Repair(
            fetched_bytes=self._repair.fetched_bytes + mended.fetched_bytes,
            failure=mended.failure or self._repair.failure,
        )
