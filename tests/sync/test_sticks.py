"""Sticks on the filesystems that schools have: written, read back, synced from; full ones; false capacities."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from county import County
from sticks import KINDS, LIES, lying_stick, stick
from syncing_box import SyncingBox

from catalog.errors import StorageError
from catalog.progress import Progress, silent
from sync import tree
from sync.export import MARKER, export_published
from sync.exporting.run import Export, ExportResult
from sync.exporting.stock import stock_of_hub

MIB = 1 << 20
SMALL, LARGE = 150, 6
FAKE_SPEAKS = {"E-STICK-BAD"}


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> Iterator[County]:
    with County(tmp_path_factory.mktemp("county") / "hub") as county:
        noise = random.Random(3)
        for number in range(SMALL):
            county.add(f"r{number:03}", noise.randbytes(2000 + 60 * number))
        for number in range(LARGE):
            county.add(f"big{number}", noise.randbytes(4 * MIB + number))
        county.add("empty", b"")
        county.publish()
        yield county


def write(county: County, root: Path, *, stretch_bytes: int = 8 * MIB, **fields: int) -> ExportResult:
    with county.store.library.reading() as reader:
        stock = stock_of_hub(reader, county.store.blobs, county.public, None)
        return Export(stock, root, silent, stretch_bytes=stretch_bytes, **fields).run()


@pytest.mark.parametrize("kind", KINDS)
def test_a_stick_is_written_and_a_box_takes_all_of_it(kind: str, county: County, tmp_path: Path) -> None:
    with stick(kind, 96 * MIB) as root:
        result = write(county, root)
        assert result.blobs == SMALL + LARGE + 1
        files = [path for path in root.rglob("*") if path.is_file()]
        # One pack instead of a file each; the rest are the large ones and the signed lists.
        assert len(files) < LARGE + 12
        with SyncingBox(tmp_path / "box", county) as box:
            update = box.update(root)
            assert update.failure is None and not update.warnings
            assert len(box.held()) == SMALL + LARGE + 1
            box.check()
        assert write(county, root).written_bytes == 0


@pytest.mark.parametrize("kind", ["exfat", "ext4"])
def test_a_small_full_stick_is_refused_before_anything_is_written(kind: str, county: County) -> None:
    with stick(kind, 24 * MIB) as root:
        with pytest.raises(StorageError) as refusal:
            write(county, root)
        assert refusal.value.code == "E-DISK-FULL"
        assert refusal.value.expected and refusal.value.found
        assert not [path for path in root.rglob("*") if path.is_file()]


def test_room_is_counted_in_clusters(county: County) -> None:
    with stick("exfat", 96 * MIB, cluster_bytes=128 << 10) as root:
        before = os.statvfs(root).f_bavail
        write(county, root)
        used = (before - os.statvfs(root).f_bavail) * (128 << 10)
        # A file each would have taken a cluster each.
        assert used < LARGE * 4 * MIB + SMALL * (128 << 10)
        assert used >= LARGE * (4 * MIB + (128 << 10))


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("kind", ["vfat", "exfat"])
def test_a_fake_is_found_out(kind: str, lie: str, county: County) -> None:
    with lying_stick(kind, claims_bytes=96 * MIB, holds_bytes=16 * MIB, lie=lie) as root:
        with pytest.raises(StorageError) as refusal:
            write(county, root / "s")
        assert refusal.value.code == "E-STICK-BAD"


@pytest.mark.parametrize("kind", ["vfat", "exfat"])
def test_an_honest_stick_of_the_same_make_passes(kind: str, county: County) -> None:
    with lying_stick(kind, claims_bytes=96 * MIB, holds_bytes=96 * MIB, lie="wraps") as root:
        assert write(county, root / "s").blobs == SMALL + LARGE + 1


def test_what_is_written_over_later_is_found(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    spoilt = []

    def write_over(progress: Progress) -> None:
        # As a stick that goes on at its beginning does, after the pack has been read back.
        pack = next(iter((root / tree.PACKS).glob("*.pack")), None)
        if pack is not None and progress.done_bytes > 12 * MIB and not spoilt:
            spoilt.append(pack)
            pack.write_bytes(bytes(pack.stat().st_size))

    with county.store.library.reading() as reader:
        stock = stock_of_hub(reader, county.store.blobs, county.public, None)
        with pytest.raises(StorageError) as refusal:
            Export(stock, root, write_over, stretch_bytes=4 * MIB).run()
    assert refusal.value.code == "E-STICK-BAD" and refusal.value.where == str(spoilt[0])
    assert (root / MARKER).exists() and not (root / tree.TIMESTAMP).exists()


@pytest.mark.parametrize("kind", ["exfat", "ext4"])
def test_long_files_lie_in_parts_and_are_joined(kind: str, county: County, tmp_path: Path) -> None:
    with stick(kind, 96 * MIB) as root:
        write(county, root, most_file_bytes=MIB + 12345)
        parts = [path for path in (root / "blobs").rglob("*") if path.is_file()]
        assert len(parts) == LARGE * 4
        assert max(path.stat().st_size for path in parts) <= MIB + 12345
        with SyncingBox(tmp_path / "box", county) as box:
            assert box.update(root).failure is None
            assert len(box.held()) == SMALL + LARGE + 1
            box.check()
        assert write(county, root, most_file_bytes=MIB + 12345).written_bytes == 0


def test_every_name_is_safe_on_windows(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    export_published(county.store.library, county.store.blobs, county.public, county.keys, root)
    reserved = {"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))}
    for path in root.rglob("*"):
        name = path.name
        assert name == name.lower() and name.isascii() and len(name) < 200
        assert not set(name) & set('<>:"/\\|?*') and name[-1] not in ". " and name[0] != "."
        assert name.split(".")[0] not in reserved
