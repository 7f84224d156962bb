"""When the line may be used, and how fast: every rule by itself, and layers field by field."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.clock import CHINA
from catalog.errors import ConfigError
from catalog.local import Local
from sync.line.hours import OnHours, TimedRate, WeekHours, next_start
from sync.line.policy import METERED_BUDGET_BYTES, Policy, Reason, Situation, Span, decide, month_of
from sync.line.policy_layers import (
    KEYS,
    change_stored,
    combine,
    read_assignment,
    read_layer,
    stored_layer,
)

# A Saturday evening.
SHOWN = datetime(2026, 11, 21, 20, 0, tzinfo=CHINA)
MONDAY_LESSON = datetime(2026, 11, 23, 9, 0, tzinfo=CHINA)


def at(shown: datetime = SHOWN, **fields: Any) -> Situation:
    return Situation(now=shown.astimezone(UTC), shown=shown, **fields)


def test_by_default_a_box_syncs_whenever_it_is_on() -> None:
    found = decide(Policy(), at())
    assert (found.allowed, found.bytes_per_second, found.reason) == (True, None, Reason.FREE)


def test_it_is_gentle_while_someone_watches_and_in_lessons() -> None:
    policy = Policy(rate_bytes_per_second=500_000)
    watched = decide(policy, at(streamed_seconds=30))
    assert (watched.allowed, watched.bytes_per_second, watched.reason) == (True, 64_000, Reason.STREAMING)
    assert watched.until == SHOWN + timedelta(seconds=570)
    assert decide(policy, at(streamed_seconds=601)).reason is Reason.FREE
    lesson = decide(policy, at(MONDAY_LESSON))
    assert (lesson.bytes_per_second, lesson.reason) == (64_000, Reason.LESSON)
    waits = decide(replace(policy, gentle_bytes_per_second=0), at(MONDAY_LESSON))
    assert not waits.allowed and waits.reason is Reason.LESSON
    # The gentle rate never lifts a lower one.
    slow = replace(policy, rate_bytes_per_second=10_000)
    assert decide(slow, at(MONDAY_LESSON)).bytes_per_second == 10_000


def test_a_box_that_is_on_in_lessons_only_is_not_gentle_for_ever() -> None:
    on = OnHours()
    for day in range(5):
        for hour in (8, 9, 10, 14, 15):
            on = on.seen(MONDAY_LESSON.replace(hour=hour) + timedelta(days=day))
    assert decide(Policy(), at(MONDAY_LESSON + timedelta(days=7), on=on)).reason is Reason.FREE
    # Someone who watches is still not to be disturbed.
    assert decide(Policy(), at(MONDAY_LESSON, on=on, streamed_seconds=5)).reason is Reason.STREAMING
    evening = on.seen(MONDAY_LESSON.replace(hour=19) + timedelta(days=1))
    assert decide(Policy(), at(MONDAY_LESSON, on=evening)).reason is Reason.LESSON


def test_windows_say_when_and_by_hand_ignores_them() -> None:
    policy = Policy(windows=(WeekHours.read("1-5 18:00-23:30"), WeekHours.read("7 22:00-06:00")))
    closed = decide(policy, at())
    assert (closed.allowed, closed.reason) == (False, Reason.WINDOW)
    assert closed.until == datetime(2026, 11, 22, 22, 0, tzinfo=CHINA)
    assert decide(policy, at(by_hand=True, streamed_seconds=1)).reason is Reason.BY_HAND
    night = datetime(2026, 11, 23, 5, 59, tzinfo=CHINA)
    assert decide(policy, at(night)).allowed
    assert not decide(policy, at(night + timedelta(minutes=1))).allowed


@pytest.mark.parametrize("year", [1970, 2099])
def test_no_clock_can_be_right_then_windows_are_left_aside(year: int) -> None:
    shown = SHOWN.replace(year=year)
    policy = Policy(
        windows=(WeekHours.read("1 03:00-03:01"),),
        rates=(TimedRate.read("* 00:00-24:00 7"),),
        rate_bytes_per_second=9000,
    )
    found = decide(policy, at(shown, clock_known=False))
    assert (found.allowed, found.bytes_per_second, found.clock_ignored) == (True, 9000, True)
    assert not decide(Policy(), at(shown, clock_known=False)).clock_ignored
    signed = datetime(2026, 11, 20, tzinfo=UTC)
    assert month_of(shown, clock_known=False, newest_signed=signed) == "2026-11"
    assert month_of(SHOWN, clock_known=True, newest_signed=signed) == "2026-11"


def test_rates_by_hours_win_over_the_rate() -> None:
    policy = Policy(
        rate_bytes_per_second=100_000,
        rates=(TimedRate.read("6 19:00-21:00 20"), TimedRate.read("6 20:00-22:00 0")),
    )
    assert decide(policy, at(by_hand=True)).bytes_per_second == 20_000
    assert decide(policy, at(SHOWN.replace(hour=21), by_hand=True)).bytes_per_second is None
    assert decide(policy, at(SHOWN.replace(hour=23), by_hand=True)).bytes_per_second == 100_000


def test_a_pause_stops_everyone_and_outlives_no_clock() -> None:
    start = SHOWN.astimezone(UTC)
    for end in (None, start + timedelta(hours=2)):
        paused = decide(Policy(pause=Span(start=start, end=end)), at(by_hand=True))
        assert (paused.allowed, paused.reason, paused.until) == (False, Reason.PAUSED, end)
    policy = Policy(pause=Span(start=start, end=start + timedelta(hours=2)))
    assert decide(policy, at(SHOWN + timedelta(hours=2))).allowed
    # Paused while the clock said 2099: when it is right again the pause must not last 73 years.
    wrong = Span(start=start.replace(year=2099), end=start.replace(year=2099) + timedelta(hours=2))
    assert decide(Policy(pause=wrong), at()).allowed


def test_now_for_an_hour_goes_before_windows_and_watchers() -> None:
    start = SHOWN.astimezone(UTC)
    policy = Policy(
        windows=(WeekHours.read("1 03:00-04:00"),),
        rate_bytes_per_second=5000,
        now=Span(start=start, end=start + timedelta(hours=1)),
    )
    found = decide(policy, at(streamed_seconds=1))
    assert (found.reason, found.bytes_per_second) == (Reason.NOW, 5000)
    assert decide(policy, at(SHOWN + timedelta(hours=1))).reason is Reason.WINDOW


def test_a_budget_stops_the_line_but_not_a_neighbour() -> None:
    policy = Policy(month_budget_bytes=1000)
    assert decide(policy, at(used_bytes=999)).allowed
    spent = decide(policy, at(used_bytes=1000, by_hand=True))
    assert (spent.allowed, spent.reason) == (False, Reason.BUDGET)
    assert spent.until == datetime(2026, 12, 1, tzinfo=CHINA)
    assert decide(policy, at(used_bytes=1000, lan_source=True)).allowed
    assert Policy(metered=True).budget_bytes == METERED_BUDGET_BYTES
    assert Policy(metered=True, month_budget_bytes=5).budget_bytes == 5
    assert not Policy(metered=True, education_line=True).upload_outside


@pytest.mark.parametrize(
    "text",
    ["1-5 18:00-23:30", "6-7 00:00-24:00", "1,3,5 22:00-06:00", "1-7 08:00-08:00", "1-2,4-5 00:00-00:01"],
)
def test_hours_are_written_as_they_were_read(text: str) -> None:
    assert str(WeekHours.read(text)) == text
    assert str(TimedRate.read(f"{text} 50")) == f"{text} 50"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8 10:00-11:00",
        "5-1 10:00-11:00",
        "1 24:00-25:00",
        "1 10:60-11:00",
        "1-5",
        "1 -1:00-2:00",
        "1-3-5 1:00-2:00",
    ],
)
def test_hours_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        WeekHours.read(text)


@given(
    st.integers(0, 6 * 24 * 60),
    st.sets(st.integers(1, 7), min_size=1),
    st.integers(0, 1439),
    st.integers(0, 1440),
)
def test_a_window_begins_when_it_says(minutes: int, days: set[int], start: int, end: int) -> None:
    hours = WeekHours(frozenset(days), start, end)
    shown = SHOWN + timedelta(minutes=minutes)
    begins = next_start([hours], shown)
    assert begins is not None and shown < begins <= shown + timedelta(days=7)
    assert hours.holds(begins)
    if not hours.holds(shown):
        assert (
            not any(
                hours.holds(shown + timedelta(minutes=step))
                for step in range(0, int((begins - shown).seconds / 60), 7)
            )
            or (begins - shown).days
        )


def test_on_hours_are_counted_once_an_hour_and_fade_by_the_week() -> None:
    on = OnHours().seen(SHOWN)
    assert on.seen(SHOWN + timedelta(minutes=59)) is on
    assert on.usual() == [(6, 20)]
    for week in range(1, 4):
        on = on.seen(SHOWN + timedelta(days=7 * week, hours=1))
    assert (6, 20) not in on.usual() and (6, 21) in on.usual()
    assert OnHours.from_json(on.to_json()) == on
    assert OnHours.from_json({"counts": [1]}) == OnHours()


def test_windows_in_which_the_box_is_off_are_known() -> None:
    on = OnHours()
    night = [WeekHours.read("* 22:00-06:00")]
    for hour in (8, 9, 10, 14):
        on = on.seen(MONDAY_LESSON.replace(hour=hour))
    assert not on.never_within(night), "too little is known"
    on = on.seen(MONDAY_LESSON.replace(hour=15))
    assert on.never_within(night)
    assert not on.never_within([WeekHours.read("1 15:50-16:00")])


def test_each_key_is_decided_by_the_last_layer_that_says_it() -> None:
    config = {"rate_kb_per_s": 100, "windows": ["1-5 18:00-23:00"], "metered": True}
    hub = {"rate_kb_per_s": 200, "month_budget_mb": 3}
    here = {"rate_kb_per_s": 0}
    found = combine(config, hub, here)
    assert found.rate_bytes_per_second is None
    assert found.month_budget_bytes == 3_000_000
    assert found.windows == (WeekHours.read("1-5 18:00-23:00"),) and found.metered
    assert combine() == Policy()
    assert {key.field for key in KEYS.values()} <= set(Policy.__dataclass_fields__)


@pytest.mark.parametrize(
    ("layer", "place"),
    [
        ({"windows": ["später"]}, "policy.windows"),
        ({"windows": "1-5 10:00-11:00"}, "policy.windows"),
        ({"rate_kb_per_s": -1}, "policy.rate_kb_per_s"),
        ({"rate_kb_per_s": True}, "policy.rate_kb_per_s"),
        ({"metered": 1}, "policy.metered"),
        ({"lan_networks": ["10.0.0.0/40"]}, "policy.lan_networks"),
        ({"rate": 5}, "policy.rate"),
        ([], "policy"),
    ],
)
def test_a_wrong_key_is_named(layer: Any, place: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_layer(layer, where="policy")
    assert refused.value.where == place


def test_a_newer_hub_may_say_more() -> None:
    assert read_layer({"moon": 1, "metered": True}, where="policy", strict=False) == {"metered": True}


def test_settings_of_the_page_are_kept_and_taken_back(tmp_path: Path) -> None:
    with Local.open(tmp_path / "local.db") as local:
        changes = [
            read_assignment("windows = 1-5 18:00-23:00; 6-7 00:00-24:00"),
            read_assignment("metered=yes"),
        ]
        assert change_stored(local, changes) == {
            "windows": ["1-5 18:00-23:00", "6-7 00:00-24:00"],
            "metered": True,
        }
        change_stored(local, [read_assignment("metered=")])
        assert stored_layer(local) == {"windows": ["1-5 18:00-23:00", "6-7 00:00-24:00"]}
        for wrong in ("rate_kb_per_s=quick", "moon=1", "metered", "metered=perhaps", "windows=never"):
            with pytest.raises(ConfigError):
                read_assignment(wrong)
