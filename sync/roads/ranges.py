"""A file of which only parts are written anew: how roads bring the damaged pieces of a blob and nothing else.

The file is a copy in staging, right everywhere else. Invariant: what was written is on the disk MiB by MiB, so that a
power cut costs no more of a repair than of a fetch; whether it is right, the torrent's hashes and the door say.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from catalog import durable
from catalog.byteranges import ByteRange

PART_BYTES = 1 << 20
"""The most that one request asks for: after a failure no more than this is asked for again."""


def parts_of(ranges: Iterable[ByteRange]) -> Iterator[ByteRange]:
    """Yield `ranges` in parts of at most a MiB."""
    for whole in ranges:
        end = whole.start + whole.length_bytes
        for start in range(whole.start, end, PART_BYTES):
            yield ByteRange(start, min(PART_BYTES, end - start))


class MendedFile:
    """A file open for writing at any place; raises `StorageError` where the disk fails."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle = durable.storage(lambda: os.open(path, os.O_WRONLY | os.O_CLOEXEC), path)
        self._unflushed = 0

    def write_at(self, place: int, data: bytes | memoryview) -> None:
        """Write `data` at `place`."""
        durable.storage(lambda: self._write(memoryview(data), place), self._path)
        self._unflushed += len(data)
        if self._unflushed >= PART_BYTES:
            self.flush()

    def flush(self) -> None:
        """Put on the disk what was written."""
        if self._unflushed:
            durable.storage(lambda: durable.sync_data(self._handle), self._path)
            self._unflushed = 0

    def _write(self, view: memoryview, place: int) -> None:
        while view:
            count = os.pwrite(self._handle, view, place)
            view = view[count:]
            place += count

    def __enter__(self) -> MendedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.flush()
        finally:
            os.close(self._handle)
