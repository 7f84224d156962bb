"""The disk that a stick is: its clusters, its room, and how to read what it really holds instead of what we remember.

Invariant: nothing here believes the page cache. What was written is pushed out, the cache of the file and, where we
may, of the device behind it is dropped, and only then is it read.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from catalog import durable

_DEVICES = Path("/sys/dev/block")
# The filesystem's own needs: tables, directories that grow, partly filled clusters of what it writes by itself.
SPARE_BYTES = 4 << 20
_ENTRY_BYTES = 256
"""What a name of 64 letters takes in a directory of exFAT or FAT, rounded up."""


class Disk:
    """The filesystem that `directory` is on."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        found = os.statvfs(directory)
        self.cluster_bytes = max(found.f_bsize, found.f_frsize, 512)
        self._number = directory.stat().st_dev

    def free_bytes(self) -> int | None:
        """Return how much room there is; None where the filesystem does not say."""
        found = os.statvfs(self.directory)
        return found.f_bavail * found.f_frsize if found.f_blocks else None

    def room_for(self, size_bytes: int) -> int:
        """Return the bytes of the clusters and of the name that a file of this length takes."""
        clusters = -(-size_bytes // self.cluster_bytes)
        return clusters * self.cluster_bytes + _ENTRY_BYTES

    def begin(self) -> None:
        """Let the device begin to write what a filesystem in user space left in its cache, and do not wait."""
        device = self._device()
        if device is None:
            return
        with suppress(OSError):
            # Only root may ask; a filesystem of the kernel is asked file by file.
            handle = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
            try:
                durable.begin_sync(handle, 0, 0)
            finally:
                os.close(handle)

    def settle(self, last: Path | None) -> None:
        """Put on the disk what was written; `last` is the file that was written last."""
        durable.sync_filesystem(self.directory)
        # A filesystem in user space is not told of the former, but of this.
        if last is not None:
            durable.sync_file(last)

    def forget(self, paths: list[Path]) -> None:
        """Let the kernel drop what it remembers of `paths`, so that they are read from the disk."""
        for path in paths:
            _drop(path)
        device = self._device()
        if device is not None:
            # Only a filesystem in user space keeps data there; and only root may ask.
            with suppress(OSError):
                _drop(device)

    def gone(self) -> bool:
        """Return whether the disk is there no more."""
        try:
            if self.directory.stat().st_dev != self._number:
                return True
        except OSError:
            return True
        major = os.major(self._number)
        return major != 0 and _DEVICES.is_dir() and not self._entry().exists()

    def _entry(self) -> Path:
        return _DEVICES / f"{os.major(self._number)}:{os.minor(self._number)}"

    def _device(self) -> Path | None:
        try:
            return Path("/dev") / self._entry().resolve(strict=True).name
        except OSError:
            return None


def _drop(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)
