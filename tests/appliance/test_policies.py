"""The policy of a box under clocks that are wrong, and what survives of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance import policies
from appliance.box import NEWEST_SIGNED, Box, NewBox
from appliance.config import BoxConfig
from sync.line.policy import Reason
from sync.line.policy_layers import change_stored, read_assignment
from sync.line.rate import METERED

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
SIGNED = NOW - timedelta(days=1)
Open = Callable[[datetime], Box]


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Open]:
    """Open the box as its clock says some time."""
    new = NewBox(hub="http://203.0.113.1/", name="x", root=None, fingerprint="0" * 64, subscriptions=None)
    with Box.create(tmp_path / "box", new) as made:
        made.local.put(NEWEST_SIGNED, SIGNED.isoformat())
        config = made.config
    opened: list[Box] = []

    def open_at(now: datetime) -> Box:
        assert isinstance(config, BoxConfig)
        opened.append(Box(tmp_path / "box", config, lambda: now))
        return opened[-1]

    yield open_at
    for box in opened:
        box.close()


def set_here(box: Box, *texts: str) -> None:
    change_stored(box.local, map(read_assignment, texts))


@pytest.mark.parametrize("year", [1970, 2099])
def test_a_wrong_clock_breaks_neither_windows_nor_budget(at: Open, year: int) -> None:
    right = at(NOW)
    set_here(right, "windows=1 03:00-03:01", "month_budget_mb=1")
    right.local.put(METERED, {"2026-11": 5})
    assert policies.decision_of(right, policies.policy_of(right)).reason is Reason.WINDOW
    wrong = at(NOW.replace(year=year))
    found = policies.decision_of(wrong, policies.policy_of(wrong))
    assert found.allowed and found.clock_ignored
    assert policies.month(wrong) == "2026-11"
    wrong.local.put(METERED, {"2026-11": 1_000_000})
    assert policies.decision_of(wrong, policies.policy_of(wrong)).reason is Reason.BUDGET
    # Hours under such a clock teach nothing.
    policies.note_on(wrong)
    assert policies.on_hours(wrong).usual() == []
    # A clock that a teacher has set is followed again.
    wrong.local.put("clock_offset", (NOW - NOW.replace(year=year)).total_seconds())
    assert policies.month(wrong) == "2026-11" and policies.clock_known(wrong)
    policies.note_on(wrong)
    assert policies.on_hours(wrong).usual() == [(1, 9)]


def test_a_pause_under_a_wrong_clock_ends_when_the_clock_is_right(at: Open) -> None:
    for year in (1970, 2099):
        wrong = at(NOW.replace(year=year))
        policies.pause(wrong, 2)
        assert policies.decision_of(wrong, policies.policy_of(wrong)).reason is Reason.PAUSED
        right = at(NOW)
        assert policies.decision_of(right, policies.policy_of(right)).allowed
    policies.pause(at(NOW.replace(year=1970)), None)
    right = at(NOW)
    assert not policies.decision_of(right, policies.policy_of(right)).allowed
    policies.resume(right)
    assert policies.decision_of(right, policies.policy_of(right)).allowed


def test_on_hours_cost_one_write_an_hour(at: Open) -> None:
    box = at(NOW)
    policies.note_on(box)
    before = box.local.get(policies.ON_HOURS)
    later = at(NOW + timedelta(minutes=59))
    policies.note_on(later)
    assert later.local.get(policies.ON_HOURS) == before
    policies.note_on(at(NOW + timedelta(hours=1)))
    assert sum(later.local.get(policies.ON_HOURS)["counts"]) == 2
