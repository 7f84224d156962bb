"""The transport file: what was written is read again, a box keeps what it can use, lies are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import pytest
from builders import sha256
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import ContentError
from sync.formats.transport import (
    MAX_PACK_BYTES,
    MAX_PACK_MEMBERS,
    METHODS,
    PIECE_LENGTHS,
    Member,
    Offer,
    Pack,
    Patch,
    Torrent,
    TransportHead,
    head_line,
    line_id,
    offer_line,
    read_head,
    read_offers,
    read_transport,
    transport_blob,
)

HEAD = TransportHead(bundle="main", version=3, manifest=sha256(b"manifest"))
MAX_NUMBER = 2**53 - 1
digests = st.integers(min_value=0).map(lambda number: sha256(b"%d" % number))
numbers = st.integers(1, MAX_NUMBER)


def pack_of(contents: list[bytes], release: int = 1) -> Pack:
    offsets = accumulate(map(len, contents), initial=0)
    members = tuple(Member(sha256(data), len(data), at) for data, at in zip(contents, offsets, strict=False))
    whole = b"".join(contents)
    return Pack(file=transport_blob(sha256(whole), len(whole)), members=members, release=release)


packs = st.builds(pack_of, st.lists(st.binary(min_size=1), min_size=2, max_size=9, unique=True), numbers)
patches = st.builds(
    lambda source, target, patch, size, more, method, release: Patch(
        source=source,
        target=target,
        target_bytes=2 * size + more,
        method=method,
        file=transport_blob(patch, size),
        release=release,
    ),
    digests,
    digests,
    digests,
    st.integers(1, 1 << 30),
    st.integers(1, 1 << 30),
    st.sampled_from(METHODS),
    numbers,
).filter(lambda patch: patch.source != patch.target)
torrents = st.builds(
    Torrent,
    blob=digests,
    size_bytes=numbers,
    piece_length=st.sampled_from(PIECE_LENGTHS),
    pieces_root=digests,
    v1=digests.map(lambda text: text[:40]),
    v2=digests,
    file=st.builds(transport_blob, digests, st.integers(1, 1 << 20)),
)
offers: st.SearchStrategy[Offer] = st.one_of(packs, patches, torrents)


def written(*found: Offer, head: TransportHead = HEAD) -> list[bytes]:
    return [head_line(head), *sorted(map(offer_line, found), key=line_id)]


def everything(_: str) -> bool:
    return True


@given(st.lists(offers, unique_by=lambda offer: offer.id))
def test_what_was_written_is_read_again(found: list[Offer]) -> None:
    lines = written(*found)
    again = list(read_transport(lines, where="t"))
    assert again == sorted(found, key=lambda offer: offer.id)
    assert [head_line(HEAD), *map(offer_line, again)] == lines
    assert read_head(lines[0], where="t") == HEAD
    # Lines without their newline are read as well.
    assert list(read_transport([line.rstrip() for line in lines], where="t")) == again


@given(st.lists(offers, unique_by=lambda offer: offer.id), st.data())
def test_a_box_keeps_what_it_can_use(found: list[Offer], data: st.DataObject) -> None:
    names = sorted(
        {one.target for one in found if isinstance(one, Patch)}
        | {one.blob for one in found if isinstance(one, Torrent)}
        | {member.sha256 for one in found if isinstance(one, Pack) for member in one.members}
    )
    wanted = set(data.draw(st.lists(st.sampled_from(names)))) if names else set()
    sources = [one.source for one in found if isinstance(one, Patch)]
    here = set(data.draw(st.lists(st.sampled_from(sources)))) if sources else set()
    kept = read_offers(written(*found), where="t", wanted=wanted.__contains__, has=here.__contains__)
    kept_patches = {one for many in kept.patches.values() for one in many}
    assert kept_patches == {
        one for one in found if isinstance(one, Patch) and one.target in wanted and one.source in here
    }
    useful = wanted | {one.file.sha256 for one in kept_patches}
    useful |= {torrent.file.sha256 for torrent in kept.torrents.values()}
    for one in found:
        if isinstance(one, Pack):
            assert (one in kept.packs) == (sum(member.sha256 in useful for member in one.members) >= 3)
    carried = wanted | {one.file.sha256 for one in kept_patches} | {one.file.sha256 for one in kept.packs}
    assert set(kept.torrents) == {
        one.blob for one in found if isinstance(one, Torrent) and one.blob in carried
    }


def test_a_pack_of_patches_is_kept_for_who_can_use_them() -> None:
    data = [b"p%d" % number for number in range(4)]
    made = [
        Patch(
            source=sha256(b"old%d" % number),
            target=sha256(b"new%d" % number),
            target_bytes=100,
            method="zstd",
            file=transport_blob(sha256(content), len(content)),
            release=1,
        )
        for number, content in enumerate(data)
    ]
    lines = written(pack_of(data), *made)
    assert len(read_offers(lines, where="t", wanted=everything, has=everything).packs) == 1
    few = {sha256(b"old0"), sha256(b"old1")}
    targets = {patch.target for patch in made}
    kept = read_offers(lines, where="t", wanted=targets.__contains__, has=few.__contains__)
    assert not kept.packs and len(kept.patches) == 2


def test_lines_of_a_newer_hub_are_passed_over() -> None:
    lines = [
        head_line(HEAD),
        b'{"id":"lesson/x"}\n',
        *written(pack_of([b"a", b"b"]))[1:],
        b'{"id":"zsync/x","more":1}\n',
    ]
    assert len(list(read_transport(lines, where="t"))) == 1
    patch = json.loads(offer_line(_patch()))
    patch["method"] = "brotli"
    assert not list(read_transport([head_line(HEAD), json.dumps(patch).encode()], where="t"))


def _patch() -> Patch:
    return Patch(
        source=sha256(b"s"),
        target=sha256(b"t"),
        target_bytes=1000,
        method="xdelta3",
        file=transport_blob(sha256(b"p"), 499),
        release=2,
    )


def _torrent() -> Torrent:
    name = sha256(b"t")
    return Torrent(
        blob=name,
        size_bytes=5 << 20,
        piece_length=1 << 18,
        pieces_root=name,
        v1=name[:40],
        v2=name,
        file=transport_blob(name, 900),
    )


def put(*path: str | int, value: Any) -> Callable[[Any], None]:
    def change(fields: Any) -> None:
        for step in path[:-1]:
            fields = fields[step]
        fields[path[-1]] = value

    return change


PACK = pack_of([b"one", b"three", b"fifteen"])
LIES: list[tuple[Offer, Callable[[Any], None]]] = [
    (PACK, put("members", 1, "offset", value=2)),
    (PACK, put("members", 1, "offset", value=4)),
    (PACK, put("members", 1, "offset", value=-3)),
    (PACK, put("members", 0, "size", value=0)),
    (PACK, put("members", 2, "size", value=1 << 40)),
    (PACK, put("members", 2, "sha256", value=PACK.members[0].sha256)),
    (PACK, put("members", 2, "sha256", value="../" + "a" * 61)),
    (PACK, put("members", value=[])),
    (PACK, put("members", value=[{}] * (MAX_PACK_MEMBERS + 1))),
    (PACK, put("members", value={"0": 1})),
    (PACK, put("members", 0, value=7)),
    (PACK, put("pack", "size", value=16)),
    (PACK, put("pack", "size", value=MAX_PACK_BYTES + 1)),
    (PACK, put("pack", "sha256", value=sha256(b"other"))),
    (PACK, put("pack", value=None)),
    (PACK, put("release", value=0)),
    (PACK, put("release", value=2**53)),
    (PACK, put("release", value=True)),
    (PACK, put("release", value=1.0)),
    (_patch(), put("target_size", value=1 << 40)),
    (_patch(), put("target_size", value=998)),
    (_patch(), put("target_size", value="1000")),
    (_patch(), put("patch", "size", value=500)),
    (_patch(), put("patch", "size", value=0)),
    (_patch(), put("method", value="rm -rf /")),
    (_patch(), put("method", value=None)),
    (_patch(), put("id", value=f"patch/{sha256(b't')}")),
    (_patch(), put("id", value=f"patch/{sha256(b't')}/{sha256(b't')}")),
    (_patch(), put("id", value=f"patch/{sha256(b't')}/../x")),
    (_torrent(), put("piece_length", value=3 << 16)),
    (_torrent(), put("piece_length", value=1 << 40)),
    (_torrent(), put("v1", value="a" * 41)),
    (_torrent(), put("v2", value="A" * 64)),
    (_torrent(), put("pieces_root", value=None)),
    (_torrent(), put("size", value=1 << 60)),
    (_torrent(), put("torrent", "size", value=1 << 30)),
    (_torrent(), put("id", value="torrent/x")),
    (_torrent(), put("id", value="")),
    (_torrent(), put("id", value="t" * 201)),
    (_torrent(), put("id", value="课")),
    (_torrent(), put("id", value=["torrent"])),
]


@pytest.mark.parametrize(("offer", "lie"), LIES)
def test_a_lie_is_refused(offer: Offer, lie: Callable[[Any], None]) -> None:
    fields = json.loads(offer_line(offer))
    assert list(read_transport([head_line(HEAD), json.dumps(fields).encode()], where="t")) == [offer]
    lie(fields)
    with pytest.raises(ContentError, match="E-TRANSPORT"):
        read_offers(
            [head_line(HEAD), json.dumps(fields).encode()], where="t", wanted=everything, has=everything
        )


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"{", b"[]", b"1", b"\xff", b"[" * 100_000, b'{"id":"' + b"a" * (1 << 20) + b'"}'],
)
def test_what_is_no_line_is_refused(line: bytes) -> None:
    for lines in ([line], [head_line(HEAD), line]):
        with pytest.raises(ContentError, match="E-TRANSPORT"):
            read_offers(lines, where="t", wanted=everything, has=everything)


def test_order_is_part_of_the_format() -> None:
    one, two = written(PACK, _patch())[1:]
    for lines in ([two, one], [one, one]):
        with pytest.raises(ContentError, match="E-TRANSPORT"):
            list(read_transport([head_line(HEAD), *lines], where="t"))


def test_a_newer_format_is_told_apart() -> None:
    line = head_line(HEAD).replace(b'"format":1', b'"format":2')
    with pytest.raises(ContentError, match="E-VERSION"):
        read_head(line, where="t")


def test_packs_that_wait_for_patches_do_not_fill_the_memory() -> None:
    def many() -> Any:
        yield head_line(HEAD)
        members = [Member(sha256(b"%d" % n), 1, n) for n in range(MAX_PACK_MEMBERS)]
        for number in range(60):
            file = transport_blob(f"{number:064x}", MAX_PACK_MEMBERS)
            yield offer_line(Pack(file=file, members=tuple(members), release=1))

    assert read_offers(many(), where="t", wanted=lambda _: False, has=everything).packs == ()
    assert len(read_offers(many(), where="t", wanted=everything, has=everything).packs) == 60
