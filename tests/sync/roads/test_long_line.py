"""What a long line costs: how often a run waits for it, and what a kill loses of what is on the way."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from county import DAY, NOW, County
from hostile import HostileHub, Misbehaviour
from longline import LongLine
from syncing_box import SyncingBox

from catalog.blobs import Staged, hash_file
from catalog.errors import RoadError
from sync.formats.release import TreeFile
from sync.line.rate import Governor
from sync.roads import find_tree, http_fetch, road_for, spread
from sync.roads.http import HttpRoad, SmallFile
from sync.roads.road import Missed, RoadSettings
from sync.roads.staging import Staging

from .conftest import MIB, QUICK, grow_tree, put_blob


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback no line is long by itself."""
    monkeypatch.setattr(http_fetch, "LONG_SECONDS", 0.0)


def bring(
    address: str, files: list[TreeFile], place: Path, settings: RoadSettings = QUICK
) -> tuple[list[Staged], list[Missed]]:
    came: list[Staged] = []
    road = road_for(address, settings)
    try:
        with Staging(place) as staging:
            return came, road.fetch(files, staging, came.extend, lambda _: None)
    finally:
        road.close()


def test_a_run_waits_few_times(tmp_path: Path) -> None:
    with County(tmp_path / "hub") as county, SyncingBox(tmp_path / "box", county) as box:
        county.add("r0", b"first")
        county.publish()
        with LongLine(county.public) as line:
            box.update(line.address, box_id="ab" * 16)
            for number in range(4):
                county.add(f"r{number}", random.Random(number).randbytes(9000))
            county.publish(NOW + DAY)
            before = line.rounds
            result = box.update(line.address, now=NOW + DAY, box_id="ab" * 16)
            assert result.failure is None and result.fetched_blobs == 4
            # The timestamp with the box's file; the chain below it; manifest and transport; the content.
            # (Where this machine is slow, one begins before the last answer of the one before is out.)
            assert line.rounds - before <= 4
            before, paths = line.rounds, len(line.paths)
            box.update(line.address, now=NOW + DAY, box_id="ab" * 16)
            assert line.rounds - before == 1
            assert line.paths[paths:] == ["/metadata/timestamp.json", f"/boxes/{'ab' * 16}.json"]
        box.check()


def test_small_files_are_asked_for_ahead(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    files = [put_blob(root, random.Random(number).randbytes(3000)) for number in range(64)]
    with LongLine(root) as line:
        came, missed = bring(line.address, files, tmp_path / "staging")
        assert len(came) == 64 and not missed
        # One after the other on four connections: 16.
        assert line.connections <= 4 and line.rounds <= 8
    for staged in came:
        assert hash_file(staged.path) == staged.blob.sha256


def test_a_server_that_closes_after_each_answer(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    files = [put_blob(root, random.Random(number).randbytes(3000)) for number in range(20)]
    with LongLine(root, 0.01, closes=True) as line:
        came, missed = bring(line.address, files, tmp_path / "staging")
        assert len(came) == 20 and not missed
        road = find_tree(line.address, QUICK)
        assert isinstance(road, HttpRoad)
        road.ask_ahead([SmallFile("metadata/timestamp.json", 1000), SmallFile("roads.json", 1000)])
        assert road.read("roads.json", 1000) == b'{"roads":[]}'
        assert road.read("metadata/timestamp.json", 1000).startswith(b"{")
        road.close()


def test_a_server_that_closes_after_some_answers_is_asked_ahead_all_the_same(
    root: Path, tmp_path: Path
) -> None:
    grow_tree(root, small=0, large=0)
    files = [put_blob(root, random.Random(number).randbytes(3000)) for number in range(60)]
    one = replace(QUICK, connections=1)
    with LongLine(root, 0.6, closes_after=5) as line:
        began = time.monotonic()
        came, missed = bring(line.address, files, tmp_path / "staging", one)
        seconds = time.monotonic() - began
        assert len(came) == 60 and not missed
        assert all(hash_file(staged.path) == staged.blob.sha256 for staged in came)
        # One by one it would be sixty round trips, 36 s.
        assert line.rounds <= 16 and seconds < 60 * 0.6 / 3
        assert line.connections <= 15


def test_what_was_asked_ahead_and_is_not_there(root: Path) -> None:
    grow_tree(root, small=0, large=0)
    with LongLine(root) as line:
        road = road_for(line.address, QUICK)
        assert isinstance(road, HttpRoad)
        road.ask_ahead([SmallFile("metadata/2.root.json", 1000), SmallFile("roads.json", 3)])
        with pytest.raises(RoadError) as refusal:
            road.read("metadata/2.root.json", 1000)
        assert refusal.value.code == "E-ROAD-MISSING"
        # What was limited too narrowly ahead is asked for again as it should be.
        assert road.read("roads.json", 1000) == b'{"roads":[]}'
        assert road.read("metadata/timestamp.json", 1000).startswith(b"{")
        road.close()


@pytest.mark.usefixtures("long")
def test_one_large_file_comes_over_all_connections(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    file = put_blob(root, random.Random(1).randbytes(5 * MIB + 12_345))
    with LongLine(root, 0.05) as line:
        began = time.monotonic()
        came, missed = bring(line.address, [file], tmp_path / "staging")
        assert len(came) == 1 and not missed
        assert line.connections == spread.CONNECTIONS
        assert time.monotonic() - began < 5
        # Each byte once, and from the file's beginning on.
        assert sum(last + 1 - first for first, last in line.parts) == file.size_bytes
    assert hash_file(came[0].path) == file.sha256


@pytest.mark.usefixtures("long")
def test_one_file_at_a_time_has_all_connections(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    files = [put_blob(root, random.Random(number).randbytes(3 * MIB)) for number in range(4)]
    with LongLine(root, 0.05) as line:
        came, missed = bring(line.address, files, tmp_path / "staging")
        assert len(came) == 4 and not missed
        assert line.connections <= spread.CONNECTIONS + QUICK.connections


@pytest.mark.usefixtures("long")
@pytest.mark.parametrize(
    "wrong",
    [
        Misbehaviour("blobs/", times=20, reset_after=10_000),
        Misbehaviour("blobs/", times=20, stop_after=20_000),
        Misbehaviour("blobs/", times=10, status=503),
        Misbehaviour("blobs/", ignore_ranges=True),
        Misbehaviour("blobs/", times=3, wrong_range=True),
    ],
    ids=["resets", "stops", "is overloaded", "gives no parts", "gives other parts"],
)
def test_parts_that_fail_are_brought_again(wrong: Misbehaviour, root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    file = put_blob(root, random.Random(2).randbytes(3 * MIB + 77))
    with HostileHub(root, wrong) as hub:
        came, missed = bring(hub.address, [file], tmp_path / "staging")
        if missed:
            # Wrong parts are told at once and asked for again by the next pass.
            assert missed[0].error.code == "E-SIZE"
            came, missed = bring(hub.address, [file], tmp_path / "staging")
    assert not missed and hash_file(came[0].path) == file.sha256


@pytest.mark.usefixtures("long")
def test_a_pause_ends_a_spread_file_and_the_next_run_goes_on(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    file = put_blob(root, random.Random(4).randbytes(4 * MIB))
    governor = Governor(lan=lambda _: False)
    settings = RoadSettings(timeout_seconds=5, governor=governor)
    with LongLine(root, 0.05) as line:
        road = road_for(line.address, settings)
        with Staging(tmp_path / "staging") as staging, pytest.raises(RoadError) as refusal:
            received = 0

            def progress(count: int) -> None:
                nonlocal received
                received += count
                if received > MIB:
                    governor.stop()

            road.fetch([file], staging, lambda _: None, progress)
        assert refusal.value.code == "E-PAUSED"
        road.close()
        begun = (tmp_path / "staging" / file.sha256).stat().st_size
        assert 0 < begun < file.size_bytes
        line.parts.clear()
        came, missed = bring(line.address, [file], tmp_path / "staging")
        assert not missed and min(first for first, _ in line.parts) == begun
    assert hash_file(came[0].path) == file.sha256


@pytest.mark.usefixtures("long")
def test_a_rate_that_is_set_meanwhile_holds(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    file = put_blob(root, random.Random(6).randbytes(5 * MIB))
    governor = Governor(lan=lambda _: False)
    with LongLine(root, 0.05) as line, Staging(tmp_path / "staging") as staging:
        road = road_for(line.address, RoadSettings(timeout_seconds=5, governor=governor))
        limited: list[tuple[float, int]] = []
        received = 0

        def progress(count: int) -> None:
            nonlocal received
            received += count
            if received > MIB and not limited:
                governor.set_rate(400_000)
                limited.append((time.monotonic(), received))

        came: list[Staged] = []
        assert not road.fetch([file], staging, came.extend, progress)
        road.close()
    at, before = limited[0]
    # What was asked for already comes; the rest at its rate.
    least = (file.size_bytes - before - spread.AHEAD_BYTES) / 400_000
    assert time.monotonic() - at > least * 0.8
    assert hash_file(came[0].path) == file.sha256


_FETCHER = """
import sys
from pathlib import Path
from sync.roads import http_fetch, road_for
from sync.roads.road import RoadSettings, blob_file
from sync.roads.staging import Staging

http_fetch.LONG_SECONDS = 0.0
address, place, sha256, size = sys.argv[1:]
with Staging(Path(place)) as staging:
    road = road_for(address, RoadSettings())
    road.fetch([blob_file(sha256, int(size))], staging, lambda _: None, lambda n: print(n, flush=True))
"""


def test_a_kill_loses_a_mebibyte_at_most(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    file = put_blob(root, random.Random(5).randbytes(8 * MIB))
    with LongLine(root, 0.05) as line:
        words = [
            sys.executable,
            "-c",
            textwrap.dedent(_FETCHER),
            line.address,
            tmp_path / "staging",
            file.sha256,
        ]
        fetching = subprocess.Popen([*map(str, words), str(file.size_bytes)], stdout=subprocess.PIPE)
        assert fetching.stdout is not None
        received = 0
        while received < 3 * MIB:
            received += int(fetching.stdout.readline())
        fetching.send_signal(signal.SIGKILL)
        received += sum(map(int, fetching.stdout.read().split()))
        fetching.wait()
        fetching.stdout.close()
        kept = (tmp_path / "staging" / file.sha256).stat().st_size
        asked = max(last for _, last in line.parts) + 1
        # What was asked for beyond what is kept is all that can be lost, wherever it was.
        assert asked - kept <= spread.AHEAD_BYTES
        assert received - kept <= spread.AHEAD_BYTES
        came, missed = bring(line.address, [file], tmp_path / "staging")
    assert not missed and hash_file(came[0].path) == file.sha256
