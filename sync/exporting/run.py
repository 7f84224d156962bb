"""One export: what is missing is written in stretches, each read back from the disk before the next, the head last.

Invariants: whoever reads the stick at any moment, also after a cut, finds an accepted head whose files are signed, and
takes no byte on trust. The order is content, then manifests, then metadata with `timestamp.json` last, then what the
new head made useless goes. `exporting.txt` stands while an export runs: where it is found, the one before was cut, and
all that is there is read again before it counts. Only where the room would not do, files that go by the new head go
first: then whoever reads the stick in between still finds a signed head, but lacks some of its content.
Sticks are often FAT: no links, and content is not renamed into place.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from catalog import durable
from catalog.errors import ContentError, RoadError, ShuxiangError, StorageError
from catalog.progress import OnProgress, Progress, Speed
from sync import tree
from sync.exporting.disk import Disk
from sync.exporting.ground import (
    StickHead,
    check_ground,
    fingerprint,
    foreign_owner,
    head_of,
    own_bytes,
    write_plain,
)
from sync.exporting.inventory import Inventory, Sweep
from sync.exporting.meter import Meter
from sync.exporting.proof import Proof
from sync.exporting.room import Room, needed_bytes
from sync.exporting.stock import Item, Stock
from sync.exporting.units import BEGIN_BYTES, MOST_FILE_BYTES, Tell, Unit, source_is_whole, units_of
from sync.formats.stickpack import SMALL_BYTES
from sync.roads.readahead import ReadAhead
from sync.roads.stick import Piece, read_bounded
from sync.trust.heads import prune

_MARKER_TEXT = "书箱正在写入；若长时间停留，说明上次被中断，请再导出一次。\r\nAn export is under way, or was cut off: export again.\r\n"
STRETCH_BYTES = 1 << 30
_HONEST = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""What a disk may say that does its work."""
_CLOSED = {errno.EACCES, errno.EPERM}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """The release that the stick stands at; the blobs that were asked for, which it has now, and their bytes.

    `written_bytes` went to the stick; `swept_bytes` of an older release were removed from it. `unpublished` are bundles
    that a box is assigned and the release does not have.
    """

    release: int
    blobs: int
    size_bytes: int
    written_bytes: int
    swept_bytes: int
    unpublished: tuple[str, ...] = ()


class _Ground(NamedTuple):
    """What stands on a stick before a run, and what the run is to do; `again` are places that are written."""

    there: StickHead | None
    is_cut: bool
    inventory: Inventory
    sweep: Sweep
    units: list[Unit]
    again: set[Path]
    files: list[Path]


class Export:
    """One run over the stick in `directory`; `boxes` are the ids of boxes whose own files go along."""

    def __init__(
        self,
        stock: Stock,
        directory: Path,
        progress: OnProgress,
        *,
        boxes: Sequence[str] = (),
        most_file_bytes: int = MOST_FILE_BYTES,
        stretch_bytes: int = STRETCH_BYTES,
    ) -> None:
        self._stock = stock
        self._root = directory
        self._progress = progress
        self._boxes = boxes
        self._most_file_bytes = most_file_bytes
        self._stretch_bytes = stretch_bytes
        self._written_bytes = 0
        self._began = False

    def run(self) -> ExportResult:
        """Bring the stick to the state of the stock.

        Raises `ContentError` E-STICK-OTHER, E-STICK-NEWER, E-STICK-LINK; `StorageError` E-STICK-ACCESS, E-DISK-FULL before anything is written,
        E-DAMAGED where a file of ours, E-STICK-BAD where what the stick gives back is not whole; `RoadError` E-PULLED.
        """
        disk: Disk | None = None
        try:
            durable.make_directory(self._root)
            disk = Disk(self._root)
            return self._run(disk)
        except OSError as error:
            if disk is not None and disk.gone():
                raise RoadError("E-PULLED", where=self._root) from error
            raise self._of_disk(error) from error

    def _of_disk(self, error: OSError) -> StorageError:
        """Return the refusal that fits `error`: it is the stick's where it names a file of the stick, or none."""
        where = error.filename if isinstance(error.filename, (str, Path)) else self._root
        if not Path(where).is_relative_to(self._root):
            return durable.storage_error(error, where)
        if not self._began and error.errno in _CLOSED:
            return StorageError("E-STICK-ACCESS", where=where, found=error.strerror)
        if self._began and error.errno not in _HONEST:
            # A fake that writes over its own tables fails in many ways.
            return StorageError("E-STICK-BAD", where=where, found=error.strerror)
        return durable.storage_error(error, where)

    def measure(self) -> Room:
        """Return what a run would need of the stick; nothing is written. Raises as `run` does before it writes."""
        disk: Disk | None = None
        try:
            disk = Disk(self._root)
            ground = self._look(check=False)
            free = disk.free_bytes()
            if free is not None and not self._fits(disk, ground.units, 0):
                free += sum(path.stat().st_size for path in ground.files)
            return Room(
                needed_bytes=self._needed_bytes(disk, ground.units),
                free_bytes=free,
                release=ground.there.release if ground.there is not None else None,
                is_cut=ground.is_cut,
            )
        except OSError as error:
            if disk is not None and disk.gone():
                raise RoadError("E-PULLED", where=self._root) from error
            raise self._of_disk(error) from error

    def _look(self, *, check: bool) -> _Ground:
        """Return what stands on the stick and what is to be done; `check`: read again what a cut export left."""
        check_ground(self._root)
        own = own_bytes(self._stock.tree / tree.PINNED_ROOT)
        if (owner := foreign_owner(self._root, own)) is not None:
            raise ContentError("E-STICK-OTHER", where=self._root, expected=fingerprint(own), found=owner)
        there = head_of(self._root, own)
        head = self._stock.head
        same = there is not None and there.names_the_same(head.head)
        # A hub that was restored from a backup counts its releases again: its timestamps tell.
        if there is not None and (
            there.release > head.release.number or (not same and there.timestamp > head.timestamp)
        ):
            raise ContentError(
                "E-STICK-NEWER", where=self._root, expected=head.release.number, found=there.release
            )
        inventory = Inventory(self._root)
        cut = (self._root / tree.EXPORTING).exists()
        if cut and check:
            self._check(inventory)
        sweep = Sweep()
        if cut or not same:
            sweep = inventory.sweep_of(self._stock)
        missing = self._missing(inventory, sweep)
        units = list(units_of(missing, self._most_file_bytes))
        # A pack that a cut left unfinished is gone on with where it is written again.
        again = {self._root / path for unit in units for path, _ in unit.paths}
        files = [path for path in sweep.files if path not in again]
        return _Ground(there, cut, inventory, sweep, units, again, files)

    def _run(self, disk: Disk) -> ExportResult:
        there, _, inventory, sweep, units, again, files = self._look(check=True)
        head, marker = self._stock.head, self._root / tree.EXPORTING
        first = not self._fits(disk, units, 0)
        if first and not self._fits(disk, units, sum(path.stat().st_size for path in files)):
            raise self._full(disk, units)
        # Whatever there is of it says enough.
        write_plain(marker, _MARKER_TEXT.encode())
        durable.sync_all([marker, self._root])
        self._began = True
        swept_bytes = _remove(files) if first else 0
        self._write(disk, units, Proof(disk, self._stock, inventory, again.union(sweep.files)))
        self._write_boxes()
        if there is None or there.timestamp <= head.timestamp:
            self._write_head(disk)
            prune(self._root, [head.head])
        swept_bytes += _remove([*sweep.packs, *files])
        disk.settle(marker)
        marker.unlink()
        durable.sync_directory(self._root)
        items = self._stock.items
        return ExportResult(
            release=head.release.number,
            blobs=len(items),
            size_bytes=sum(item.blob.size_bytes for item in items),
            written_bytes=self._written_bytes,
            swept_bytes=swept_bytes,
        )

    # -- what is there ---------------------------------------------------------------------------------------------

    def _check(self, inventory: Inventory) -> None:
        """Read what a cut export left."""
        done = 0
        speed = Speed()

        def tell(count: int) -> None:
            nonlocal done
            done += count
            speed.add(count)
            self._progress(Progress(phase="verify", done_bytes=done, bytes_per_second=speed.bytes_per_second))

        large = {
            item.blob.sha256: item.blob.size_bytes
            for item in (*self._stock.items, *self._stock.torrents)
            if item.blob.size_bytes > SMALL_BYTES
        }
        inventory.check(large, tell)

    def _missing(self, inventory: Inventory, sweep: Sweep) -> list[Item]:
        missing = {}
        for item in (*self._stock.items, *self._stock.torrents):
            place = inventory.stands(item.blob)
            if place is None or place in sweep.packs:
                missing[item.blob.sha256] = item
        for item in sweep.moved:
            missing.setdefault(item.blob.sha256, item)
        return list(missing.values())

    # -- room ------------------------------------------------------------------------------------------------------

    def _fits(self, disk: Disk, units: Iterable[Unit], swept_bytes: int) -> bool:
        free = disk.free_bytes()
        return free is None or self._needed_bytes(disk, units) <= free + swept_bytes

    def _needed_bytes(self, disk: Disk, units: Iterable[Unit]) -> int:
        return needed_bytes(disk, units, [*self._box_files(), *self._head_files()])

    def _full(self, disk: Disk, units: Iterable[Unit]) -> StorageError:
        return StorageError(
            "E-DISK-FULL",
            where=self._root,
            expected=f"{self._needed_bytes(disk, units):,} B",
            found=f"{disk.free_bytes():,} B",
        )

    # -- writing ---------------------------------------------------------------------------------------------------

    def _write(self, disk: Disk, units: Sequence[Unit], proof: Proof) -> None:
        meter = Meter(self._progress, units)
        begun = 0

        def tell(count: int) -> None:
            nonlocal begun
            begun += count
            if begun >= BEGIN_BYTES:
                disk.begin()
                begun = 0
            meter.tell(count)

        for stretch in _stretches(units, self._stretch_bytes):
            for unit in stretch:
                self._written_bytes += unit.write(self._root, tell)
                meter.done += len(unit.items)
            self._read_back(disk, stretch, meter)
            if (changed := proof.look(sum(unit.size_bytes for unit in stretch))) is not None:
                raise StorageError("E-STICK-BAD", where=changed, found=f"{self._written_bytes:,} B")
            for unit in stretch:
                proof.add(unit)

    def _read_back(self, disk: Disk, stretch: Sequence[Unit], meter: Meter) -> None:
        """Compare what the disk gives back; a unit that is wrong is written once more, then refused."""
        pieces = [Piece(self._root / path, 0, length) for unit in stretch for path, length in unit.paths]
        paths = [piece.path for piece in pieces]
        disk.settle(paths[-1])
        disk.forget(paths)
        position = 0
        with ReadAhead(pieces) as hints:

            def tell(count: int) -> None:
                nonlocal position
                position += count
                hints.reached(position)
                meter.tell(count)

            for unit in stretch:
                hints.reached(position)
                if self._is_wrong(unit, tell) is None:
                    continue
                unit.remove(self._root)
                self._written_bytes += unit.write(self._root, lambda _: None)
                own = [self._root / path for path, _ in unit.paths]
                disk.settle(own[-1])
                # Also what was read ahead of the rest: this may have been written over it.
                disk.forget([path for path in paths if path.exists()])
                if (item := self._is_wrong(unit, meter.tell)) is not None:
                    unit.remove(self._root)
                    raise self._refusal(item, own[0])

    def _is_wrong(self, unit: Unit, tell: Tell) -> Item | None:
        try:
            return unit.wrong(self._root, tell)
        except FileNotFoundError:
            # What it was told it forgot: also a way of being a fake.
            return unit.items[0]

    def _refusal(self, item: Item, place: Path) -> ShuxiangError:
        if source_is_whole(item):
            return StorageError("E-STICK-BAD", where=place, found=f"{self._written_bytes:,} B")
        return StorageError("E-DAMAGED", where=item.path, expected=item.blob.sha256)

    def _put(self, path: str, data: bytes) -> None:
        """Write a small file in one durable step. Its mode stays the filesystem's affair: FAT has none."""
        place = self._root / path
        durable.make_directory(place.parent)
        part = place.with_name(f".{place.name}{durable.TEMPORARY_SUFFIX}export")
        write_plain(part, data)
        durable.publish_file(part, place)
        self._written_bytes += len(data)

    # -- the head --------------------------------------------------------------------------------------------------

    def _write_boxes(self) -> None:
        for path, source in self._box_files():
            self._put(path, own_bytes(source))

    def _box_files(self) -> list[tuple[str, Path]]:
        """Return the boxes' own files, and where they stand here."""
        return [(path, self._stock.tree / path) for path in map(tree.box_path, self._boxes)]

    def _head_files(self) -> list[tuple[str, Path]]:
        """Return the files of the head, manifests first, and where they stand here; one form of each is enough."""
        metadata = (self._stock.tree / "metadata").iterdir()
        names = (f"metadata/{path.name}" for path in metadata)
        roots = {path for path in names if (name := tree.parse(path)) and name.kind == "root"}
        found = []
        for path in sorted(roots | self._stock.head.head.paths(), reverse=True):
            source = self._stock.tree / path
            if source.exists() and not source.with_name(source.name + tree.ZST_SUFFIX).exists():
                found.append((path, source))
        return [*found, (tree.TIMESTAMP, self._stock.tree / tree.TIMESTAMP)]

    def _write_head(self, disk: Disk) -> None:
        files = self._head_files()
        for path, source in files:
            place = self._root / path
            data = own_bytes(source)
            if read_bounded(place, len(data)) != data:
                self._put(path, data)
        places = [self._root / path for path, _ in files]
        disk.settle(places[-1])
        disk.forget(places)
        for place, (_, source) in zip(places, files, strict=True):
            data = own_bytes(source)
            if read_bounded(place, len(data)) != data:
                raise StorageError("E-STICK-BAD", where=place, found=f"{self._written_bytes:,} B")


def _stretches(units: Sequence[Unit], stretch_bytes: int) -> Iterable[list[Unit]]:
    found: list[Unit] = []
    size_bytes = 0
    for unit in units:
        found.append(unit)
        size_bytes += unit.size_bytes
        if size_bytes >= stretch_bytes:
            yield found
            found, size_bytes = [], 0
    if found:
        yield found


def _remove(paths: Iterable[Path]) -> int:
    """Remove what is there of `paths`; return its bytes."""
    removed = 0
    for path in paths:
        try:
            length = path.stat().st_size
            path.unlink()
        except FileNotFoundError:
            continue
        removed += length
    return removed
