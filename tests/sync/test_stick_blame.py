"""Who is to blame: a good stick is not called a fake for what a cut left on it, nor for what is wrong on our own disk."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import sha256
from county import DAY, NOW, County
from syncing_box import SyncingBox

from catalog.errors import StorageError
from catalog.progress import OnProgress, Progress, silent
from sync import tree
from sync.export import MARKER, ExportResult, export_published
from sync.roads.stick import pack_files, read_index

MIB = 1 << 20
FILM = random.Random(6).randbytes(3 * MIB)


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        noise = random.Random(7)
        for number in range(30):
            county.add(f"r{number:02}", noise.randbytes(100_000 + number))
        county.add("film", FILM)
        county.publish()
        yield county


def write(county: County, root: Path, progress: OnProgress = silent) -> ExportResult:
    store = county.store
    return export_published(store.library, store.blobs, county.public, county.keys, root, progress)


def new_release(county: County) -> None:
    noise = random.Random(9)
    for number in range(3):
        county.add(f"r{number:02}", noise.randbytes(90_000 + number))
    county.add("film2", noise.randbytes(9 * MIB))
    county.publish(now=NOW + DAY)


@pytest.mark.parametrize("left", [20, 500, 2 * MIB])
def test_a_pack_that_was_cut_and_a_new_release(left: int, county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    write(county, root)
    (root / MARKER).touch()
    os.truncate(pack_files(root)[0], left)
    new_release(county)
    assert write(county, root).release == 2
    assert all(read_index(path) for path in pack_files(root)) and not (root / MARKER).exists()
    with SyncingBox(tmp_path / "box", county) as box:
        assert box.update(root, now=NOW + DAY).failure is None


def test_a_film_that_was_cut_with_holes_at_its_end(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    write(county, root)
    (root / MARKER).touch()
    film = root / tree.blob_path(sha256(FILM))
    film.write_bytes(FILM[: 2 * MIB - 900_000] + bytes(800_000))
    new_release(county)
    write(county, root)
    assert film.read_bytes() == FILM


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_our_own_damaged_blob_is_ours(damage: str, county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    write(county, root)
    own = county.store.blobs.path(sha256(FILM))
    new_release(county)
    own.unlink()
    if damage == "changed":
        own.write_bytes(bytes(len(FILM)))
    with pytest.raises(StorageError) as refusal:
        write(county, root)
    assert refusal.value.code == "E-DAMAGED" and refusal.value.where == str(own)
    assert (root / tree.blob_path(sha256(FILM))).read_bytes() == FILM


def test_our_own_file_that_can_not_be_read_is_ours(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    own = county.public / tree.TIMESTAMP

    def take_away(_: Progress) -> None:
        if own.exists():
            own.unlink()
            own.mkdir()

    with pytest.raises(StorageError) as refusal:
        write(county, root, take_away)
    assert refusal.value.code == "E-IO" and refusal.value.where == str(own)
