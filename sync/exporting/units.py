"""The files of a stick: a pack of small blobs, a blob, the parts of a blob; how each is written and read back.

Invariants: a file is written from its beginning to its end under its own name, so what a cut leaves of it is a
beginning, and is gone on with; whether a unit is right is told by hashes of what the disk gives back, never by lengths.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from catalog.blobs import Blob
from catalog.durable import begin_sync, storage_error
from catalog.errors import StorageError
from sync import tree
from sync.exporting.stock import Item
from sync.formats import stickpack
from sync.formats.stickpack import SMALL_BYTES

BLOCK_BYTES = 1 << 20
# The disk writes while we read: what is left to write in the end is little.
BEGIN_BYTES = 8 << 20
MOST_FILE_BYTES = (4 << 30) - BLOCK_BYTES
"""FAT32 has no longer files than 4 GiB - 1 (whatever the disk is now, its content may be copied to one)."""

Tell = Callable[[int], None]
"""Takes the number of bytes written or read since the last call."""


class Unit(ABC):
    """Files of a stick that are right or wrong together: `paths` in the tree, each with its length."""

    paths: Sequence[tuple[str, int]]
    items: Sequence[Item]

    @property
    def size_bytes(self) -> int:
        """The length of all its files."""
        return sum(length for _, length in self.paths)

    def write(self, root: Path, tell: Tell) -> int:
        """Write what is not there yet, going on where a cut ended; return the bytes written. Raises `OSError`."""
        written = 0
        for number, (path, length) in enumerate(self.paths):
            written += _write(root / path, length, lambda start, n=number: self._blocks(n, start), tell)  # type: ignore[misc]
        return written

    def remove(self, root: Path) -> None:
        """Remove its files."""
        for path, _ in self.paths:
            (root / path).unlink(missing_ok=True)

    @abstractmethod
    def wrong(self, root: Path, tell: Tell) -> Item | None:
        """Read all of it and return the first item that is not what it should be. Raises `OSError`."""

    @abstractmethod
    def _blocks(self, number: int, start: int) -> Iterator[bytes | memoryview]:
        """Yield the bytes of file `number` from `start` on."""


class PackUnit(Unit):
    """A pack of small blobs."""

    def __init__(self, items: Sequence[Item]) -> None:
        self.items = items
        self._head = stickpack.encode([item.blob for item in items])
        self.name = stickpack.name_of(self._head)
        length = len(self._head) + sum(item.blob.size_bytes for item in items)
        self.paths = [(tree.pack_path(self.name), length)]

    def wrong(self, root: Path, tell: Tell) -> Item | None:
        with (root / self.paths[0][0]).open("rb", buffering=BLOCK_BYTES) as stream:
            if stream.read(len(self._head)) != self._head:
                return self.items[0]
            for item in self.items:
                data = stream.read(item.blob.size_bytes)
                tell(len(data))
                if hashlib.sha256(data).hexdigest() != item.blob.sha256:
                    return item
            return self.items[-1] if stream.read(1) else None

    def _blocks(self, number: int, start: int) -> Iterator[bytes | memoryview]:
        yield self._head[start:]
        place = len(self._head)
        for item in self.items:
            skipped = max(0, start - place)
            if skipped < item.blob.size_bytes:
                yield from bytes_of(item, skipped, item.blob.size_bytes)
            place += item.blob.size_bytes


class BlobUnit(Unit):
    """A blob in a file of its own, or in parts where it is too long for one."""

    def __init__(self, item: Item, most_file_bytes: int = MOST_FILE_BYTES) -> None:
        self.items = (item,)
        blob = item.blob
        self._most = most_file_bytes
        if blob.size_bytes <= most_file_bytes:
            self.paths = [(tree.blob_path(blob.sha256), blob.size_bytes)]
        else:
            starts = range(0, blob.size_bytes, most_file_bytes)
            self.paths = [
                (tree.part_path(blob.sha256, number), min(most_file_bytes, blob.size_bytes - start))
                for number, start in enumerate(starts, start=1)
            ]

    def wrong(self, root: Path, tell: Tell) -> Item | None:
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(BLOCK_BYTES))
        for path, length in self.paths:
            with (root / path).open("rb", buffering=0) as stream:
                if os.fstat(stream.fileno()).st_size != length:
                    return self.items[0]
                while count := stream.readinto(buffer):
                    digest.update(buffer[:count])
                    tell(count)
        return None if digest.hexdigest() == self.items[0].blob.sha256 else self.items[0]

    def _blocks(self, number: int, start: int) -> Iterator[bytes | memoryview]:
        first = number * self._most
        return bytes_of(self.items[0], first + start, first + self.paths[number][1])


def units_of(items: Iterable[Item], most_file_bytes: int = MOST_FILE_BYTES) -> Iterator[Unit]:
    """Yield the units of `items`: packs of the small ones first, then the others, each in the order given."""
    items = list(items)
    small = {item.blob.sha256: item for item in items if item.blob.size_bytes <= SMALL_BYTES}
    for blobs in stickpack.group(item.blob for item in small.values()):
        yield PackUnit([small[blob.sha256] for blob in blobs])
    for item in items:
        if item.blob.size_bytes > SMALL_BYTES:
            yield BlobUnit(item, most_file_bytes)


def source_is_whole(item: Item) -> bool:
    """Return whether our own copy of `item` is what it should be: a bad disk may be on either side."""
    try:
        digest = hashlib.sha256()
        for block in bytes_of(item, 0, item.blob.size_bytes):
            digest.update(block)
    except StorageError:
        return False
    return digest.hexdigest() == item.blob.sha256


def same_blob(one: Blob, data: bytes) -> bool:
    """Return whether `data` is the blob."""
    return len(data) == one.size_bytes and hashlib.sha256(data).hexdigest() == one.sha256


def bytes_of(item: Item, start: int, end: int) -> Iterator[bytes | memoryview]:
    """Yield the bytes of an item in blocks that are good until the next one; fewer where our file is shorter.

    Raises `StorageError` where our file can not be read, E-DAMAGED where it is not there."""
    if item.data is not None:
        yield item.data[start:end]
        return
    try:
        with item.path.open("rb", buffering=0) as stream:
            stream.seek(start)
            buffer = memoryview(bytearray(min(BLOCK_BYTES, end - start)))
            while start < end and (count := stream.readinto(buffer[: end - start])):
                yield buffer[:count]
                start += count
    except FileNotFoundError as error:
        raise StorageError("E-DAMAGED", where=item.path, expected=item.blob.sha256) from error
    except OSError as error:
        # The stick's own errors are told by who writes there.
        raise storage_error(error, item.path) from error


def _write(
    place: Path, length: int, blocks: Callable[[int], Iterator[bytes | memoryview]], tell: Tell
) -> int:
    """Write the file at `place`; return how many bytes of it were not there yet."""
    place.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    target = os.open(place, flags, 0o644)
    try:
        there = os.fstat(target).st_size
        # The last block of a cut copy may be holes; anything longer is not ours.
        offset = max(0, there - BLOCK_BYTES) if there < length else 0
        if there != offset:
            os.ftruncate(target, offset)
        os.lseek(target, offset, os.SEEK_SET)
        tell(offset)
        begun = offset
        with os.fdopen(os.dup(target), "wb", buffering=BLOCK_BYTES) as stream:
            for block in blocks(offset):
                stream.write(block)
                written += len(block)
                tell(len(block))
                if offset + written - begun >= BEGIN_BYTES:
                    begin_sync(target, begun, offset + written - begun)
                    begun = offset + written
        if begun > offset:
            begin_sync(target, begun, offset + written - begun)
    finally:
        os.close(target)
    return written
