"""A disk that claims more than it holds: a FUSE filesystem with the one file `disk`, run as a process of its own.

Fakes are sold in two kinds: one drops what is written beyond its end and reads it as zeros, the other goes on at its
beginning, so that what was written first is lost.
"""

from __future__ import annotations

import errno
import stat
import sys
from typing import Any

import mfusepy


class LyingDisk(mfusepy.Operations):  # type: ignore[misc]
    """Claim `claims_bytes`, hold `holds_bytes` in memory."""

    use_ns = True

    def __init__(self, claims_bytes: int, holds_bytes: int, lie: str) -> None:
        self._claims_bytes = claims_bytes
        self._content = bytearray(holds_bytes)
        self._wraps = lie == "wraps"

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
        if path == "/disk":
            return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": self._claims_bytes}
        raise mfusepy.FuseOSError(errno.ENOENT)

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", "disk"]

    def open(self, path: str, flags: int) -> int:
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return b"".join(
            bytes(self._content[at : at + length]) if at is not None else bytes(length)
            for at, length in self._places(offset, size)
        )

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        done = 0
        for at, length in self._places(offset, len(data)):
            if at is not None:
                self._content[at : at + length] = data[done : done + length]
            done += length
        return len(data)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        return 0

    def _places(self, offset: int, size: int) -> list[tuple[int | None, int]]:
        """Return where each stretch really lies: None is nowhere."""
        found: list[tuple[int | None, int]] = []
        holds = len(self._content)
        size = min(size, self._claims_bytes - offset)
        while size > 0:
            length = min(size, holds - offset % holds)
            found.append((offset % holds if self._wraps or offset < holds else None, length))
            offset += length
            size -= length
        return found


def main() -> None:
    """Serve until unmounted: `python -m lying_disk MOUNTPOINT CLAIMS HOLDS drops|wraps`."""
    mountpoint, claims, holds, lie = sys.argv[1:]
    mfusepy.FUSE(
        LyingDisk(int(claims), int(holds), lie),
        mountpoint,
        foreground=True,
        nothreads=True,
        direct_io=True,
        fsname="liar",
    )


if __name__ == "__main__":
    main()
