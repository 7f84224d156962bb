"""What a release offers beside plain blobs: patches, packs and torrents, their life and their end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from bench.course_files import package
from bench.edits import corrected_script
from builders import sha256
from county import DAY, NOW, County
from syncing_box import SyncingBox

from catalog.errors import StorageError
from sync import tree
from sync.formats.torrentfile import LEAST_BYTES, read_torrent
from sync.formats.transport import Offer, Offers, Pack, Patch, Torrent, read_head, read_offers, read_transport
from sync.parcels import packs, patches
from sync.parcels.packs import unpack
from sync.publishing import bundle_files, offering
from sync.publishing import publish as publishing
from sync.publishing.publish import preview
from sync.roads.staging import Staging
from sync.trust.heads import current_head


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        yield county


def lines(county: County, bundle: str = "main") -> list[bytes]:
    head = current_head(county.public)
    found = head.release.bundle(bundle) if head else None
    assert found is not None
    text = (county.public / found.transport.plain.path).read_bytes().splitlines()
    first = read_head(text[0], where=bundle)
    assert (first.bundle, first.version, first.manifest) == (
        bundle,
        found.version,
        found.manifest.plain.sha256,
    )
    return text


def offers(county: County, bundle: str = "main") -> list[Offer]:
    """Return all that the bundle offers; each is in the tree, whole and readable by all."""
    found = list(read_transport(lines(county, bundle), where=bundle))
    for one in found:
        path = county.public / one.file.path
        data = path.read_bytes()
        assert (len(data), sha256(data)) == (one.file.size_bytes, one.file.sha256)
        assert path.stat().st_mode & 0o777 == 0o644
        # In the tree alone: the hub's store is for content.
        assert not county.store.blobs.path(one.file.sha256).exists()
    return found


def patches_of(county: County) -> set[tuple[str, str, int]]:
    """Return the patches as (source, target, release)."""
    return {(one.source, one.target, one.release) for one in offers(county) if isinstance(one, Patch)}


def packs_of(county: County) -> list[Pack]:
    return [one for one in offers(county) if isinstance(one, Pack)]


def torrents_of(county: County, bundle: str = "main") -> dict[str, Torrent]:
    return {one.blob: one for one in offers(county, bundle) if isinstance(one, Torrent)}


def standing(county: County) -> set[str]:
    return {path.name for path in (county.public / "blobs").rglob("*") if path.is_file()}


def edition(number: int) -> bytes:
    """Return one of a series of texts, each an edit of the one before."""
    rows = package(1, 60_000).split(b"\n")
    for row in range(number):
        rows[row * 3] = b"edited %d" % row
    return b"\n".join(rows)


def large(seed: int, size_bytes: int = LEAST_BYTES) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


def spoil(county: County, data: bytes) -> None:
    """Overwrite a blob in the store: whoever reads it again fails."""
    path = county.store.blobs.path(sha256(data))
    path.unlink()
    path.write_bytes(b"?" * len(data))


def test_files_below_a_torrent_are_packed_apart_and_their_pack_has_one(county: County) -> None:
    medium = [large(number, 1_300_000) for number in range(4)]
    for number, data in enumerate(medium):
        county.add(f"m{number}", data)
        county.add(f"s{number}", large(100 + number, 1000))
    county.add("film", large(9))
    county.publish()
    found = offers(county)
    packed = {
        frozenset(member.sha256 for member in one.members): one for one in found if isinstance(one, Pack)
    }
    of_medium = packed[frozenset(map(sha256, medium))]
    assert len(packed) == 2 and of_medium.file.size_bytes == 4 * 1_300_000
    seeded = {one.blob for one in found if isinstance(one, Torrent)}
    assert seeded == {of_medium.file.sha256, sha256(large(9))}


def test_an_edited_file_is_offered_as_a_patch(county: County, tmp_path: Path) -> None:
    before, after = corrected_script(1)
    county.add("r1", before)
    county.publish()
    assert offers(county) == []
    county.add("r1", after)
    county.publish()
    ((source, target, release),) = patches_of(county)
    assert (source, target, release) == (sha256(before), sha256(after), 1)
    (patch,) = (one for one in offers(county) if isinstance(one, Patch))
    for name, sha in (("source", source), ("patch", patch.file.sha256)):
        (tmp_path / name).write_bytes((county.public / tree.blob_path(sha)).read_bytes())
    patches.apply(patch, tmp_path / "source", tmp_path / "patch", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == after


def test_older_boxes_are_offered_patches_for_four_releases(county: County) -> None:
    names = [sha256(edition(number)) for number in range(8)]
    for number in range(7):
        county.add("r1", edition(number))
        county.publish(NOW + number * DAY)
        release = number + 1
        expected = {
            (names[old], names[number], old + 1)
            for old in range(number)
            if old + 1 >= release - offering.OFFERED_RELEASES
        }
        assert patches_of(county) == expected
    # The others, and the packs that had them, are no longer in the tree; those of kept releases are.
    kept = {names[number] for number in range(3, 7)}
    assert kept <= standing(county) and not {names[0], names[1], names[2]} & standing(county)
    # A release without an edit of the file carries the patches on while they are young.
    for number in range(7, 12):
        county.add("r2", b"another %d" % number)
        county.publish(NOW + number * DAY)
        release = number + 1
        assert patches_of(county) == {
            (names[old], names[6], old + 1)
            for old in range(6)
            if old + 1 >= release - offering.OFFERED_RELEASES
        }


def test_files_are_followed_by_their_place_in_the_record(county: County) -> None:
    one, two = edition(0), package(2, 60_000)
    county.add("r1", one, two)
    county.publish()
    # Both are called 课.mp4: nothing says which became which, so what is offered is right or nothing.
    county.add("r1", edition(1), two + b"\n//")
    county.publish()
    assert all(source in {sha256(one), sha256(two)} for source, _, _ in patches_of(county))


def test_a_file_that_became_another_has_no_patch(county: County) -> None:
    county.add("r1", large(1, 50_000))
    county.publish()
    county.add("r1", large(2, 50_000))
    county.publish()
    assert patches_of(county) == set()


def test_small_new_files_travel_as_one_pack(county: County, tmp_path: Path) -> None:
    contents = [b"small %d " % number * 40 for number in range(30)]
    for number, data in enumerate(contents):
        county.add(f"r{number}", data)
    county.add("video", large(1))
    county.publish()
    (pack,) = packs_of(county)
    torrent = torrents_of(county)[sha256(large(1))]
    # The `.torrent` file is a small blob as well.
    assert {member.sha256 for member in pack.members} == {*map(sha256, contents), torrent.file.sha256}
    with Staging(tmp_path / "staging") as staging:
        taken = unpack(pack, county.public / pack.file.path, lambda _: True, staging)
        assert {sha256(one.path.read_bytes()) for one in taken} == {one.sha256 for one in pack.members}
    wanted = set(map(sha256, contents[:3]))
    kept = read_offers(lines(county), where="t", wanted=wanted.__contains__, has=lambda _: False)
    assert kept == Offers(packs=(pack,))
    # A title alone makes no blob and no pack.
    county.add("r3", contents[3], title="新题目")
    county.publish()
    assert packs_of(county) == [pack]


def test_patches_and_whole_editions_lie_in_packs_of_their_own(county: County) -> None:
    texts = [package(number, 40_000) for number in range(5)]
    for number, data in enumerate(texts):
        county.add(f"r{number}", data)
    county.publish()
    (first,) = packs_of(county)
    for number, data in enumerate(texts):
        county.add(f"r{number}", data + b"// edited")
    county.add("new", b"new one")
    county.publish()
    found = packs_of(county)
    # The first one has editions that no record names: it is offered no more, and goes with its release.
    assert first not in found and first.file.sha256 in standing(county)
    light, whole = sorted(found, key=lambda pack: pack.file.size_bytes)
    patch_files = {one.file.sha256 for one in offers(county) if isinstance(one, Patch)}
    assert {member.sha256 for member in light.members} == {*patch_files, sha256(b"new one")}
    assert {member.sha256 for member in whole.members} == {sha256(data + b"// edited") for data in texts}
    for number in range(8):
        county.add("other", b"other %d" % number)
        county.publish()
    assert packs_of(county) == [] and not {first.file.sha256, light.file.sha256} & standing(county)


def test_only_so_much_is_packed(county: County, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "MAX_RELEASE_BYTES", 100)
    monkeypatch.setattr(packs.choose, "__defaults__", (100,))
    for number in range(1, 9):
        county.add(f"r{number}", b"%d" % number * 10 * number)
    county.publish()
    (pack,) = packs_of(county)
    assert [member.size_bytes for member in pack.members] == [10, 20, 30, 40]


def test_a_torrent_is_made_once(county: County) -> None:
    video = large(1)
    county.add("v", video, b"cover")
    county.publish()
    torrent = torrents_of(county)[sha256(video)]
    data = (county.public / torrent.file.path).read_bytes()
    made = read_torrent(data, sha256=sha256(video), size_bytes=len(video))
    assert (made.v1, made.v2, made.pieces_root, made.piece_length) == (
        torrent.v1,
        torrent.v2,
        torrent.pieces_root,
        torrent.piece_length,
    )
    inode = (county.public / torrent.file.path).stat().st_ino
    spoil(county, video)
    # Carried over by other changes, by an edit of the record itself, by a second bundle, by a move.
    county.add("x", b"other")
    county.publish()
    county.add("v", video, b"cover", title="新题目")
    county.publish()
    county.add("w", video, bundle="more")
    county.publish()
    assert torrents_of(county)[sha256(video)] == torrents_of(county, "more")[sha256(video)] == torrent
    with county.store.library.writing() as writer:
        writer.drop_bundle("main")
    county.publish()
    assert torrents_of(county, "more") == {sha256(video): torrent}
    assert (county.public / torrent.file.path).stat().st_ino == inode
    # Another video is read, and only that.
    county.add("z", large(2), bundle="more")
    county.publish()
    assert len(torrents_of(county, "more")) == 2


def test_a_torrent_that_left_the_tree_is_made_again(county: County) -> None:
    county.add("v", large(1))
    county.publish()
    torrent = torrents_of(county)[sha256(large(1))]
    county.add("v", large(1), state="recalled")
    county.publish()
    for number in range(4):
        county.add("x", b"other %d" % number)
        county.publish()
    assert torrent.file.sha256 not in standing(county)
    county.add("v", large(1))
    county.publish()
    assert torrents_of(county) == {sha256(large(1)): torrent}


def test_a_damaged_blob_stops_the_release(county: County) -> None:
    county.add("r1", b"one")
    county.publish()
    county.add("v", large(1))
    spoil(county, large(1))
    with pytest.raises(StorageError, match=f"E-DAMAGED.*{sha256(large(1))}"):
        county.publish()
    assert lines(county) and not torrents_of(county)


def test_what_is_taken_back_leaves_the_packs_and_patches_of_all_releases(county: County) -> None:
    secret = package(7, 30_000)
    for number in range(4):
        county.add(f"r{number}", package(number, 20_000))
    county.add("secret", secret)
    county.publish()
    (first,) = packs_of(county)
    for number in range(4):
        county.add(f"r{number}", package(number, 20_000) + b"//")
    county.add("secret", secret + b"// edited")
    county.publish()
    second = packs_of(county)
    patch_files = {
        one.file.sha256
        for one in offers(county)
        if isinstance(one, Patch) and one.target == sha256(secret + b"// edited")
    }
    assert first.file.sha256 in standing(county) and patch_files
    county.add("secret", secret + b"// edited", state="recalled")
    county.publish()
    gone = {first.file.sha256, *(pack.file.sha256 for pack in second), *patch_files}
    gone |= {sha256(secret), sha256(secret + b"// edited")}
    assert not gone & standing(county)
    for path in (county.public / "blobs").rglob("*"):
        assert not path.is_file() or secret[:200] not in path.read_bytes()
    # Patches of other files stay.
    assert len(patches_of(county)) == 4


def test_what_moved_to_another_bundle_and_is_taken_back_there_leaves_the_packs(county: County) -> None:
    for number in range(3):
        county.add(f"r{number}", b"common %d" % number)
    county.add("secret", b"the secret")
    county.publish()
    with county.store.library.writing() as writer:
        writer.remove_resources("main", ["secret"])
    county.add("secret", b"the secret", bundle="more")
    county.publish()
    county.add("secret", b"the secret", bundle="more", state="recalled")
    county.publish()
    for path in (county.public / "blobs").rglob("*"):
        assert not path.is_file() or b"the secret" not in path.read_bytes()


def test_unchanged_input_offers_the_same(county: County) -> None:
    before, after = corrected_script(1)
    county.add("r1", before)
    county.add("v", large(1))
    county.publish()
    county.add("r1", after)
    county.publish()
    text, found = lines(county), standing(county)
    for number in range(1, 4):
        assert not county.publish(NOW + number * timedelta(hours=1)).published
        assert (lines(county), standing(county)) == (text, found)
    assert not list((county.state / "staging").iterdir())


def test_equal_counties_offer_equal_bytes(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        with County(tmp_path / name) as county:
            for data in corrected_script(1):
                county.add("r1", data)
                county.add("v", large(1))
                for number in range(5):
                    county.add(f"s{number}", data[number * 100 : number * 100 + 5000])
                county.publish()
            found.append((lines(county), standing(county)))
    assert found[0] == found[1]


def test_a_preview_makes_nothing_of_this(county: County) -> None:
    county.add("v", large(1))
    county.add("r1", b"one")
    county.publish()
    county.add("w", large(2))
    spoil(county, large(2))
    seen = preview(county.store.library, county.state, publisher=county.name, keys=county.keys, now=NOW)
    assert seen.changed and seen.bytes_new == LEAST_BYTES


def test_what_was_published_before_there_were_torrents_gets_them(
    county: County, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old, other, small = large(1), large(2), b"a text"
    # As this program was before: no torrents, and no word on what is offered.
    with monkeypatch.context() as before:
        before.setattr(offering, "LEAST_BYTES", 1 << 40)
        before.setattr(publishing, "remember_transport", lambda *_: None)
        county.add("film", old)
        county.add("text", small)
        county.add("other", other, bundle="second")
        county.publish()
        assert torrents_of(county) == torrents_of(county, "second") == {}
    head = current_head(county.public)
    assert head is not None
    with SyncingBox(tmp_path / "box", county) as box:
        box.update(county.public)
        # One bundle is unchanged, the other gets one record more.
        county.add("new", b"another", bundle="second")
        result = county.publish(NOW + DAY)
        assert result.published and (result.added, result.changed) == (1, 0)
        now = current_head(county.public)
        assert now is not None
        main, then = now.release.bundle("main"), head.release.bundle("main")
        assert main is not None and then is not None
        assert (main.version, main.manifest) == (then.version, then.manifest)
        assert main.transport != then.transport
        assert set(torrents_of(county)) == {sha256(old)}
        assert set(torrents_of(county, "second")) == {sha256(other)}
        update = box.update(county.public, now=NOW + DAY)
        assert update.failure is None and not update.warnings and update.fetched_blobs == 1
    # It is looked at once.
    assert not county.publish(NOW + 2 * DAY).published
    monkeypatch.setattr(bundle_files, "manifest_lines", None)
    assert not county.publish(NOW + 3 * DAY).published


def test_a_bundle_without_torrents_whose_film_is_lost_is_published_as_it_was(
    county: County, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(offering, "LEAST_BYTES", 1 << 40)
        before.setattr(publishing, "remember_transport", lambda *_: None)
        county.add("film", large(1))
        county.publish()
    county.store.blobs.path(sha256(large(1))).unlink()
    assert not county.publish(NOW + DAY).published
