"""Power cuts while the hub ingests: whole records with all their bytes, and the next run goes on to the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from builders import Store
from ingest_material import session
from outage_harness import Acknowledge, Outage
from PIL import Image, ImageDraw

from catalog.blobs import hash_file
from catalog.ingest import session as ingest
from catalog.ingest.outcome import IngestResult

FOLDERS = 3
PICTURES = 8


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A county's disk: folders of pictures, no two alike."""
    directory = tmp_path_factory.mktemp("disk")
    for number in range(FOLDERS * PICTURES):
        picture = Image.effect_noise((160, 120), 40 + number).convert("RGB")
        ImageDraw.Draw(picture).text((20, 50), f"page {number}", fill="red")
        folder = directory / f"第{number // PICTURES + 1}单元"
        folder.mkdir(exist_ok=True)
        picture.save(folder / f"认识几分之一 {number}.png")
    return directory


def take(store: Store, source: Path) -> IngestResult:
    with session(store, source) as opened:
        return opened.run()


def ingest_folders(disk: Path) -> Callable[[Path, Acknowledge], None]:
    def workload(root: Path, acknowledge: Acknowledge) -> None:
        with Store(root) as store:
            for folder in sorted(disk.iterdir()):
                assert take(store, folder).added == PICTURES
                acknowledge(folder.name)

    return workload


def check_whole(store: Store) -> int:
    """Return the number of records; each has all its bytes here, under their hashes."""
    with store.library.reading() as reader:
        for blob in reader.blobs():
            assert hash_file(store.blobs.path(blob.sha256)) == blob.sha256
        entries = list(reader.entries())
    assert all(entry.current and entry.serving for entry in entries)
    return len(entries)


def test_an_ingest_goes_on_after_a_cut(outage: Outage, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "_BATCH_RECORDS", 3)
    log = outage.record(ingest_folders(disk))
    for cut in log.cuts(15, seed=71):
        with outage.mounted(cut) as root, Store(root) as store:
            found = check_whole(store)
            assert found >= PICTURES * len(cut.acknowledged)
            results = [take(store, folder) for folder in sorted(disk.iterdir())]
            assert not any(result.rejected for result in results)
            assert sum(result.added for result in results) == FOLDERS * PICTURES - found
            assert check_whole(store) == FOLDERS * PICTURES
            again = [take(store, folder) for folder in sorted(disk.iterdir())]
            assert [result.unchanged for result in again] == [PICTURES] * FOLDERS
