"""Publishing: what stands in the tree, what a release counts, what stays and what goes."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from backports.zstd import decompress
from builders import sha256
from county import DAY, NOW, Box, County, DirectoryRoad

from catalog.errors import ConfigError, StorageError
from catalog.manifest import read_manifest
from catalog.progress import Progress
from sync import tree
from sync.formats.release import Release
from sync.publishing.publish import PublishResult, preview, publish
from sync.trust.heads import current_head, versions
from sync.trust.metadata import LEAST_LEFT, SNAPSHOT_LIFETIME, TARGETS_LIFETIME
from sync.trust.pinned import pin_root
from sync.trust.signing import renew


@pytest.fixture
def county(tmp_path: Path):  # type: ignore[no-untyped-def]
    with County(tmp_path / "hub") as county:
        yield county


def head(county: County) -> Release:
    found = current_head(county.public)
    assert found is not None
    return found.release


def listed(county: County, bundle: str = "main") -> list[str]:
    """Return the ids in the bundle's published manifest, read from its compressed form."""
    found = head(county).bundle(bundle)
    assert found is not None
    for twin in (found.manifest, found.transport):
        plain = (county.public / twin.plain.path).read_bytes()
        packed = (county.public / twin.zst.path).read_bytes()
        assert (len(plain), sha256(plain)) == (twin.plain.size_bytes, twin.plain.sha256)
        assert (len(packed), sha256(packed)) == (twin.zst.size_bytes, twin.zst.sha256)
        assert decompress(packed) == plain
    with (county.public / found.manifest.plain.path).open("rb") as stream:
        read, lines = read_manifest(stream, "manifest")
        ids = [line.id for line in lines]
    assert (read.id, read.version, read.title) == (bundle, found.version, found.title)
    return ids


def has(county: County, content: bytes) -> bool:
    path = county.public / tree.blob_path(sha256(content))
    return path.exists() and path.read_bytes() == content


def files(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(directory)): (path.stat().st_ino, path.read_bytes())
        for path in directory.rglob("*")
        if path.is_file()
    }


def counts(result: PublishResult) -> tuple[int, int, int]:
    return (result.added, result.changed, result.recalled)


def test_the_first_release(county: County) -> None:
    county.add("r2", b"two")
    county.add("r1", b"one", b"one's cover")
    county.add("x", b"other", bundle="extra")
    result = county.publish()
    assert (result.release, result.published, result.bundles, counts(result)) == (1, True, 2, (3, 0, 0))
    assert listed(county) == ["r1", "r2"] and listed(county, "extra") == ["x"]
    blobs = (b"one", b"two", b"other", b"one's cover")
    assert all(has(county, content) for content in blobs)
    zst = sum(twin.zst.size_bytes for one in head(county).bundles for twin in (one.manifest, one.transport))
    assert result.bytes_new == sum(map(len, blobs)) + zst + len(head(county).to_bytes())
    # A name, not a copy.
    assert county.store.blobs.path(sha256(b"one")).samefile(county.public / tree.blob_path(sha256(b"one")))
    for path in county.public.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path
        assert path.is_dir() or tree.parse(str(path.relative_to(county.public))), path
    generation = county.store.library.generation()
    assert (generation.release, generation.updated_to) == (1, NOW.isoformat())
    with county.store.library.reading() as reader:
        assert {bundle.id: bundle.version for bundle in reader.bundles()} == {"extra": 1, "main": 1}


def test_an_empty_hub_publishes_an_empty_release(county: County) -> None:
    assert county.publish().release == 1
    assert head(county).bundles == () and not county.publish().published


def test_unchanged_input_publishes_nothing(county: County) -> None:
    county.add("r1", b"one")
    county.publish()
    before = files(county.public)
    result = county.publish(NOW + DAY / 2)
    assert (result.release, result.published, counts(result), result.bytes_new) == (1, False, (0, 0, 0), 0)
    assert files(county.public) == before
    # After a day the timestamp is signed again, and nothing else.
    assert not county.publish(NOW + DAY).published
    after = files(county.public)
    assert {path for path in after if after[path] != before.get(path)} == {tree.TIMESTAMP}


def test_a_change_touches_its_own_bundle_only(county: County) -> None:
    county.add("r1", b"one")
    county.add("r2", b"two")
    county.add("x", b"other", bundle="extra")
    county.publish()
    extra = head(county).bundle("extra")
    county.add("r1", b"one, better")
    county.add("r3", b"three")
    result = county.publish(NOW + DAY)
    assert (result.release, counts(result)) == (2, (1, 1, 0))
    assert head(county).bundle("extra") == extra
    main = head(county).bundle("main")
    assert main is not None and main.version == 2
    # The old bytes stay for boxes that are under way.
    assert has(county, b"one") and has(county, b"one, better")


def test_only_what_may_be_published_is(county: County) -> None:
    county.add("r1", b"one")
    for number, fields in enumerate(
        (
            {"state": "draft"},
            {"state": "review"},
            {"state": "recalled"},
            {"state": "expired"},
            {"licence": "unknown"},
            {"licence": None},
            {"licence": "contract-until", "valid_to": "2026-11-20"},
        )
    ):
        county.add(f"no{number}", b"secret %d" % number, **fields)
    county.add("r2", b"until today", licence="contract-until", valid_to="2026-11-21")
    assert county.publish().added == 2
    assert listed(county) == ["r1", "r2"]
    # Two blobs, and the pack of both.
    assert sum(1 for path in (county.public / "blobs").rglob("*") if path.is_file()) == 3
    # Time alone ends a licence: midnight in China comes before midnight UTC.
    result = county.publish(datetime(2026, 11, 21, 16, 0, tzinfo=UTC))
    assert counts(result) == (0, 0, 1) and listed(county) == ["r1"] and not has(county, b"until today")


def test_recalled_content_goes_at_once(county: County) -> None:
    county.add("r1", b"old one", b"shared")
    county.add("r2", b"two", b"shared")
    county.publish()
    county.add("r1", b"new one", b"shared")
    county.publish()
    county.add("r1", b"new one", b"shared", state="recalled")
    assert counts(county.publish()) == (0, 0, 1)
    assert [has(county, content) for content in (b"old one", b"new one", b"shared", b"two")] == [
        False,
        False,
        True,
        True,
    ]
    # The store keeps what the tree drops: the county may take the recall back.
    county.add("r1", b"new one", b"shared")
    assert counts(county.publish()) == (1, 0, 0) and has(county, b"new one")


def test_four_releases_are_kept(county: County) -> None:
    for number in range(6):
        county.add("r1", b"edition %d" % number)
        county.publish(NOW + number * DAY)
    assert head(county).number == 6
    assert [has(county, b"edition %d" % number) for number in range(6)] == [
        False,
        False,
        True,
        True,
        True,
        True,
    ]
    assert versions(county.public, "targets") == versions(county.public, "snapshot") == {3, 4, 5, 6}
    assert len(list((county.public / "targets").glob("*.catalog.json"))) == 4
    assert len(list((county.public / "targets" / "bundles").iterdir())) == 4 * 4


def test_a_blob_that_comes_back_before_it_was_dropped_stays(county: County) -> None:
    for content in (b"a", b"b", b"c", b"d", b"e", b"a", b"b", b"c", b"d", b"e"):
        county.add("r1", content)
        county.publish()
        assert has(county, content)


def test_moving_and_dropping_bundles(county: County) -> None:
    county.add("r1", b"one")
    county.add("r2", b"two")
    county.publish()
    with county.store.library.writing() as writer:
        writer.drop_bundle("main")
    county.add("r1", b"one", bundle="other")
    result = county.publish()
    assert (result.bundles, counts(result)) == (1, (0, 1, 1))
    assert head(county).bundle("main") is None and listed(county, "other") == ["r1"]


def test_a_new_title_or_hub_name_is_a_new_release(county: County) -> None:
    county.add("r1", b"one")
    county.publish()
    county.bundle("main", "新名字")
    assert (county.publish().release, counts(county.publish())) == (2, (0, 0, 0))
    county.name = "新县名"
    assert county.publish().release == 3 and head(county).publisher == "新县名"


def test_a_missing_blob_stops_the_release_and_leaves_the_last(county: County) -> None:
    county.add("r1", b"one")
    county.publish()
    county.add("r2", b"two")
    county.store.blobs.path(sha256(b"two")).unlink()
    with pytest.raises(StorageError, match=f"E-DAMAGED.*{sha256(b'two')}"):
        county.publish()
    assert head(county).number == 1
    county.store.blobs.path(sha256(b"two")).write_bytes(b"longer")
    with pytest.raises(StorageError, match="E-DAMAGED"):
        county.publish()


def test_blobs_of_any_mode_become_readable(county: County) -> None:
    county.add("r1", b"one")
    county.store.blobs.path(sha256(b"one")).chmod(0o600)
    umask = os.umask(0o077)
    try:
        county.publish()
    finally:
        os.umask(umask)
    for path in county.public.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644), path


def test_the_preview_says_what_a_publish_then_does(county: County) -> None:
    county.add("r1", b"one", title="第一课")
    county.add("r2", b"two", title="第二课")
    county.publish()
    county.add("r1", b"one!", title="第一课 改")
    county.add("r2", b"two", title="第二课", state="recalled")
    county.add("r3", b"three", title="第三课")
    before = files(county.public)
    seen = preview(county.store.library, county.state, publisher=county.name, keys=county.keys, now=NOW)
    assert files(county.public) == before and not list((county.state / "staging").iterdir())
    (main,) = seen.bundles
    assert [[one.title for one in group] for group in (main.added, main.changed, main.gone)] == [
        ["第三课"],
        ["第一课 改"],
        ["第二课"],
    ]
    assert (seen.release, seen.changed, main.version, main.resources) == (2, True, 2, 2)
    assert (seen.bytes_new, seen.bytes_total) == (9, 9)
    assert counts(county.publish()) == (1, 1, 1)
    seen = preview(county.store.library, county.state, publisher=county.name, keys=county.keys, now=NOW)
    assert (seen.release, seen.changed, seen.bytes_new, seen.bytes_total) == (2, False, 0, 9)


def test_progress_is_told(county: County) -> None:
    county.add("r1", b"one")
    told: list[Progress] = []
    publish(
        county.store.library,
        county.store.blobs,
        county.state,
        county.keys,
        publisher="县",
        now=NOW,
        progress=told.append,
    )
    assert {one.phase for one in told} == {"manifest", "pack", "link"} and told[-1].share == 1.0


def test_other_roads_are_hinted(county: County) -> None:
    county.publish(roads=["rsync://{host}/tree"])
    assert (county.public / tree.ROADS).read_bytes() == b'{"format":1,"roads":["rsync://{host}/tree"]}'
    county.publish()
    assert not (county.public / tree.ROADS).exists()


def test_nothing_is_signed_by_a_wrong_clock(county: County) -> None:
    county.publish()
    for wrong in (datetime(1970, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC), NOW - 2 * DAY):
        with pytest.raises(ConfigError, match="E-CLOCK"):
            county.publish(wrong)
        with pytest.raises(ConfigError, match="E-CLOCK"):
            renew(county.public, county.keys, wrong)
    # Set back by minutes: signed, but with a time that does not go back.
    county.add("r1", b"one")
    county.publish(NOW - DAY / 48)
    found = current_head(county.public)
    assert found is not None and found.signed_at == NOW


def test_signatures_are_renewed_before_they_grow_old(tmp_path: Path, county: County) -> None:
    county.add("r1", b"one")
    county.publish()
    box, road = Box(tmp_path / "box", county), DirectoryRoad(county.public)
    now = NOW
    for _ in range(60):
        now += 10 * DAY
        assert renew(county.public, county.keys, now)
        assert not renew(county.public, county.keys, now)
        found = box.follow(road, now)
        assert found.release.number == 1 and found.expires - now >= LEAST_LEFT
    assert len(versions(county.public, "targets")) <= 2 + 600 * DAY // (TARGETS_LIFETIME - LEAST_LEFT)
    assert len(versions(county.public, "snapshot")) <= 3 + 600 * DAY // (SNAPSHOT_LIFETIME - LEAST_LEFT) + 4


def test_the_root_is_what_boxes_pin(county: County) -> None:
    county.publish()
    root = (county.public / tree.PINNED_ROOT).read_bytes()
    assert pin_root(root, county.identity.fingerprint).data == root


def test_a_lost_tree_is_not_begun_anew(county: County) -> None:
    county.publish()
    (county.public / tree.TIMESTAMP).unlink()
    with pytest.raises(StorageError, match=r"E-DAMAGED.*timestamp\.json.*expected 1"):
        county.publish()
