"""The `.torrent` file of one blob: made and read in pure Python (BEP 3 and BEP 52, a hybrid of one file).

Invariant: the bytes are a function of the blob alone: named by its SHA-256, the piece length by its size, no tracker,
no creator, no date. So every hub makes the same file, one swarm serves every bundle and release for ever, and
`read_torrent(make_torrent(path, sha256).data)` gives the same value. A reader takes nothing else: what is not exactly
such a file is refused, so that nobody's `.torrent` can name a path, a tracker or a web seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from catalog.byteranges import ByteRange
from catalog.durable import storage_error
from catalog.errors import ContentError
from catalog.resource import is_sha256
from sync.formats.bencode import Bencoded, decode, encode

LEAST_BYTES = 4 << 20
"""A smaller blob travels whole or in a pack: it has no torrent."""
BLOCK_BYTES = 16 << 10
LEAST_PIECE_BYTES = 64 << 10
USUAL_PIECE_BYTES = 1 << 20
MOST_PIECE_BYTES = 16 << 20
FEW_PIECES = 512
MOST_PIECES = 1 << 15
MAX_TORRENT_BYTES = 4 << 20
MAX_SIZE_BYTES = MOST_PIECES * MOST_PIECE_BYTES
_DEPTH = 6
_DIGEST_BYTES, _OLD_DIGEST_BYTES = 32, 20
_INFO = {b"file tree", b"length", b"meta version", b"name", b"piece length", b"pieces"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TorrentFile:
    """A torrent of one blob. `layer` are the SHA-256 roots of its pieces (empty where there is one piece only)."""

    data: bytes = field(repr=False)
    name: str
    size_bytes: int
    piece_length: int
    pieces_root: str
    layer: tuple[bytes, ...] = field(repr=False)
    v1: str
    v2: str

    @property
    def pieces(self) -> int:
        """The number of pieces."""
        return -(-self.size_bytes // self.piece_length)

    def piece(self, index: int) -> ByteRange:
        """Return where the piece `index` lies."""
        start = index * self.piece_length
        return ByteRange(start, min(self.piece_length, self.size_bytes - start))

    def is_piece(self, index: int, data: bytes | memoryview) -> bool:
        """Return whether `data` are the bytes of the piece `index`."""
        if len(data) != self.piece(index).length_bytes:
            return False
        leaves = _leaves(data)
        if self.layer:
            return _root(leaves, self.piece_length // BLOCK_BYTES) == self.layer[index]
        return _root(leaves, _power_of_two(len(leaves))).hex() == self.pieces_root

    def bad_pieces(self, path: Path) -> list[ByteRange]:
        """Return the pieces of the file at `path` that are not what they should be, neighbours joined.

        Reads the file once, a piece at a time; what is missing at the end is bad. Raises `StorageError` where the
        file cannot be read at all (a part that the disk can not give back is bad).
        """
        bad: list[ByteRange] = []
        try:
            stream = path.open("rb", buffering=0)
        except OSError as error:
            raise storage_error(error, path) from error
        with stream:
            buffer = bytearray(self.piece_length)
            for index in range(self.pieces):
                place = self.piece(index)
                try:
                    stream.seek(place.start)
                    count = _fill(stream, memoryview(buffer)[: place.length_bytes])
                except OSError:
                    count = -1
                if count == place.length_bytes and self.is_piece(index, memoryview(buffer)[:count]):
                    continue
                if bad and bad[-1].start + bad[-1].length_bytes == place.start:
                    place = ByteRange(bad[-1].start, bad.pop().length_bytes + place.length_bytes)
                bad.append(place)
        return bad


def piece_length_for(size_bytes: int) -> int:
    """Return the piece length of a blob: at most 512 pieces up to 512 MiB, pieces of 1 MiB above.

    A cut costs at most one piece besides what was not flushed, so pieces stay at 1 MiB as long as the file of hashes
    stays small (1.7 MB at 32 GiB).
    """
    length = LEAST_PIECE_BYTES
    while (
        size_bytes > length * FEW_PIECES and length < USUAL_PIECE_BYTES
    ) or size_bytes > length * MOST_PIECES:
        length *= 2
    return length


def make_torrent(path: Path, sha256: str) -> TorrentFile:
    """Return the torrent of the blob at `path`, read once in bounded memory.

    Raises `ContentError` E-HASH where the bytes are not those named `sha256`, E-SIZE where they are none or too many
    (512 GiB), `StorageError` where they cannot be read.
    """
    try:
        size = path.stat().st_size
        if not 0 < size <= MAX_SIZE_BYTES:
            raise ContentError("E-SIZE", where=path, expected=f"1..{MAX_SIZE_BYTES}", found=size)
        piece_length = piece_length_for(size)
        whole = hashlib.sha256()
        pieces: list[bytes] = []
        layer: list[bytes] = []
        for block in _read_pieces(path, piece_length):
            whole.update(block)
            pieces.append(hashlib.sha1(block, usedforsecurity=False).digest())
            leaves = _leaves(block)
            layer.append(
                _root(
                    leaves, piece_length // BLOCK_BYTES if size > piece_length else _power_of_two(len(leaves))
                )
            )
    except OSError as error:
        raise storage_error(error, path) from error
    if whole.hexdigest() != sha256:
        raise ContentError("E-HASH", where=path, expected=sha256, found=whole.hexdigest())
    single = len(layer) == 1
    root = layer[0] if single else _layer_root(layer, piece_length)
    info: Bencoded = {
        b"file tree": {sha256.encode(): {b"": {b"length": size, b"pieces root": root}}},
        b"length": size,
        b"meta version": 2,
        b"name": sha256.encode(),
        b"piece length": piece_length,
        b"pieces": b"".join(pieces),
    }
    layers: Bencoded = {} if single else {root: b"".join(layer)}
    info_bytes = encode(info)
    return TorrentFile(
        data=encode({b"info": info, b"piece layers": layers}),
        name=sha256,
        size_bytes=size,
        piece_length=piece_length,
        pieces_root=root.hex(),
        layer=() if single else tuple(layer),
        v1=hashlib.sha1(info_bytes, usedforsecurity=False).hexdigest(),
        v2=hashlib.sha256(info_bytes).hexdigest(),
    )


def read_torrent(data: bytes, *, sha256: str | None = None, size_bytes: int | None = None) -> TorrentFile:
    """Return the torrent in `data`, of the blob `sha256` of `size_bytes` bytes where they are given.

    Raises `ContentError` E-TORRENT for anything that `make_torrent` would not have written in form: other keys or
    order, an unsafe name, a piece length that is no power of two, hashes that do not make the root.
    """
    if len(data) > MAX_TORRENT_BYTES:
        raise _refusal(sha256, f"<= {MAX_TORRENT_BYTES} B", len(data))
    try:
        outer = decode(data, max_depth=_DEPTH)
    except ValueError as error:
        raise _refusal(sha256, "bencode", error) from error
    if not isinstance(outer, dict) or set(outer) != {b"info", b"piece layers"}:
        raise _refusal(sha256, "info, piece layers", _keys(outer))
    info = outer[b"info"]
    if not isinstance(info, dict) or set(info) != _INFO:
        raise _refusal(sha256, "info of a hybrid torrent", _keys(info))
    return _read_info(data, info, outer[b"piece layers"], sha256, size_bytes)


def _read_info(
    data: bytes, info: dict[bytes, Bencoded], layers: Bencoded, sha256: str | None, size_bytes: int | None
) -> TorrentFile:
    raw_name, size, piece_length, pieces = (
        info[key] for key in (b"name", b"length", b"piece length", b"pieces")
    )
    name = raw_name.decode("latin-1") if isinstance(raw_name, bytes) else ""
    if not is_sha256(name) or (sha256 is not None and name != sha256):
        raise _refusal(sha256, sha256 or "64 hex digits", name[:80])
    if (
        not isinstance(size, int)
        or not 0 < size <= MAX_SIZE_BYTES
        or (size_bytes is not None and size != size_bytes)
    ):
        raise _refusal(name, size_bytes if size_bytes is not None else f"1..{MAX_SIZE_BYTES}", size)
    if (
        not isinstance(piece_length, int)
        or not BLOCK_BYTES <= piece_length <= MOST_PIECE_BYTES
        or piece_length & (piece_length - 1)
    ):
        raise _refusal(name, "a power of two, 16 KiB to 16 MiB", piece_length)
    count = -(-size // piece_length)
    if count > MOST_PIECES or not isinstance(pieces, bytes) or len(pieces) != count * _OLD_DIGEST_BYTES:
        raise _refusal(
            name, f"{count} <= {MOST_PIECES} pieces", len(pieces) if isinstance(pieces, bytes) else pieces
        )
    if info[b"meta version"] != 2:
        raise _refusal(name, "meta version 2", info[b"meta version"])
    root = _read_root(info[b"file tree"], name, size)
    layer = _read_layer(layers, name, root, count)
    if layer and _layer_root(layer, piece_length) != root:
        raise _refusal(name, "hashes of the pieces root", "other hashes")
    info_bytes = encode(info)
    return TorrentFile(
        data=data,
        name=name,
        size_bytes=size,
        piece_length=piece_length,
        pieces_root=root.hex(),
        layer=layer,
        v1=hashlib.sha1(info_bytes, usedforsecurity=False).hexdigest(),
        v2=hashlib.sha256(info_bytes).hexdigest(),
    )


def _read_root(file_tree: Bencoded, name: str, size: int) -> bytes:
    """Return the pieces root that the file tree gives for its only file."""
    file: Bencoded = file_tree
    for key in (name.encode(), b""):
        if not isinstance(file, dict) or set(file) != {key}:
            raise _refusal(name, "one file of that name", _keys(file))
        file = file[key]
    if not isinstance(file, dict) or set(file) != {b"length", b"pieces root"} or file[b"length"] != size:
        raise _refusal(name, "length, pieces root", _keys(file))
    root = file[b"pieces root"]
    if not isinstance(root, bytes) or len(root) != _DIGEST_BYTES:
        raise _refusal(name, "a root of 32 bytes", "another")
    return root


def _read_layer(layers: Bencoded, name: str, root: bytes, count: int) -> tuple[bytes, ...]:
    expected = {root} if count > 1 else set()
    if not isinstance(layers, dict) or set(layers) != expected:
        raise _refusal(name, f"{len(expected)} piece layer", _keys(layers))
    if count == 1:
        return ()
    joined = layers[root]
    if not isinstance(joined, bytes) or len(joined) != count * _DIGEST_BYTES:
        raise _refusal(name, f"{count} hashes", len(joined) if isinstance(joined, bytes) else "none")
    return tuple(joined[at : at + _DIGEST_BYTES] for at in range(0, len(joined), _DIGEST_BYTES))


def _read_pieces(path: Path, piece_length: int) -> Iterator[memoryview]:
    buffer = bytearray(piece_length)
    with path.open("rb", buffering=0) as stream:
        while count := _fill(stream, memoryview(buffer)):
            yield memoryview(buffer)[:count]


def _fill(stream: object, buffer: memoryview) -> int:
    """Read into `buffer` until it is full or the file ends; return how much came."""
    filled = 0
    while filled < len(buffer) and (count := stream.readinto(buffer[filled:])):  # type: ignore[attr-defined]
        filled += count
    return filled


def _leaves(piece: bytes | memoryview) -> list[bytes]:
    view = memoryview(piece)
    return [hashlib.sha256(view[at : at + BLOCK_BYTES]).digest() for at in range(0, len(view), BLOCK_BYTES)]


def _root(nodes: Sequence[bytes], width: int, padding: bytes = bytes(_DIGEST_BYTES)) -> bytes:
    """Return the root of a binary tree of `width` (a power of two) leaves, those after `nodes` being `padding`."""
    level = list(nodes)
    while width > 1:
        if len(level) % 2:
            level.append(padding)
        level = [hashlib.sha256(level[at] + level[at + 1]).digest() for at in range(0, len(level), 2)]
        padding = hashlib.sha256(padding + padding).digest()
        width //= 2
    return level[0]


def _layer_root(layer: Sequence[bytes], piece_length: int) -> bytes:
    """Return the pieces root over the roots of the pieces (BEP 52: the rest of the tree hashes zeros)."""
    empty_piece = _root([bytes(_DIGEST_BYTES)], piece_length // BLOCK_BYTES)
    return _root(layer, _power_of_two(len(layer)), empty_piece)


def _power_of_two(count: int) -> int:
    return 1 << (count - 1).bit_length()


def _keys(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(repr(key)[:40] for key in list(value)[:8])
    return type(value).__name__


def _refusal(where: object, expected: object, found: object) -> ContentError:
    return ContentError("E-TORRENT", where=where or "", expected=expected, found=str(found)[:120])
