"""What every road promises, tried over real servers: of a tree's small files over three roads, of blobs by the swarm too."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import sha256

from catalog.blobs import Staged, hash_file
from catalog.errors import ConfigError, ContentError, RoadError
from sync import tree
from sync.formats.release import TreeFile
from sync.roads import find_tree, road_for
from sync.roads.road import blob_file
from sync.roads.staging import Staging

from .conftest import MIB, QUICK, Bringing, grow_tree, put_blob

Start = Callable[[], str]


def test_small_files_are_read(open_road: Start, root: Path) -> None:
    grow_tree(root, small=0, large=0)
    road = road_for(open_road(), QUICK)
    assert road.read(tree.TIMESTAMP, 1000) == (root / tree.TIMESTAMP).read_bytes()
    assert road.read(tree.ROADS, 1000) == (root / tree.ROADS).read_bytes()
    with pytest.raises(RoadError) as missing:
        road.read(tree.root_path(2), 1000)
    assert missing.value.code == "E-ROAD-MISSING"
    with pytest.raises(RoadError) as missing:
        road.read(tree.box_path("0" * 32), 1000)
    assert missing.value.code == "E-ROAD-MISSING"
    with pytest.raises(ContentError) as long:
        road.read(tree.TIMESTAMP, 5)
    assert long.value.code == "E-SIZE"
    # A refusal does not spoil the road.
    assert road.read(tree.TIMESTAMP, 1000) == (root / tree.TIMESTAMP).read_bytes()
    assert road.received_bytes > 0
    road.close()


def test_all_files_arrive_whole(bring: Bringing, root: Path, tmp_path: Path) -> None:
    files = grow_tree(root, small=8 if bring.kind == "torrent" else 40)
    brought = bring(files, tmp_path / "staging")
    assert not brought.missed
    carried = files if bring.kind != "torrent" else [file for file in files if file.size_bytes]
    assert {item.blob.sha256 for item in brought.came} == {file.sha256 for file in carried}
    for item in brought.came:
        assert hash_file(item.path) == item.blob.sha256
    total = sum(file.size_bytes for file in files)
    assert total <= brought.received_bytes <= 1.2 * total


def test_a_file_whose_name_is_not_its_hash(open_road: Start, root: Path, tmp_path: Path) -> None:
    blobs = grow_tree(root, small=3, large=0)
    data = os.urandom(70_000)
    path = tree.manifest_path("ab" * 32, "main", compressed=True)
    manifest = TreeFile(path=path, size_bytes=len(data), sha256=sha256(data))
    (root / path).parent.mkdir(parents=True)
    (root / path).write_bytes(data)
    absent = TreeFile(path=path.replace("main", "gone"), size_bytes=5, sha256="cd" * 32)
    came: list[Staged] = []
    road = road_for(open_road(), QUICK)
    with Staging(tmp_path / "staging") as place:
        missed = road.fetch([manifest, absent, *blobs], place, came.extend, lambda _: None)
    road.close()
    assert {item.blob.sha256 for item in came} == {file.sha256 for file in (manifest, *blobs)}
    assert all(item.path.name == item.blob.sha256 == hash_file(item.path) for item in came)
    assert [(one.file, one.error.code) for one in missed] == [(absent, "E-ROAD-MISSING")]


def test_a_missing_file_is_told_and_the_others_come(bring: Bringing, root: Path, tmp_path: Path) -> None:
    files = grow_tree(root, large=0)
    absent = put_blob(root, os.urandom(1234))
    brought = bring([files[3], absent, files[4]], tmp_path / "staging", gone=[absent])
    assert {item.blob.sha256 for item in brought.came} == {files[3].sha256, files[4].sha256}
    assert [(one.file, one.error.code) for one in brought.missed] == [(absent, "E-ROAD-MISSING")]


def test_a_fetch_goes_on_inside_a_file(bring: Bringing, root: Path, tmp_path: Path) -> None:
    data = os.urandom(6 * MIB + 123)
    grow_tree(root, small=0, large=0)
    file = put_blob(root, data)
    with Staging(tmp_path / "staging") as staging, staging.open(file) as staged:
        staged.write(data[: 4 * MIB + 5000])
    brought = bring([file], tmp_path / "staging")
    assert not brought.missed and hash_file(brought.came[0].path) == file.sha256
    assert brought.received_bytes < 3 * MIB


def test_after_an_unclean_stop_at_most_a_mebibyte_comes_again(
    bring: Bringing, root: Path, tmp_path: Path
) -> None:
    data = os.urandom(6 * MIB + 123)
    grow_tree(root, small=0, large=0)
    file = put_blob(root, data)
    staging = Staging(tmp_path / "staging")
    staged = staging.open(file)
    staged.write(data[:MIB])
    staged.write(data[MIB : 3 * MIB + 700_000])
    # A kill: nothing is closed in order, what the kernel has stays.
    os.close(staged.handle)
    staging.close()
    brought = bring([file], tmp_path / "staging")
    assert not brought.missed and hash_file(brought.came[0].path) == file.sha256
    assert brought.received_bytes <= len(data) - (3 * MIB + 700_000) + MIB + 100_000


def test_bytes_lost_by_a_power_cut_are_not_built_upon(bring: Bringing, root: Path, tmp_path: Path) -> None:
    data = os.urandom(5 * MIB)
    grow_tree(root, small=0, large=0)
    file = put_blob(root, data)
    with Staging(tmp_path / "staging") as staging:
        with staging.open(file) as staged:
            staged.write(data[: 2 * MIB])
        # What a cut leaves of unflushed blocks: a longer file whose end is zeros.
        os.truncate(staging.path(file.sha256), 4 * MIB)
    brought = bring([file], tmp_path / "staging", boot="the next boot")
    assert not brought.missed and hash_file(brought.came[0].path) == file.sha256
    assert brought.received_bytes <= 3.3 * MIB


def test_a_longer_leftover_does_not_stop_a_file(bring: Bringing, root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    file = put_blob(root, b"short")
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / file.sha256).write_bytes(b"much longer than it should be")
    with Staging(tmp_path / "staging") as staging:
        assert not staging.complete(file)
    brought = bring([file], tmp_path / "staging")
    assert not brought.missed and brought.came[0].path.read_bytes() == b"short"


def test_the_tree_is_found_below_tree_or_at_the_address(open_road: Start, root: Path) -> None:
    grow_tree(root, small=0, large=0)
    address = open_road()
    road = find_tree(address.removesuffix("tree/"), QUICK)
    assert road.read(tree.TIMESTAMP, 1000)
    road.close()
    if address.startswith("http"):
        road = find_tree(address, QUICK)
        assert road.address == address
        road.close()


def test_no_tree_is_told(open_road: Start, root: Path) -> None:
    root.mkdir()
    with pytest.raises(RoadError) as refusal:
        find_tree(open_road(), QUICK)
    assert refusal.value.code == "E-NO-TREE"


def test_a_road_that_is_down(root: Path, tmp_path: Path) -> None:
    from .conftest import free_port

    for address in (f"http://127.0.0.1:{free_port()}/", f"rsync://127.0.0.1:{free_port()}/tree/"):
        with pytest.raises(RoadError) as refusal:
            find_tree(address, QUICK)
        assert refusal.value.code == "E-ROAD"
        road = road_for(address, QUICK)
        with Staging(tmp_path / "staging") as place, pytest.raises(RoadError):
            road.fetch([blob_file("ab" * 32, 10)], place, lambda _: None, lambda _: None)
        road.close()
    with pytest.raises(RoadError) as refusal:
        find_tree(str(tmp_path / "nowhere"), QUICK)
    assert refusal.value.code == "E-NO-TREE"


@pytest.mark.parametrize("address", ["gopher://x/", "rsync://host/", "http:///x"])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(ConfigError):
        road_for(address)
