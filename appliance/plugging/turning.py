"""A stick that is in is turned to be written while the running hub asks for that, and back to be read only.

Invariant: it is writable only for the owner of the state, only while a process that asks for it runs, and is never
taken from under somebody who reads or writes there; whatever fails, it is told of as what it is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from appliance.plugging.device import Device
from appliance.plugging.mounting import mount, mount_to_write, release
from appliance.plugging.notes import READ, WRITE, Note, is_to_be_written, write_note
from appliance.plugging.survey import trees_on
from catalog.errors import ShuxiangError, StorageError


def turned(run: Path, device: Device, note: Note, state: Path) -> Note:
    """Return what is told of the stick now, mounted as it is asked for; a wish that was denied is not tried again."""
    if note.code:
        return note
    wished = is_to_be_written(run, note.id)
    if wished and note.access == READ and not note.denied:
        after = _to_write(device, note, state)
    elif not wished and note.access == WRITE:
        after = _to_read(device, note, state)
    elif not wished and note.denied:
        after = replace(note, denied="", denied_found="")
    else:
        return note
    if after != note:
        write_note(run, after)
    return after


def _to_write(device: Device, note: Note, state: Path) -> Note:
    place, owner = Path(note.mounted), _owner(note, state)
    if not release(place):
        return replace(note, denied="E-BUSY")
    try:
        mount_to_write(device, place, *owner)
    except StorageError as error:
        return replace(_to_read(device, note, state), denied=error.code, denied_found=error.found)
    return replace(note, access=WRITE)


def _to_read(device: Device, note: Note, state: Path) -> Note:
    place, owner = Path(note.mounted), _owner(note, state)
    if not release(place):
        # It comes when what still writes has ended.
        return note
    try:
        mount(device, place, *owner)
        return replace(note, access=READ, trees=trees_on(place))
    except ShuxiangError as error:
        return _lost(note, error.code, error.found)
    except OSError as error:
        return _lost(note, "E-STICK-MOUNT", error.strerror or "")


def _lost(note: Note, code: str, found: str) -> Note:
    return replace(note, mounted="", trees=(), access=READ, code=code, found=found)


def _owner(note: Note, state: Path) -> tuple[int, int]:
    found = state.stat() if state.exists() else Path(note.mounted).stat()
    return found.st_uid, found.st_gid
