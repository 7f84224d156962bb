"""Which lessons come first: what follows what was opened lately, in the same book."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from county import NOW, County
from syncing_box import SyncingBox

from catalog.local import Usage
from sync.updating.lessons import LESSONS_AHEAD, lessons_of_these_days
from sync.updating.plan import LESSONS, OTHER

BOOK = {
    "stage": "primary",
    "grades": ("g3",),
    "subject": "math",
    "volume": "a",
}


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        for number in range(12):
            county.add(
                f"lesson{number:02}", b"x" * (900 - number), path=("第一单元", f"第{number + 1}课"), **BOOK
            )
        county.add("other", b"y", subject="music", path=("第一单元", "第1课"))
        county.publish()
        yield county


def opened(hour: str, resource_id: str) -> Usage:
    return Usage(hour=hour, resource_id=resource_id, event="open", clock="trusted", count=1)


def test_the_next_lessons_of_a_book_in_use_come_first(county: County, tmp_path: Path) -> None:
    with SyncingBox(tmp_path / "box", county) as box:
        box.update(county.public, subscriptions=frozenset())
        usage = [
            opened("2026-11-20T08", "lesson03"),
            opened("2026-11-19T08", "lesson07"),
            opened("2026-09-01T08", "other"),
        ]
        with box.library.reading() as reader:
            found = lessons_of_these_days(reader, usage)
            assert found == {f"lesson{number:02}" for number in range(3, 4 + LESSONS_AHEAD)}
            assert lessons_of_these_days(reader, []) == frozenset()
            assert lessons_of_these_days(reader, [opened("1970-01-01T08", "gone")]) == frozenset()
        box.local.add_usage(usage)
        steps = box.preview(county.public).steps
        assert [step.place for step in steps[: len(found)]] == [LESSONS] * len(found)
        # Small before large inside the class, and what nobody opened lately comes after it.
        sizes = [step.file.size_bytes for step in steps[: len(found)]]
        assert sizes == sorted(sizes) and all(step.place <= OTHER for step in steps)
        assert steps[-1].place > LESSONS and len(steps) == 13


def test_an_unchanged_poll_does_not_ask_for_lessons(county: County, tmp_path: Path) -> None:
    with SyncingBox(tmp_path / "box", county) as box:
        box.update(county.public)
        box.local.add_usage([opened("2026-11-20T08", "lesson03")])
        again = box.update(county.public, now=NOW)
        assert again.fetched_blobs == 0 and not again.activated
