"""When a box may use the shared line, and how fast: pure, a decision from a policy and a situation (rule 4).

A policy comes in layers (default < config < the hub's box file < this page or command line), each field by itself; all
layers have the same keys (`docs/formats.md`). Invariants: a pause and a used-up budget stop everything, whoever asks;
windows, timed rates and lessons follow the display clock, and where no clock can be right they are left aside, since a
box that waits for a wrong hour would wait for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sync.line.hours import OnHours, TimedRate, WeekHours, any_holds, next_start

STREAM_SECONDS = 600.0
"""So long after the last lesson file was sent someone still counts as watching."""
METERED_BUDGET_BYTES = 1000 * 1000 * 1000
"""The month's budget of a metered line for which none is named."""
DEFAULT_LESSONS = (WeekHours.read("1-5 08:00-11:50"), WeekHours.read("1-5 13:50-16:30"))
DEFAULT_GENTLE_BYTES_PER_SECOND = 64_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time from `start` to `end` by the system's clock; `end` None: until it is taken back."""

    start: datetime
    end: datetime | None

    def holds(self, now: datetime) -> bool:
        """Return whether `now` is within; a clock that was set back by more than the span's length ends it too."""
        if self.end is None:
            return True
        return self.start - (self.end - self.start) <= now < self.end

    def to_json(self) -> dict[str, str | None]:
        return {"start": self.start.isoformat(), "end": self.end.isoformat() if self.end else None}

    @classmethod
    def from_json(cls, data: Any) -> Span | None:
        """Return the span that `to_json` wrote; None for None."""
        if data is None:
            return None
        end = data["end"]
        return cls(
            start=datetime.fromisoformat(data["start"]), end=datetime.fromisoformat(end) if end else None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How the shared line may be used. `rate` None: no limit; `gentle_rate` 0: wait; `windows` empty: at any time.

    `rates` win over `rate` in their hours. `lan_networks` empty: the subnets of the box's own interfaces.
    """

    windows: tuple[WeekHours, ...] = ()
    lessons: tuple[WeekHours, ...] = DEFAULT_LESSONS
    rate_bytes_per_second: int | None = None
    rates: tuple[TimedRate, ...] = ()
    gentle_bytes_per_second: int = DEFAULT_GENTLE_BYTES_PER_SECOND
    month_budget_bytes: int | None = None
    metered: bool = False
    lan_seconds: float = 5.0
    lan_networks: tuple[str, ...] = ()
    education_line: bool = False
    upload_lan: bool = True
    upload_bytes_per_second: int | None = None
    pause: Span | None = None
    now: Span | None = None

    @property
    def budget_bytes(self) -> int | None:
        """The month's budget that holds: the one named, else the careful one of a metered line."""
        if self.month_budget_bytes is None and self.metered:
            return METERED_BUDGET_BYTES
        return self.month_budget_bytes

    @property
    def upload_outside(self) -> bool:
        """Whether boxes outside the LAN may be given anything: carriers punish uploads (rule 4)."""
        return self.education_line and not self.metered


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a decision depends on. `now` is the system's clock, `shown` the display clock, both aware.

    `streamed_seconds`: since someone last watched something, None for never. `by_hand`: a person runs `box sync`.
    `lan_source`: a source is a neighbour, which no budget concerns.
    """

    now: datetime
    shown: datetime
    clock_known: bool = True
    streamed_seconds: float | None = None
    used_bytes: int = 0
    on: OnHours = field(default_factory=OnHours)
    by_hand: bool = False
    lan_source: bool = False


class Reason(StrEnum):
    """Why a decision is as it is."""

    FREE = "free"
    BY_HAND = "by-hand"
    NOW = "now"
    LESSON = "lesson"
    STREAMING = "streaming"
    WINDOW = "window"
    PAUSED = "paused"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a sync may run now, at which rate (None: no limit), why, and until when at most (aware; None: open).

    `clock_ignored`: the policy has windows or timed rates that were left aside, since no clock can be right.
    """

    allowed: bool
    bytes_per_second: int | None
    reason: Reason
    until: datetime | None = None
    clock_ignored: bool = False


def decide(policy: Policy, situation: Situation) -> Decision:
    """Return what `policy` means now."""
    if policy.pause is not None and policy.pause.holds(situation.now):
        return _no(Reason.PAUSED, policy.pause.end)
    budget = policy.budget_bytes
    if budget is not None and situation.used_bytes >= budget and not situation.lan_source:
        return _no(Reason.BUDGET, _next_month(situation.shown))
    timed = bool(policy.windows or policy.rates)
    found = _when_open(policy, situation, _rate_now(policy, situation))
    return replace(found, clock_ignored=timed and not situation.clock_known)


def _when_open(policy: Policy, situation: Situation, rate: int | None) -> Decision:
    shown = situation.shown
    if situation.by_hand:
        return _yes(Reason.BY_HAND, rate)
    if policy.now is not None and policy.now.holds(situation.now):
        return _yes(Reason.NOW, rate, policy.now.end)
    if situation.clock_known and policy.windows and not any_holds(policy.windows, shown):
        return _no(Reason.WINDOW, next_start(policy.windows, shown))
    streamed = situation.streamed_seconds
    if streamed is not None and streamed < STREAM_SECONDS:
        return _gently(policy, rate, Reason.STREAMING, shown + timedelta(seconds=STREAM_SECONDS - streamed))
    # A box that is never on outside lessons would be gentle for ever.
    if (
        situation.clock_known
        and any_holds(policy.lessons, shown)
        and not situation.on.only_within(policy.lessons)
    ):
        return _gently(policy, rate, Reason.LESSON, None)
    return _yes(Reason.FREE, rate)


def _rate_now(policy: Policy, situation: Situation) -> int | None:
    if situation.clock_known:
        for one in policy.rates:
            if one.hours.holds(situation.shown):
                return one.bytes_per_second
    return policy.rate_bytes_per_second


def _gently(policy: Policy, rate: int | None, reason: Reason, until: datetime | None) -> Decision:
    gentle = policy.gentle_bytes_per_second
    if gentle == 0:
        return _no(reason, until)
    return _yes(reason, gentle if rate is None else min(rate, gentle), until)


def _yes(reason: Reason, rate: int | None, until: datetime | None = None) -> Decision:
    return Decision(allowed=True, bytes_per_second=rate, reason=reason, until=until)


def _no(reason: Reason, until: datetime | None) -> Decision:
    return Decision(allowed=False, bytes_per_second=None, reason=reason, until=until)


def month_of(shown: datetime, *, clock_known: bool, newest_signed: datetime) -> str:
    """Return the month that bytes count for (`2026-11`); where no clock can be right, that of the newest signature."""
    return f"{shown if clock_known else newest_signed:%Y-%m}"


def _next_month(shown: datetime) -> datetime:
    first = shown.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)
