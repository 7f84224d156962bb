"""Power cuts while a box syncs: it shows one whole release, loses no byte that came, and the next run finishes."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import Store
from county import DAY, NOW, County
from outage_harness import Acknowledge, Outage

from catalog.blobs import hash_file
from catalog.local import Local
from catalog.resource import Resource
from catalog.search.query import Searcher, SearchRequest
from sync.trust.heads import current_head
from sync.updating.update import Update, UpdateResult, UpdateSettings

RELEASES = 4
SMALL = 6
LARGE_BYTES = 2_600_000
METADATA_BYTES = 40_000


@dataclass(frozen=True)
class Publisher:
    """A county's tree after each release, and the records in it by id."""

    trees: list[Path]
    records: list[dict[str, Resource]]
    fingerprint: str

    def sync(self, root: Path, release: int) -> UpdateResult:
        """Run one sync of the box in `root` against the tree as it was at `release`."""
        with Store(root) as store, Local.open(root / "local.db") as local:
            settings = UpdateSettings(
                sources=(str(self.trees[release]),), fingerprint=self.fingerprint, keep_free_bytes=1 << 20
            )
            update = Update(root, library=store.library, blobs=store.blobs, local=local, settings=settings)
            result = update.run(NOW + release * DAY)
        result.raise_for_failure()
        return result


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    """Four releases: each adds small files and a large one, edits one resource and drops another.

    The first has so many words that the later manifests travel by delta.
    """
    directory = tmp_path_factory.mktemp("county")
    trees, records = [directory / "none"], [dict[str, Resource]()]
    with County(directory / "hub") as county:
        shown: dict[str, Resource] = {}
        for release in range(1, RELEASES + 1):
            chance = random.Random(release)
            for number in range(30 if release == 1 else 0):
                name = f"w{number}"
                shown[name] = county.add(name, name.encode(), description=chance.randbytes(200).hex())
            for number in range(SMALL):
                name = f"r{release}-{number}"
                shown[name] = county.add(name, chance.randbytes(7_000 * number + 1), title=f"第{release}课")
            shown[f"r{release}-film"] = county.add(f"r{release}-film", chance.randbytes(LARGE_BYTES))
            if release > 1:
                edited, dropped = f"r{release - 1}-0", f"r{release - 1}-1"
                shown[edited] = county.add(edited, chance.randbytes(30_000), title="修订")
                with county.store.library.writing() as writer:
                    writer.remove_resources("main", [dropped])
                del shown[dropped]
            assert county.publish(NOW + release * DAY).release == release
            head = current_head(county.public)
            assert head is not None and len(head.release.deltas()) == min(3, release - 1)
            trees.append(directory / f"tree{release}")
            shutil.copytree(county.public, trees[-1])
            records.append(dict(shown))
        return Publisher(trees, records, county.identity.fingerprint)


def follow(publisher: Publisher) -> Callable[[Path, Acknowledge], None]:
    def workload(root: Path, acknowledge: Acknowledge) -> None:
        for release in range(1, RELEASES + 1):
            assert publisher.sync(root, release).content_release == release
            acknowledge(str(release))

    return workload


def shown_release(publisher: Publisher, root: Path) -> int:
    """Return the release that the box shows; its records, its index and what serves are whole."""
    with Store(root) as store, store.library.reading() as reader:
        generation = reader.generation()
        entries = list(reader.entries())
        assert {e.resource.id: e.resource for e in entries} == publisher.records[generation.release]
        for blob in reader.blobs():
            assert hash_file(store.blobs.path(blob.sha256)) == blob.sha256
        for entry in entries:
            assert all(reader.has(file.sha256) for file in entry.serving)
            assert entry.current or generation.content_release < generation.release
        if generation.index:
            searcher = Searcher(root / "index" / str(generation.index))
            found = searcher.search(SearchRequest(text="", per_page=100))
            assert set(found.numbers) == {entry.number for entry in entries}
            searcher.close()
        return generation.release


def missing_bytes(publisher: Publisher, root: Path, release: int) -> int:
    """Return the bytes of the files of `release` that are nowhere on the box's disk as a whole."""
    with Store(root) as store:
        present = [*store.blobs.files(), *(path for path in store.blobs.staging.iterdir() if path.is_file())]
        whole = {path.name for path in present if hash_file(path) == path.name}
    files = [file for record in publisher.records[release].values() for file in record.files]
    return sum(file.size_bytes for file in files if file.sha256 not in whole)


def check(publisher: Publisher, root: Path, acknowledged: tuple[str, ...]) -> None:
    last = max(map(int, acknowledged), default=0)
    shown = shown_release(publisher, root)
    assert shown >= last
    missing = missing_bytes(publisher, root, RELEASES)
    if shown == last == RELEASES:
        assert not missing
    result = publisher.sync(root, RELEASES)
    assert result.fetched_bytes <= missing + METADATA_BYTES
    assert result.content_release == RELEASES
    assert shown_release(publisher, root) == RELEASES
    assert publisher.sync(root, RELEASES).fetched_blobs == 0


def test_a_box_shows_one_whole_release_after_a_cut_and_finishes(outage: Outage, publisher: Publisher) -> None:
    log = outage.record(follow(publisher))
    for cut in log.cuts(25, seed=81):
        with outage.mounted(cut) as root:
            check(publisher, root, cut.acknowledged)


@pytest.mark.slow
def test_a_box_survives_three_hundred_cuts(outage: Outage, publisher: Publisher) -> None:
    for seed in range(3):
        log = outage.record(follow(publisher), seed=seed)
        for cut in log.cuts(100, seed):
            with outage.mounted(cut) as root:
                check(publisher, root, cut.acknowledged)
