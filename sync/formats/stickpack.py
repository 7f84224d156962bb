"""Stick packs: small blobs one after the other in one file of a stick, after an index of them. Both ends, pure.

On exFAT each file costs clusters of 32 to 128 kB, and a FAT with a million files is slow for ever. A pack is not
signed: what comes out of it is believed by its SHA-256 through signed manifests, like any other blob. Invariants: a
pack is named by the hash of its index, so that a torn index is told from a whole one; an index that is accepted adds
up to the length of the file, and names each blob once. The format is described in `docs/formats.md`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from catalog.blobs import Blob
from catalog.errors import ContentError

MAGIC = b"shuxiang stick pack 1\n\0\0"
SMALL_BYTES = 1 << 20
"""What is longer lies on a stick as a file of its own."""
MAX_MEMBERS = 16_384
MAX_BODY_BYTES = 256 << 20
_EMPTY = hashlib.sha256(b"").hexdigest()
_COUNT = struct.Struct(">I")
_ROW = struct.Struct(">32sI")
START_BYTES = len(MAGIC) + _COUNT.size
"""So many bytes tell how long the index is."""
MAX_HEAD_BYTES = START_BYTES + MAX_MEMBERS * _ROW.size


@dataclass(frozen=True, slots=True)
class Member:
    """A blob in a pack; `offset` counts from the beginning of the file."""

    sha256: str
    size_bytes: int
    offset: int


def encode(blobs: Sequence[Blob]) -> bytes:
    """Return the index of a pack of `blobs`, in their order; each at most once, at most `SMALL_BYTES` long."""
    if not 1 <= len(blobs) <= MAX_MEMBERS or len({blob.sha256 for blob in blobs}) != len(blobs):
        raise ValueError(f"{len(blobs)} members")
    rows = (_ROW.pack(bytes.fromhex(blob.sha256), blob.size_bytes) for blob in blobs)
    return MAGIC + _COUNT.pack(len(blobs)) + b"".join(rows)


def name_of(head: bytes) -> str:
    """Return the name of the pack with this index."""
    return hashlib.sha256(head).hexdigest()


def head_bytes(start: bytes, where: object) -> int:
    """Return how long the index is that begins with `start` (`START_BYTES`); raise `ContentError` E-STICK-PACK."""
    if len(start) < START_BYTES or not start.startswith(MAGIC):
        raise ContentError("E-STICK-PACK", where=where, expected=MAGIC.decode(), found=start[:24])
    count = _COUNT.unpack_from(start, len(MAGIC))[0]
    if not 1 <= count <= MAX_MEMBERS:
        raise ContentError("E-STICK-PACK", where=where, expected=f"1..{MAX_MEMBERS}", found=count)
    return START_BYTES + int(count) * _ROW.size


def decode(head: bytes, *, name: str, file_bytes: int, where: object) -> list[Member]:
    """Return the members of the pack `name`, in the order of the file, which is `file_bytes` long.

    Raises `ContentError` E-STICK-PACK where the index is not the one of that name, or does not fit the file.
    """
    if head_bytes(head[:START_BYTES], where) != len(head) or name_of(head) != name:
        raise ContentError("E-STICK-PACK", where=where, expected=name, found=name_of(head))
    members = list(_members(head))
    if len({member.sha256 for member in members}) != len(members):
        raise ContentError("E-STICK-PACK", where=where, expected="each blob once", found="one twice")
    if any(member.size_bytes > SMALL_BYTES for member in members):
        raise ContentError("E-STICK-PACK", where=where, expected=f"<= {SMALL_BYTES} B", found="more")
    if any(not member.size_bytes and member.sha256 != _EMPTY for member in members):
        # Else an index of any length is at home in a file without content.
        raise ContentError("E-STICK-PACK", where=where, expected="length >= 1", found=0)
    end = members[-1].offset + members[-1].size_bytes
    if end != file_bytes or end - len(head) > MAX_BODY_BYTES:
        raise ContentError("E-STICK-PACK", where=where, expected=f"{end} B", found=f"{file_bytes} B")
    return members


def group(blobs: Iterable[Blob]) -> Iterator[list[Blob]]:
    """Cut `blobs` into what one pack holds each; the same blobs in the same order give the same packs."""
    found: list[Blob] = []
    size_bytes = 0
    for blob in blobs:
        if len(found) == MAX_MEMBERS or size_bytes + blob.size_bytes > MAX_BODY_BYTES:
            yield found
            found, size_bytes = [], 0
        found.append(blob)
        size_bytes += blob.size_bytes
    if found:
        yield found


def _members(head: bytes) -> Iterator[Member]:
    offset = len(head)
    for digest, size_bytes in _ROW.iter_unpack(head[START_BYTES:]):
        yield Member(digest.hex(), size_bytes, offset)
        offset += size_bytes
