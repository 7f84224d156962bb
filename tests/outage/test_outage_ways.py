"""Power cuts while patches and packs are used: one whole release is shown, nothing half made is believed, and what
came by pack or patch is not fetched again as whole files."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import Store, sha256
from county import DAY, NOW, County
from hostile import HostileHub
from outage_harness import Acknowledge, Outage

from catalog.blobs import hash_file
from catalog.local import Local
from catalog.resource import Resource
from sync.updating.run import UpdateResult, UpdateSettings
from sync.updating.update import Update

RELEASES = 3
DECKS = 3
DECK_BYTES = 300_000
FILM_BYTES = (4 << 20) + 5
# Head, manifests and transport files, and what a request or two more costs.
METADATA_BYTES = 60_000


@dataclass(frozen=True)
class Publisher:
    """A county's tree after each release over HTTP, the records in it by id, and the bytes of its small ways."""

    hub: HostileHub
    records: list[dict[str, Resource]]
    ways_bytes: int
    film: str
    fingerprint: str

    def sync(self, root: Path, release: int) -> UpdateResult:
        with Store(root) as store, Local.open(root / "local.db") as local:
            settings = UpdateSettings(
                sources=(f"{self.hub.address}tree{release}/",),
                fingerprint=self.fingerprint,
                keep_free_bytes=1 << 20,
            )
            update = Update(root, library=store.library, blobs=store.blobs, local=local, settings=settings)
            result = update.run(NOW + release * DAY)
        result.raise_for_failure()
        return result


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publisher]:
    """Three releases: decks that are edited in each, small files new in each, and a film in the second."""
    directory = tmp_path_factory.mktemp("ways")
    records = [dict[str, Resource]()]
    shown: dict[str, Resource] = {}
    chance = random.Random(8)
    decks = [chance.randbytes(DECK_BYTES) for _ in range(DECKS)]
    film = chance.randbytes(FILM_BYTES)
    small_bytes = 0
    with County(directory / "hub") as county:
        for release in range(1, RELEASES + 1):
            for number, deck in enumerate(decks):
                at = release * 50_000
                decks[number] = deck[:at] + f"edit {release}".encode() + deck[at:]
                shown[f"deck{number}"] = county.add(f"deck{number}", decks[number])
            for number in range(12):
                name = f"r{release}-{number}"
                data = chance.randbytes(1000 + 300 * number)
                shown[name] = county.add(name, data)
                small_bytes += len(data)
            if release == 2:
                shown["film"] = county.add("film", film)
            county.publish(NOW + release * DAY)
            shutil.copytree(county.public, directory / f"tree{release}")
            records.append(dict(shown))
        with HostileHub(directory) as hub:
            yield Publisher(
                hub=hub,
                records=records,
                ways_bytes=small_bytes,
                film=sha256(film),
                fingerprint=county.identity.fingerprint,
            )


def shown_release(publisher: Publisher, root: Path) -> int:
    """Return the release that the box shows; every visible blob has its hash, and what serves is here."""
    with Store(root) as store, store.library.reading() as reader:
        generation = reader.generation()
        entries = list(reader.entries())
        assert {e.resource.id: e.resource for e in entries} == publisher.records[generation.release]
        for blob in reader.blobs():
            assert hash_file(store.blobs.path(blob.sha256)) == blob.sha256
        for entry in entries:
            assert entry.serving or generation.content_release < generation.release
            assert all(reader.has(file.sha256) for file in entry.serving)
            # A deck serves an edition at every moment once it has been here.
            assert generation.content_release < 1 or entry.serving or not entry.resource.id.startswith("deck")
        return generation.release


def film_missing(publisher: Publisher, root: Path) -> int:
    with Store(root) as store:
        places = (store.blobs.path(publisher.film), store.blobs.staging_path(publisher.film))
        here = any(place.exists() and hash_file(place) == publisher.film for place in places)
    return 0 if here else FILM_BYTES


def begin(publisher: Publisher) -> Callable[[Path, Acknowledge], None]:
    def prepare(root: Path, _: Acknowledge) -> None:
        assert publisher.sync(root, 1).content_release == 1

    return prepare


def follow(publisher: Publisher) -> Callable[[Path, Acknowledge], None]:
    def workload(root: Path, acknowledge: Acknowledge) -> None:
        for release in range(2, RELEASES + 1):
            result = publisher.sync(root, release)
            assert result.content_release == release and not result.warnings
            assert set(result.ways) >= {"patch", "pack"}
            acknowledge(str(release))

    return workload


def check(publisher: Publisher, root: Path, acknowledged: tuple[str, ...]) -> None:
    last = max(map(int, acknowledged), default=1)
    assert shown_release(publisher, root) >= last
    film_bytes = film_missing(publisher, root)
    if last >= 2:
        assert not film_bytes
    result = publisher.sync(root, RELEASES)
    assert result.content_release == RELEASES and not result.warnings
    # Whole decks would cost 900 kB: they come by patches, whatever was cut.
    assert result.fetched_bytes <= film_bytes + publisher.ways_bytes + METADATA_BYTES < film_bytes + 300_000
    assert result.ways.get("whole", 0) <= FILM_BYTES + publisher.ways_bytes
    assert shown_release(publisher, root) == RELEASES
    staging = root / "staging"
    assert [path.name for path in staging.iterdir() if len(path.name) >= 64] == []
    assert publisher.sync(root, RELEASES).fetched_blobs == 0


def test_a_cut_among_patches_and_packs_shows_nothing_half_made(outage: Outage, publisher: Publisher) -> None:
    log = outage.record(follow(publisher), prepare=begin(publisher))
    for cut in log.cuts(40, seed=5):
        with outage.mounted(cut) as root:
            check(publisher, root, cut.acknowledged)


@pytest.mark.slow
def test_two_hundred_cuts_among_patches_and_packs(outage: Outage, publisher: Publisher) -> None:
    for seed in range(2):
        log = outage.record(follow(publisher), prepare=begin(publisher), seed=seed)
        for cut in log.cuts(100, seed):
            with outage.mounted(cut) as root:
                check(publisher, root, cut.acknowledged)
