"""Every road can bring parts of a file into a copy of it, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile import HostileHub, Misbehaviour

from catalog.byteranges import ByteRange
from catalog.errors import ContentError, RoadError, ShuxiangError
from sync.roads import road_for
from sync.roads.ranges import PART_BYTES, parts_of
from sync.roads.road import blob_file

from .conftest import MIB, QUICK, grow_tree, put_blob

DATA = random.Random(21).randbytes(9 * MIB + 321)
RANGES = [ByteRange(0, 65_536), ByteRange(5 * MIB, 2 * MIB + 65_536), ByteRange(9 * MIB, 321)]


def spoilt(path: Path) -> Path:
    data = bytearray(DATA)
    for part in RANGES:
        for place in range(part.start, part.start + part.length_bytes, 1000):
            data[place] ^= 255
    path.write_bytes(data)
    return path


def test_only_the_parts_travel(open_road: Callable[[], str], root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    file = put_blob(root, DATA)
    target = spoilt(tmp_path / "copy")
    told: list[int] = []
    road = road_for(open_road(), QUICK)
    road.fetch_ranges(file, RANGES, target, told.append)
    assert target.read_bytes() == DATA
    wanted = sum(part.length_bytes for part in RANGES)
    assert 0 < road.received_bytes <= wanted * 1.02 + 10_000
    assert sum(told) == road.received_bytes
    with pytest.raises(RoadError) as missing:
        road.fetch_ranges(blob_file("ab" * 32, len(DATA)), RANGES, target, told.append)
    assert missing.value.code == "E-ROAD-MISSING"
    assert target.read_bytes() == DATA
    road.close()


@pytest.mark.parametrize(
    "wrong",
    [
        Misbehaviour("blobs", ignore_ranges=True),
        Misbehaviour("blobs", wrong_range=True),
        Misbehaviour("blobs", lie_length=-5),
        Misbehaviour("blobs", portal=True),
        Misbehaviour("blobs", status=503),
    ],
    ids=lambda wrong: next(
        name for name, value in vars(wrong).items() if value not in ("blobs", None, False, 0)
    ),
)
def test_an_answer_that_is_not_the_part_is_refused(root: Path, tmp_path: Path, wrong: Misbehaviour) -> None:
    grow_tree(root, small=0, large=0)
    file = put_blob(root, DATA)
    target = spoilt(tmp_path / "copy")
    before = target.read_bytes()
    with HostileHub(root, wrong) as hub:
        road = road_for(hub.address, QUICK)
        with pytest.raises(ShuxiangError) as refusal:
            road.fetch_ranges(file, RANGES[1:], target, lambda _: None)
        assert isinstance(refusal.value, RoadError | ContentError)
        assert target.read_bytes() == before
        road.close()


def test_small_files_and_parts_share_one_connection(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    file = put_blob(root, DATA)
    with HostileHub(root) as hub:
        road = road_for(hub.address, QUICK)
        for _ in range(3):
            road.read("roads.json", 1000)
            road.fetch_ranges(file, RANGES, spoilt(tmp_path / "copy"), lambda _: None)
        assert hub.connections == 1 and len(hub.requests) == 3 * 6
        road.close()


def test_a_part_is_asked_for_again_where_the_line_breaks(root: Path, tmp_path: Path) -> None:
    grow_tree(root, small=0, large=0)
    file = put_blob(root, DATA)
    target = spoilt(tmp_path / "copy")
    with HostileHub(root, Misbehaviour("blobs", times=3, reset_after=300_000)) as hub:
        road = road_for(hub.address, QUICK)
        road.fetch_ranges(file, RANGES, target, lambda _: None)
        assert target.read_bytes() == DATA
        assert road.received_bytes <= sum(part.length_bytes for part in RANGES) + 3 * PART_BYTES
        road.close()


def test_a_part_is_a_mebibyte_at_most() -> None:
    parts = list(parts_of(RANGES))
    assert [part.length_bytes for part in parts] == [65_536, MIB, MIB, 65_536, 321]
    assert parts[2] == ByteRange(6 * MIB, MIB)
