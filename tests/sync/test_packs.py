"""Packs: what goes in comes out, the bounds hold, a wrong pack shows nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders import Store, sha256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.blobs import Blob
from catalog.errors import ContentError, StorageError
from sync.formats.transport import Member, offer_line, read_transport
from sync.parcels import packs
from sync.parcels.packs import MadePack, Packable, choose, make, unpack
from sync.roads.staging import Staging


@pytest.fixture
def staging(tmp_path: Path) -> Iterator[Staging]:
    with Staging(tmp_path / "staging") as staging:
        yield staging


def packable(directory: Path, data: bytes) -> Packable:
    path = directory / sha256(data)
    path.write_bytes(data)
    return Packable(blob=Blob(sha256=sha256(data), size_bytes=len(data)), path=path)


def pack_of(directory: Path, *contents: bytes) -> MadePack:
    (made,) = make([packable(directory, data) for data in contents], directory, release=7)
    return made


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    contents=st.lists(st.binary(min_size=1, max_size=300), min_size=2, max_size=20, unique=True),
    data=st.data(),
)
def test_what_goes_in_comes_out(
    contents: list[bytes], data: st.DataObject, tmp_path: Path, staging: Staging
) -> None:
    made = pack_of(tmp_path, *contents)
    assert made.path.read_bytes() == b"".join(contents)
    assert made.pack.file.sha256 == sha256(b"".join(contents)) and made.pack.release == 7
    head = b'{"bundle":"b","format":1,"manifest":"%s","version":1}' % sha256(b"m").encode()
    assert list(read_transport([head, offer_line(made.pack)], where="t")) == [made.pack]
    wanted = {sha256(one) for one in data.draw(st.lists(st.sampled_from(contents)))}
    taken = unpack(made.pack, made.path, wanted.__contains__, staging)
    assert {one.blob.sha256 for one in taken} == wanted
    for one in taken:
        content = one.path.read_bytes()
        assert one.path == staging.path(one.blob.sha256) and sha256(content) == one.blob.sha256
        assert len(content) == one.blob.size_bytes
        staging.forget(one.blob.sha256)


def test_packs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "MAX_PACK_BYTES", 100)
    monkeypatch.setattr(packs, "MAX_PACK_MEMBERS", 3)
    members = [packable(tmp_path, b"%02d" % number * size) for number, size in enumerate([1] * 7 + [20] * 4)]
    made = make(members, tmp_path, release=1)
    assert [len(one.pack.members) for one in made] == [3, 3, 3, 2]
    assert [one.pack.file.size_bytes for one in made] == [6, 6, 82, 80]
    # One alone at the end is no pack.
    assert len(make(members[:4], tmp_path, release=1)) == 1
    assert make(members[:1], tmp_path, release=1) == [] == make([], tmp_path, release=1)
    # Two patches may be the same bytes.
    (twice,) = make([members[0], members[1], members[0]], tmp_path, release=1)
    assert len(twice.pack.members) == 2


def test_larger_members_lie_in_packs_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "SMALL_BYTES", 10)
    monkeypatch.setattr(packs, "MEDIUM_PACK_BYTES", 100)
    sizes = [5, 30, 6, 40, 10, 50, 11]
    members = [packable(tmp_path, b"%d" % number * size) for number, size in enumerate(sizes)]
    made = make(members, tmp_path, release=1)
    assert [[one.size_bytes for one in each.pack.members] for each in made] == [
        [5, 6, 10],
        [30, 40],
        [50, 11],
    ]


def test_the_smallest_are_chosen_and_stay_in_order() -> None:
    blobs = [Blob(sha256=sha256(b"%d" % size), size_bytes=size) for size in (50, 10, 40, 0, 4 << 20, 30, 10)]
    assert [one.size_bytes for one in choose(blobs)] == [50, 10, 40, 30]
    assert [one.size_bytes for one in choose(blobs, 85)] == [10, 40, 30]
    assert choose(blobs, 5) == []


def test_a_cut_pack_is_refused(tmp_path: Path, staging: Staging) -> None:
    made = pack_of(tmp_path, b"one", b"three", b"seven..")
    for data in (b"onethree", b"", b"onethreeseven..!"):
        made.path.write_bytes(data)
        with pytest.raises(ContentError, match="E-SIZE"):
            unpack(made.pack, made.path, lambda _: True, staging)
    made.path.unlink()
    with pytest.raises(StorageError):
        unpack(made.pack, made.path, lambda _: True, staging)


def test_the_door_refuses_wrong_members_and_takes_the_others(tmp_path: Path) -> None:
    made = pack_of(tmp_path, b"one", b"three", b"seven..")
    one, three, seven = made.pack.members
    lying = replace(made.pack, members=(one, Member(sha256(b"other"), three.size_bytes, 3), seven))
    with Store(tmp_path / "state") as store, Staging(tmp_path / "state" / "staging") as staging:
        taken = unpack(lying, made.path, lambda _: True, staging)
        (refusal,) = store.blobs.admit(taken)
        assert (refusal.staged.blob.sha256, refusal.error.code) == (sha256(b"other"), "E-HASH")
        assert store.blobs.verify(Blob(sha256=one.sha256, size_bytes=3))
        assert store.blobs.verify(Blob(sha256=seven.sha256, size_bytes=7))
        assert not staging.path(sha256(b"other")).exists()


def test_what_another_road_began_is_replaced(tmp_path: Path, staging: Staging) -> None:
    made = pack_of(tmp_path, b"one", b"three")
    staging.path(sha256(b"three")).write_bytes(b"th")
    staging.path(sha256(b"one")).write_bytes(b"wrong and longer")
    for taken in unpack(made.pack, made.path, lambda _: True, staging):
        assert sha256(taken.path.read_bytes()) == taken.blob.sha256


def test_a_member_that_is_not_as_long_as_said_stops_the_making(tmp_path: Path) -> None:
    members = [packable(tmp_path, b"one"), packable(tmp_path, b"three")]
    members[1].path.write_bytes(b"four")
    with pytest.raises(ContentError, match="E-SIZE"):
        make(members, tmp_path, release=1)
