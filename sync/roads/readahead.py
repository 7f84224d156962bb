"""What will be read next of a disk: the kernel is asked for it while what came before is hashed, written or flushed.

By itself a kernel reads 128 kB ahead of who reads a file in order, and nothing of the next file: a stick then rests as
long as its reader works. Invariant: hints only. At most `AHEAD_BYTES` are asked for and not read yet, nothing that is
not in the list; what can not be opened or read is told by the reading itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from sync.roads.stick import Piece, open_regular

AHEAD_BYTES = 8 << 20
# For one hint a kernel reads no more than it asks the disk for at once: of filesystems in user space that is so much.
_HINT_BYTES = 128 << 10
# Hints in a row cost less than one after each small file.
_LEAST_BYTES = 1 << 20


class ReadAhead:
    """The pieces that will be read, in this order. Close it."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = iter(pieces)
        self._piece: Piece | None = None
        self._asked_of_piece = 0
        self._asked_bytes = 0
        self._path: Path | None = None
        self._handle: int | None = None

    def reached(self, position: int) -> None:
        """Ask for what comes after `position`, counted in bytes from the beginning of the first piece."""
        until = position + AHEAD_BYTES
        if until - self._asked_bytes < _LEAST_BYTES:
            return
        while self._asked_bytes < until and self._next():
            self._ask(until)

    def close(self) -> None:
        """Close the file that was asked of last."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle = self._path = None

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _next(self) -> bool:
        """Turn to the next piece where this one was asked for; return whether there is one."""
        if self._piece is None or self._asked_of_piece >= self._piece.size_bytes:
            self._piece = next(self._pieces, None)
            self._asked_of_piece = 0
        return self._piece is not None

    def _ask(self, until: int) -> None:
        piece = self._piece
        assert piece is not None
        start = self._asked_of_piece
        count = min(piece.size_bytes - start, until - self._asked_bytes)
        with suppress(OSError):
            if (handle := self._open(piece.path)) is not None:
                for at in range(0, count, _HINT_BYTES):
                    length = min(_HINT_BYTES, count - at)
                    os.posix_fadvise(handle, piece.offset + start + at, length, os.POSIX_FADV_WILLNEED)
        self._asked_of_piece += count
        self._asked_bytes += count

    def _open(self, path: Path) -> int | None:
        if self._path != path:
            self.close()
            self._path = path
            self._handle = open_regular(path)
        return self._handle
