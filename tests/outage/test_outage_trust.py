"""Power cuts while a box turns to new signed heads: `trust/` is one whole accepted head, never an older one.

As a sync does it: the head is accepted, published to `trust/`, and its floors go to `local.db`.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from outage_harness import Acknowledge, Cut, Outage, Survival

from catalog.errors import ContentError, RoadError
from catalog.local import Local
from sync import tree
from sync.formats.release import Release
from sync.trust import metadata as trust
from sync.trust.accept import Fetch, fetch_head, publish_head, read_head
from sync.trust.floors import Floors
from sync.trust.keys import HubKeys, create_keys

NOW = datetime(2026, 11, 21, tzinfo=UTC)
RELEASES = 8
NEW_KEYS_AT = 5


@dataclass(frozen=True)
class Publisher:
    """What a hub's tree held at each release: `trees[k]` is path -> bytes after release k."""

    trees: list[dict[str, bytes]]
    fingerprint: str

    def road(self, release: int) -> Fetch:
        """Return the road to the tree as it was at `release`."""

        def fetch(path: str, max_bytes: int) -> bytes:
            if path not in self.trees[release]:
                raise RoadError("E-ROAD-MISSING", where=path)
            return self.trees[release][path]

        return fetch


def publish(*, new_keys_at: int | None = None) -> Publisher:
    """Sign eight releases; that of `new_keys_at` comes with a new root that names new online keys."""
    roots = trust.new_root_signers()
    with tempfile.TemporaryDirectory() as directory:
        first, second = create_keys(Path(directory, "1")), create_keys(Path(directory, "2"))
    files = {tree.PINNED_ROOT: trust.sign_first_root(roots, first, NOW)}
    fingerprint = hashlib.sha256(files[tree.PINNED_ROOT]).hexdigest()
    trees = [dict(files)]
    for number in range(1, RELEASES + 1):
        keys = second if new_keys_at and number >= new_keys_at else first
        if number == new_keys_at:
            files[tree.root_path(2)] = trust.sign_next_root(files[tree.PINNED_ROOT], roots, second, NOW)
        files |= signed_files(number, keys)
        trees.append(dict(files))
    return Publisher(trees, fingerprint)


def signed_files(number: int, keys: HubKeys) -> dict[str, bytes]:
    now = NOW + timedelta(days=number)
    catalog = Release(number=number, date=now, publisher="县" * 300, box_key=keys.box_key).to_bytes()
    targets = trust.sign_targets(keys, number, catalog, now)
    snapshot = trust.sign_snapshot(keys, number, targets, number, now)
    return {
        tree.catalog_path(hashlib.sha256(catalog).hexdigest()): catalog,
        tree.targets_path(number): targets,
        tree.snapshot_path(number): snapshot,
        tree.TIMESTAMP: trust.sign_timestamp(keys, number, snapshot, number, now),
    }


def turn_to(publisher: Publisher, root: Path, release: int) -> None:
    """Accept, publish and keep the floors of what the publisher shows at `release`."""
    with Local.open(root / "local.db") as local:
        head = fetch_head(
            publisher.road(release),
            fingerprint=publisher.fingerprint,
            trust_dir=root / "trust",
            staging_dir=root / "staging",
            now=NOW + timedelta(days=release),
            floors=Floors.from_json(local.get("floors")),
        )
        publish_head(head, root / "trust")
        local.put("floors", head.floors.to_json())


def follow(publisher: Publisher) -> Callable[[Path, Acknowledge], None]:
    def workload(root: Path, acknowledge: Acknowledge) -> None:
        for release in range(1, RELEASES + 1):
            turn_to(publisher, root, release)
            acknowledge(str(release))

    return workload


def held_release(publisher: Publisher, root: Path) -> int:
    """Return the release that `trust/` holds, every signature checked again; 0 where it holds none."""
    head = read_head(root / "trust", fingerprint=publisher.fingerprint, staging_dir=root / "staging")
    return head.release.number if head else 0


def check_floors(root: Path, acknowledged: int, at_most: int) -> None:
    with Local.open(root / "local.db") as local:
        assert acknowledged <= Floors.from_json(local.get("floors")).release <= at_most


def check_next_sync(publisher: Publisher, root: Path, acknowledged: int) -> None:
    """An older state is refused, the newest one accepted."""
    held = held_release(publisher, root)
    if acknowledged > 1:
        with pytest.raises(ContentError, match=r"E-ROLLBACK|E-SIGNATURE"):
            turn_to(publisher, root, acknowledged - 1)
        assert held_release(publisher, root) == held
    turn_to(publisher, root, RELEASES)
    assert held_release(publisher, root) == RELEASES


def check(publisher: Publisher, root: Path, acknowledged: int) -> None:
    held = held_release(publisher, root)
    assert held >= acknowledged
    check_floors(root, acknowledged, held)
    check_next_sync(publisher, root, acknowledged)


def last(cut: Cut) -> int:
    return max(map(int, cut.acknowledged), default=0)


def test_trust_is_one_whole_head_after_a_cut(outage: Outage) -> None:
    publisher = publish()
    log = outage.record(follow(publisher))
    for cut in log.cuts(25, seed=41):
        with outage.mounted(cut) as root:
            check(publisher, root, last(cut))


def test_trust_is_one_whole_head_while_the_publishers_keys_change(outage: Outage) -> None:
    """Between the new root and the timestamp of its keys, the head before still reads back."""
    publisher = publish(new_keys_at=NEW_KEYS_AT)
    log = outage.record(follow(publisher))
    said = {text: at for at, text in log.marks}
    changing = range(said[str(NEW_KEYS_AT - 1)] + 1, said[str(NEW_KEYS_AT)] + 1)
    for cut in (*log.cuts(8, seed=42), *(Cut(log, at, Survival.TORN, at) for at in changing[::4])):
        with outage.mounted(cut) as root:
            check(publisher, root, last(cut))


@pytest.mark.slow
def test_trust_survives_five_hundred_cuts(outage: Outage) -> None:
    publisher = publish()
    for seed in range(5):
        log = outage.record(follow(publisher), seed=seed)
        for cut in log.cuts(100, seed):
            with outage.mounted(cut) as root:
                check(publisher, root, last(cut))
