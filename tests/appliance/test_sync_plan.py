"""What `box sync --dry-run` says before a sync is what the sync then does, and how the line's speed is known."""

from __future__ import annotations

import json
import multiprocessing
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from command import call
from county import NOW, County
from plugged_sticks import wait_for
from wsgi import address_of

from appliance.cli.bar import Bar
from appliance.state import LOCK_NAME, create, locked, work_under_way
from appliance.syncing import measured_rate
from catalog.local import Local, SyncRun
from catalog.progress import Progress
from sync.serve import published_tree

MIB = 1 << 20


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    noise = random.Random(2)
    with County(tmp_path / "hub") as county:
        county.add("deck", noise.randbytes(2 * MIB), title="课件")
        for number in range(6):
            county.add(f"s{number}", noise.randbytes(2000 + number))
        county.publish()
        yield county


def test_a_dry_run_says_what_the_sync_then_does(county: County, tmp_path: Path) -> None:
    box = tmp_path / "box"
    with address_of(published_tree(county.public)) as hub:
        call(box, "box", "init", "--hub", hub, "--root", county.public / "metadata" / "1.root.json")
        first = call(box, "box", "sync")
        assert first["ways"] == {"whole": 2 * MIB, "pack": sum(2000 + n for n in range(6))}
        old = county.store.blobs.path(county_file(county, "deck")).read_bytes()
        county.add("deck", old[:MIB] + b"one more line" + old[MIB:], title="课件")
        county.add("new", b"quite new")
        county.publish(NOW + timedelta(hours=1))
        plan = call(box, "box", "sync", "--dry-run")
        assert plan["release"] == 2 and plan["fetch_blobs"] == 2
        (group,) = plan["groups"]
        assert {way["way"]: way["blobs"] for way in group["ways"]} == {"patch": 1, "whole": 1}
        assert plan["line_bytes"] == group["line_bytes"] < 2000 < plan["fetch_bytes"]
        # The first sync measured the line: the plan says how long it takes at that rate.
        assert plan["bytes_per_second"] > 0 and plan["seconds"] >= 1
        done = call(box, "box", "sync")
        assert done["ways"] == {"patch": 2 * MIB + 13, "whole": 9}
        assert done["saved"]["patch"] > 2 * MIB - 2000 and done["warnings"] == []
        assert done["fetched_bytes"] == sum(done["roads"].values())
        nothing = call(box, "box", "sync", "--dry-run")
        assert nothing["groups"] == [] and nothing["line_bytes"] == 0
    # From a disk no line is used, so no time is reckoned.
    county.add("other", b"other")
    county.publish(NOW + timedelta(hours=2))
    stick = call(box, "box", "sync", "--dry-run", "--from", county.public)
    assert stick["seconds"] is None and stick["groups"][0]["ways"][0]["road"] == "directory"


def test_a_reserve_is_not_taken_anew_where_there_is_room(county: County, tmp_path: Path) -> None:
    """64 MiB of metadata at each try of a box without a line would wear its card."""
    box = tmp_path / "box"
    call(box, "box", "init", "--hub", county.public, "--root", county.public / "metadata" / "1.root.json")
    config = box / "config.toml"
    config.write_text(config.read_text().replace("# reserve_mb = 64", "reserve_mb = 1"))
    call(box, "box", "sync")
    held = (box / "reserve").stat()
    call(box, "box", "sync")
    again = (box / "reserve").stat()
    assert (again.st_ino, again.st_mtime_ns) == (held.st_ino, held.st_mtime_ns)


def county_file(county: County, resource_id: str) -> str:
    with county.store.library.reading() as reader:
        entry = reader.resource(resource_id)
    assert entry is not None
    return entry.resource.files[0].sha256


def run_of(fetched: int, seconds: float, road: str = "http") -> SyncRun:
    details = {"fetched_bytes": fetched, "seconds": seconds, "roads": {road: fetched}}
    return SyncRun(at=NOW, result="ok", code="", details=details)


def test_the_line_is_measured_by_runs_that_tell_something(tmp_path: Path) -> None:
    with Local.open(tmp_path / "local.db") as local:
        assert measured_rate(local) is None
        local.record_sync(run_of(900, 3.0))
        local.record_sync(run_of(500 * MIB, 1.0, "directory"))
        local.record_sync(SyncRun(at=NOW, result="failed", code="E-ROAD", details={}))
        assert measured_rate(local) is None
        local.record_sync(run_of(2 * MIB, 4.0))
        local.record_sync(run_of(6 * MIB, 4.0))
        assert measured_rate(local) == MIB


def test_pages_see_speed_time_left_and_road(tmp_path: Path) -> None:
    create(tmp_path / "state", ())
    progress = Progress(
        phase="content", done=3, total=9, done_bytes=300, total_bytes=900, bytes_per_second=100,
        seconds_left=6, road="swarm",
    )  # fmt: skip
    with locked(tmp_path / "state", "sync") as hold:
        hold._shown = 0.0
        hold.show(progress)
        assert work_under_way(tmp_path / "state") == ("sync", progress)
    assert work_under_way(tmp_path / "state") is None


def _work_for_ever(state: Path) -> None:
    with locked(state, "import") as hold:
        hold.show(Progress(phase="content", done=1))
        multiprocessing.Event().wait()


def test_words_that_outlive_their_work_are_none(tmp_path: Path) -> None:
    """A box whose power was cut found its note, took another process of the next boot for the one that wrote it, and
    waited for it for ever."""
    state = tmp_path / "state"
    create(state, ())
    worker = multiprocessing.get_context("fork").Process(target=_work_for_ever, args=(state,), daemon=True)
    worker.start()
    wait_for(lambda: work_under_way(state) is not None)
    worker.kill()
    worker.join()
    assert json.loads((state / LOCK_NAME).read_text())["task"] == "import", "the words are there still"
    assert work_under_way(state) is None
    with locked(state, "sync"):
        assert work_under_way(state) == ("sync", Progress(phase="sync"))


def test_the_bar_shows_speed_time_left_and_road(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    bar = Bar(sys.stderr, "zh-CN")
    bar(
        Progress(
            phase="content",
            done=3,
            total=9,
            done_bytes=300_000,
            total_bytes=900_000,
            bytes_per_second=100_000,
            seconds_left=6,
            road="swarm",
        )
    )
    bar.close()
    shown = capsys.readouterr().err
    assert "取资源" in shown and "100 kB/s" in shown and "还需 0:06" in shown
