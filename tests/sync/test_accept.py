"""What a box accepts: the real updater over a real tree, and every way in which a source can be wrong."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
from county import DAY, NOW, Box, County, DirectoryRoad
from tuf.ngclient import Updater
from tuf.ngclient.fetcher import FetcherInterface

from catalog.clock import trusted_time
from catalog.durable import write_file
from catalog.errors import ContentError, RoadError
from sync import tree
from sync.trust.accept import fetch_head, publish_head, read_head
from sync.trust.floors import Floors
from sync.trust.heads import current_head, versions
from sync.trust.keys import create_keys
from sync.trust.metadata import TIMESTAMP_LIFETIME, sign_next_root
from sync.trust.pinned import pin_root
from sync.trust.recovery import open_recovery
from sync.trust.signing import renew


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        county.add("r1", b"one")
        county.publish()
        yield county


@pytest.fixture
def box(tmp_path: Path, county: County) -> Box:
    return Box(tmp_path / "box", county)


@pytest.fixture
def road(county: County) -> DirectoryRoad:
    return DirectoryRoad(county.public)


def files_of(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


def refused(box: Box, road: DirectoryRoad, now: datetime = NOW) -> str:
    """Return the code of the refusal; what the box holds must be as it was."""
    before = files_of(box.trust)
    with pytest.raises((ContentError, RoadError)) as caught:
        box.follow(road, now)
    assert files_of(box.trust) == before
    assert list(box.staging.iterdir()) == []
    return caught.value.code


def test_a_head_is_accepted_and_an_unchanged_poll_asks_one_file(
    county: County, box: Box, road: DirectoryRoad
) -> None:
    head = box.follow(road)
    assert head.changed and head.release.number == 1 and head.signed_at == NOW
    assert head.expires == NOW + TIMESTAMP_LIFETIME
    road.asked.clear()
    again = box.follow(road)
    assert not again.changed and again.release == head.release and again.floors == head.floors
    assert road.asked == [tree.TIMESTAMP]


def test_nothing_is_fetched_twice(county: County, box: Box, road: DirectoryRoad) -> None:
    box.follow(road)
    county.add("r2", b"two")
    county.publish(NOW + DAY)
    road.asked.clear()
    assert box.follow(road, NOW + DAY).release.number == 2
    assert len(road.asked) == len(set(road.asked)) == 5
    renew(county.public, county.keys, NOW + 2 * DAY)
    road.asked.clear()
    head = box.follow(road, NOW + 2 * DAY)
    assert head.changed and head.release.number == 2 and list(head.files) == [tree.TIMESTAMP]
    assert road.asked == [tree.TIMESTAMP, "metadata/2.root.json"]


def test_trust_is_a_tree_that_another_box_accepts(
    tmp_path: Path, county: County, box: Box, road: DirectoryRoad
) -> None:
    box.follow(road)
    county.add("r2", b"two")
    county.publish()
    box.follow(road)
    other = Box(tmp_path / "other", county)
    assert other.follow(DirectoryRoad(box.trust)).release.number == 2
    for path in box.trust.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


def test_old_heads_leave_the_box(county: County, box: Box, road: DirectoryRoad) -> None:
    for number in range(5):
        county.add(f"n{number}", b"%d" % number)
        county.publish()
        box.follow(road)
    assert versions(box.trust, "snapshot") == versions(box.trust, "targets") == {5, 6}
    assert len(list((box.trust / "targets").glob("*.catalog.json"))) == 2


def test_a_box_with_a_fingerprint_alone_fetches_the_root(
    county: County, box: Box, road: DirectoryRoad
) -> None:
    shutil.rmtree(box.trust)
    assert box.follow(road).release.number == 1
    assert (box.trust / tree.PINNED_ROOT).read_bytes() == county.identity.root_path.read_bytes()


def test_another_countys_tree_is_refused(tmp_path: Path, box: Box, road: DirectoryRoad) -> None:
    box.follow(road)
    with County(tmp_path / "neighbour", "邻县电教馆") as neighbour:
        neighbour.add("r1", b"theirs")
        neighbour.publish()
        assert refused(box, DirectoryRoad(neighbour.public)) == "E-SIGNATURE"
        shutil.rmtree(box.trust)
        assert refused(box, DirectoryRoad(neighbour.public)) == "E-FINGERPRINT"
        with pytest.raises(ContentError, match="E-FINGERPRINT"):
            pin_root(neighbour.identity.root_path.read_bytes(), box.fingerprint)


def test_a_box_never_goes_back(tmp_path: Path, county: County, box: Box, road: DirectoryRoad) -> None:
    stick = tmp_path / "stick"
    shutil.copytree(county.public, stick)
    county.add("r2", b"two")
    county.publish()
    box.follow(road)
    assert refused(box, DirectoryRoad(stick)) == "E-ROLLBACK"


@pytest.mark.parametrize("role", ["timestamp.json", "2.snapshot.json", "2.targets.json"])
@pytest.mark.parametrize("damage", [b"", b'{"signed":', b"\0\0\0"])
def test_lost_metadata_and_a_stale_stick_do_not_bring_the_past_back(
    tmp_path: Path, county: County, box: Box, road: DirectoryRoad, role: str, damage: bytes
) -> None:
    stick = tmp_path / "stick"
    shutil.copytree(county.public, stick)
    county.add("r2", b"two")
    county.publish()
    box.follow(road)
    (box.trust / "metadata" / role).write_bytes(damage)
    assert refused(box, DirectoryRoad(stick)) == "E-ROLLBACK"
    shutil.rmtree(box.trust)
    assert refused(box, DirectoryRoad(stick)) == "E-ROLLBACK"
    assert box.follow(road).release.number == 2


def test_a_mixed_state_is_refused(county: County, box: Box, road: DirectoryRoad) -> None:
    old = {role: (county.public / f"metadata/1.{role}.json").read_bytes() for role in ("snapshot", "targets")}
    box.follow(road)
    county.add("r2", b"two")
    county.publish()
    for role, data in old.items():
        road.lies = {f"metadata/2.{role}.json": data}
        assert refused(box, road) == "E-HASH"
    held = current_head(county.public)
    assert held is not None
    catalog = tree.catalog_path(held.head.catalog_sha256)
    road.lies = {catalog: (county.public / catalog).read_bytes().replace(b'"release":2', b'"release":9')}
    assert refused(box, road) == "E-HASH"


def test_a_wrong_signature_is_refused(tmp_path: Path, county: County, box: Box, road: DirectoryRoad) -> None:
    county.keys = create_keys(tmp_path / "thief")
    county.add("r2", b"two")
    county.publish()
    assert refused(box, road) == "E-SIGNATURE"


def test_a_changed_signed_part_is_refused(county: County, box: Box, road: DirectoryRoad) -> None:
    data = (county.public / tree.TIMESTAMP).read_bytes()
    road.lies = {tree.TIMESTAMP: data.replace(b'"version":1}', b'"version":7}')}
    assert road.lies[tree.TIMESTAMP] != data
    assert refused(box, road) == "E-SIGNATURE"


PORTAL = "<!DOCTYPE html><html>请登录".encode() + b" " * 40_000


@pytest.mark.parametrize(
    ("answer", "code", "exit_code"),
    [
        (lambda data: data[: len(data) // 2], "E-ROAD-SHORT", 33),
        (lambda data: b"\r\n", "E-ROAD-SHORT", 33),
        (lambda data: b"\xef\xbb\xbf\n " + PORTAL, "E-PORTAL", 34),
        (lambda data: b"\x1f\x8b\x08\x00", "E-ROAD-DATA", 37),
        (lambda data: b'{"error": "login"}', "E-CATALOG", 10),
        (lambda data: b"[]", "E-CATALOG", 10),
        (lambda data: data + b" " * 6_000_000, "E-SIZE", 14),
    ],
)
@pytest.mark.parametrize(
    "path", [tree.TIMESTAMP, "metadata/1.snapshot.json", "metadata/1.targets.json", "catalog"]
)
def test_what_is_no_metadata_is_told_apart(
    county: County,
    box: Box,
    road: DirectoryRoad,
    path: str,
    answer: Callable[[bytes], bytes],
    code: str,
    exit_code: int,
) -> None:
    if path == "catalog":
        held = current_head(county.public)
        assert held is not None
        path = tree.catalog_path(held.head.catalog_sha256)
    road.lies = {path: answer((county.public / path).read_bytes())}
    before = files_of(box.trust)
    with pytest.raises((ContentError, RoadError)) as caught:
        box.follow(road)
    # Behind a signed head JSON of the wrong hash is wrong bytes, not a wrong schema.
    by_hash = path != tree.TIMESTAMP and code == "E-CATALOG"
    assert (caught.value.code, caught.value.exit_code) == (("E-HASH", 14) if by_hash else (code, exit_code))
    assert files_of(box.trust) == before


def test_nesting_without_end_is_refused(box: Box, road: DirectoryRoad) -> None:
    road.lies = {tree.TIMESTAMP: b'{"":' * 4000}
    assert refused(box, road) == "E-ROAD-SHORT"


def test_a_road_that_ignores_the_limit_is_refused(county: County, box: Box) -> None:
    asked: list[int] = []

    def endless(path: str, max_bytes: int) -> bytes:
        asked.append(max_bytes)
        return b"[" + b" " * max_bytes + b"]"

    with pytest.raises(ContentError, match="E-SIZE"):
        fetch_head(
            endless,
            fingerprint=box.fingerprint,
            trust_dir=box.trust,
            staging_dir=box.staging,
            now=NOW,
            floors=Floors(),
        )
    assert asked == [65536]


def test_an_address_without_a_tree_says_so(tmp_path: Path, box: Box) -> None:
    assert refused(box, DirectoryRoad(tmp_path / "nowhere")) == "E-NO-TREE"


def test_a_road_that_breaks_later_is_that_roads_error(county: County, box: Box, road: DirectoryRoad) -> None:
    (county.public / "metadata/1.targets.json").unlink()
    assert refused(box, road) == "E-ROAD-MISSING"


def test_an_expired_state_is_refused_only_as_a_new_one(county: County, box: Box, road: DirectoryRoad) -> None:
    late = NOW + TIMESTAMP_LIFETIME + DAY
    assert refused(box, road, late) == "E-EXPIRED"
    assert not box.follow(road, NOW).expired
    again = box.follow(road, late)
    assert again.expired and not again.changed and again.release.number == 1
    county.add("r2", b"two")
    county.publish()
    assert refused(box, road, late) == "E-EXPIRED"
    renew(county.public, county.keys, late)
    assert not box.follow(road, late).expired


def test_clocks_of_1970_and_2099(county: County, box: Box, road: DirectoryRoad) -> None:
    dead, mad = datetime(1970, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)
    assert refused(box, road, trusted_time(mad, None)) == "E-EXPIRED"
    first = box.follow(road, trusted_time(dead, None))
    assert first.release.number == 1
    # Held content goes on in 2099, and a clock set right again is believed again.
    assert box.follow(road, trusted_time(mad, first.signed_at)).expired
    assert not box.follow(road, trusted_time(NOW, first.signed_at)).expired
    # A dead clock does not bring an expired state to life: the newest signed time counts.
    stale = NOW + TIMESTAMP_LIFETIME + 30 * DAY
    assert refused(Box(box.trust.parent / "fresh", county), road, trusted_time(dead, stale)) == "E-EXPIRED"


def test_new_online_keys_come_by_the_recovery_file(
    tmp_path: Path, county: County, box: Box, road: DirectoryRoad
) -> None:
    box.follow(road)
    old_keys = county.keys
    recovery = open_recovery(county.identity.recovery_path.read_bytes(), county.identity.passphrase)
    county.keys = create_keys(tmp_path / "new-keys")
    second = sign_next_root(
        county.identity.root_path.read_bytes(), recovery.root_signers[:2], county.keys, NOW
    )
    write_file(county.public / tree.root_path(2), second)
    county.publish(NOW + DAY)
    head = box.follow(road, NOW + DAY)
    assert head.floors.root == 2 and head.release.box_key == county.keys.box_key
    assert (box.trust / tree.root_path(2)).read_bytes() == second
    assert not box.follow(road, NOW + DAY).changed
    # From the pinned first root to the second: also for a box that was away.
    assert Box(tmp_path / "late", county).follow(DirectoryRoad(box.trust), NOW + DAY).release.number == 2
    # Whoever still has the old keys signs nothing any more.
    county.keys = old_keys
    county.add("r2", b"two")
    county.publish(NOW + 2 * DAY)
    assert refused(box, road, NOW + 2 * DAY) == "E-SIGNATURE"


def test_a_cut_between_a_new_root_and_its_timestamp_leaves_the_head_before(
    tmp_path: Path, county: County, box: Box, road: DirectoryRoad
) -> None:
    box.follow(road)
    recovery = open_recovery(county.identity.recovery_path.read_bytes(), county.identity.passphrase)
    county.keys = create_keys(tmp_path / "new-keys")
    second = sign_next_root(county.identity.root_path.read_bytes(), recovery.root_signers, county.keys, NOW)
    (box.trust / tree.root_path(2)).write_bytes(second)
    held = read_head(box.trust, fingerprint=box.fingerprint, staging_dir=box.staging)
    assert held is not None and (held.release.number, held.floors.root) == (1, 1)
    write_file(county.public / tree.root_path(2), second)
    county.publish(NOW + DAY)
    assert box.follow(road, NOW + DAY).floors.root == 2


def test_one_root_key_is_not_enough(tmp_path: Path, county: County, box: Box, road: DirectoryRoad) -> None:
    recovery = open_recovery(county.identity.recovery_path.read_bytes(), county.identity.passphrase)
    keys = create_keys(tmp_path / "thief")
    data = sign_next_root(county.identity.root_path.read_bytes(), recovery.root_signers[:1], keys, NOW)
    road.lies = {tree.root_path(2): data}
    assert refused(box, road) == "E-SIGNATURE"
    changed = json.loads(county.identity.root_path.read_bytes())
    changed["signatures"] = changed["signatures"][:1]
    with pytest.raises(ContentError, match="E-SIGNATURE"):
        pin_root(json.dumps(changed).encode())


def test_a_cut_while_publishing_leaves_the_old_head_or_the_new_one(
    county: County, box: Box, road: DirectoryRoad
) -> None:
    box.follow(road)
    county.add("r2", b"two")
    county.publish()
    head = box.fetch(road)
    for path in [path for path in head.files if path != tree.TIMESTAMP]:
        (box.trust / path).write_bytes(head.files[path])
        found = read_head(box.trust, fingerprint=box.fingerprint, staging_dir=box.staging)
        assert found is not None and found.release.number == 1
    publish_head(head, box.trust)
    found = read_head(box.trust, fingerprint=box.fingerprint, staging_dir=box.staging)
    assert found is not None and found.release.number == 2


def test_the_updater_still_takes_its_time_from_the_private_attribute(county: County, tmp_path: Path) -> None:
    """python-tuf has no public way to give it the time: a new version must be looked at before it is used."""
    assert version("tuf").split(".")[0] == "7"

    class NoRoad(FetcherInterface):
        def _fetch(self, url: str) -> Iterator[bytes]:
            raise OSError

    root = county.identity.root_path.read_bytes()
    updater = Updater(os.fspath(tmp_path), "metadata/", fetcher=NoRoad(), bootstrap=root)
    assert abs(updater._trusted_set.reference_time - datetime.now(UTC)) < timedelta(minutes=5)
