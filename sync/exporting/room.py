"""The room that an export needs on a disk, in whole clusters, and what there is of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sync.exporting.disk import SPARE_BYTES, Disk
from sync.exporting.units import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What an export would need of a disk, `free_bytes` (None: it does not say) with what would go first.

    `release`: of ours that the disk is at (None: none). `is_cut`: the export before was cut off, and what it left is
    read again first; the figures then count it as sound. `unpublished`: as of `sync.exporting.run.ExportResult`.
    """

    needed_bytes: int
    free_bytes: int | None
    release: int | None
    is_cut: bool
    unpublished: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether it would be begun."""
        return self.free_bytes is None or self.needed_bytes <= self.free_bytes


def needed_bytes(disk: Disk, units: Iterable[Unit], files: Iterable[tuple[str, Path]]) -> int:
    """Return the bytes that are needed for `units` and for `files`, where on the disk each goes and where it stands here;
    what is there of a cut copy is taken off."""
    root = disk.directory
    needed = SPARE_BYTES
    folders = set()
    lengths = [(path, length) for unit in units for path, length in unit.paths]
    lengths += [(path, source.stat().st_size) for path, source in files]
    for path, length in lengths:
        place = root / path
        needed += disk.room_for(length)
        if not place.parent.exists():
            folders.add(place.parent)
        elif place.exists():
            needed -= disk.room_for(place.stat().st_size)
    return needed + len(folders) * disk.cluster_bytes
