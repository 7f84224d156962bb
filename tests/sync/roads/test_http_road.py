"""The HTTP road against a hub that stops, lies, swaps, resets, or is a login portal."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest
from hostile import HostileHub, Misbehaviour

from catalog.blobs import Staged, hash_file
from catalog.errors import RoadError
from sync import tree
from sync.formats.release import TreeFile
from sync.roads import find_tree, road_for
from sync.roads.road import Missed, RoadSettings, blob_file
from sync.roads.staging import Staging

from .conftest import MIB, QUICK, grow_tree, put_blob


def bring(
    hub: HostileHub, files: list[TreeFile], place: Path, settings: RoadSettings = QUICK
) -> tuple[list[Staged], list[Missed]]:
    came: list[Staged] = []
    road = road_for(hub.address, settings)
    with Staging(place) as staging:
        missed = road.fetch(files, staging, came.extend, lambda _: None)
    road.close()
    return came, missed


@pytest.fixture
def large(root: Path) -> TreeFile:
    grow_tree(root, small=0, large=0)
    return put_blob(root, random.Random(3).randbytes(9 * MIB + 77))


@pytest.mark.parametrize(
    "wrong",
    [
        Misbehaviour("blobs/", times=3, stop_after=2 * MIB),
        Misbehaviour("blobs/", reset_after=MIB),
        Misbehaviour("blobs/", times=1, lie_length=5000),
        Misbehaviour("blobs/", times=2, status=503),
    ],
    ids=["stops in mid-file", "resets every MiB", "lies about a length once", "is overloaded"],
)
def test_what_fails_for_a_while_is_resumed(
    wrong: Misbehaviour, root: Path, large: TreeFile, tmp_path: Path
) -> None:
    with HostileHub(root, wrong) as hub:
        came, missed = bring(hub, [large], tmp_path / "staging")
        if wrong.lie_length:
            # A lie is no failure of the line: told at once, asked again by the next pass.
            assert [one.error.code for one in missed] == ["E-SIZE"]
            came, missed = bring(hub, [large], tmp_path / "staging")
        assert not missed
        assert hash_file(came[0].path) == large.sha256
        again = hub.sent("blobs/") - large.size_bytes
        assert again <= (len(hub.requests) - 1) * (MIB // 2)


def test_a_server_without_ranges_sends_all_again_but_nothing_is_lost(
    root: Path, large: TreeFile, tmp_path: Path
) -> None:
    stops = Misbehaviour("blobs/", times=1, stop_after=4 * MIB)
    with HostileHub(root, stops, Misbehaviour("blobs/", ignore_ranges=True)) as hub:
        came, missed = bring(hub, [large], tmp_path / "staging")
        assert not missed and hash_file(came[0].path) == large.sha256


def test_a_range_from_elsewhere_is_refused(root: Path, large: TreeFile, tmp_path: Path) -> None:
    stops = Misbehaviour("blobs/", times=1, stop_after=4 * MIB)
    with HostileHub(root, stops, Misbehaviour("blobs/", wrong_range=True)) as hub:
        came, missed = bring(hub, [large], tmp_path / "staging")
        assert not came
        assert [one.error.code for one in missed] == ["E-SIZE"]
        # What came rightly is still there for an honest source.
        assert (tmp_path / "staging" / large.sha256).stat().st_size >= 3 * MIB
        hub.wrong.clear()
        before = hub.sent("blobs/")
        came, missed = bring(hub, [large], tmp_path / "staging")
        assert hash_file(came[0].path) == large.sha256
        assert hub.sent("blobs/") - before <= 6.5 * MIB


@pytest.mark.parametrize(
    "wrong",
    [
        Misbehaviour(".", portal=True),
        Misbehaviour(".", redirect="http://10.0.0.1/login"),
        Misbehaviour(".", status=511),
    ],
)
def test_a_portal_is_recognised(wrong: Misbehaviour, root: Path, large: TreeFile, tmp_path: Path) -> None:
    with HostileHub(root, wrong) as hub:
        road = road_for(hub.address, QUICK)
        with pytest.raises(RoadError) as refusal:
            road.read(tree.TIMESTAMP, 1000)
        assert refusal.value.code == "E-PORTAL"
        road.close()
        with pytest.raises(RoadError) as refusal:
            find_tree(hub.address, QUICK)
        assert refusal.value.code == "E-PORTAL"
        with pytest.raises(RoadError) as refusal:
            bring(hub, [large], tmp_path / "staging")
        assert refusal.value.code == "E-PORTAL"


def test_a_blob_that_is_a_web_page_is_no_portal(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    page = put_blob(root, b"<html>lesson</html>")
    with HostileHub(root) as hub:
        came, missed = bring(hub, [page], tmp_path / "staging")
        assert not missed and came[0].path.read_bytes() == b"<html>lesson</html>"


def test_other_bytes_are_left_to_the_door(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    file = put_blob(root, os.urandom(50_000))
    with HostileHub(root, Misbehaviour("blobs/", swap=b"other bytes")) as hub:
        came, missed = bring(hub, [file], tmp_path / "staging")
        assert not missed and hash_file(came[0].path) != file.sha256


def test_a_server_that_says_nothing_is_given_up(root: Path, large: TreeFile, tmp_path: Path) -> None:
    with HostileHub(root, Misbehaviour("blobs/", stall=True)) as hub:
        quick = RoadSettings(timeout_seconds=0.2, retry_pause_seconds=0.01)
        came, missed = bring(hub, [large], tmp_path / "staging", quick)
        assert not came and [one.error.code for one in missed] == ["E-ROAD-SHORT"]


def test_one_dead_file_does_not_stop_the_others(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    files = [put_blob(root, os.urandom(3000)) for _ in range(30)]
    dead = files[7]
    with HostileHub(root, Misbehaviour(dead.sha256, reset_after=0)) as hub:
        came, missed = bring(hub, files, tmp_path / "staging")
    assert [one.file for one in missed] == [dead]
    assert len(came) == 29


def test_connections_are_kept(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    files = [put_blob(root, os.urandom(2000)) for _ in range(100)]
    absent = [blob_file(f"{n:064x}", 5) for n in range(20)]
    with HostileHub(root) as hub:
        came, missed = bring(hub, [*files, *absent], tmp_path / "staging")
        assert (len(came), len(missed)) == (100, 20)
        assert hub.connections <= QUICK.connections


def test_an_error_of_the_receiver_ends_the_fetch(root: Path, tmp_path: Path) -> None:
    files = grow_tree(root, small=300, large=0)
    threads = threading.active_count()

    def done(batch: list[Staged]) -> None:
        raise KeyboardInterrupt

    road = road_for(str(root), QUICK)
    with HostileHub(root) as hub, Staging(tmp_path / "staging") as staging:
        road = road_for(hub.address, QUICK)
        with pytest.raises(KeyboardInterrupt):
            road.fetch(files, staging, done, lambda _: None)
    assert not [one for one in threading.enumerate() if one.name.startswith("http-road")]
    assert threads >= 1


def test_a_body_longer_than_its_blob_is_refused(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    file = put_blob(root, b"x" * 5000)
    (root / file.path).write_bytes(b"x" * 6000)
    with HostileHub(root) as hub:
        came, missed = bring(hub, [file], tmp_path / "staging")
    assert not came and missed[0].error.code == "E-SIZE"
