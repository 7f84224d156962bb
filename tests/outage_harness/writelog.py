"""QEMU's log of what a disk saw (driver `blklogwrites`; the format of Linux' dm-log-writes), as records of a block log.

One sector of head, then for each event one sector of entry and the sectors that were written. The head's count is of the
last flush: a log whose machine was killed goes on behind it, up to an entry that is none or is cut short.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from outage_harness.blocklog import SECTOR_BYTES, Cut
from outage_harness.journal import FLUSH, MARK, THROUGH, WRITE, Record

MAGIC, VERSION = 0x6A736677736872, 1
# What an entry's flags say.
FLUSHED, FUA, DISCARD = 1, 2, 4
HEAD, ENTRY = struct.Struct("<QQQI"), struct.Struct("<QQQQ")
_KNOWN = FLUSHED | FUA | DISCARD


def read_log(path: Path, marks: Sequence[tuple[int, str]] = ()) -> list[Record]:
    """Return what a disk saw, in order; each of `marks` stands after all that began before that byte of the log.

    Raises `ValueError` for another format, and for discards: what they leave behind is nobody's promise.
    """
    records: list[Record] = []
    waiting = sorted(marks)
    with path.open("rb") as log:
        head = log.read(SECTOR_BYTES)
        magic, version, _, sector_bytes = HEAD.unpack_from(head.ljust(HEAD.size, b"\0"))
        if (magic, version, sector_bytes) != (MAGIC, VERSION, SECTOR_BYTES):
            raise ValueError(f"{path}: no log of writes in sectors of {SECTOR_BYTES} bytes")
        while True:
            while waiting and waiting[0][0] <= log.tell():
                records.append(Record(MARK, 0, waiting.pop(0)[1].encode()))
            entry = log.read(SECTOR_BYTES)
            if len(entry) < SECTOR_BYTES:
                break
            sector, sectors, flags, _ = ENTRY.unpack_from(entry)
            if flags & ~_KNOWN or not (flags or sectors):
                break
            if flags & DISCARD:
                raise ValueError(f"{path}: a discard at byte {log.tell() - SECTOR_BYTES}")
            data = log.read(sectors * SECTOR_BYTES)
            if len(data) < sectors * SECTOR_BYTES:
                break
            if flags & FLUSHED:
                # A flush that comes with a write is done before it.
                records.append(Record(FLUSH, 0, b""))
            if data:
                records.append(Record(THROUGH if flags & FUA else WRITE, sector * SECTOR_BYTES, data))
    return [*records, *(Record(MARK, 0, text.encode()) for _, text in waiting)]


def apply(cut: Cut, disk: Path, start: int = 0) -> None:
    """Make `disk`, a copy of the one that the log began with, the disk after `cut`; or of its part from byte `start` on."""
    first = start // SECTOR_BYTES
    sectors = sorted((number - first, content) for number, content in cut.image().items() if number >= first)
    with disk.open("r+b") as file:
        for _, run in groupby(enumerate(sectors), lambda one: one[1][0] - one[0]):
            together = [pair for _, pair in run]
            os.pwrite(
                file.fileno(), b"".join(content for _, content in together), together[0][0] * SECTOR_BYTES
            )
