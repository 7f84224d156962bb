"""The recording disk: a FUSE filesystem of two files, run as a process of its own.

`disk` is a block device's content; a loop device on it carries a real ext4. Every write and every flush that the
kernel sends to that device is appended to the log, in the order of its arrival. `marks` is write-only: what a
workload writes there is appended to the same log, so that an acknowledgement has its exact place among the writes.

Invariant: a request is answered only after it is in the log; requests are served one at a time, so a flush covers
exactly the writes before it in the log.

It is a process of its own because the kernel waits for it while other threads hold the filesystem above it.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from typing import Any

import mfusepy

from outage_harness.journal import FLUSH, MARK, WRITE, encode

DISK, MARKS = "/disk", "/marks"


class RecordingDisk(mfusepy.Operations):  # type: ignore[misc]
    """Serve `disk` from memory, beginning with the image at `base`, and log to the file at `journal`."""

    use_ns = True

    def __init__(self, base: Path, journal: Path) -> None:
        self._content = bytearray(base.read_bytes())
        self._journal = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _log(self, kind: int, offset: int = 0, data: bytes = b"") -> None:
        record = encode(kind, offset, data)
        if os.write(self._journal, record) != len(record):
            raise mfusepy.FuseOSError(errno.ENOSPC)

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
        if path == DISK:
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": len(self._content)}
        if path == MARKS:
            return {"st_mode": stat.S_IFREG | 0o200, "st_nlink": 1, "st_size": 0}
        raise mfusepy.FuseOSError(errno.ENOENT)

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", DISK[1:], MARKS[1:]]

    def open(self, path: str, flags: int) -> int:
        return 0

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        if path != MARKS:
            raise mfusepy.FuseOSError(errno.EPERM)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self._content[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        if path == MARKS:
            self._log(MARK, 0, data)
        else:
            self._log(WRITE, offset, data)
            self._content[offset : offset + len(data)] = data
        return len(data)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        if path == DISK:
            self._log(FLUSH)
        return 0


def main() -> None:
    """Serve until unmounted: `python -m outage_harness.disk MOUNTPOINT BASE JOURNAL`."""
    mountpoint, base, journal = sys.argv[1:]
    mfusepy.FUSE(
        RecordingDisk(Path(base), Path(journal)),
        mountpoint,
        foreground=True,
        nothreads=True,
        direct_io=True,
        fsname="outage",
    )


if __name__ == "__main__":
    main()
