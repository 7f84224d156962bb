"""Proof that a disk holds what was written to it: looks at what stood there before each new stretch was written.

A disk of less capacity than it says drops what goes beyond, or writes it over what came first. The former is found by
reading back each stretch; for the latter, what stands already is looked at again after each stretch, at places that
lie an eighth of the stretch apart: what was written over is as long as what was written. So a false capacity is known
within one stretch of where it ends, without writing a byte that was not to be written anyway. A little that comes to a
large stick is looked at in fewer places, so that it takes seconds: what it may spoil is as little.
"""

from __future__ import annotations

import random
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from catalog.blobs import Blob
from catalog.errors import ContentError, StorageError
from sync.exporting.disk import Disk
from sync.exporting.inventory import Inventory
from sync.exporting.stock import Stock
from sync.exporting.units import PackUnit, Unit, bytes_of, same_blob, source_is_whole
from sync.roads.stick import PACK_SUFFIX, read_index

LOOK_BYTES = 64 << 10
LEAST_STEP_BYTES = 1 << 20
_SHARE = 8
MOST_LOOKS = 2000


@dataclass(frozen=True, slots=True)
class _Place:
    """A file on the stick; `start`: where in the blob `sha256` it begins (packs have none)."""

    path: Path
    size_bytes: int
    sha256: str = ""
    blob_bytes: int = 0
    start: int = 0


class Proof:
    """What stands on the stick and was right once."""

    def __init__(self, disk: Disk, stock: Stock, inventory: Inventory, unfinished: Container[Path]) -> None:
        """`unfinished`: what is written anew or goes, so says nothing of the disk; nor does a pack of a torn index."""
        self._disk = disk
        self._stock = stock
        self._random = random.Random()
        self._places = [
            _Place(path, length, sha256, length)
            for path, length, sha256 in inventory.places()
            if path not in unfinished and (sha256 or (path.suffix == PACK_SUFFIX and _has_index(path)))
        ]

    def add(self, unit: Unit) -> None:
        """Take note of a unit that was read back and is right."""
        if isinstance(unit, PackUnit):
            path, length = unit.paths[0]
            self._places.append(_Place(self._disk.directory / path, length))
            return
        start = 0
        blob = unit.items[0].blob
        for path, length in unit.paths:
            place = _Place(self._disk.directory / path, length, blob.sha256, blob.size_bytes, start)
            self._places.append(place)
            start += length

    def look(self, written_bytes: int) -> Path | None:
        """Look at what stood before the last `written_bytes`; return the first file that has changed.

        Raises `StorageError` E-DAMAGED where it is our own copy that is wrong, `OSError`.
        """
        there_bytes = sum(place.size_bytes for place in self._places)
        step = max(LEAST_STEP_BYTES, written_bytes // _SHARE, there_bytes // MOST_LOOKS)
        passed = self._random.randrange(step)
        for place in self._places:
            passed += place.size_bytes
            looks, passed = divmod(passed, step)
            if looks:
                self._disk.forget([place.path])
                if not all(self._is_whole(place) for _ in range(looks)):
                    return place.path
        return None

    def _is_whole(self, place: _Place) -> bool:
        if not place.sha256:
            try:
                member = self._random.choice(read_index(place.path))
            except ContentError:
                return False
            data = _read(place.path, member.offset, member.size_bytes)
            return same_blob(Blob(sha256=member.sha256, size_bytes=member.size_bytes), data)
        item = self._stock.source(Blob(sha256=place.sha256, size_bytes=place.blob_bytes))
        if item is None or item.data is not None:
            return True
        start = self._random.randrange(max(1, place.size_bytes - LOOK_BYTES))
        length = min(LOOK_BYTES, place.size_bytes)
        if _read(place.path, start, length) == b"".join(
            bytes(block) for block in bytes_of(item, place.start + start, place.start + start + length)
        ):
            return True
        if not source_is_whole(item):
            raise StorageError("E-DAMAGED", where=item.path, expected=item.blob.sha256)
        return False


def _has_index(path: Path) -> bool:
    try:
        read_index(path)
    except ContentError:
        return False
    return True


def _read(path: Path, start: int, length: int) -> bytes:
    with path.open("rb", buffering=0) as stream:
        stream.seek(start)
        return stream.read(length)
