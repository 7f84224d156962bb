"""The month's chart: what the history says is what is drawn."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from catalog.clock import CHINA
from catalog.local import SyncRun
from webui.month import ROADS, draw, month_of

TODAY = date(2026, 11, 21)


def run(at: str, result: str = "ok", **details: object) -> SyncRun:
    return SyncRun(at=datetime.fromisoformat(at).replace(tzinfo=UTC), result=result, code="", details=details)


def test_runs_are_summed_by_the_schools_day_and_by_road() -> None:
    month = month_of(
        [
            run("2026-11-01T17:00", roads={"http": 10}),  # the second of the month in China
            run("2026-11-02T01:00", roads={"http": 5, "lan": 7}, saved={"patch": 90}),
            run("2026-10-31T15:00", roads={"http": 1000}),  # still October
            run("2026-11-21T03:00", "failed", roads={"rsync": 2}),
        ],
        TODAY,
        CHINA,
    )
    assert [day.size_bytes for day in month.days] == [0, 22] + [0] * 18 + [2]
    assert month.roads == {"lan": 7, "http": 15, "rsync": 2}
    assert month.line_bytes == 17
    assert (month.saved, month.runs, month.failed) == ({"patch": 90}, 3, 1)
    assert month.last_day == date(2026, 11, 30)


def test_a_history_without_roads_counts_as_nothing() -> None:
    odd = [
        run("2026-11-20T03:00"),
        run("2026-11-20T04:00", roads=[1]),
        run("2026-11-20T05:00", roads={"http": True}),
    ]
    month = month_of(odd, TODAY, CHINA)
    assert (month.line_bytes, month.runs) == (0, 3)


@given(
    st.lists(
        st.tuples(st.integers(1, 21), st.sampled_from((*ROADS, "又一条 <路>")), st.integers(0, 10**12)),
        max_size=40,
    )
)
def test_the_picture_is_whole_and_stays_in_its_frame(found: list[tuple[int, str, int]]) -> None:
    runs = [run(f"2026-11-{day:02d}T02:00", roads={road: count}) for day, road, count in found]
    month = month_of(runs, TODAY, CHINA)
    picture = ElementTree.fromstring(draw(month, str, str, "11 月 <收到>"))
    bars = [(float(bar.get("y", "")), float(bar.get("height", ""))) for bar in picture.iter("rect")]
    assert len(list(picture.iter("g"))) == sum(1 for day in month.days if day.size_bytes)
    assert all(y >= 5 and y + height <= 201 for y, height in bars)
    assert sum(month.roads.values()) == sum(count for _, _, count in found)
