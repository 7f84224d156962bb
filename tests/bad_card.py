"""A card with a bad place: a FUSE filesystem with the one file `disk`, run as a process of its own.

Reading or writing the page at the place fails as a worn card does (EIO), or, `pull`, from the first writing there on
everything as on a card that is no longer in its reader; all else is kept in memory.
"""

from __future__ import annotations

import errno
import stat
import sys
from typing import Any

import mfusepy


class BadCard(mfusepy.Operations):  # type: ignore[misc]
    """Hold `size_bytes`; `what` (`read`, `write` or `pull`) fails where it touches `place`."""

    use_ns = True

    def __init__(self, size_bytes: int, what: str, place: int) -> None:
        self._content = bytearray(size_bytes)
        self._what = what
        self._place = place
        self._is_pulled = False

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
        if path == "/disk":
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": len(self._content)}
        raise mfusepy.FuseOSError(errno.ENOENT)

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", "disk"]

    def open(self, path: str, flags: int) -> int:
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        self._touch("read", offset, size)
        return bytes(self._content[offset : offset + size])

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._touch("write", offset, len(data))
        self._content[offset : offset + len(data)] = data
        return len(data)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        return 0

    def _touch(self, what: str, offset: int, size: int) -> None:
        self._is_pulled |= self._what == "pull" and what == "write" and offset <= self._place < offset + size
        if self._is_pulled:
            raise mfusepy.FuseOSError(errno.ENODEV)
        if what == self._what and offset <= self._place < offset + size:
            raise mfusepy.FuseOSError(errno.EIO)


def main() -> None:
    """Serve until unmounted: `python -m bad_card MOUNTPOINT SIZE read|write|pull PLACE`."""
    mountpoint, size, what, place = sys.argv[1:]
    card = BadCard(int(size), what, int(place))
    mfusepy.FUSE(card, mountpoint, foreground=True, nothreads=True, direct_io=True, fsname="worn")


if __name__ == "__main__":
    main()
