"""Packs: small blobs one after the other in one blob, made at the hub, taken apart on a box.

Invariant: a pack's bytes are a function of its members and their order; taking one apart writes only into staging and
only members that the transport file names, each cut to its size. Their hashes are the door's business, so a wrong
pack shows nothing. Every member also stays plain in the tree: a pack may always fail.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.blobs import Blob, Staged
from catalog.durable import storage, storage_error
from catalog.errors import ContentError
from sync.formats.torrentfile import LEAST_BYTES
from sync.formats.transport import (
    MAX_PACK_BYTES,
    MAX_PACK_MEMBERS,
    MIN_PACK_MEMBERS,
    Member,
    Pack,
    transport_blob,
)
from sync.roads.staging import Staging

SMALL_BYTES = 1 << 20
"""What is larger lies in packs of its own: a request more is nothing beside it, but it has no torrent, and a pack has."""
MEDIUM_PACK_BYTES = 16 << 20
"""How long such packs become: who wants but some of their members takes these by themselves."""
MAX_RELEASE_BYTES = 1 << 30
"""How much of a bundle's release is packed: packed bytes stand in the tree twice."""
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Packable:
    """A small blob, and the file that holds its bytes."""

    blob: Blob
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class MadePack:
    """A pack, and the staged file that it is."""

    pack: Pack
    path: Path


def choose(blobs: Iterable[Blob], most_bytes: int = MAX_RELEASE_BYTES) -> list[Blob]:
    """Return the blobs that are packed, in the order given: the smallest of them, up to `most_bytes` in all.

    What has a torrent itself is not packed.
    """
    order = list(dict.fromkeys(blob for blob in blobs if 0 < blob.size_bytes < LEAST_BYTES))
    left = most_bytes
    chosen = set()
    for blob in sorted(order, key=lambda one: (one.size_bytes, one.sha256)):
        left -= blob.size_bytes
        if left < 0:
            break
        chosen.add(blob)
    return [blob for blob in order if blob in chosen]


def make(members: Sequence[Packable], work: Path, *, release: int) -> list[MadePack]:
    """Write packs of `members`, in their order and each once, below `work`; a member left alone is in none.

    Small members and larger ones lie in packs apart: else what few boxes want would make the others' packs too dear.
    Raises `ContentError` E-SIZE where a member is not as long as it should be, `StorageError` where the disk fails.
    """
    unique = list({member.blob.sha256: member for member in members}.values())
    small = [member for member in unique if member.blob.size_bytes <= SMALL_BYTES]
    medium = [member for member in unique if member.blob.size_bytes > SMALL_BYTES]
    return [
        storage(lambda group=group: _write(group, work, release), work)  # type: ignore[misc]
        for group in (*_groups(small, MAX_PACK_BYTES), *_groups(medium, MEDIUM_PACK_BYTES))
    ]


def unpack(pack: Pack, path: Path, wanted: Callable[[str], bool], staging: Staging) -> list[Staged]:
    """Write the `wanted` members of the pack at `path` into staging and return them for the door.

    What was there of a member is replaced. Raises `ContentError` E-SIZE where the pack is not as long as it should
    be, `StorageError` where the disk fails.
    """
    try:
        with path.open("rb", buffering=0) as stream:
            size_bytes = os.fstat(stream.fileno()).st_size
            if size_bytes != pack.file.size_bytes:
                raise ContentError(
                    "E-SIZE", where=pack.file.sha256, expected=pack.file.size_bytes, found=size_bytes
                )
            return [
                _take(stream.fileno(), member, staging) for member in pack.members if wanted(member.sha256)
            ]
    except OSError as error:
        raise storage_error(error, error.filename or path) from error


def _groups(members: Sequence[Packable], most_bytes: int) -> Iterator[list[Packable]]:
    group: list[Packable] = []
    size_bytes = 0
    for member in members:
        if len(group) == MAX_PACK_MEMBERS or size_bytes + member.blob.size_bytes > most_bytes:
            if len(group) >= MIN_PACK_MEMBERS:
                yield group
            group, size_bytes = [], 0
        group.append(member)
        size_bytes += member.blob.size_bytes
    if len(group) >= MIN_PACK_MEMBERS:
        yield group


def _write(members: Sequence[Packable], work: Path, release: int) -> MadePack:
    name = hashlib.sha256("".join(member.blob.sha256 for member in members).encode())
    path = work / f"{name.hexdigest()}.pack"
    digest = hashlib.sha256()
    offset = 0
    placed = []
    with path.open("wb") as out:
        for member in members:
            data = member.path.read_bytes()
            if len(data) != member.blob.size_bytes:
                raise ContentError(
                    "E-SIZE", where=member.path, expected=member.blob.size_bytes, found=len(data)
                )
            digest.update(data)
            out.write(data)
            placed.append(Member(member.blob.sha256, len(data), offset))
            offset += len(data)
    pack = Pack(file=transport_blob(digest.hexdigest(), offset), members=tuple(placed), release=release)
    return MadePack(pack=pack, path=path)


def _take(source: int, member: Member, staging: Staging) -> Staged:
    file = transport_blob(member.sha256, member.size_bytes)
    with staging.open(file) as out:
        out.restart()
        for at in range(0, member.size_bytes, _BLOCK_BYTES):
            count = min(_BLOCK_BYTES, member.size_bytes - at)
            out.write(os.pread(source, count, member.offset + at))
    blob = Blob(sha256=member.sha256, size_bytes=member.size_bytes)
    return Staged(path=staging.path(member.sha256), blob=blob)
