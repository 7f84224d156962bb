"""Torrent files: the same bytes for the same blob, what three other programs say of them, and hostile ones."""

from __future__ import annotations

import os
import random
from pathlib import Path

import libtorrent
import pytest
from builders import sha256
from hypothesis import given
from hypothesis import strategies as st

from catalog.byteranges import ByteRange
from catalog.errors import ContentError, StorageError
from sync.formats.bencode import Bencoded, decode, encode
from sync.formats.torrentfile import (
    MAX_SIZE_BYTES,
    MOST_PIECES,
    TorrentFile,
    make_torrent,
    piece_length_for,
    read_torrent,
)

KIB = 1 << 10
MIB = 1 << 20


def blob(directory: Path, data: bytes) -> Path:
    path = directory / sha256(data)
    path.write_bytes(data)
    return path


def torrent(directory: Path, data: bytes) -> TorrentFile:
    path = blob(directory, data)
    return make_torrent(path, path.name)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("torrentfile")


@given(size=st.integers(1, 700 * KIB), seed=st.integers(0, 1 << 30))
def test_what_is_made_is_read_and_is_what_libtorrent_makes_of_it(place: Path, size: int, seed: int) -> None:
    made = torrent(place, random.Random(seed).randbytes(size))
    assert read_torrent(made.data, sha256=made.name, size_bytes=size) == made
    loaded = libtorrent.load_torrent_buffer(made.data).ti
    hashes = loaded.info_hashes()
    assert hashes.has_v1() and hashes.has_v2()
    assert (str(hashes.v1), str(hashes.v2)) == (made.v1, made.v2)
    assert (loaded.name(), loaded.total_size(), loaded.piece_length()) == (made.name, size, made.piece_length)
    assert (loaded.num_pieces(), loaded.num_files(), loaded.priv()) == (made.pieces, 1, False)
    assert str(loaded.layout().root(0)) == made.pieces_root


@pytest.mark.parametrize("size", [1, 64 * KIB, 64 * KIB + 1, 5 * MIB, 5 * MIB + 16 * KIB + 1])
def test_libtorrents_own_maker_makes_the_same_info(place: Path, size: int) -> None:
    data = random.Random(size).randbytes(size)
    ours = torrent(place, data)
    maker = libtorrent.create_torrent(
        [libtorrent.create_file_entry(ours.name, size)], piece_size=ours.piece_length
    )
    libtorrent.set_piece_hashes(maker, str(place))
    theirs = libtorrent.bencode(maker.generate())
    assert (
        libtorrent.load_torrent_buffer(theirs).ti.info_hashes()
        == libtorrent.load_torrent_buffer(ours.data).ti.info_hashes()
    )


def test_the_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    data = os.urandom(300 * KIB)
    path = blob(tmp_path, data)
    first = make_torrent(path, path.name)
    os.utime(path, (1, 1))
    path.rename(tmp_path / "other")
    assert make_torrent(tmp_path / "other", first.name) == first
    assert set(decode(first.data, max_depth=9)) == {b"info", b"piece layers"}  # type: ignore[arg-type]


def test_other_bytes_get_no_torrent(tmp_path: Path) -> None:
    path = blob(tmp_path, b"lesson")
    with pytest.raises(ContentError) as refusal:
        make_torrent(path, "0" * 64)
    assert refusal.value.code == "E-HASH"
    with pytest.raises(ContentError) as refusal:
        make_torrent(blob(tmp_path, b""), sha256(b""))
    assert refusal.value.code == "E-SIZE"
    with pytest.raises(StorageError):
        make_torrent(tmp_path / "absent", "0" * 64)


@given(size=st.integers(1, MAX_SIZE_BYTES))
def test_a_piece_is_as_short_as_the_list_of_hashes_allows(size: int) -> None:
    length = piece_length_for(size)
    assert length & (length - 1) == 0
    assert -(-size // length) <= MOST_PIECES
    assert length == 64 * KIB or length // 2 * 512 < size
    # A cut costs at most a piece: up to 32 GiB that is a MiB.
    assert length <= MIB or size > 32 << 30


def test_damage_is_found_to_the_piece(tmp_path: Path) -> None:
    data = os.urandom(20 * 64 * KIB + 5)
    made = torrent(tmp_path, data)
    assert made.bad_pieces(tmp_path / made.name) == []
    wrong = bytearray(data)
    for at in (0, 7 * 64 * KIB, 8 * 64 * KIB + 9, len(data) - 1):
        wrong[at] ^= 1
    (tmp_path / "wrong").write_bytes(wrong)
    assert made.bad_pieces(tmp_path / "wrong") == [
        ByteRange(0, 64 * KIB),
        ByteRange(7 * 64 * KIB, 2 * 64 * KIB),
        ByteRange(20 * 64 * KIB, 5),
    ]
    (tmp_path / "short").write_bytes(data[: 3 * 64 * KIB + 1])
    assert made.bad_pieces(tmp_path / "short") == [ByteRange(3 * 64 * KIB, len(data) - 3 * 64 * KIB)]
    with pytest.raises(StorageError):
        made.bad_pieces(tmp_path / "absent")
    single = torrent(tmp_path, b"x" * 100)
    (tmp_path / single.name).write_bytes(b"y" * 100)
    assert single.bad_pieces(tmp_path / single.name) == [ByteRange(0, 100)]


@pytest.fixture(scope="module")
def honest(place: Path) -> TorrentFile:
    return torrent(place, random.Random(1).randbytes(200 * KIB))


def changed(honest: TorrentFile, *path: bytes, to: Bencoded | None) -> bytes:
    """Return the torrent with one value changed, or left out where `to` is None."""
    outer = decode(honest.data, max_depth=9)
    inner = outer
    for key in path[:-1]:
        assert isinstance(inner, dict)
        inner = inner[key]
    assert isinstance(inner, dict)
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return encode(outer)


def test_hostile_files_are_refused(honest: TorrentFile) -> None:
    root = bytes.fromhex(honest.pieces_root)
    name = honest.name.encode()
    file: dict[bytes, Bencoded] = {b"": {b"length": honest.size_bytes, b"pieces root": root}}
    layer = b"".join(honest.layer)
    assert len(honest.layer) == 4
    hostile = {
        "a path as name": changed(honest, b"info", b"name", to=b"../../etc/passwd"),
        "no name": changed(honest, b"info", b"name", to=None),
        "a path in the tree": changed(honest, b"info", b"file tree", to={b"..": file}),
        "a second file": changed(honest, b"info", b"file tree", to={name: file, b"zz": file}),
        "a directory": changed(honest, b"info", b"file tree", to={name: {name: file}}),
        "several files": changed(honest, b"info", b"files", to=[{b"length": 5, b"path": [b"..", b"x"]}]),
        "a tracker": changed(honest, b"announce", to=b"http://192.0.2.1/announce"),
        "a web seed": changed(honest, b"url-list", to=b"http://192.0.2.1/"),
        "nodes of a DHT": changed(honest, b"nodes", to=[[b"192.0.2.1", 6881]]),
        "the private flag": changed(honest, b"info", b"private", to=1),
        "a huge size": changed(honest, b"info", b"length", to=1 << 59),
        "a negative size": changed(honest, b"info", b"length", to=-5),
        "another size in the tree": changed(honest, b"info", b"length", to=honest.size_bytes + 1),
        "pieces of one byte": changed(honest, b"info", b"piece length", to=1),
        "pieces of no size": changed(honest, b"info", b"piece length", to=0),
        "crooked pieces": changed(honest, b"info", b"piece length", to=70_000),
        "few hashes": changed(honest, b"info", b"pieces", to=b"x" * 20),
        "hashes that are a number": changed(honest, b"info", b"pieces", to=7),
        "version 3": changed(honest, b"info", b"meta version", to=3),
        "no layer": changed(honest, b"piece layers", to={}),
        "layers that are a list": changed(honest, b"piece layers", to=[]),
        "another layer": changed(honest, b"piece layers", root, to=b"x" * len(layer)),
        "a short layer": changed(honest, b"piece layers", root, to=layer[:-1]),
        "deep": b"l" * 100_000 + b"e" * 100_000,
        "deep inside": changed(honest, b"info", b"length", to=[[[[[[[[1]]]]]]]]),
        "longer than it says": honest.data + b"x",
        "shorter": honest.data[:-1],
        "a length beyond the end": b"d4:info99999999999:xe",
        "a number with a zero in front": honest.data.replace(b"i2e", b"i02e"),
        "an endless number": b"i" + b"9" * 10_000 + b"e",
        "keys out of order": encode({b"b": 1, b"a": 2}).replace(b"1:a", b"1:c"),
        "a list": b"le",
        "nothing": b"",
        "too long": b"0" * (5 << 20),
    }
    for what, data in hostile.items():
        with pytest.raises(ContentError) as refusal:
            read_torrent(data)
        assert refusal.value.code == "E-TORRENT", what
        assert len(refusal.value.line("zh-CN")) < 400
    for more in ({"sha256": "0" * 64}, {"size_bytes": 5}):
        with pytest.raises(ContentError):
            read_torrent(honest.data, **more)  # type: ignore[arg-type]


@given(st.binary(max_size=200), st.integers(0, 10_000))
def test_any_bytes_are_read_or_refused(honest: TorrentFile, noise: bytes, at: int) -> None:
    at %= len(honest.data)
    data = honest.data[:at] + noise + honest.data[at + len(noise) :]
    try:
        assert read_torrent(data).data == data
    except ContentError as error:
        assert error.code == "E-TORRENT"


VALUES: st.SearchStrategy[Bencoded] = st.recursive(
    st.integers(-(10**17), 10**17) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.binary(max_size=9), inner, max_size=5),
    max_leaves=20,
)


@given(VALUES)
def test_bencode_goes_round(value: Bencoded) -> None:
    assert decode(encode(value), max_depth=30) == value
    assert encode(decode(encode(value), max_depth=30)) == libtorrent.bencode(value)


@given(st.binary(max_size=60))
def test_bencode_has_one_form(data: bytes) -> None:
    try:
        value = decode(data, max_depth=9)
    except ValueError:
        return
    assert encode(value) == data
