"""Where the bytes of a blob lie in a folder: in a file of their own, in a pack of a stick, or in parts.

Invariant: nothing here is believed. A pack with a wrong index is passed over and told of; what comes out of a right
one goes through the door by its hash like everything else. Memory is 48 bytes for each blob in packs.
"""

from __future__ import annotations

import os
import stat
import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import ContentError
from catalog.resource import is_sha256
from sync import tree
from sync.formats import stickpack
from sync.formats.stickpack import SMALL_BYTES, START_BYTES, Member

PACK_SUFFIX = ".pack"
MAX_PACKS = 100_000
_ROW = struct.Struct(">32sIQI")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a file in the folder."""

    path: Path
    offset: int
    size_bytes: int


class StickPacks:
    """The packs in a folder, read when first asked; `problems` are those that can not be believed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._names: list[str] = []
        self._table: bytes | None = None
        self.problems: list[ContentError] = []

    def piece(self, sha256: str, size_bytes: int) -> Piece | None:
        """Return where the blob lies in a pack; None where it is in none. Raises `OSError`."""
        table = self._read()
        digest = bytes.fromhex(sha256)
        at = bisect_left(
            range(len(table) // _ROW.size),
            digest,
            key=lambda row: table[row * _ROW.size : row * _ROW.size + 32],
        )
        if at * _ROW.size == len(table):
            return None
        found, pack, offset, length = _ROW.unpack_from(table, at * _ROW.size)
        if found != digest or length != size_bytes:
            return None
        return Piece(self._root / tree.pack_path(self._names[pack]), offset, length)

    def _read(self) -> bytes:
        if self._table is None:
            rows = []
            for name, members in self._members():
                self._names.append(name)
                number = len(self._names) - 1
                rows += [
                    _ROW.pack(bytes.fromhex(one.sha256), number, one.offset, one.size_bytes)
                    for one in members
                ]
            rows.sort()
            self._table = b"".join(rows)
        return self._table

    def _members(self) -> Iterator[tuple[str, list[Member]]]:
        for path in pack_files(self._root):
            try:
                yield path.stem, read_index(path)
            except ContentError as error:
                self.problems.append(error)


def pack_files(root: Path) -> list[Path]:
    """Return the files in `root` that have a pack's name, sorted; raise `OSError`."""
    try:
        names = os.listdir(root / tree.PACKS)  # noqa: PTH208 - names, not a path for each of many
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = sorted(
        name for name in names if name.endswith(PACK_SUFFIX) and is_sha256(name.removesuffix(PACK_SUFFIX))
    )
    return [root / tree.PACKS / name for name in found[:MAX_PACKS]]


def open_regular(path: Path) -> int | None:
    """Return `path` opened for reading; None where it is no regular file, which might never end. Raises `OSError`."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    return None


def read_bounded(path: Path, max_bytes: int) -> bytes | None:
    """Return the bytes of the regular file at `path`; None where there is none, or a longer one. Raises `OSError`."""
    try:
        handle = open_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if handle is None:
        return None
    with os.fdopen(handle, "rb") as stream:
        data = stream.read(max_bytes + 1) if os.fstat(handle).st_size <= max_bytes else None
    return data if data is not None and len(data) <= max_bytes else None


def read_index(path: Path) -> list[Member]:
    """Return the members of the pack at `path`; raise `ContentError` E-STICK-PACK, `OSError`."""
    handle = open_regular(path)
    if handle is None:
        raise ContentError("E-STICK-PACK", where=path, expected="file")
    try:
        found = os.fstat(handle)
        start = os.pread(handle, START_BYTES, 0)
        head = os.pread(handle, stickpack.head_bytes(start, path), 0)
    finally:
        os.close(handle)
    return stickpack.decode(head, name=path.stem, file_bytes=found.st_size, where=path)


def parts_of_blob(root: Path, sha256: str, size_bytes: int) -> list[Piece]:
    """Return the parts that a blob of `size_bytes` lies in, in order; nothing where they do not make it up."""
    found: list[Piece] = []
    left = size_bytes
    while left > 0:
        path = root / tree.part_path(sha256, len(found) + 1)
        try:
            length = path.stat().st_size
        except FileNotFoundError:
            return []
        if not 0 < length <= left:
            return []
        found.append(Piece(path, 0, length))
        left -= length
    return found


__all__ = [
    "SMALL_BYTES",
    "Piece",
    "StickPacks",
    "open_regular",
    "pack_files",
    "parts_of_blob",
    "read_bounded",
    "read_index",
]
