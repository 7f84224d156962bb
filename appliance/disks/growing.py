"""The card's data partition, enlarged to the end of the card: the last of four in an MBR table.

Three steps, each of which comes to the same when it is repeated, and none of which harms when it is cut: the table is
one sector (sfdisk writes and flushes it), the kernel is told, the mounted filesystem grows (ext4 does that in its
journal). What is done already is seen from sizes, not from a note of ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from appliance.disks.devices import SECTOR, disk_bytes, disk_of, look_at
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
    node = Path("/dev") / disk
    slot = read_slot(node)
    if slot is None or disk == partition:
        return False
    size = wanted_size(slot, disk_bytes(disk) // SECTOR)
    if size > slot.size:
        _must(ask(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--force", "--partno", str(DATA_NUMBER), node],
                  give=f"{slot.start},{size}\n"), node)  # fmt: skip
    told = look_at(partition)
    if told is None or told.size_bytes < size * SECTOR:
        _must(ask(["partx", "--update", "--nr", str(DATA_NUMBER), node]), node)
    before = _filesystem_bytes(Path("/dev") / partition)
    if size * SECTOR - before < ALIGNED * SECTOR:
        return False
    _must(ask(["resize2fs", Path("/dev") / partition]), node)
    return True


def _filesystem_bytes(device: Path) -> int:
    said = ask(["dumpe2fs", "-h", device])
    fields = dict(line.split(":", 1) for line in said.text.splitlines() if ":" in line)
    try:
        return int(fields["Block count"]) * int(fields["Block size"])
    except (KeyError, ValueError) as error:
        raise StorageError("E-DATA-GROW", where=device, found=said.last_line) from error


def _must(said: Said, where: Path) -> None:
    if said.code:
        raise StorageError("E-DATA-GROW", where=where, found=said.last_line)


def _number_of(node: str, disk: str) -> int:
    digits = node.removeprefix(disk).lstrip("p")
    return int(digits) if digits.isdecimal() else 0
