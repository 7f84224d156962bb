"""Power cuts while a box syncs: it shows one whole release, loses no byte that came, and the next run finishes."""

from __future__ import annotations

import random
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import Store
from county import DAY, NOW, County
from hostile import HostileHub
from outage_harness import Acknowledge, Outage

from catalog.blobs import hash_file
from catalog.local import Local
from catalog.resource import Resource
from catalog.search.query import Searcher, SearchRequest
from sync.daemon import DaemonSettings, RsyncDaemon
from sync.trust.heads import current_head
from sync.updating.update import Update, UpdateResult, UpdateSettings

RELEASES = 4
SMALL = 6
LARGE_BYTES = 2_600_000
METADATA_BYTES = 60_000
# Of each road the cuts of a quick run: a program for each fetch takes its time.
ROADS = {"directory": 40, "http": 40, "rsync": 20}


@dataclass(frozen=True)
class Publisher:
    """A county's tree after each release, over each road, and the records in it by id."""

    addresses: dict[str, str]
    records: list[dict[str, Resource]]
    fingerprint: str

    def sync(self, root: Path, release: int, road: str) -> UpdateResult:
        """Run one sync of the box in `root` over one road against the tree as it was at `release`."""
        with Store(root) as store, Local.open(root / "local.db") as local:
            settings = UpdateSettings(
                sources=(f"{self.addresses[road]}tree{release}/",),
                fingerprint=self.fingerprint,
                keep_free_bytes=1 << 20,
            )
            update = Update(root, library=store.library, blobs=store.blobs, local=local, settings=settings)
            result = update.run(NOW + release * DAY)
        result.raise_for_failure()
        return result


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    """Four releases: each adds small files and a large one, edits one resource and drops another.

    The first has so many words that the later manifests travel by delta.
    """
    directory = tmp_path_factory.mktemp("county")
    # The daemon looks in as nobody.
    directory.chmod(0o755)
    records = [dict[str, Resource]()]
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
            shutil.copytree(county.public, directory / f"tree{release}")
            records.append(dict(shown))
    settings = DaemonSettings(port=free_port(), address="127.0.0.1")
    with HostileHub(directory) as hub, RsyncDaemon(directory, directory / "daemon", settings):
        addresses = {
            "directory": f"{directory}/",
            "http": hub.address,
            "rsync": f"rsync://127.0.0.1:{settings.port}/tree/",
        }
        yield Publisher(addresses, records, county.identity.fingerprint)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def follow(publisher: Publisher, road: str) -> Callable[[Path, Acknowledge], None]:
    def workload(root: Path, acknowledge: Acknowledge) -> None:
        for release in range(1, RELEASES + 1):
            assert publisher.sync(root, release, road).content_release == release
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


def check(publisher: Publisher, root: Path, acknowledged: tuple[str, ...], road: str) -> None:
    last = max(map(int, acknowledged), default=0)
    shown = shown_release(publisher, root)
    assert shown >= last
    missing = missing_bytes(publisher, root, RELEASES)
    if shown == last == RELEASES:
        assert not missing
    result = publisher.sync(root, RELEASES, road)
    assert result.fetched_bytes <= missing + METADATA_BYTES
    assert result.content_release == RELEASES
    assert shown_release(publisher, root) == RELEASES
    assert publisher.sync(root, RELEASES, road).fetched_blobs == 0


@pytest.mark.parametrize("road", ROADS)
def test_a_box_shows_one_whole_release_after_a_cut_and_finishes(
    outage: Outage, publisher: Publisher, road: str
) -> None:
    log = outage.record(follow(publisher, road))
    for cut in log.cuts(ROADS[road], seed=81):
        with outage.mounted(cut) as root:
            check(publisher, root, cut.acknowledged, road)


@pytest.mark.slow
@pytest.mark.parametrize("road", ROADS)
def test_a_box_survives_hundreds_of_cuts(outage: Outage, publisher: Publisher, road: str) -> None:
    for seed in range(2):
        log = outage.record(follow(publisher, road), seed=seed)
        for cut in log.cuts(5 * ROADS[road] // 2, seed):
            with outage.mounted(cut) as root:
                check(publisher, root, cut.acknowledged, road)
