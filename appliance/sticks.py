"""What the hub's pages of 写 U 盘 ask for, done: sticks that are in, the room on them, and the export to one.

A stick of an appliance is mounted by root's process, read-only; it is asked to turn it for as long as an export runs.
Invariant: whoever is told that a stick may be pulled out is told after it was mounted read-only again.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from appliance.exporting import export_of_hub, room_on
from appliance.hub import Hub
from appliance.plugging.notes import READ, STICKS, WRITE, Note, read_notes, wish_to_write
from appliance.plugging.survey import trees_on
from catalog import durable
from catalog.errors import ContentError, RoadError, ShuxiangError, StorageError
from catalog.messages import MESSAGES
from catalog.progress import OnProgress
from sync import boxfile
from sync.exporting.disk import Disk
from sync.exporting.ground import write_plain
from sync.roads.stick import read_bounded
from sync.trust.heads import current_head
from sync.trust.keys import load_keys
from webui.hub.media import plugged_in
from webui.hub.operations import MEDIA
from webui.hub.stick_operations import (
    StickBox,
    StickBundle,
    StickPlace,
    StickRoom,
    StickSupply,
    StickWritten,
)

TURN_SECONDS = 40.0
_LOOK_SECONDS = 0.2
_MOUNTS = Path("/proc/self/mountinfo")
_BOX_FILE = re.compile(r"([0-9a-f]{32})\.json")


class StickDesk:
    """Fulfils `webui.hub.stick_operations.StickOperations` for a hub; `run` is where root's notes are."""

    def __init__(self, hub: Hub, run: Path, media: Sequence[Path] = MEDIA) -> None:
        self._hub = hub
        self._run = run
        self._media = tuple(media)
        self._turning = threading.Lock()

    # -- what is in ------------------------------------------------------------------------------------------------

    def sticks(self) -> list[StickPlace]:
        """Return the sticks that root's processes tell of, and disks that somebody mounted for us to write."""
        found = [_place_of(note) for note in read_notes(self._run)]
        for key, mounted in self._mounted().items():
            found.append(_place(key, mounted.name, "", mounted, _has_tree(mounted)))
        return [place for place in found if place is not None]

    def supply(self) -> StickSupply:
        """Return the last release's bundles, and the boxes that have a file of their own."""
        head = current_head(self._hub.public)
        if head is None:
            return StickSupply(release=0, bundles=(), boxes=())
        bundles = tuple(StickBundle(id=one.id, title=one.title) for one in head.release.bundles)
        return StickSupply(release=head.release.number, bundles=bundles, boxes=tuple(self._boxes()))

    def _boxes(self) -> Iterator[StickBox]:
        keys = load_keys(self._hub.directory / "keys")
        folder = self._hub.public / "boxes"
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            name = _BOX_FILE.fullmatch(path.name)
            assigned = boxfile.assigned(self._hub.public, name[1], keys) if name else None
            if name and assigned is not None:
                bundles = None if assigned.bundles is None else tuple(sorted(assigned.bundles))
                yield StickBox(id=name[1], bundles=bundles)

    def _mounted(self) -> dict[str, Path]:
        """Return disks that are mounted, not by us, where we may write, by key."""
        sticks = self._run / STICKS
        disks = plugged_in(_MOUNTS, self._media)
        return {
            f"m{disk.key}": disk.mounted
            for disk in disks
            if sticks not in disk.mounted.parents and os.access(disk.mounted, os.W_OK)
        }

    # -- room and writing ------------------------------------------------------------------------------------------

    def room(self, key: str, bundles: Sequence[str], boxes: Sequence[str]) -> StickRoom:
        """Return the room that it takes."""
        room = room_on(self._hub, self._folder(key), bundles=bundles, boxes=boxes)
        return StickRoom(
            needed_bytes=room.needed_bytes, free_bytes=room.free_bytes, fits=room.fits,
            release=room.release, is_cut=room.is_cut, unpublished=room.unpublished,
        )  # fmt: skip

    def write(self, key: str, bundles: Sequence[str], boxes: Sequence[str], tell: OnProgress) -> StickWritten:
        """Write to the stick and read back."""
        with self._writable(key) as folder:
            done = export_of_hub(self._hub, folder, tell, bundles=bundles, boxes=boxes)
        return StickWritten(
            release=done.release, blobs=done.blobs, size_bytes=done.size_bytes, written_bytes=done.written_bytes
        )  # fmt: skip

    def put_file(self, key: str, name: str, data: bytes) -> None:
        """Put a small file at the root of the stick and read it back."""
        with self._writable(key) as folder:
            place = folder / name
            found = durable.storage(lambda: read_bounded(place, len(data)), place)
            if found == data:
                return
            if place.exists():
                raise ContentError("E-STICK-OTHER", where=name)
            durable.storage(lambda: _written(place, data), place)
            Disk(folder).forget([place])
            if durable.storage(lambda: read_bounded(place, len(data)), place) != data:
                raise StorageError("E-STICK-BAD", where=name)

    def read_file(self, key: str, name: str, most_bytes: int) -> bytes | None:
        """Return a small file at the root of the stick."""
        try:
            return read_bounded(self._folder(key) / name, most_bytes)
        except (RoadError, OSError):
            return None

    def _folder(self, key: str) -> Path:
        note = self._note(key)
        if note is not None and note.code:
            raise _refusal(note.code, note)
        mounted = self._mounted().get(key) if note is None else Path(note.mounted)
        if mounted is None or (note is not None and mounted.parent != self._run / STICKS):
            raise RoadError("E-PULLED")
        return mounted

    @contextmanager
    def _writable(self, key: str) -> Iterator[Path]:
        # Root's process hears one wish at a time.
        if not self._turning.acquire(blocking=False):
            raise RoadError("E-BUSY")
        try:
            with self._turned(key) as folder:
                yield folder
        finally:
            self._turning.release()

    @contextmanager
    def _turned(self, key: str) -> Iterator[Path]:
        folder = self._folder(key)
        if self._note(key) is None:
            yield folder
            return
        # What was denied to a wish before is forgotten first.
        self._wait(key, lambda note: not note.denied)
        wish_to_write(self._run, key)
        try:
            note = self._wait(key, lambda note: note.access == WRITE or bool(note.denied or note.code))
            if note.access != WRITE:
                raise _refusal(note.denied or note.code, note)
            yield folder
        finally:
            wish_to_write(self._run, None)
            # However long its `umount` takes; where the stick, or root's process, is gone, so is the note.
            while (left := self._note(key)) is not None and left.access != READ:
                time.sleep(_LOOK_SECONDS)

    def _note(self, key: str) -> Note | None:
        return next((note for note in read_notes(self._run) if note.id == key), None)

    def _wait(self, key: str, wanted: Callable[[Note], bool]) -> Note:
        """Return the note of a stick once it is as wanted; raise `RoadError` E-PULLED, E-BUSY where it takes too long."""
        deadline = time.monotonic() + TURN_SECONDS
        while (note := self._note(key)) is not None:
            if wanted(note):
                return note
            if time.monotonic() > deadline:
                raise RoadError("E-BUSY", where=note.name)
            time.sleep(_LOOK_SECONDS)
        raise RoadError("E-PULLED")


def _place_of(note: Note) -> StickPlace | None:
    if note.code:
        return StickPlace(
            key=note.id, name=note.name, kind=note.kind, total_bytes=0, free_bytes=0, has_tree=False,
            refusal=_refusal(note.code, note),
        )  # fmt: skip
    return _place(note.id, note.name, note.kind, Path(note.mounted), bool(note.trees))


def _place(key: str, name: str, kind: str, mounted: Path, has_tree: bool) -> StickPlace | None:
    try:
        usage = shutil.disk_usage(mounted)
    except OSError:
        return None  # pulled out this moment
    return StickPlace(
        key=key, name=name, kind=kind, total_bytes=usage.total, free_bytes=usage.free, has_tree=has_tree
    )


def _written(place: Path, data: bytes) -> None:
    write_plain(place, data)
    durable.sync_all([place, place.parent])


def _has_tree(mounted: Path) -> bool:
    try:
        return bool(trees_on(mounted))
    except OSError:
        return False


def _refusal(code: str, note: Note) -> ShuxiangError:
    """Return the refusal that root's process tells of; what it does not know of counts as a stick that can not be read."""
    known = code if code in MESSAGES else "E-STICK-MOUNT"
    exit_code = MESSAGES[known].exit_code
    kind = RoadError if exit_code >= 30 else StorageError if exit_code >= 20 else ContentError
    return kind(known, where=note.name, found=note.denied_found if code == note.denied else note.found)
