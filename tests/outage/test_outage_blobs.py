"""Power cuts at the one door: every visible blob has its hash, nothing acknowledged is gone, the next run finishes."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import Store, sha256
from outage_harness import Acknowledge, Outage

from catalog import durable
from catalog.blobs import Blob, Staged, hash_file

# One file, a few (each synced by itself) and many (one flush of the filesystem), twice over.
BATCHES = (1, 3, 12, 2, 20, 1, 7)


def batches(batches: tuple[int, ...]) -> Iterator[list[bytes]]:
    number = 0
    for size in batches:
        batch = []
        for _ in range(size):
            chance = random.Random(number)
            batch.append(chance.randbytes(chance.choice((1, 700, 9_000, 70_000, 200_000))))
            number += 1
        yield batch


CONTENTS = {sha256(data): data for batch in batches(BATCHES) for data in batch}


def stage(store: Store, data: bytes) -> Staged:
    """Lay the bytes where a road leaves them: a whole file or the beginning of one may be there already."""
    blob = Blob(sha256=sha256(data), size_bytes=len(data))
    path = store.blobs.staging_path(blob.sha256)
    path.write_bytes(data)
    return Staged(path=path, blob=blob)


def admit_all(root: Path, acknowledge: Acknowledge) -> None:
    with Store(root) as store:
        for batch in batches(BATCHES):
            staged = [stage(store, data) for data in batch]
            wrong = staged[0].path.with_name("wrong")
            wrong.write_bytes(bytes(staged[0].blob.size_bytes))
            refused = store.blobs.admit([*staged, Staged(path=wrong, blob=staged[0].blob)])
            assert [item.staged.path for item in refused] == [wrong]
            for item in staged:
                acknowledge(item.blob.sha256)


def remove_some(root: Path, acknowledge: Acknowledge) -> None:
    """Take blobs away as a collection does (rows first, then bytes) and bring one of them back."""
    with Store(root) as store:
        with store.library.reading() as reader:
            blobs = list(reader.blobs())
        for start in range(0, len(blobs), 4):
            going = blobs[start : start + 4]
            with store.library.writing() as writer:
                writer.remove_blobs(blob.sha256 for blob in going)
            store.blobs.delete(going)
            back = going[0].sha256
            assert not store.blobs.admit([stage(store, CONTENTS[back])])
            acknowledge(back)


def check_visible(root: Path) -> set[str]:
    """Return the visible blobs; each has its hash, and so has every file that bears a blob's name."""
    with Store(root) as store:
        with store.library.reading() as reader:
            visible = {blob.sha256: blob for blob in reader.blobs()}
        for name, blob in visible.items():
            assert store.blobs.path(name).read_bytes() == CONTENTS[name]
            assert blob.size_bytes == len(CONTENTS[name])
        for path in store.blobs.files():
            assert hash_file(path) == path.name
    return set(visible)


def check_admitted(root: Path, acknowledged: tuple[str, ...]) -> None:
    assert set(acknowledged) <= check_visible(root)
    admit_all(root, lambda _: None)
    assert check_visible(root) == set(CONTENTS)


@pytest.mark.parametrize("seed", [11, 12])
def test_blobs_that_came_through_the_door_survive(outage: Outage, seed: int) -> None:
    log = outage.record(admit_all, seed=seed)
    for cut in log.cuts(25, seed):
        with outage.mounted(cut) as root:
            check_admitted(root, cut.acknowledged)


def test_a_removal_never_leaves_a_row_without_its_bytes(outage: Outage) -> None:
    log = outage.record(remove_some, prepare=admit_all)
    for cut in log.cuts(20, seed=13):
        with outage.mounted(cut) as root:
            assert set(cut.acknowledged) <= check_visible(root)


def test_a_second_cut_during_the_repair_of_the_first_is_survived(outage: Outage, tmp_path: Path) -> None:
    first = outage.record(admit_all).cuts(6, seed=14)[3]
    with outage.mounted(first) as root:
        shutil.copytree(root, tmp_path / "state")

    def as_it_was(root: Path, acknowledge: Acknowledge) -> None:
        shutil.copytree(tmp_path / "state", root, dirs_exist_ok=True)
        for blob in first.acknowledged:
            acknowledge(blob)

    log = outage.record(admit_all, prepare=as_it_was)
    for cut in log.cuts(15, seed=15):
        with outage.mounted(cut) as root:
            check_admitted(root, (*first.acknowledged, *cut.acknowledged))


def test_a_door_without_its_flushes_is_caught(outage: Outage, monkeypatch: pytest.MonkeyPatch) -> None:
    for flush in ("sync_file", "sync_filesystem"):
        monkeypatch.setattr(durable, flush, lambda _: None)
    log = outage.record(admit_all)
    monkeypatch.undo()
    caught = 0
    for cut in log.cuts(10, seed=16):
        with outage.mounted(cut) as root:
            try:
                assert set(cut.acknowledged) <= check_visible(root)
            except AssertionError:
                caught += 1
    assert caught


@pytest.mark.slow
def test_blobs_survive_a_thousand_cuts(outage: Outage) -> None:
    for seed in range(10):
        log = outage.record(admit_all, seed=seed)
        for cut in log.cuts(100, seed):
            with outage.mounted(cut) as root:
                assert set(cut.acknowledged) <= check_visible(root)
