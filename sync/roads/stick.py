"""Where the bytes of a blob lie in a folder: in a file of their own, in a pack of a stick, or in parts.

Invariant: nothing here is believed. A pack with a wrong index is passed over and told of; what comes out of a right
one goes through the door by its hash like everything else. Memory is 48 bytes for each blob in packs, of which at most
`MAX_ROWS` are looked at; while they are read, some 8 MB more.
"""

from __future__ import annotations

import os
import stat
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import ContentError
from catalog.resource import is_sha256
from sync import tree
from sync.formats import stickpack
from sync.formats.stickpack import SMALL_BYTES, START_BYTES, Member

PACK_SUFFIX = ".pack"
MAX_PACKS = 100_000
MAX_ROWS = 4_000_000
"""192 MB of table; what lies in packs beyond them is told of and not found."""
_DRAWERS = 256
_KEY = struct.Struct(">32sI")
_ROW = struct.Struct(">32sIIQ")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a file in the folder."""

    path: Path
    offset: int
    size_bytes: int


class StickPacks:
    """The packs in a folder, read when first asked; `problems` are those that can not be believed.

    `gone` tells whether the disk is there no more: then a read that fails is raised, else it is the pack's problem.
    """

    def __init__(self, root: Path, gone: Callable[[], bool] = lambda: False) -> None:
        self._root = root
        self._gone = gone
        self._names: list[str] = []
        self._table: list[bytearray] | None = None
        self.problems: list[ContentError] = []

    def piece(self, sha256: str, size_bytes: int) -> Piece | None:
        """Return where the blob lies in a pack; None where it is in none. Raises `OSError` of a disk that is gone."""
        digest = bytes.fromhex(sha256)
        wanted = _KEY.pack(digest, size_bytes)
        rows = self._read()[_drawer(digest)]
        at = bisect_left(
            range(len(rows) // _ROW.size),
            wanted,
            key=lambda row: bytes(rows[row * _ROW.size : row * _ROW.size + _KEY.size]),
        )
        if rows[at * _ROW.size : at * _ROW.size + _KEY.size] != wanted:
            return None
        _, _, pack, offset = _ROW.unpack_from(rows, at * _ROW.size)
        return Piece(self._root / tree.pack_path(self._names[pack]), offset, size_bytes)

    def _read(self) -> list[bytearray]:
        """Return the rows in `_DRAWERS` tables, each in order."""
        if self._table is None:
            table = [bytearray() for _ in range(_DRAWERS)]
            for name, members in self._members():
                self._names.append(name)
                number = len(self._names) - 1
                for one in members:
                    digest = bytes.fromhex(one.sha256)
                    table[_drawer(digest)] += _ROW.pack(digest, one.size_bytes, number, one.offset)
            for rows in table:
                rows[:] = b"".join(sorted(rows[at : at + _ROW.size] for at in range(0, len(rows), _ROW.size)))
            self._table = table
        return self._table

    def _members(self) -> Iterator[tuple[str, list[Member]]]:
        count = 0
        for path in self._paths():
            try:
                members = read_index(path)
            except ContentError as error:
                self.problems.append(error)
                continue
            except OSError as error:
                self._unreadable(path, error)
                continue
            count += len(members)
            if count > MAX_ROWS:
                self.problems.append(
                    ContentError("E-STICK-PACK", where=path, expected=f"<= {MAX_ROWS:,}", found=f"{count:,}")
                )
                return
            yield path.stem, members

    def _paths(self) -> list[Path]:
        try:
            return pack_files(self._root)
        except OSError as error:
            self._unreadable(self._root / tree.PACKS, error)
            return []

    def _unreadable(self, path: Path, error: OSError) -> None:
        """Take note of a place that can not be read; the rest of the disk may be good."""
        if self._gone():
            raise error
        self.problems.append(
            ContentError("E-STICK-PACK", where=path, expected="readable", found=error.strerror)
        )


def _drawer(digest: bytes) -> int:
    """Return which table a digest is in: a stick may choose digests, but not how this process hashes bytes."""
    return hash(digest) % _DRAWERS


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
