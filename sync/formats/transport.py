"""The transport file: how the bytes of a bundle may travel, written by the hub and read by a box as hostile.

First line the bundle; then one way a line, sorted by id: packs, patches, torrents. Invariants: reading what was
written gives the same ways; a box keeps in memory only ways it can use; nothing that a file claims (sizes, offsets,
counts) is believed beyond the bounds here. Packs, patches and torrents are blobs of the tree. See `docs/formats.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from catalog.errors import ContentError
from catalog.manifest import is_bundle_id
from catalog.resource import canonical_json, is_sha256
from sync import tree
from sync.formats.line_fields import LineFields
from sync.formats.release import TreeFile
from sync.formats.torrentfile import BLOCK_BYTES, MAX_TORRENT_BYTES, MOST_PIECE_BYTES

FORMAT = 1
MAX_PACK_BYTES = 64 << 20
MAX_PACK_MEMBERS = 5000
MIN_PACK_MEMBERS = 2
MAX_TARGET_BYTES = 4 << 30
"""The longest file that is patched: more is not worth a small machine's hours, and a claim of more is refused."""
PIECE_LENGTHS = tuple(
    1 << shift for shift in range(BLOCK_BYTES.bit_length() - 1, MOST_PIECE_BYTES.bit_length())
)
INFLATED = "inflate"
"""Before a method's name: the patch is between inflated forms."""
METHODS = ("xdelta3", "bsdiff", "zstd", "inflatexdelta3", "inflatebsdiff", "inflatezstd")
USEFUL_MEMBERS = 3
"""A box uses a pack only where it wants this many of its members."""
# Packs stand before the patches that tell whether their members are of use; so much of them waits for the answer.
_WAITING_BYTES = 8 << 20
# The id as we write it: first, and for patches and torrents without anything that JSON would write in another way.
_ID = re.compile(rb'\{"id":"((?:patch|torrent)/[0-9a-f/]{64,129})"')
_METHOD = re.compile(r"[a-z0-9]{1,16}")
_HEX40 = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportHead:
    """The first line of a transport file: the bundle, its version, the SHA-256 of its plain manifest."""

    bundle: str
    version: int
    manifest: str


@dataclass(frozen=True, slots=True)
class Member:
    """One blob inside a pack: `size_bytes` bytes from `offset` on."""

    sha256: str
    size_bytes: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """Small blobs one after the other, without gaps, in one blob `file`; `release` is the one that brought it."""

    file: TreeFile
    members: tuple[Member, ...]
    release: int

    @property
    def id(self) -> str:
        return f"pack/{self.file.sha256}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A blob `file` that makes the blob `target` of the blob `source`; `release` was the last to have the source."""

    source: str
    target: str
    target_bytes: int
    method: str
    file: TreeFile
    release: int

    @property
    def id(self) -> str:
        return f"patch/{self.target}/{self.source}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Torrent:
    """The hybrid torrent (BEP 3, BEP 52) of one blob: its `.torrent` file is the blob `file`."""

    blob: str
    size_bytes: int
    piece_length: int
    pieces_root: str
    v1: str
    v2: str
    file: TreeFile

    @property
    def id(self) -> str:
        return f"torrent/{self.blob}"


Offer = Pack | Patch | Torrent


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What one box can use of a transport file. `patches` is by target, `torrents` by blob."""

    packs: tuple[Pack, ...] = ()
    patches: dict[str, tuple[Patch, ...]] = field(default_factory=dict)
    torrents: dict[str, Torrent] = field(default_factory=dict)


def transport_blob(sha256: str, size_bytes: int) -> TreeFile:
    """Return a pack, patch or `.torrent` file as the tree's blob that it is."""
    return TreeFile(path=tree.blob_path(sha256), size_bytes=size_bytes, sha256=sha256)


def head_line(head: TransportHead) -> bytes:
    """Return the first line of a transport file, newline included."""
    fields = {
        "bundle": head.bundle,
        "format": FORMAT,
        "manifest": head.manifest,
        "version": head.version,
    }
    return canonical_json(fields) + b"\n"


def offer_line(offer: Offer) -> bytes:
    """Return the line of a way, newline included. Its id is the first thing in it."""
    fields: dict[str, Any] = {"id": offer.id}
    match offer:
        case Pack():
            fields["release"] = offer.release
            fields["pack"] = _blob_json(offer.file)
            fields["members"] = [
                {"sha256": one.sha256, "size": one.size_bytes, "offset": one.offset} for one in offer.members
            ]
        case Patch():
            fields["release"] = offer.release
            fields["method"] = offer.method
            fields["patch"] = _blob_json(offer.file)
            fields["target_size"] = offer.target_bytes
        case Torrent():
            fields["size"] = offer.size_bytes
            fields["piece_length"] = offer.piece_length
            fields["pieces_root"] = offer.pieces_root
            fields["v1"] = offer.v1
            fields["v2"] = offer.v2
            fields["torrent"] = _blob_json(offer.file)
    return canonical_json(fields) + b"\n"


def line_id(line: bytes) -> str:
    """Return the id of a line that `offer_line` made, without parsing the rest."""
    return line[7 : line.index(b'"', 7)].decode()


def read_head(line: bytes, *, where: object) -> TransportHead:
    """Return what the first `line` says; raise `ContentError` E-TRANSPORT, or E-VERSION for a newer format."""
    fields = LineFields(line, where)
    found = fields.number("format")
    if found > FORMAT:
        raise ContentError("E-VERSION", where=where, expected=f"<= {FORMAT}", found=found)
    bundle = fields.text("bundle")
    if not is_bundle_id(bundle):
        raise fields.refuse("bundle", "bundle id")
    return TransportHead(bundle=bundle, version=fields.number("version"), manifest=fields.sha256("manifest"))


def read_offers(
    lines: Iterable[bytes],
    *,
    where: object,
    wanted: Callable[[str], bool],
    has: Callable[[str], bool],
) -> Offers:
    """Return the ways of a transport file that a box can use; the file is read as a stream, its first line too.

    Kept are patches whose target is `wanted` and whose source is here (`has`), packs of which three members or more
    are of use (wanted blobs, kept patches, torrents), and torrents of wanted blobs and of kept packs and patches.
    Raises `ContentError` E-TRANSPORT where a line is malformed, E-VERSION for a newer format. Of a patch or torrent
    that is of no use the id alone is read: a large catalogue has 100,000 of them.
    """
    packs: list[Pack] = []
    waiting: list[Pack] = []
    waiting_bytes = 0
    patches: dict[str, list[Patch]] = {}
    torrents: dict[str, Torrent] = {}
    useful: set[str] = set()
    unsure: set[str] = set()
    pack_torrents: dict[str, Torrent] = {}

    def of_use(offer_id: str) -> bool:
        kind, _, rest = offer_id.partition("/")
        if kind == "torrent":
            return wanted(rest) or rest in useful or rest in unsure
        target, _, source = rest.partition("/")
        return kind != "patch" or (wanted(target) and has(source))

    for line, offer in _read(lines, where, of_use):
        match offer:
            case Pack():
                if _is_useful(offer, wanted):
                    packs.append(offer)
                    useful.add(offer.file.sha256)
                elif waiting_bytes + len(line) <= _WAITING_BYTES:
                    waiting.append(offer)
                    waiting_bytes += len(line)
                    unsure.add(offer.file.sha256)
            case Patch():
                patches.setdefault(offer.target, []).append(offer)
                useful.add(offer.file.sha256)
            case Torrent() if offer.blob in unsure and not wanted(offer.blob):
                pack_torrents[offer.blob] = offer
            case Torrent():
                torrents[offer.blob] = offer
                useful.add(offer.file.sha256)
    for pack in waiting:
        if _is_useful(pack, lambda sha256: wanted(sha256) or sha256 in useful):
            packs.append(pack)
            if torrent := pack_torrents.get(pack.file.sha256):
                torrents[torrent.blob] = torrent
    return Offers(
        packs=tuple(packs),
        patches={target: tuple(found) for target, found in patches.items()},
        torrents=torrents,
    )


def read_offer(line: bytes, *, where: object) -> Offer | None:
    """Return the way in one line after the first, None where it is of a kind that only a newer hub knows.

    Raises `ContentError` E-TRANSPORT.
    """
    return _offer(LineFields(line, where))


def read_transport(lines: Iterable[bytes], *, where: object) -> Iterator[Offer]:
    """Stream all ways of a transport file, its first line checked too; raises as `read_offers` does."""
    return (offer for _, offer in _read(lines, where, lambda _: True))


def _is_useful(pack: Pack, wanted: Callable[[str], bool]) -> bool:
    count = 0
    for member in pack.members:
        count += wanted(member.sha256)
        if count == USEFUL_MEMBERS:
            return True
    return False


def _read(
    lines: Iterable[bytes], where: object, of_use: Callable[[str], bool]
) -> Iterator[tuple[bytes, Offer]]:
    stream = iter(lines)
    read_head(next(stream, b""), where=where)
    last = ""
    for number, line in enumerate(stream, start=2):
        start = _ID.match(line)
        known = start[1].decode() if start else None
        if known is not None and known > last and not of_use(known):
            last = known
            continue
        fields = LineFields(line, f"{where}:{number}")
        found = fields.text("id")
        if found <= last:
            raise fields.refuse("id", f"after {last}")
        last = found
        if (offer := _offer(fields)) is not None and of_use(found):
            yield line, offer


def _offer(fields: LineFields) -> Offer | None:
    kind, _, rest = fields.text("id").partition("/")
    return _READERS[kind](fields, rest) if kind in _READERS else None


def _blob(fields: LineFields, name: str, most: int) -> TreeFile:
    inner = fields.inner(name)
    return transport_blob(inner.sha256("sha256"), inner.number("size", most))


def _read_pack(fields: LineFields, rest: str) -> Pack:
    file = _blob(fields, "pack", MAX_PACK_BYTES)
    if rest != file.sha256:
        raise fields.refuse("id", f"pack/{file.sha256}")
    members: list[Member] = []
    offset = 0
    for one in fields.items("members", MIN_PACK_MEMBERS, MAX_PACK_MEMBERS):
        member = Member(
            one.sha256("sha256"), one.number("size", MAX_PACK_BYTES), one.number("offset", least=0)
        )
        if member.offset != offset:
            raise one.refuse("offset", str(offset))
        offset += member.size_bytes
        members.append(member)
    if offset != file.size_bytes:
        raise fields.refuse("pack", f"size {offset}")
    if len({member.sha256 for member in members}) != len(members):
        raise fields.refuse("members", "each once")
    return Pack(file=file, members=tuple(members), release=fields.number("release"))


def _read_patch(fields: LineFields, rest: str) -> Patch | None:
    target, _, source = rest.partition("/")
    if not is_sha256(target) or not is_sha256(source) or source == target:
        raise fields.refuse("id", "patch/<target>/<source>")
    target_bytes = fields.number("target_size", MAX_TARGET_BYTES)
    file = _blob(fields, "patch", MAX_TARGET_BYTES)
    if 2 * file.size_bytes >= target_bytes:
        raise fields.refuse("patch", "less than half of its target")
    release = fields.number("release")
    method = fields.matched("method", _METHOD)
    if method not in METHODS:
        # A newer hub's method: the whole blob stays as a way.
        return None
    return Patch(
        source=source, target=target, target_bytes=target_bytes, method=method, file=file, release=release
    )


def _read_torrent(fields: LineFields, rest: str) -> Torrent:
    if not is_sha256(rest):
        raise fields.refuse("id", "torrent/<blob>")
    piece_length = fields.number("piece_length")
    if piece_length not in PIECE_LENGTHS:
        raise fields.refuse("piece_length", f"power of two, {PIECE_LENGTHS[0]}..{PIECE_LENGTHS[-1]}")
    return Torrent(
        blob=rest,
        size_bytes=fields.number("size"),
        piece_length=piece_length,
        pieces_root=fields.sha256("pieces_root"),
        v1=fields.matched("v1", _HEX40),
        v2=fields.sha256("v2"),
        file=_blob(fields, "torrent", MAX_TORRENT_BYTES),
    )


_READERS: dict[str, Callable[[LineFields, str], Offer | None]] = {
    "pack": _read_pack,
    "patch": _read_patch,
    "torrent": _read_torrent,
}


def _blob_json(file: TreeFile) -> dict[str, Any]:
    return {"sha256": file.sha256, "size": file.size_bytes}
