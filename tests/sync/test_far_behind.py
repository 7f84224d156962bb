"""A box that is far behind, or was filled by hand: what is here already helps, whatever the hub still remembers."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest
from builders import sha256
from county import DAY, NOW, County
from syncing_box import QUICK, SyncingBox

from catalog.errors import RoadError
from sync.daemon import DaemonSettings, RsyncDaemon
from sync.roads import find_tree

MIB = 1 << 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_rsync_sends_what_differs_from_the_edition_that_serves(tmp_path: Path) -> None:
    noise = random.Random(3)
    old = noise.randbytes(5 * MIB)
    new = old[:700_000] + noise.randbytes(4_321) + old[700_000 : 4 * MIB] + old[4 * MIB + 50_000 :]
    with County(tmp_path / "hub") as county, SyncingBox(tmp_path / "box", county) as box:
        county.add("r1", old)
        county.add("r2", noise.randbytes(50_000))
        county.publish()
        settings = DaemonSettings(port=free_port(), address="127.0.0.1")
        with RsyncDaemon(county.public, tmp_path / "daemon", settings):
            address = f"rsync://127.0.0.1:{settings.port}/tree/"
            box.update(address)
            county.add("r1", new)
            county.publish(NOW + DAY)
            result = box.update(address, now=NOW + DAY)
        assert result.failure is None and result.fetched_blobs >= 1
        assert result.fetched_bytes < 100_000
        assert sha256(box.blobs.path(sha256(new)).read_bytes()) == sha256(new)
        box.check()
        assert sha256(old) not in box.held()


def test_blobs_laid_into_the_store_by_hand_are_not_fetched(tmp_path: Path) -> None:
    noise = random.Random(4)
    contents = [noise.randbytes(300_000 + number) for number in range(6)]
    with County(tmp_path / "hub") as county, SyncingBox(tmp_path / "box", county) as box:
        for number, data in enumerate(contents):
            county.add(f"r{number}", data)
        county.publish()
        for number, data in enumerate(contents[:5]):
            path = box.blobs.path(sha256(data))
            path.parent.mkdir(parents=True, exist_ok=True)
            # One was copied badly: it is told from the others by its hash and comes over the road.
            path.write_bytes(data if number else data[:-1] + b"?")
        settings = DaemonSettings(port=free_port(), address="127.0.0.1")
        with RsyncDaemon(county.public, tmp_path / "daemon", settings):
            result = box.update(f"rsync://127.0.0.1:{settings.port}/tree/")
        assert result.failure is None
        assert len(box.held()) == 6
        assert 600_000 < result.fetched_bytes < 700_000
        box.check()


def test_a_folder_of_plain_files_is_named_as_such(tmp_path: Path) -> None:
    folder = tmp_path / "stick"
    (folder / "三年级").mkdir(parents=True)
    (folder / "三年级" / "分数.mp4").write_bytes(b"film")
    with pytest.raises(RoadError) as refusal:
        find_tree(str(folder), QUICK)
    assert refusal.value.code == "E-PLAIN-FOLDER"
    assert "三年级" in refusal.value.line("zh-CN") and "hub ingest" in refusal.value.line("zh-CN")
    # Half a tree is not plain files, and neither is nothing.
    for folder in (tmp_path / "half", tmp_path / "empty"):
        folder.mkdir()
        if folder.name == "half":
            (folder / "metadata").mkdir()
        with pytest.raises(RoadError) as refusal:
            find_tree(str(folder), QUICK)
        assert refusal.value.code == "E-NO-TREE"
