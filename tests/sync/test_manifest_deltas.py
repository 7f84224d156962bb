"""Deltas of manifests end to end: made by a hub, fetched and applied by a box; bad ones cost only themselves."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from backports.zstd import ZstdCompressor
from backports.zstd import compress as zstd
from builders import resource, sha256
from county import DAY, NOW, County
from hostile import HostileHub, Misbehaviour
from syncing_box import SyncingBox
from wsgi import address_of

from catalog.blobs import Blob, Staged
from catalog.resource import canonical_json
from sync import tree
from sync.export import export
from sync.formats.linedelta import DeltaHead, read_head, write_delta
from sync.formats.release import BundleHead, LineDelta, Release, delta_blob, transport_twin
from sync.formats.transport import TransportHead, head_line
from sync.publishing import deltas
from sync.publishing.bundle_files import compress, measure
from sync.serve import held_tree
from sync.trust.heads import Head, current_head
from sync.updating import catalogue, manifest_door
from sync.updating.manifest_door import ManifestDoor, _works
from sync.updating.manifests import manifest_lines, standing, transport_lines

RECORDS = 60


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as found:
        fill(found)
        found.publish()
        yield found


def fill(county: County, bundle: str = "main") -> None:
    """Enough of a catalogue that a delta is worth its entry, with one small blob."""
    dice = random.Random(bundle)
    for number in range(RECORDS):
        county.add(f"{bundle[0]}{number:04}", bundle=bundle, description=dice.randbytes(100).hex())
    county.add(f"{bundle[0]}x", bundle.encode(), bundle=bundle)


def edit(county: County, resource_id: str, title: str) -> None:
    county.add(resource_id, title=title, description=random.Random(title).randbytes(100).hex())


def release(county: County) -> Release:
    head = current_head(county.public)
    assert head is not None
    return head.release


def main(county: County) -> BundleHead:
    found = release(county).bundle("main")
    assert found is not None
    return found


def blobs(county: County) -> set[str]:
    return {path.name for path in (county.public / "blobs").rglob("*") if path.is_file()}


# -- made at the hub -------------------------------------------------------------------------------------------------


def test_a_release_names_deltas_from_the_last_three(county: County) -> None:
    assert main(county).deltas == ()
    edit(county, "m0001", "新题目")
    result = county.publish(NOW + DAY)
    (one,) = main(county).deltas
    assert one.source == 1 and one.transport is None and one.manifest is not None
    data = (county.public / one.manifest.path).read_bytes()
    assert (sha256(data), len(data)) == (one.manifest.sha256, one.manifest.size_bytes)
    assert len(data) < main(county).manifest.zst.size_bytes / 10
    with (county.public / one.manifest.path).open("rb") as stream:
        assert read_head(stream, where="").target == main(county).manifest.plain.sha256
    catalog = len(release(county).to_bytes())
    assert result.bytes_new == len(data) + main(county).transport.zst.size_bytes + catalog
    for day in (2, 3, 4):
        edit(county, f"m000{day}", f"新题目{day}")
        county.publish(NOW + DAY * day)
    assert [delta.source for delta in main(county).deltas] == [4, 3, 2]


def test_deltas_are_made_alike_again_and_stay_with_an_unchanged_bundle(county: County) -> None:
    fill(county, "extra")
    edit(county, "m0001", "新题目")
    county.publish(NOW + DAY)
    before = main(county)
    assert before.deltas
    for day in range(2, 7):
        county.add("ey", str(day).encode(), bundle="extra")
        county.publish(NOW + DAY * day)
    assert main(county) == before
    assert before.deltas[0].manifest is not None
    assert before.deltas[0].manifest.sha256 in blobs(county)


def test_deltas_are_swept_with_the_releases_that_they_lead_to(county: County) -> None:
    content = {sha256(b"main")}
    for day in range(1, 9):
        edit(county, f"m000{day}", f"新题目{day}")
        county.publish(NOW + DAY * day)
    kept = [Release.from_bytes(path.read_bytes()) for path in (county.public / "targets").glob("*.json")]
    assert len(kept) == 4
    assert blobs(county) == content | {file.sha256 for one in kept for file in one.deltas()}


def test_a_small_or_rewritten_manifest_has_no_delta(county: County) -> None:
    county.add("one", bundle="small")
    county.publish(NOW + DAY)
    county.add("two", bundle="small")
    for number in range(RECORDS):
        edit(county, f"m{number:04}", f"全部换新{number}")
    county.publish(NOW + DAY * 2)
    assert all(bundle.deltas == () for bundle in release(county).bundles)


def test_a_bundle_that_begins_anew_has_no_deltas(county: County) -> None:
    edit(county, "m0001", "新题目")
    county.publish(NOW + DAY)
    with county.store.library.writing() as writer:
        ids = [key for key, _ in writer.reader().digests("main")]
        writer.remove_resources("main", ids)
        writer.drop_bundle("main")
    county.publish(NOW + DAY * 2)
    fill(county)
    county.publish(NOW + DAY * 3)
    assert (main(county).version, main(county).deltas) == (1, ())


def test_every_name_in_the_tree_is_one_of_a_tree(county: County) -> None:
    edit(county, "m0001", "新题目")
    county.publish(NOW + DAY)
    for path in county.public.rglob("*"):
        assert path.is_dir() or tree.parse(str(path.relative_to(county.public))), path
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644)


# -- applied at a box ------------------------------------------------------------------------------------------------


@pytest.fixture
def box(tmp_path: Path, county: County) -> Iterator[SyncingBox]:
    with SyncingBox(tmp_path / "box", county) as box:
        assert box.update(county.public).release == 1
        yield box


def later(county: County, releases: int = 1) -> None:
    """Publish `releases` times; each edits a record, adds one and takes one away."""
    for _ in range(releases):
        number = release(county).number
        edit(county, f"m{number:04}", f"修订{number}")
        county.add(f"new{number}", title="新来的", description=random.Random(number).randbytes(60).hex())
        with county.store.library.writing() as writer:
            writer.remove_resources("main", [f"m{number + 30:04}"])
        county.publish(NOW + DAY * number)


def same_catalogue(county: County, box: SyncingBox) -> None:
    """The box shows what the hub published, and holds it in the bytes that were signed."""
    new = 0
    for bundle in release(county).bundles:
        for twin in (bundle.manifest, bundle.transport):
            form = standing(box.state / "trust", twin)
            assert form is not None
            assert sha256((box.state / "trust" / form.path).read_bytes()) == form.sha256
        with box.library.reading() as reader:
            held = [line.rstrip(b"\n") for line in reader.lines(bundle.id)]
        assert held == list(manifest_lines(box.state / "trust", bundle))[1:]
        new += sum(b'"id":"new' in line for line in held)
    assert box.found("新来的") == new
    box.check()


def asked(hub: HostileHub) -> set[str]:
    """What kinds of files were asked for, and how."""
    names = [tree.parse(path.removeprefix("/")) for path, _ in hub.requests]
    return {f"{name.kind}{'.zst' if name.compressed else ''}" for name in names if name}


@pytest.mark.parametrize("behind", [1, 2, 3])
def test_a_box_that_is_a_little_behind_takes_a_delta(
    county: County, box: SyncingBox, behind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(county, behind)
    monkeypatch.setattr(catalogue, "_compare", lambda *_: pytest.fail("the whole manifest was compared"))
    with HostileHub(county.public) as hub:
        result = box.update(hub.address)
        assert result.failure is None and result.warnings == () and result.release == behind + 1
        assert asked(hub) >= {"blob", "timestamp"} and "manifest.zst" not in asked(hub)
    assert not list((box.state / "staging").glob("*.made"))
    same_catalogue(county, box)
    assert standing(box.state / "trust", main(county).manifest) == main(county).manifest.zst
    # A delta is no content: the box has the one small blob.
    assert box.held() == {sha256(b"main")}


@pytest.mark.parametrize("behind", [4, 10])
def test_a_box_that_is_far_behind_takes_the_whole(county: County, box: SyncingBox, behind: int) -> None:
    later(county, behind)
    with HostileHub(county.public) as hub:
        assert box.update(hub.address).warnings == ()
        assert "manifest.zst" in asked(hub) and "blob" not in asked(hub)
    same_catalogue(county, box)


def test_week_by_week_by_deltas(county: County, box: SyncingBox) -> None:
    for _ in range(6):
        later(county)
        with HostileHub(county.public) as hub:
            assert box.update(hub.address).warnings == ()
            assert "manifest.zst" not in asked(hub)
        same_catalogue(county, box)


def test_without_the_old_manifest_the_whole_comes(county: County, box: SyncingBox) -> None:
    (box.state / "trust" / main(county).manifest.zst.path).unlink()
    later(county)
    assert box.update(county.public).warnings == ()
    same_catalogue(county, box)


def test_a_damaged_old_manifest_costs_the_whole(county: County, box: SyncingBox) -> None:
    place = box.state / "trust" / main(county).manifest.zst.path
    data = bytearray(place.read_bytes())
    data[len(data) // 2] ^= 1
    place.write_bytes(data)
    later(county)
    result = box.update(county.public)
    assert result.failure is None and [one.exit_code for one in result.warnings] in ([10], [14])
    same_catalogue(county, box)


def test_a_delta_that_no_road_has_is_no_fault(county: County, box: SyncingBox) -> None:
    later(county)
    for file in release(county).deltas():
        (county.public / file.path).unlink()
    result = box.update(county.public)
    assert result.failure is None and result.warnings == ()
    same_catalogue(county, box)


def test_a_delta_whose_bytes_are_wrong_on_the_road_is_told(county: County, box: SyncingBox) -> None:
    later(county)
    (file,) = release(county).deltas()
    with HostileHub(county.public, Misbehaviour(file.sha256, swap=b"x")) as hub:
        result = box.update(hub.address)
    assert result.failure is None and [one.code for one in result.warnings] == ["E-HASH"]
    same_catalogue(county, box)


def test_a_library_that_is_not_what_it_should_be_is_compared_in_whole(
    county: County, box: SyncingBox
) -> None:
    with box.library.writing() as writer:
        writer.put_resource(resource("m0001", "走样"), "main")
    later(county)
    assert box.update(county.public).warnings == ()
    same_catalogue(county, box)


def test_a_new_record_that_the_library_has_already_is_compared_in_whole(
    county: County, box: SyncingBox
) -> None:
    with box.library.writing() as writer:
        writer.put_resource(resource("new1", "不该在这里"), "main")
    later(county)
    assert box.update(county.public).warnings == ()
    same_catalogue(county, box)


def test_more_changes_than_are_noted_are_compared_in_whole(
    county: County, box: SyncingBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(county)
    monkeypatch.setattr(manifest_door, "MOST_KNOWN", 3)
    with HostileHub(county.public) as hub:
        box.update(hub.address)
        assert "manifest.zst" not in asked(hub)
    same_catalogue(county, box)


def test_another_edition_of_zstd_keeps_the_plain_form_and_passes_it_on(
    county: County, box: SyncingBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(county)
    with monkeypatch.context() as patch:
        patch.setattr(manifest_door, "ZstdCompressor", lambda level: ZstdCompressor(level=1))
        assert box.update(county.public).warnings == ()
    assert standing(box.state / "trust", main(county).manifest) == main(county).manifest.plain
    same_catalogue(county, box)
    with SyncingBox(tmp_path / "other", county) as other:
        app = held_tree(
            box.state / "trust", box.blobs.path, lambda sha256: sha256 in box.held(), box.state / "parcels"
        )
        with address_of(app) as address:
            assert other.update(address).failure is None
        same_catalogue(county, other)
    export(box.library, box.blobs, box.state / "trust", tmp_path / "stick")
    with SyncingBox(tmp_path / "third", county) as third:
        assert third.update(tmp_path / "stick").failure is None
        same_catalogue(county, third)
    # And the next delta starts from the plain form.
    later(county)
    with HostileHub(county.public) as hub:
        assert box.update(hub.address).warnings == ()
        assert "manifest.zst" not in asked(hub)
    same_catalogue(county, box)


def test_a_box_gives_the_delta_that_it_took(county: County, box: SyncingBox, tmp_path: Path) -> None:
    with SyncingBox(tmp_path / "other", county) as other:
        other.update(county.public)
        for _ in range(4):
            later(county)
            box.update(county.public)
            # As a box's tree is: its metadata, and blobs.
            app = held_tree(box.state / "trust", box.blobs.path, lambda _: False, box.state / "parcels")
            with address_of(app) as address:
                result = other.update(address)
            assert result.warnings == ()
            (delta,) = main(county).deltas[0].files()
            assert (other.state / "trust" / delta.path).exists()
            same_catalogue(county, other)
    # Those of the releases that are held stay, older ones go.
    assert len(list((box.state / "trust" / "blobs").glob("*/*"))) <= 3


def test_a_dry_run_brings_the_lists_and_the_run_after_it_goes_on(county: County, box: SyncingBox) -> None:
    later(county)
    box.preview(county.public)
    assert box.library.generation().release == 1
    assert box.update(county.public).warnings == ()
    same_catalogue(county, box)


def test_a_transport_file_travels_by_delta_too(county: County, box: SyncingBox, tmp_path: Path) -> None:
    """Line deltas do not ask what the lines are; here a tree is made whose transport file has many."""
    work = tmp_path / "work"
    work.mkdir()
    dice = random.Random(8)
    ways = [
        canonical_json({"id": f"later/{n:04}", "x": dice.randbytes(40).hex()}) + b"\n" for n in range(300)
    ]
    heads = []
    for version in (1, 2):
        plain = work / f"{version}.jsonl"
        first = TransportHead(bundle="main", version=version, manifest="0" * 64)
        plain.write_bytes(head_line(first) + b"".join(ways[version:]))
        packed = plain.with_suffix(".zst")
        twin = transport_twin("main", measure(plain), compress(plain, packed))
        heads.append(replace(main(county), version=version, transport=twin))
        for file, path in ((plain, twin.plain.path), (packed, twin.zst.path)):
            copy = (box.state / "trust" if version == 1 else work / "tree") / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    delta = work / "delta"
    source, target = (head.transport.plain.sha256 for head in heads)
    with delta.open("wb") as out:
        lines = [(work / f"{version}.jsonl").read_bytes().splitlines(keepends=True) for version in (1, 2)]
        head = DeltaHead(source=source, target=target, level=6)
        assert write_delta(head, *lines, out, most_bytes=1000)
    file = delta_blob(measure(delta))
    new = replace(heads[1], deltas=(LineDelta(source=1, transport=file),))
    door = ManifestDoor(replace(release(county), bundles=(new,)), box.state / "trust", box.state / "staging")
    before = replace(release(county), bundles=(heads[0],))
    (one,) = _works(new, [Head(snapshot=1, targets=1, catalog_sha256="0" * 64, release=before)])
    door._works[file.sha256] = one
    staged = box.state / "staging" / file.sha256
    staged.write_bytes(delta.read_bytes())
    assert door([Staged(path=staged, blob=Blob(sha256=file.sha256, size_bytes=file.size_bytes))]) == []
    assert door.warnings == [] and door.changes == {}
    assert list(transport_lines(box.state / "trust", new))[1:] == [way.rstrip() for way in ways[2:]]


# -- hostile ---------------------------------------------------------------------------------------------------------


def frames(head: DeltaHead, *parts: object) -> bytes:
    fields = {"format": 1, "from": head.source, "level": head.level, "to": head.target}
    packed = (part if isinstance(part, bytes) else canonical_json(part) for part in (fields, *parts))
    return b"".join(map(zstd, packed))


def bomb(head: DeltaHead, _: bytes) -> bytes:
    """A body of 4 kB that goes on for 128 MB."""
    compressor = ZstdCompressor()
    body = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(128)) + compressor.flush()
    return frames(head, [0, 0, 1]) + body


LIES: dict[str, Callable[[DeltaHead, bytes], bytes]] = {
    "a body without end": bomb,
    "endless copies": lambda head, _: frames(head, [1 << 40, 0, 1], b"\n"),
    "of something else": lambda head, data: frames(replace(head, source="0" * 64)) + data[200:],
    "to something else": lambda head, data: frames(replace(head, target="0" * 64)) + data[200:],
    "nothing": lambda head, _: frames(head),
    "cut short": lambda _, data: data[: len(data) // 2],
    "noise": lambda head, data: bytes(len(data)),
    "lines in another order": lambda head, _: frames(head, [0, 0, 24], b'{"id":"z"}\n{"id":"a"}\n\n\n'),
    "a line twice": lambda head, _: frames(head, [0, 0, 22], b'{"id":"a"}\n{"id":"a"}\n'),
    "too much": lambda head, _: frames(head, [0, 0, 4 << 20], b"\n" * (4 << 20)),
    "parts of lines": lambda head, _: frames(head, [5, 3, 0], b""),
}


@pytest.mark.parametrize("name", LIES)
def test_a_signed_lie_costs_a_word_and_the_whole_file(
    name: str, county: County, box: SyncingBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lie(
        head: DeltaHead, old: Iterable[bytes], new: Iterable[bytes], out: BinaryIO, *, most_bytes: int
    ) -> bool:
        honest = io.BytesIO()
        assert write_delta(head, old, new, honest, most_bytes=most_bytes)
        return bool(out.write(LIES[name](head, honest.getvalue())))

    monkeypatch.setattr(deltas, "write_delta", lie)
    later(county)
    result = box.update(county.public)
    assert result.failure is None
    assert [one.code for one in result.warnings] == ["E-DELTA"]
    same_catalogue(county, box)
    assert not list((box.state / "staging").glob("*.made"))


def test_a_delta_that_claims_to_be_longer_than_the_whole_is_not_asked_for(
    county: County, box: SyncingBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deltas, "delta_blob", lambda found: replace(delta_blob(found), size_bytes=1 << 40))
    later(county)
    with HostileHub(county.public) as hub:
        assert box.update(hub.address).warnings == ()
        assert "manifest.zst" in asked(hub) and "blob" not in asked(hub)
    same_catalogue(county, box)


def test_the_delta_of_another_bundle_is_refused(
    county: County, box: SyncingBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(county, "extra")
    county.publish(NOW + DAY)
    box.update(county.public)
    made: list[bytes] = []

    def swapped(
        head: DeltaHead, old: Iterable[bytes], new: Iterable[bytes], out: BinaryIO, *, most_bytes: int
    ) -> bool:
        honest = io.BytesIO()
        assert write_delta(head, old, new, honest, most_bytes=most_bytes)
        made.append(honest.getvalue())
        return bool(out.write(made[0]))

    monkeypatch.setattr(deltas, "write_delta", swapped)
    county.add("ey", bundle="extra")
    later(county)
    assert len(made) >= 2
    result = box.update(county.public)
    assert result.failure is None and {one.code for one in result.warnings} == {"E-DELTA"}
    same_catalogue(county, box)


def test_the_two_deltas_of_a_bundle_come_in_any_order(tmp_path: Path) -> None:
    """Over several connections the manifest's may be applied before or after that of the transport file."""
    with County(tmp_path / "many") as county:
        noise = random.Random(5)
        # A pack of many members makes a transport file that is worth a delta.
        for number in range(300):
            county.add(f"s{number:04}", noise.randbytes(300), description=noise.randbytes(60).hex())
        county.publish()
        with SyncingBox(tmp_path / "first", county) as first, SyncingBox(tmp_path / "last", county) as last:
            for box in (first, last):
                assert box.update(county.public).failure is None
            for number in range(4):
                county.add(f"t{number}", noise.randbytes(300), title=f"新课{number}")
            county.publish(NOW + DAY)
            (delta,) = main(county).deltas
            assert delta.manifest is not None and delta.transport is not None
            for box, late in ((first, delta.manifest), (last, delta.transport)):
                wrong = Misbehaviour(late.sha256, times=1, status=503)
                with HostileHub(county.public, wrong) as hub:
                    result = box.update(hub.address)
                    assert result.failure is None and not result.warnings, late
                    assert {delta.manifest.path, delta.transport.path} <= {path for path, _ in hub.requests}
                assert box.found("新课") == 4
                box.check()
