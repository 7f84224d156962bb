"""Hours of the week: windows, rates by time of day, and the hours in which a box is usually on. Pure.

Days are 1 (Monday) to 7. Written as people write them: `1-5 18:00-23:30`, `6,7 00:00-24:00`, `1-5 22:00-06:00` (the
morning belongs to the evening before).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from catalog.errors import ConfigError

DAY_MINUTES = 24 * 60
FORM = "1-5 18:00-23:30"
_TEXT = re.compile(r"([1-7*][1-7,*-]*) +(\d{1,2}):(\d{2}) *- *(\d{1,2}):(\d{2})")
_RATE = re.compile(r"(.+) (\d{1,9})")
# A week that passes takes a quarter of what an hour has counted; below this an hour is not usual any more.
KEPT, USUAL = 0.75, 0.5
LEAST_KNOWN_HOURS = 5


@dataclass(frozen=True, slots=True)
class WeekHours:
    """From `start_minute` to `end_minute` of each of `days`; an end not after the start is on the next day."""

    days: frozenset[int]
    start_minute: int
    end_minute: int

    @classmethod
    def read(cls, text: str) -> WeekHours:
        """Return the hours written as `text`; raise `ConfigError` E-CONFIG."""
        match = _TEXT.fullmatch(" ".join(text.split()))
        days = _days(match[1]) if match else None
        if not match or not days:
            raise ConfigError("E-CONFIG", expected=FORM, found=text[:80])
        start, end = int(match[2]) * 60 + int(match[3]), int(match[4]) * 60 + int(match[5])
        if start >= DAY_MINUTES or end > DAY_MINUTES or int(match[3]) > 59 or int(match[5]) > 59:
            raise ConfigError("E-CONFIG", expected=FORM, found=text[:80])
        return cls(days, start, end)

    def __str__(self) -> str:
        return f"{_days_text(self.days)} {_time_text(self.start_minute)}-{_time_text(self.end_minute)}"

    def holds(self, shown: datetime) -> bool:
        """Return whether the time on the wall is within."""
        minute, day = shown.hour * 60 + shown.minute, shown.isoweekday()
        if self.start_minute < self.end_minute:
            return day in self.days and self.start_minute <= minute < self.end_minute
        before = (day - 2) % 7 + 1
        return (day in self.days and minute >= self.start_minute) or (
            before in self.days and minute < self.end_minute
        )


@dataclass(frozen=True, slots=True)
class TimedRate:
    """The rate within some hours; None: no limit."""

    hours: WeekHours
    bytes_per_second: int | None

    @classmethod
    def read(cls, text: str) -> TimedRate:
        """Return the rate written as `1-5 08:00-16:00 50` (kB/s of 1000 bytes, 0: no limit); raise `ConfigError`."""
        match = _RATE.fullmatch(" ".join(text.split()))
        if match is None:
            raise ConfigError("E-CONFIG", expected=f"{FORM} 50", found=text[:80])
        return cls(WeekHours.read(match[1]), int(match[2]) * 1000 or None)

    def __str__(self) -> str:
        return f"{self.hours} {(self.bytes_per_second or 0) // 1000}"


def any_holds(hours: Iterable[WeekHours], shown: datetime) -> bool:
    """Return whether the time on the wall is within any of `hours`."""
    return any(one.holds(shown) for one in hours)


def next_start(hours: Iterable[WeekHours], shown: datetime) -> datetime | None:
    """Return when the next of `hours` begins after `shown`; None where there is none."""
    midnight = shown.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [
        start
        for one in hours
        for ahead in range(8)
        if (start := midnight + timedelta(days=ahead, minutes=one.start_minute)) > shown
        and start.isoweekday() in one.days
    ]
    return min(starts, default=None)


@dataclass(frozen=True, slots=True)
class OnHours:
    """How usual it is that the box is on, weekday by hour: what counts fades by the week, not by a holiday.

    `counts[(day - 1) * 24 + hour]`; `last` is the hour counted last (`2026-11-21T08`), `week` its ISO week.
    """

    counts: tuple[float, ...] = (0.0,) * 168
    last: str = ""
    week: str = ""

    def seen(self, shown: datetime) -> OnHours:
        """Return the table after the box was on at `shown`; the same one within an hour that is counted already."""
        hour, week = f"{shown:%Y-%m-%dT%H}", f"{shown:%G-%V}"
        if hour == self.last:
            return self
        counts = list(self.counts) if week == self.week else [round(count * KEPT, 2) for count in self.counts]
        place = (shown.isoweekday() - 1) * 24 + shown.hour
        counts[place] = round(counts[place] + 1, 2)
        return OnHours(tuple(counts), hour, week)

    def usual(self) -> list[tuple[int, int]]:
        """Return (day, hour) of the hours in which the box is usually on."""
        return [(place // 24 + 1, place % 24) for place, count in enumerate(self.counts) if count >= USUAL]

    def only_within(self, hours: Iterable[WeekHours]) -> bool:
        """Return whether the box is known to be on in no other hours than these (by the middle of each hour)."""
        usual, within = self.usual(), tuple(hours)
        if len(usual) < LEAST_KNOWN_HOURS:
            return False
        # 2024-01-01 was a Monday.
        return all(any_holds(within, datetime(2024, 1, day, hour, 30)) for day, hour in usual)

    def never_within(self, hours: Iterable[WeekHours]) -> bool:
        """Return whether the box is known to be never on in these hours: windows that would stay shut."""
        usual, within = self.usual(), tuple(hours)
        if len(usual) < LEAST_KNOWN_HOURS:
            return False
        return not any(
            any_holds(within, datetime(2024, 1, day, hour, minute))
            for day, hour in usual
            for minute in range(0, 60, 5)
        )

    def to_json(self) -> dict[str, Any]:
        return {"counts": list(self.counts), "last": self.last, "week": self.week}

    @classmethod
    def from_json(cls, data: Any) -> OnHours:
        """Return the table that `to_json` wrote; an empty one for anything else."""
        if not isinstance(data, Mapping) or len(data.get("counts", ())) != 168:
            return cls()
        return cls(tuple(map(float, data["counts"])), str(data["last"]), str(data["week"]))


def _days(text: str) -> frozenset[int] | None:
    if text == "*":
        return frozenset(range(1, 8))
    days: set[int] = set()
    for part in text.split(","):
        if not re.fullmatch(r"[1-7](-[1-7])?", part):
            return None
        first, last = int(part[0]), int(part[-1])
        if first > last:
            return None
        days.update(range(first, last + 1))
    return frozenset(days)


def _days_text(days: frozenset[int]) -> str:
    parts = []
    for day in sorted(days):
        if day - 1 not in days:
            last = day
            while last + 1 in days:
                last += 1
            parts.append(str(day) if last == day else f"{day}-{last}")
    return ",".join(parts)


def _time_text(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
