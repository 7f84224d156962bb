"""Power cuts while the hub publishes: the tree is one whole signed release, and the next run finishes."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from builders import Store, file_of, resource
from outage_harness import Acknowledge, Outage

from catalog.errors import RoadError
from catalog.manifest import Bundle, read_manifest
from sync import tree
from sync.formats.release import Release
from sync.formats.torrentfile import LEAST_BYTES
from sync.formats.transport import Pack, Patch, Torrent, read_transport
from sync.publishing.publish import publish
from sync.trust.accept import fetch_head
from sync.trust.floors import Floors
from sync.trust.identity import fingerprint_of, initialise
from sync.trust.keys import load_keys

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
RELEASES = 6
BUNDLES = ("maths", "music")
AFTER = 99
FILM_STEP = 3
FILM = random.Random(7).randbytes(LEAST_BYTES)


def content(step: int, number: int) -> bytes:
    return random.Random(1000 * step + number).randbytes(20_000 + 9_000 * number)


def make_hub(root: Path, _: Acknowledge) -> None:
    initialise(root, name="雷山县电教馆", now=NOW)
    with Store(root):
        pass


def words(number: int) -> str:
    return random.Random(number).randbytes(200).hex()


def fill(store: Store, step: int) -> None:
    """Put three new resources on each bundle, give one of the last step's new bytes and take another back.

    The first step brings so many words that manifests are worth a delta from then on.
    """
    for bundle in BUNDLES:
        count = 30 if step == 1 else 0
        made = [resource(f"{bundle}-w{number}", description=words(number)) for number in range(count)]
        for number in range(3):
            data = content(step, number) + bundle.encode()
            store.add(data)
            made.append(resource(f"{bundle}-{step}-{number}", f"第{step}课", files=(file_of(data),)))
        edited, taken = f"{bundle}-{step - 1}-0", f"{bundle}-{step - 1}-1"
        with store.library.reading() as reader:
            known = reader.numbers_of([edited])
        # An edit that is worth a patch; and once a film that is worth a torrent.
        correction = content(step - 1, 0) + bundle.encode() + b"corrected"
        store.add(correction)
        if known:
            made.append(resource(edited, "修订", files=(file_of(correction),)))
        if step == FILM_STEP:
            store.add(FILM)
            made.append(resource(f"{bundle}-film", "短片", files=(file_of(FILM),)))
        with store.library.writing() as writer:
            writer.put_bundle(Bundle(id=bundle, version=1, title=bundle, publisher="县"))
            for record in made:
                writer.put_resource(record, bundle)
            writer.remove_resources(bundle, [taken])


def publish_step(root: Path, step: int) -> int:
    """Change the library and publish it; return the number of the release."""
    with Store(root) as store:
        fill(store, step)
        keys = load_keys(root / "keys")
        now = NOW + timedelta(days=step)
        return publish(store.library, store.blobs, root, keys, publisher="县", now=now).release


def publish_all(root: Path, acknowledge: Acknowledge) -> None:
    for step in range(1, RELEASES + 1):
        acknowledge(str(publish_step(root, step)))


def follow(root: Path, box: Path, step: int) -> Release | None:
    """Return the release that a new box accepts from the tree; None where there is none yet."""
    public = root / "public"

    def fetch(path: str, max_bytes: int) -> bytes:
        try:
            return (public / path).read_bytes()
        except FileNotFoundError as error:
            raise RoadError("E-ROAD-MISSING", where=path) from error

    try:
        head = fetch_head(
            fetch,
            fingerprint=fingerprint_of(root),
            trust_dir=box / "trust",
            staging_dir=box / "staging",
            now=NOW + timedelta(days=step),
            floors=Floors(),
        )
    except RoadError as error:
        assert error.code == "E-NO-TREE"
        return None
    return head.release


def check_tree(root: Path, box: Path, step: int = 0) -> int:
    """Return the number of the release in the tree; every file and blob that it names is there, byte for byte."""
    release = follow(root, box, step)
    if release is None:
        return 0
    public = root / "public"
    for file in (*release.files(), *release.deltas()):
        assert digest(public / file.path) == file.sha256
    for bundle in release.bundles:
        assert step == AFTER or len(bundle.deltas) == min(3, bundle.version - 1)
        with (public / bundle.transport.plain.path).open("rb") as lines:
            offers = list(read_transport(lines, where=bundle.id))
        assert all(digest(public / offer.file.path) == offer.file.sha256 for offer in offers)
        if bundle.version > FILM_STEP and step != AFTER:
            assert {type(offer) for offer in offers} == {Pack, Patch, Torrent}
        with (public / bundle.manifest.plain.path).open("rb") as lines:
            _, resources = read_manifest(lines)
            for line in resources:
                for named in line.resource().files:
                    assert digest(public / tree.blob_path(named.sha256)) == named.sha256
    return release.number


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_tree_is_one_whole_release_after_a_cut_and_the_next_run_goes_on(
    outage: Outage, tmp_path: Path
) -> None:
    log = outage.record(publish_all, prepare=make_hub)
    for number, cut in enumerate(log.cuts(35, seed=51)):
        box = tmp_path / str(number)
        box.mkdir()
        with outage.mounted(cut) as root:
            held = check_tree(root, box / "now")
            assert held >= max(map(int, cut.acknowledged), default=0)
            assert publish_step(root, AFTER) == held + 1
            assert check_tree(root, box / "after", AFTER) == held + 1


@pytest.mark.slow
def test_the_tree_survives_three_hundred_cuts(outage: Outage, tmp_path: Path) -> None:
    for seed in range(3):
        log = outage.record(publish_all, prepare=make_hub, seed=seed)
        for number, cut in enumerate(log.cuts(100, seed)):
            with outage.mounted(cut) as root:
                held = check_tree(root, tmp_path / f"{seed}-{number}-now")
                assert held >= max(map(int, cut.acknowledged), default=0)
                assert publish_step(root, AFTER) == held + 1
                assert check_tree(root, tmp_path / f"{seed}-{number}-after", AFTER) == held + 1
