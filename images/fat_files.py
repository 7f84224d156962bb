"""Files on the FAT partition of a card or an image that nobody mounts: mtools at the partition's offset.

Invariant: nothing outside the partition is touched.
"""

from __future__ import annotations

import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import ContentError
from images.commands import run

SECTOR_BYTES = 512
_ENVIRONMENT = {"MTOOLS_SKIP_CHECK": "1", "MTOOLSRC": "/dev/null"}
_FAT_TYPES = frozenset((0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E))
_TABLE, _ENTRY_BYTES, _SIGNATURE = 446, 16, b"\x55\xaa"


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """An entry of the MBR: its number, type code, and where it lies, in bytes."""

    number: int
    type_code: int
    start_bytes: int
    size_bytes: int

    @property
    def is_fat(self) -> bool:
        return self.type_code in _FAT_TYPES


def partitions(head: bytes) -> list[Partition]:
    """Return the primary partitions that the first sector in `head` names; raise `ContentError` E-IMAGE where it names none."""
    found = []
    if head[510:512] == _SIGNATURE:
        for place in range(4):
            entry = head[_TABLE + place * _ENTRY_BYTES :][:_ENTRY_BYTES]
            start, sectors = struct.unpack_from("<II", entry, 8)
            if entry[4] and sectors:
                found.append(
                    Partition(
                        number=place + 1,
                        type_code=entry[4],
                        start_bytes=start * SECTOR_BYTES,
                        size_bytes=sectors * SECTOR_BYTES,
                    )
                )
    if not found:
        raise ContentError("E-IMAGE", found="no partition table")
    return found


def fat_of(head: bytes) -> Partition:
    """Return the first FAT partition; raise `ContentError` E-IMAGE where there is none."""
    for partition in partitions(head):
        if partition.is_fat:
            return partition
    raise ContentError("E-IMAGE", found="no FAT partition")


def put_file(device: Path, partition: Partition, name: str, data: bytes) -> None:
    """Let the FAT partition hold `data` as the file `name` at its top, in place of what had that name."""
    with tempfile.TemporaryDirectory(prefix="shuxiang-") as folder:
        staged = Path(folder) / "staged"
        staged.touch(mode=0o600)
        staged.write_bytes(data)
        run(["mcopy", "-o", "-i", _at(device, partition), staged, f"::{name}"], _ENVIRONMENT)


def read_file(device: Path, partition: Partition, name: str) -> bytes:
    """Return what the file `name` of the FAT partition holds; raise `ConfigError` E-BUILD where it can not be read."""
    with tempfile.TemporaryDirectory(prefix="shuxiang-") as folder:
        staged = Path(folder) / "staged"
        run(["mcopy", "-n", "-i", _at(device, partition), f"::{name}", staged], _ENVIRONMENT)
        return staged.read_bytes()


def names_on(device: Path, partition: Partition) -> list[str]:
    """Return the paths of all files on the FAT partition, without a slash in front."""
    lines = run(["mdir", "-/", "-b", "-i", _at(device, partition), "::"], _ENVIRONMENT).splitlines()
    return [line.removeprefix("::").strip("/") for line in lines if line and not line.endswith("/")]


def _at(device: Path, partition: Partition) -> str:
    return f"{device}@@{partition.start_bytes}"
