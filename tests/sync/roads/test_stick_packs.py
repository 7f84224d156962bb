"""The table of a stick's packs: places that can not be read, more rows than there is memory for, names chosen to harm."""

from __future__ import annotations

import hashlib
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from county import County
from syncing_box import SyncingBox

from catalog.blobs import Blob
from sync import tree
from sync.export import export_published
from sync.formats import stickpack
from sync.formats.stickpack import MAX_MEMBERS
from sync.roads import stick
from sync.roads.stick import StickPacks, pack_files, read_bounded

MIB = 1 << 20


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        noise = random.Random(2)
        for bundle in ("one", "two"):
            for number in range(6):
                county.add(f"{bundle}{number}", noise.randbytes(3000 + number), bundle=bundle)
        county.add("film", noise.randbytes(2 * MIB))
        county.add("song", noise.randbytes(2 * MIB))
        county.publish()
        yield county


def write(county: County, root: Path, *bundles: str) -> None:
    store = county.store
    export_published(store.library, store.blobs, county.public, county.keys, root, bundles=bundles)


def put_pack(root: Path, members: list[Blob]) -> str:
    """Write a pack of these blobs, sparse; return its name."""
    head = stickpack.encode(members)
    path = root / tree.pack_path(stickpack.name_of(head))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(head)
        stream.truncate(len(head) + sum(blob.size_bytes for blob in members))
    return path.stem


def test_one_unreadable_pack_does_not_end_an_import(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    write(county, root, "one")
    bad = pack_files(root)[0]
    write(county, root)
    whole = bad.read_bytes()
    # A name that leads to itself can not be opened by anyone.
    bad.unlink()
    bad.symlink_to(bad.name)
    with SyncingBox(tmp_path / "box", county) as box:
        failure = box.update(root).failure
        assert failure is not None and failure.code == "E-STICK-PACK" and failure.found
        assert len(box.held()) == 8
        bad.unlink()
        bad.write_bytes(whole)
        assert box.update(root).failure is None and len(box.held()) == 14


def test_one_unreadable_part_does_not_end_an_import(county: County, tmp_path: Path) -> None:
    root = tmp_path / "stick"
    write(county, root)
    film, song = sorted((root / "blobs").glob("*/*"))
    film.unlink()
    part = film.with_name(f"{film.name}.1")
    part.symlink_to(part.name)
    with SyncingBox(tmp_path / "box", county) as box:
        failure = box.update(root).failure
        assert failure is not None and failure.code == "E-ROAD"
        assert song.name in box.held() and len(box.held()) == 13


def test_an_unreadable_pack_of_a_disk_that_is_gone_ends_it(tmp_path: Path) -> None:
    name = put_pack(tmp_path, [Blob(sha256="ab" * 32, size_bytes=5)])
    place = tmp_path / tree.pack_path(name)
    place.unlink()
    place.symlink_to(place.name)
    with pytest.raises(OSError, match="links"):
        StickPacks(tmp_path, lambda: True).piece("ab" * 32, 5)
    packs = StickPacks(tmp_path)
    assert packs.piece("ab" * 32, 5) is None and len(packs.problems) == 1


def test_the_table_takes_what_it_says(tmp_path: Path) -> None:
    # All in one drawer, had it been by their first bytes.
    members = [
        [Blob(sha256="00" + hashlib.sha256(b"%d" % n).hexdigest()[2:], size_bytes=100) for n in numbers]
        for numbers in (range(start, start + MAX_MEMBERS) for start in range(0, 8 * MAX_MEMBERS, MAX_MEMBERS))
    ]
    for one in members:
        put_pack(tmp_path, one)
    packs = StickPacks(tmp_path)
    tracemalloc.start()
    try:
        packs.piece("ab" * 32, 100)
        left, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    count = 8 * MAX_MEMBERS
    assert left < 54 * count and peak < 54 * count + 8 * MIB
    for one in members:
        piece = packs.piece(one[77].sha256, 100)
        assert piece is not None and piece.offset == stickpack.START_BYTES + 36 * MAX_MEMBERS + 7700


def test_more_rows_than_are_looked_at_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stick, "MAX_ROWS", 150)
    for start in (0, 100):
        put_pack(tmp_path, [Blob(sha256=f"{n + start:064x}", size_bytes=9) for n in range(100)])
    packs = StickPacks(tmp_path)
    assert sum(packs.piece(f"{n:064x}", 9) is not None for n in range(200)) == 100
    assert [problem.code for problem in packs.problems] == ["E-STICK-PACK"]


def test_a_wrong_length_in_one_pack_does_not_hide_the_blob_in_another(tmp_path: Path) -> None:
    wanted = "cd" * 32
    put_pack(tmp_path, [Blob(sha256=wanted, size_bytes=7)])
    right = put_pack(tmp_path, [Blob(sha256=wanted, size_bytes=8)])
    piece = StickPacks(tmp_path).piece(wanted, 8)
    assert piece is not None and piece.path.stem == right


def test_a_bounded_read(tmp_path: Path) -> None:
    place = tmp_path / "file"
    assert read_bounded(place, 5) is None and read_bounded(tmp_path, 5) is None
    place.write_bytes(b"12345")
    assert read_bounded(place, 5) == b"12345" and read_bounded(place, 4) is None
