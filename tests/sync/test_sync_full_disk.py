"""A disk that is full, or fills up on the way: one clear refusal, the old state served, and it goes on later."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from county import NOW, County
from small_disk import small_disk
from syncing_box import SyncingBox
from wsgi import address_of

from catalog.errors import ShuxiangError, StorageError
from sync.daemon import DaemonSettings, RsyncDaemon
from sync.export import export
from sync.serve import published_tree

from .test_daemon import free_port

MIB = 1 << 20


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        noise = random.Random(6)
        county.add("small", noise.randbytes(9000), title="第1课 千克")
        county.publish()
        for number in range(6):
            county.add(f"film{number}", noise.randbytes(4 * MIB + number), title=f"新课{number} 长江")
        yield county


@pytest.mark.parametrize("road", ["http", "rsync", "directory"])
def test_a_disk_that_fills_up_on_the_way(road: str, county: County, tmp_path: Path) -> None:
    port = free_port()
    settings = DaemonSettings(port=port, address="127.0.0.1")
    with (
        small_disk(40 * MIB) as disk,
        address_of(published_tree(county.public)) as http,
        RsyncDaemon(county.public, tmp_path / "daemon", settings),
        SyncingBox(disk / "box", county) as box,
    ):
        source = {"http": http, "rsync": f"rsync://127.0.0.1:{port}/tree/", "directory": str(county.public)}[
            road
        ]
        assert box.update(source, keep_free_bytes=0).failure is None
        county.publish(NOW + timedelta(hours=1))
        filler = disk / "filler"
        _fill(filler, box.blobs.free_bytes() - 14 * MIB)
        # The box believes that it may use more than there is: someone else took the room.
        result = box.update(source, keep_free_bytes=-40 * MIB)
        assert result.failure is not None and result.failure.code == "E-DISK-FULL"
        assert (result.release, result.content_release) == (2, 1)
        assert box.entry("small").current and box.found("千克") == 1
        box.check()
        filler.unlink()
        again = box.update(source, keep_free_bytes=0)
        assert again.failure is None and again.content_release == 2
        # What came before the disk was full is not fetched again, be it through the door or in staging.
        assert again.fetched_blobs < 6 or again.reused_bytes > 0
        box.check()


def test_no_room_for_the_catalogue_keeps_the_old_one(county: County) -> None:
    with small_disk(24 * MIB) as disk, SyncingBox(disk / "box", county) as box:
        box.update(county.public, keep_free_bytes=0)
        noise = random.Random(1)
        for number in range(300):
            county.add(f"more{number}", title=f"更多{number}", description=noise.randbytes(3000).hex())
        county.publish(NOW + timedelta(hours=1))
        filler = disk / "filler"
        _fill(filler, box.blobs.free_bytes() - 200_000)
        with pytest.raises(StorageError) as refusal:
            box.update(county.public)
        assert refusal.value.code == "E-DISK-FULL"
        assert box.library.generation().release == 1 and box.found("千克") == 1
        filler.unlink()
        assert box.update(county.public, keep_free_bytes=0).release == 2


def test_a_stick_that_is_too_small_is_told_before_anything_is_written(county: County, tmp_path: Path) -> None:
    county.publish(NOW + timedelta(hours=1))
    with SyncingBox(tmp_path / "box", county) as box, small_disk(16 * MIB) as stick:
        box.update(county.public)
        with pytest.raises(ShuxiangError) as refusal:
            export(box.library, box.blobs, box.state / "trust", stick / "tree")
        assert refusal.value.code == "E-DISK-FULL"
        assert not (stick / "tree" / "blobs").exists()


def _fill(path: Path, size_bytes: int) -> None:
    with path.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, max(1, size_bytes))
