"""Root's process for one stick, from plugging in to pulling out: mounts it, tells of it, and says what comes of it.

Invariant: whatever ends the process, the stick is not left mounted: here, or by `clean_up` from the unit's last step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from appliance.plugging.device import Device, is_own, is_there, look_at
from appliance.plugging.mounting import mount, unmount
from appliance.plugging.notes import (
    NOTES,
    STICKS,
    Note,
    Told,
    read_notes,
    read_told,
    remove_note,
    stick_of_note,
    write_note,
)
from appliance.plugging.sounds import Tune
from appliance.plugging.survey import suspects_on, trees_on
from appliance.plugging.turning import turned
from catalog import durable
from catalog.errors import ShuxiangError, StorageError
from catalog.stick import Phase, Stick

LOOK_SECONDS = 1.0

Say = Callable[[Stick], None]
Play = Callable[[Tune], object]


def stay(run: Path, path: Path, state: Path, say: Say, play: Play) -> None:
    """Keep the stick in the device at `path` mounted and told of while it is in; `state` is whose owner may read it.

    Also takes what is put into the same reader next. Raises `StorageError` where it can not be told of.
    """
    durable.storage(lambda: _make_places(run), run)
    while (device := look_at(path)) is not None and not is_own(device, run / STICKS):
        with _plugged(run, device, state) as note:
            _follow(run, device, note, state, say, play)


def clean_up(run: Path, path: Path) -> None:
    """Take off what a process for the device at `path` that was killed has left mounted, and tell of it no more."""
    for note in read_notes(run):
        if note.device == str(path):
            _take_off(run, note.name)


@contextmanager
def _plugged(run: Path, device: Device, state: Path) -> Iterator[Note]:
    clean_up(run, device.path)
    name = durable.storage(lambda: _claimed(run / STICKS, device.name), run / STICKS)
    place = run / STICKS / name
    try:
        note = _mounted(device, name, place, state)
        write_note(run, note)
        yield note
    finally:
        _take_off(run, name)


def _mounted(device: Device, name: str, place: Path, state: Path) -> Note:
    identity, path = uuid4().hex, str(device.path)
    owner = state.stat() if state.exists() else place.stat()
    try:
        mount(device, place, owner.st_uid, owner.st_gid)
        try:
            trees, suspects = trees_on(place), suspects_on(place)
        except OSError as error:
            raise StorageError("E-STICK-MOUNT", where=device.path, found=error.strerror) from error
    except ShuxiangError as error:
        return Note(id=identity, name=name, device=path, kind=device.kind, code=error.code, found=error.found)
    return Note(
        id=identity, name=name, device=path, kind=device.kind, filesystem=device.uuid or identity,
        mounted=str(place), trees=trees, suspects=suspects,
    )  # fmt: skip


def _follow(run: Path, device: Device, note: Note, state: Path, say: Say, play: Play) -> None:
    """Say what there is to say of the stick while it is in, and let it be written while the hub asks for that."""
    play(Tune.WRONG if note.code else Tune.BEGUN)
    said: Told | None = None
    # Without a word from the box there is something to say too: that nothing can be done with it.
    if note.code or not note.trees:
        say(stick_of_note(note))
    while is_there(device):
        note = turned(run, device, note, state)
        told = read_told(run, note.id)
        if told is not None and told != said and note.trees and told.phase in _TUNES:
            said = told
            tune = _TUNES[told.phase]
            suspects = note.suspects if tune is not None else ()
            say(
                Stick(
                    name=note.name,
                    phase=Phase(told.phase),
                    code=told.code,
                    files=told.files,
                    suspects=suspects,
                )
            )
            if tune is not None:
                play(tune)
        time.sleep(LOOK_SECONDS)


_TUNES: dict[str, Tune | None] = {
    Phase.IMPORTING: None,
    Phase.DONE: Tune.DONE,
    Phase.WRONG: Tune.WRONG,
}


def _make_places(run: Path) -> None:
    for name in (STICKS, NOTES):
        (run / name).mkdir(parents=True, exist_ok=True)


def _claimed(sticks: Path, name: str) -> str:
    """Make the folder that a stick of this name is mounted on, and return what it is called: each stick has its own,
    also of two partitions with one label that come in one moment."""
    found, number = name, 1
    while True:
        try:
            (sticks / found).mkdir()
        except FileExistsError:
            number += 1
            found = f"{name}-{number}"
        else:
            return found


def _take_off(run: Path, name: str) -> None:
    # First the note: who reads it must not begin with what is about to go.
    remove_note(run, name)
    place = run / STICKS / name
    unmount(place)
    with suppress(OSError):
        place.rmdir()
