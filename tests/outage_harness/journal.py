"""The block log's bytes on disk: one record per write, flush and mark, in the order the disk saw them.

A write of the kind THROUGH was told to be durable when it was done (FUA): it alone, not those before it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

WRITE, FLUSH, MARK, THROUGH = 1, 2, 3, 4
_HEADER = struct.Struct("<BQI")


@dataclass(frozen=True, slots=True)
class Record:
    """One event at the disk; `data` is what was written at byte `offset`, or the text of a mark."""

    kind: int
    offset: int
    data: bytes


def encode(kind: int, offset: int, data: bytes) -> bytes:
    """Return the record's bytes."""
    return _HEADER.pack(kind, offset, len(data)) + data


def decode(stored: bytes) -> Iterator[Record]:
    """Yield the records of a log in order."""
    at = 0
    while at < len(stored):
        kind, offset, length = _HEADER.unpack_from(stored, at)
        at += _HEADER.size
        yield Record(kind, offset, stored[at : at + length])
        at += length
