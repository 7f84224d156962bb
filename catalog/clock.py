"""Two clocks. *Trusted time* decides about signatures; the *display clock* decides what "today" is on a page.

A Pi has no clock of its own, so the system time may be 1970 or 2099. Trusted time is never earlier than the build
of this software nor than the newest signed time accepted; the display clock is the system's plus an offset that a
teacher sets with one tap.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

# No state of ours can have been signed before this; raised with each version.
BUILT = datetime(2026, 11, 1, tzinfo=UTC)
# Beyond this the system time itself is nonsense (a clock at 2099), not merely fast.
PLAUSIBLE_AHEAD = timedelta(days=20 * 366)
# China has one time zone and no summer time; a box has no zone database to be wrong about.
CHINA = timezone(timedelta(hours=8))


def trusted_time(system: datetime, newest_signed: datetime | None) -> datetime:
    """Return the time by which signatures are judged: the latest of system clock, build, newest signed time."""
    return max(filter(None, (system, BUILT, newest_signed)))


def is_plausible(system: datetime, newest_signed: datetime | None) -> bool:
    """Return whether the system clock can be right: neither before what was signed nor decades after it."""
    known = max(filter(None, (BUILT, newest_signed)))
    return known <= system <= known + PLAUSIBLE_AHEAD


def clock_offset(system: datetime, shown: datetime) -> timedelta:
    """Return the offset that makes the display clock show `shown` now."""
    return timedelta(seconds=round((shown - system).total_seconds()))


def display_time(system: datetime, offset: timedelta) -> datetime:
    """Return what a clock on the wall of the school shows (China Standard Time)."""
    try:
        return (system + offset).astimezone(CHINA)
    except OverflowError:
        return system.astimezone(CHINA)


def term_of(day: date) -> str:
    """Return the volume that is taught on `day`: `a` from August to January, `b` from February to July."""
    return "b" if 2 <= day.month <= 7 else "a"


def system_clock() -> datetime:
    """Return the system's time, aware, UTC: the one place that asks for it."""
    return datetime.now(UTC)


Clock = Callable[[], datetime]
