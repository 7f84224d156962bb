"""One card, disk or file that an image is written to: opened for us alone, written past the page cache, read back.

Invariant: from the first write until `finish`, the first MiB is zeros: there is no partition table and no loader, so a
card whose writing was cut, in whatever moment, starts no machine.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from catalog import durable
from catalog.errors import ConfigError, ShuxiangError, StorageError
from images.image_file import BLOCK_BYTES, HEAD_BYTES

_BLKFLSBUF = 0x1261
_BLKRRPART = 0x125F
_BLKDISCARD = 0x1277
_BLKSSZGET = 0x1268
_SECTOR_BYTES = 512
_PAGE_BYTES = 4096
_TAIL_BYTES = 1 << 20
_MEGABYTE = 1_000_000
_PULLED = frozenset((errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM))
_ZEROS = bytes(BLOCK_BYTES)
_BLOCKS = Path("/sys/class/block")


def digest_of(data: bytes) -> bytes:
    """Return what one block is known by when it is read back; of zeros, the half of an image, without any arithmetic."""
    return b"" if data == _ZEROS[: len(data)] else hashlib.blake2b(data, digest_size=16).digest()


class Card:
    """A target that is open; `size_bytes` is what it holds. Made by `open_card`."""

    def __init__(self, path: Path, handle: int, *, is_device: bool, is_new: bool) -> None:
        self.path = path
        self.size_bytes = os.lseek(handle, 0, os.SEEK_END)
        self._handle = handle
        self._is_device = is_device
        self._is_new = is_new
        # O_DIRECT wants memory on page boundaries.
        self._memory = mmap.mmap(-1, BLOCK_BYTES)
        self._view = memoryview(self._memory)

    def close(self) -> None:
        """Let go of the target."""
        self._view.release()
        self._memory.close()
        os.close(self._handle)

    @property
    def sector_bytes(self) -> int:
        """What a partition table counts in: 512, on some large disks 4096."""
        if not self._is_device:
            return _SECTOR_BYTES
        asked = durable.storage(lambda: fcntl.ioctl(self._handle, _BLKSSZGET, bytes(4)), self.path)
        return int(struct.unpack("i", asked)[0])

    def begin(self, image_bytes: int) -> None:
        """Take away what starts a machine, and where the device can forget, all it held.

        Raises `StorageError` E-CARD-SMALL before anything is written.
        """
        if self._is_new:
            durable.storage(lambda: os.truncate(self._handle, image_bytes), self.path)
            self.size_bytes = image_bytes
            return
        if self.size_bytes < image_bytes:
            raise StorageError(
                "E-CARD-SMALL",
                where=self.path,
                expected=f"≥ {image_bytes / _MEGABYTE:,.0f} MB",
                found=f"{self.size_bytes / _MEGABYTE:,.0f} MB",
            )
        self._write(0, _ZEROS[:HEAD_BYTES])
        if self._is_device:
            # Most readers can not pass it on; what matters is written anyway.
            with suppress(OSError):
                fcntl.ioctl(self._handle, _BLKDISCARD, struct.pack("QQ", 0, self.size_bytes))
        # A GPT keeps a copy of itself at the end.
        tail = max(image_bytes, self.size_bytes - _TAIL_BYTES) // _PAGE_BYTES * _PAGE_BYTES
        if tail >= image_bytes and tail < self.size_bytes:
            self._write(tail, _ZEROS[: self.size_bytes - tail])
        self._sync()

    def put(self, offset: int, block: bytes) -> int:
        """Let the target hold `block` at `offset`; return how many bytes were really written.

        Zeros are not written where zeros are: half of an image is room.
        """
        if block == _ZEROS[: len(block)] and (self._is_new or self._read(offset, len(block)) == block):
            return 0
        self._write(offset, block)
        return len(block)

    def settle(self) -> None:
        """Make durable what was written, and let reads come from the medium."""
        self._sync()
        self._drop()

    def check(self, offset: int, length: int, digest: bytes) -> None:
        """Read a block back; raise `StorageError` E-STICK-BAD where it is another one than was written."""
        if digest_of(self._read(offset, length)) != digest:
            raise StorageError("E-STICK-BAD", where=self.path, found=_place(offset))

    def finish(self, head: bytes) -> None:
        """Give the target its first MiB, durably, and read it back: from now on it starts a machine."""
        try:
            self._write(0, head)
            self.settle()
            self.check(0, len(head), digest_of(head))
        except ShuxiangError:
            with suppress(ShuxiangError):
                self._write(0, _ZEROS[:HEAD_BYTES])
                self._sync()
            raise

    def show_partitions(self) -> None:
        """Let the kernel read the new partition table."""
        if self._is_device:
            # A loop device has none; udev does it again when we close.
            with suppress(OSError):
                fcntl.ioctl(self._handle, _BLKRRPART)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Let another program write the device meanwhile: mtools takes the same lock."""
        fcntl.flock(self._handle, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(self._handle, fcntl.LOCK_EX)
            self.settle()

    # -- the medium ----------------------------------------------------------------------------------------------

    def _write(self, offset: int, data: bytes) -> None:
        whole = -(-len(data) // _PAGE_BYTES) * _PAGE_BYTES
        length = whole if offset + whole <= self.size_bytes else len(data)
        self._view[: len(data)] = data
        if length > len(data):
            self._view[len(data) : length] = bytes(length - len(data))
        done = 0
        while done < length:
            try:
                written = os.pwrite(self._handle, self._view[done:length], offset + done)
            except OSError as error:
                raise self._refused(error, offset + done, length - done, write=True) from error
            if not written:
                raise self._refused(OSError(errno.EIO, ""), offset + done, length - done, write=True)
            done += written

    def _read(self, offset: int, length: int) -> bytes:
        wanted = -(-length // _PAGE_BYTES) * _PAGE_BYTES
        if offset + wanted > self.size_bytes:
            wanted = length
        done = 0
        while done < length:
            try:
                count = os.preadv(self._handle, [self._view[done:wanted]], offset + done)
            except OSError as error:
                raise self._refused(error, offset + done, length - done, write=False) from error
            if not count:
                code = "E-CARD-PULLED" if self._is_gone() else "E-STICK-BAD"
                raise StorageError(code, where=self.path, found=_place(offset + done))
            done += count
        return self._view[:length].tobytes()

    def _refused(self, error: OSError, offset: int, length: int, *, write: bool) -> ShuxiangError:
        """Return what an error of the medium means, with the first place that does not work."""
        if error.errno in _PULLED or self._is_gone():
            return StorageError("E-CARD-PULLED", where=self.path)
        if error.errno == errno.EIO:
            return StorageError("E-CARD-BAD", where=self.path, found=self._bad_place(offset, length, write))
        return durable.storage_error(error, self.path)

    def _is_gone(self) -> bool:
        """Return whether the device, or the medium in it, is not there any more: most drivers just say EIO then."""
        if not self._is_device:
            return False
        try:
            return int((_BLOCKS / self.path.name / "size").read_text()) * _SECTOR_BYTES < self.size_bytes
        except (OSError, ValueError):
            return True

    def _bad_place(self, offset: int, length: int, write: bool) -> str:
        """Return the first place of the stretch that does not work: it is tried page by page."""
        for place in range(offset, offset + length, _PAGE_BYTES):
            size = min(_PAGE_BYTES, offset + length - place)
            view = self._view[place - offset :][:size] if write else self._view[:size]
            try:
                if write:
                    os.pwrite(self._handle, view, place)
                else:
                    os.preadv(self._handle, [view], place)
            except OSError:
                return _place(place)
        return _place(offset)

    def _sync(self) -> None:
        try:
            durable.sync_data(self._handle)
        except OSError as error:
            raise self._refused(error, 0, 0, write=True) from error

    def _drop(self) -> None:
        if self._is_device:
            # Only root may; O_DIRECT reads past the cache anyway.
            with suppress(OSError):
                fcntl.ioctl(self._handle, _BLKFLSBUF)
        os.posix_fadvise(self._handle, 0, 0, os.POSIX_FADV_DONTNEED)


def _place(offset: int) -> str:
    return f"{offset / _MEGABYTE:,.1f} MB (sector {offset // 512})"


@contextmanager
def open_card(path: Path, *, is_device: bool) -> Iterator[Card]:
    """Open the device, or the file, at `path` for us alone.

    A file that is not there, or empty, becomes an image of its own; one with a length is written like a card of that
    size. Raises `ConfigError` E-CARD-MOUNTED where anything else uses the device, `StorageError` where it can not be
    opened.
    """
    is_new = not is_device and (not path.exists() or path.stat().st_size == 0)
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_EXCL if is_device else os.O_CREAT)
    handle = _opened(path, flags)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise ConfigError("E-CARD-MOUNTED", where=path) from error
    card = Card(path, handle, is_device=is_device, is_new=is_new)
    try:
        yield card
    finally:
        card.close()


def _opened(path: Path, flags: int) -> int:
    try:
        try:
            return os.open(path, flags | os.O_DIRECT, 0o644)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return os.open(path, flags, 0o644)  # a filesystem in memory has no O_DIRECT
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise ConfigError("E-CARD-MOUNTED", where=path) from error
        if error.errno in _PULLED:
            raise StorageError("E-CARD-PULLED", where=path) from error
        raise durable.storage_error(error, path) from error
