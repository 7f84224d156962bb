"""The partition table of a data disk: a GPT with one partition from the first MiB to the end (UEFI specification 2.10, §5).

Pure. Sectors may be 512 or 4096 bytes, as large disks behind USB have them.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from uuid import UUID

MIB = 1 << 20
_LINUX = UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
_ENTRIES, _ENTRY_BYTES, _HEADER_BYTES = 128, 128, 92
# INT 18h (BIOS boot specification: this disk starts nothing), then a loop for a BIOS that comes back.
_STARTS_NOTHING = b"\xcd\x18\xeb\xfe"
_SIGNATURE = b"\x55\xaa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`head` goes to the beginning of the disk, `tail` to `tail_start`; the partition lies between, all in bytes."""

    head: bytes
    tail: bytes
    tail_start: int
    start: int
    size_bytes: int


def table(disk_bytes: int, sector_bytes: int, name: str, disk: UUID, partition: UUID) -> Table:
    """Return the table of a disk of `disk_bytes` (at least 4 MiB) with the partition `name` (36 letters at most)."""
    sectors = disk_bytes // sector_bytes
    entry_sectors = _ENTRIES * _ENTRY_BYTES // sector_bytes
    first_usable, last_usable = 2 + entry_sectors, sectors - entry_sectors - 2
    start = MIB // sector_bytes
    end = (last_usable + 1) * sector_bytes // MIB * MIB // sector_bytes
    entry = struct.pack(
        "<16s16sQQQ72s", _LINUX.bytes_le, partition.bytes_le, start, end - 1, 0, name.encode("utf-16-le")
    )
    entries = entry.ljust(_ENTRIES * _ENTRY_BYTES, b"\0")

    def header(at: int, other: int, entries_at: int) -> bytes:
        def packed(own_sum: int) -> bytes:
            return struct.pack(
                "<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, _HEADER_BYTES, own_sum, 0, at, other, first_usable,
                last_usable, disk.bytes_le, entries_at, _ENTRIES, _ENTRY_BYTES, zlib.crc32(entries),
            )  # fmt: skip

        return packed(zlib.crc32(packed(0))).ljust(sector_bytes, b"\0")

    last = sectors - 1
    return Table(
        head=_protective(sectors).ljust(sector_bytes, b"\0") + header(1, last, 2) + entries,
        tail=entries + header(last, 1, last - entry_sectors),
        tail_start=(last - entry_sectors) * sector_bytes,
        start=start * sector_bytes,
        size_bytes=(end - start) * sector_bytes,
    )


def _protective(sectors: int) -> bytes:
    """Return the first sector as older programs see it: one partition of another kind over the whole disk."""
    entry = struct.pack(
        "<B3sB3sII", 0, b"\x00\x02\x00", 0xEE, b"\xff\xff\xff", 1, min(sectors - 1, 0xFFFFFFFF)
    )
    return _STARTS_NOTHING.ljust(446, b"\0") + entry.ljust(64, b"\0") + _SIGNATURE
