"""What a box exports is a tree that another box accepts, also after an interruption."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import sha256
from county import DAY, NOW, County
from syncing_box import SyncingBox

from catalog.errors import ConfigError, ContentError, RoadError, StorageError
from catalog.local import Local
from catalog.progress import Progress
from sync import boxfile, tree
from sync.export import MARKER, Room, export, export_published, room_for_published
from sync.exporting.disk import SPARE_BYTES, Disk

MIB = 1 << 20


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        noise = random.Random(5)
        for number in range(20):
            county.add(f"r{number}", noise.randbytes(3000 + number))
        county.add("big", noise.randbytes(5 * MIB))
        county.publish()
        yield county


@pytest.fixture
def box(tmp_path: Path, county: County) -> Iterator[SyncingBox]:
    with SyncingBox(tmp_path / "box", county) as box:
        box.update(county.public)
        yield box


def test_another_box_takes_everything_from_a_stick(county: County, box: SyncingBox, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    result = export(box.library, box.blobs, box.state / "trust", stick)
    assert (result.release, result.blobs) == (1, 21)
    assert not (stick / MARKER).exists()
    with SyncingBox(tmp_path / "other", county) as other:
        update = other.update(stick)
        assert update.failure is None and set(update.roads) == {"directory"}
        assert other.held() == box.held()
        other.check()
        # The torrents of large blobs come along: this box can share and repair them as well.
        with box.library.reading() as here, other.library.reading() as there:
            assert list(here.torrents()) == list(there.torrents()) != []
        # And on to a third, so that five levels work alike.
        export(other.library, other.blobs, other.state / "trust", tmp_path / "stick2")
    with SyncingBox(tmp_path / "third", county) as third:
        assert third.update(tmp_path / "stick2").failure is None
    again = export(box.library, box.blobs, box.state / "trust", stick)
    assert again.written_bytes == 0


def test_an_interrupted_export_goes_on(county: County, box: SyncingBox, tmp_path: Path) -> None:
    stick = tmp_path / "stick"

    def pull_out(progress: Progress) -> None:
        if progress.phase == "export" and progress.done_bytes > 2 * MIB:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(box.library, box.blobs, box.state / "trust", stick, pull_out)
    assert (stick / MARKER).exists() and not (stick / tree.TIMESTAMP).exists()
    # What a cut may leave: a file of the right length with holes.
    victim = next((stick / tree.PACKS).iterdir())
    victim.write_bytes(victim.read_bytes()[:-5000] + bytes(5000))
    result = export(box.library, box.blobs, box.state / "trust", stick)
    assert not (stick / MARKER).exists()
    assert result.written_bytes < result.size_bytes
    with SyncingBox(tmp_path / "other", county) as other:
        assert other.update(stick).failure is None
        assert other.held() == box.held()


def test_the_room_is_told_before_and_is_what_the_export_asks_for(county: County, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()

    def room() -> Room:
        return room_for_published(county.store.library, county.store.blobs, county.public, county.keys, stick)

    before = room()
    assert before.fits and before.release is None and not before.is_cut
    assert 5 * MIB < before.needed_bytes < 11 * MIB and list(stick.iterdir()) == []
    result = export_published(county.store.library, county.store.blobs, county.public, county.keys, stick)
    after = room()
    # What is left is the reserve for the filesystem itself.
    assert before.needed_bytes - after.needed_bytes >= result.written_bytes
    assert after.release == result.release == 1 and after.needed_bytes <= SPARE_BYTES
    (stick / MARKER).touch()
    assert room().is_cut


def assign(county: County, box_id: str, subscriptions: tuple[str, ...] | None) -> None:
    made = boxfile.Assignment(
        box=box_id, version=1, signed_at=NOW, expires=NOW + 400 * DAY, subscriptions=subscriptions
    )
    with Local.open(county.state / "local.db") as local:
        boxfile.assign(county.public, county.keys, made, local)


def test_the_boxes_own_files_take_room_too(county: County, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    boxes = [f"{number:032x}" for number in range(1, 4)]
    for box_id in boxes:
        assign(county, box_id, None)

    def needed_bytes(*boxes: str) -> int:
        store = county.store
        return room_for_published(
            store.library, store.blobs, county.public, county.keys, stick, boxes=boxes
        ).needed_bytes

    disk = Disk(stick)
    own = sum(disk.room_for((county.public / tree.box_path(box_id)).stat().st_size) for box_id in boxes)
    assert needed_bytes(*boxes) == needed_bytes() + own + disk.cluster_bytes


def test_what_is_assigned_before_it_is_published_keeps_nothing_else_back(
    county: County, tmp_path: Path
) -> None:
    county.add("song", b"a song" * 900, bundle="music")
    county.publish(now=NOW + DAY)
    store, stick, box_id = county.store, tmp_path / "stick", "ab" * 16
    assign(county, box_id, ("music", "next-year"))
    stick.mkdir()
    room = room_for_published(store.library, store.blobs, county.public, county.keys, stick, boxes=[box_id])
    assert room.unpublished == ("next-year",)
    result = export_published(store.library, store.blobs, county.public, county.keys, stick, boxes=[box_id])
    assert (result.blobs, result.unpublished) == (1, ("next-year",))
    with pytest.raises(ConfigError) as refusal:
        export_published(
            store.library,
            store.blobs,
            county.public,
            county.keys,
            stick,
            boxes=[box_id],
            bundles=["next-year"],
        )
    assert refusal.value.code == "E-BUNDLE"
    with SyncingBox(tmp_path / "box", county) as box:
        assert box.update(county.public, now=NOW + DAY).failure is None
        given = export(box.library, box.blobs, box.state / "trust", stick, box_id=box_id)
        assert (given.blobs, given.unpublished) == (1, ("next-year",))
        with pytest.raises(ConfigError) as refusal:
            export(box.library, box.blobs, box.state / "trust", stick, box_id=box_id, bundles=["next-year"])
        assert refusal.value.code == "E-BUNDLE"


def test_what_stands_in_the_way_is_told_with_the_room(county: County, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    with County(tmp_path / "other-hub") as other:
        other.add("r", b"another county's")
        other.publish()
        export_published(other.store.library, other.store.blobs, other.public, other.keys, stick)
    with pytest.raises(ContentError, match="E-STICK-OTHER"):
        room_for_published(county.store.library, county.store.blobs, county.public, county.keys, stick)


def test_a_cut_large_file_is_continued(box: SyncingBox, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    big = next(blob for blob in box.held() if box.blobs.path(blob).stat().st_size == 5 * MIB)
    place = stick / tree.blob_path(big)
    place.parent.mkdir(parents=True)
    place.write_bytes(box.blobs.path(big).read_bytes()[: 3 * MIB])
    (stick / MARKER).touch()
    result = export(box.library, box.blobs, box.state / "trust", stick)
    assert result.written_bytes < 3.2 * MIB + 100_000
    assert sha256(place.read_bytes()) == big


def test_a_damaged_blob_is_not_given_on(box: SyncingBox, tmp_path: Path) -> None:
    victim = sorted(box.held())[3]
    path = box.blobs.path(victim)
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(StorageError) as refusal:
        export(box.library, box.blobs, box.state / "trust", tmp_path / "stick")
    assert refusal.value.code == "E-DAMAGED" and victim in refusal.value.where


def test_a_box_without_a_head_has_nothing_to_export(county: County, tmp_path: Path) -> None:
    with SyncingBox(tmp_path / "empty", county) as empty, pytest.raises(RoadError) as refusal:
        export(empty.library, empty.blobs, empty.state / "trust", tmp_path / "stick")
    assert refusal.value.code == "E-NO-TREE"
