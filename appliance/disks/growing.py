"""The card's data partition, enlarged to the end of the card: the last of four in an MBR table.

Three steps, each of which comes to the same when it is repeated, and none of which harms when it is cut: the table is
one sector (sfdisk writes and flushes it), the kernel is told, the mounted filesystem grows (ext4 does that in its
journal). What is done already is seen from sizes, not from a note of ours.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

from appliance.disks.devices import SECTOR, disk_bytes, disk_of, partition_bytes, partition_start
from appliance.disks.programs import Said, ask
from catalog.errors import StorageError

DATA_NUMBER = 4
ALIGNED = 2048
"""Sectors: partitions begin and end on whole MiB, as flash memory likes it."""
MOST_SECTORS = (1 << 32) - 1
"""What an MBR can say: 2 TiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A partition in the table, in sectors."""

    start: int
    size: int


def wanted_size(slot: Slot, disk_sectors: int) -> int:
    """Return the size in sectors of a partition that ends where the disk does, never less than it has (pure)."""
    end = disk_sectors - disk_sectors % ALIGNED
    return max(slot.size, min(end - slot.start, MOST_SECTORS - MOST_SECTORS % ALIGNED))


def read_slot(disk: Path) -> Slot | None:
    """Return where the table says that the data partition is; None where it has none."""
    said = ask(["sfdisk", "--json", disk])
    if said.code:
        return None
    # Warnings stand before the value.
    table = json.loads(said.text[said.text.index("{") :])["partitiontable"]
    for entry in table.get("partitions", ()):
        if _number_of(entry["node"], str(disk)) == DATA_NUMBER:
            return Slot(start=entry["start"], size=entry["size"])
    return None


def is_too_small(disk: str) -> bool:
    """Return whether the table promises more than the disk holds: an image on a card smaller than itself."""
    slot = read_slot(Path("/dev") / disk)
    return slot is not None and (slot.start + slot.size) * SECTOR > disk_bytes(disk)


def grow(partition: str) -> bool:
    """Enlarge the mounted data partition `partition` (its name) to the end of its disk; return whether it grew.

    Raises `StorageError` E-DATA-GROW; what was there stays whole.
    """
    disk = disk_of(partition)
    if disk == partition:
        return False
    if has_room_behind(partition) and not _enlarge(partition, disk):
        return False
    if partition_bytes(partition) - _filesystem_bytes(Path("/dev") / partition) < ALIGNED * SECTOR:
        return False
    _must(ask(["resize2fs", Path("/dev") / partition]), Path("/dev") / disk)
    return True


def has_room_behind(partition: str) -> bool:
    """Return whether the kernel knows the partition as smaller than it can be; it read the table at this start."""
    slot = Slot(start=partition_start(partition) // SECTOR, size=partition_bytes(partition) // SECTOR)
    return wanted_size(slot, disk_bytes(disk_of(partition)) // SECTOR) > slot.size


def _enlarge(partition: str, disk: str) -> bool:
    """Bring table and kernel to the size that the partition can have; return whether the table has the partition."""
    node = Path("/dev") / disk
    slot = read_slot(node)
    if slot is None:
        return False
    size = wanted_size(slot, disk_bytes(disk) // SECTOR)
    if size > slot.size:
        _must(ask(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--force", "--partno", str(DATA_NUMBER), node],
                  give=f"{slot.start},{size}\n"), node)  # fmt: skip
    if partition_bytes(partition) < size * SECTOR:
        _must(ask(["partx", "--update", "--nr", str(DATA_NUMBER), node]), node)
    return True


def _filesystem_bytes(device: Path) -> int:
    """Return how large the ext4 on `device` is: as its superblock says (Linux, Documentation/filesystems/ext4/super.rst)."""
    with device.open("rb", buffering=0) as stream:
        stream.seek(1024)
        block = stream.read(1024)
    (low,), (scale,), (magic,), (high,) = (
        struct.unpack_from(form, block, place)
        for form, place in (("<I", 0x4), ("<I", 0x18), ("<H", 0x38), ("<I", 0x150))
    )
    if magic != 0xEF53:
        raise StorageError("E-DATA-GROW", where=device, expected="ext4", found=f"{magic:#x}")
    return int(high << 32 | low) * (1024 << int(scale))


def _must(said: Said, where: Path) -> None:
    if said.code:
        raise StorageError("E-DATA-GROW", where=where, found=said.last_line)


def _number_of(node: str, disk: str) -> int:
    digits = node.removeprefix(disk).lstrip("p")
    return int(digits) if digits.isdecimal() else 0
