"""The one door: only bytes that have their hash become visible, and a full disk loses nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import Store, file_of, resource, sha256
from small_disk import small_disk

from catalog.blobs import LARGE_BYTES, READ_BYTES, Blob, SpaceReserve, Staged, hash_file
from catalog.errors import StorageError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


def staged(store: Store, data: bytes, *, name: str | None = None, size_bytes: int | None = None) -> Staged:
    blob = Blob(sha256=name or sha256(data), size_bytes=len(data) if size_bytes is None else size_bytes)
    path = store.blobs.staging_path(blob.sha256)
    path.write_bytes(data)
    return Staged(path=path, blob=blob)


def test_right_bytes_are_admitted_and_nothing_stays_in_staging(store: Store) -> None:
    items = [staged(store, bytes([number]) * number) for number in range(20)]
    assert store.blobs.admit(items) == []
    with store.library.reading() as reader:
        assert {blob.sha256 for blob in reader.blobs()} == {item.blob.sha256 for item in items}
    assert all(store.blobs.verify(item.blob) for item in items)
    assert list(store.blobs.staging.iterdir()) == []
    assert len(list(store.blobs.files())) == 20


def test_wrong_bytes_are_refused_one_by_one(store: Store) -> None:
    good = staged(store, b"good")
    wrong = staged(store, b"wrong", name=sha256(b"other"))
    short = staged(store, b"short", name=sha256(b"short!"), size_bytes=6)
    refused = store.blobs.admit([good, wrong, short])
    assert [item.error.code for item in refused] == ["E-HASH", "E-SIZE"]
    with store.library.reading() as reader:
        assert [blob.sha256 for blob in reader.blobs()] == [good.blob.sha256]
    assert list(store.blobs.staging.iterdir()) == []


def test_large_files_side_by_side_are_judged_one_by_one(store: Store) -> None:
    good = [os.urandom(LARGE_BYTES) for _ in range(3)]
    wrong = staged(store, os.urandom(LARGE_BYTES), name=sha256(b"other"))
    items = [staged(store, good[0]), wrong, *(staged(store, data) for data in good[1:])]
    refused = store.blobs.admit(items)
    assert [refusal.staged for refusal in refused] == [wrong]
    assert [refusal.error.code for refusal in refused] == ["E-HASH"]
    with store.library.reading() as reader:
        assert all(reader.has(sha256(data)) for data in good)
    assert not list(store.blobs.staging.iterdir())


def test_small_files_among_large_ones_are_judged_in_their_order(store: Store) -> None:
    sizes = [1, LARGE_BYTES, 70_000, LARGE_BYTES + 1, 0, LARGE_BYTES + 2, 5]
    items = [staged(store, os.urandom(size)) for size in sizes]
    small = staged(store, b"wrong", name=sha256(b"right"))
    large = staged(store, os.urandom(LARGE_BYTES), size_bytes=LARGE_BYTES + 3)
    refused = store.blobs.admit([items[0], small, *items[1:4], large, *items[4:]])
    assert [(one.staged, one.error.code) for one in refused] == [(small, "E-HASH"), (large, "E-SIZE")]
    with store.library.reading() as reader:
        assert all(reader.has(item.blob.sha256) for item in items)
    assert all(store.blobs.verify(item.blob) for item in items)


@pytest.mark.parametrize("size_bytes", [0, 1, 70_000, READ_BYTES, READ_BYTES + 1, 3 * READ_BYTES + 7])
def test_a_file_of_any_length_has_its_hash(tmp_path: Path, size_bytes: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(data := os.urandom(size_bytes))
    assert hash_file(path) == sha256(data)


def test_a_name_without_a_row_is_taken_over(store: Store) -> None:
    """A cut between the name and the row leaves a file that no reader knows; the blob comes again."""
    item = staged(store, b"data")
    path = store.blobs.path(item.blob.sha256)
    path.parent.mkdir()
    path.write_bytes(b"what a damaged disk made of it")
    assert store.blobs.admit([item]) == []
    assert store.blobs.verify(item.blob)


def test_damage_is_found(store: Store) -> None:
    blob = store.add(b"a" * 1000)
    path = store.blobs.path(blob.sha256)
    with path.open("r+b") as stream:
        stream.seek(500)
        stream.write(b"b")
    assert not store.blobs.verify(blob)
    path.unlink()
    assert not store.blobs.verify(blob)


def test_a_full_disk_is_named_and_loses_nothing() -> None:
    with small_disk(8 << 20) as disk, Store(disk) as store:
        reserve = SpaceReserve(disk / "reserve", 1 << 20)
        assert reserve.hold() and reserve.held()
        kept = store.add(b"kept" * 1000)
        with store.library.writing() as writer:
            writer.put_resource(resource(files=(file_of(b"kept" * 1000),)))
        with pytest.raises((StorageError, OSError)) as caught:
            for number in range(1000):
                data = os.urandom(64 << 10)
                try:
                    item = staged(store, data)
                except OSError as error:
                    raise StorageError("E-DISK-FULL") from error
                assert store.blobs.admit([item]) == [], number
        assert isinstance(caught.value, StorageError) and caught.value.exit_code == 21
        with store.library.reading() as reader:
            assert reader.resource("r1").current
            held = list(reader.blobs())
        assert kept in held and all(store.blobs.verify(blob) for blob in held)
        # The reserve is what lets a full box delete: SQLite writes its log before it frees a page.
        reserve.release()
        gone = [blob for blob in held if blob != kept]
        with store.library.writing() as writer:
            writer.remove_blobs(blob.sha256 for blob in gone)
        assert store.blobs.delete(gone) == sum(blob.size_bytes for blob in gone)
        assert store.blobs.free_bytes() > 1 << 20
        assert reserve.hold()
