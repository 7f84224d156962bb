"""local.db: what this machine alone knows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalog.blobs import Blob
from catalog.local import Local, SyncRun, Usage

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    with Local.open(tmp_path / "local.db") as opened:
        yield opened


def test_settings_are_json_and_can_be_removed(local: Local) -> None:
    local.put_all({"a": {"中": [1, None]}, "b": 1})
    local.put("b", None)
    assert local.get("a") == {"中": [1, None]} and local.get("b", 7) == 7


def test_requests_count_and_keep_their_order(local: Local) -> None:
    local.add_request("r2", NOW)
    local.add_request("r1", NOW + timedelta(hours=1))
    local.add_request("r2", NOW + timedelta(hours=2))
    assert [(item.resource_id, item.asked) for item in local.requests()] == [("r2", 2), ("r1", 1)]


def test_usage_adds_up_by_hour_and_clock(local: Local) -> None:
    line = Usage(hour="2026-11-21T08", resource_id="r1", event="open", clock="trusted", count=2)
    local.add_usage([line, line])
    assert [item.count for item in local.usage()] == [4]


def test_the_history_is_bounded_newest_first(local: Local) -> None:
    for number in range(5):
        local.record_sync(
            SyncRun(at=NOW + timedelta(minutes=number), result="ok", code="", details={"n": number}), keep=3
        )
    assert [run.details["n"] for run in local.syncs(10)] == [4, 3, 2]


def test_a_log_that_others_read_stays_short(local: Local) -> None:
    """Its place on the disk is written over again; a reader keeps it from being removed."""
    log = local.path.with_name("local.db-wal")
    with Local.open(local.path) as reader:
        lengths = []
        for number in range(200):
            local.put("number", number)
            assert reader.get("number") == number
            lengths.append(log.stat().st_size)
    assert max(lengths) == lengths[-1] == lengths[100] < 200_000


def test_the_audit_log_is_kept_for_more_than_180_days(local: Local) -> None:
    local.audit("admin", "login", "", NOW)
    local.audit("admin", "publish", "7", NOW + timedelta(days=200))
    assert [line.action for line in local.audit_log()] == ["publish", "login"]
    local.audit("admin", "login", "", NOW + timedelta(days=500))
    assert [line.action for line in local.audit_log()] == ["login", "publish"]


def test_damage_is_remembered_until_it_is_struck_out(local: Local) -> None:
    first, second = (Blob(sha256=letter * 64, size_bytes=5) for letter in "ab")
    local.note_damage([second], NOW)
    local.note_damage([first, second], NOW + timedelta(days=1))
    assert local.damage() == [first, second]
    local.clear_damage([first.sha256, "c" * 64])
    assert local.damage() == [second]
