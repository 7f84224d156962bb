"""The sticks that are plugged into a running box: each is imported by a sync of its own, and its state told.

Invariant: this is the keeper's, which lets one process write the state at a time; what a stick brings goes through the
same run, roads and door as everything else, so that pulling it out, or ending the service, costs nothing but time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from appliance.child import Child
from appliance.plugging.notes import STICKS, Note, Told, read_notes, run_directory, stick_of_note, tell
from appliance.state import work_under_way
from catalog.local import Local, SyncRun
from catalog.stick import MISSING, Phase, Stick

RECENT_SECONDS = 600.0
# What a run says of a stick that is there no more: in the middle, before its first byte, as it was opened.
_LOST = ("E-PULLED", "E-ROAD", "E-NO-TREE")
_BUSY, _PAUSED = 30, 31
_NO_LIMIT = "0\n"


@dataclass
class _Plugged:
    """A stick as the box deals with it: `left` are the trees on it that are not imported yet."""

    note: Note
    phase: Phase
    left: list[Path]
    percent: int | None = None
    code: str = ""
    files: int = 0
    done: bool = False
    ended: float = 0.0
    gone: bool = False


class Sticks:
    """The sticks of one running box. `shown` may be read by any thread; all else is the keeper's."""

    def __init__(self, directory: Path, local: Local) -> None:
        self._directory = directory
        self._local = local
        self._run = run_directory()
        self._sticks: dict[str, _Plugged] = {}
        self._child: tuple[Child, _Plugged] | None = None
        self._before: SyncRun | None = None
        self._told: list[Told] | None = None
        self._shown: tuple[Stick, ...] = ()

    @property
    def shown(self) -> tuple[Stick, ...]:
        """The sticks that pages tell of, the one plugged in last first."""
        return self._shown

    @property
    def waiting(self) -> bool:
        """Whether an import should begin as soon as nothing else writes the state."""
        return self._child is None and self._next() is not None

    @property
    def busy(self) -> bool:
        """Whether an import runs or waits: no other sync should begin."""
        return self._child is not None or self._next() is not None

    def look(self) -> None:
        """Look at what is plugged in, and at the import under way."""
        notes = {note.id: note for note in read_notes(self._run)}
        for note in notes.values():
            if note.id not in self._sticks:
                self._sticks[note.id] = self._plugged(note)
        for stick in self._sticks.values():
            stick.gone = stick.note.id not in notes
        self._follow()
        self._forget()
        self._publish()

    def begin(self) -> None:
        """Begin the import that waits; the caller knows that nothing else writes the state."""
        stick = self._next()
        if stick is None:
            return
        stick.phase, stick.percent = Phase.IMPORTING, None
        child = Child(self._directory, "box", "sync", "--governed", "--from", str(stick.left[0]))
        self._before = self._newest()
        # A stick costs no line: neither its rate nor its hours hold.
        child.tell(_NO_LIMIT)
        self._child = (child, stick)
        self._publish()

    def close(self) -> None:
        """End the import under way; it goes on when the service runs again."""
        if self._child is not None:
            self._child[0].stop()
            self._child[0].wait()

    # -- an import -------------------------------------------------------------------------------------------------

    def _plugged(self, note: Note) -> _Plugged:
        sticks = self._run / STICKS
        left = [Path(note.mounted, tree) for tree in note.trees if Path(note.mounted).parent == sticks]
        phase = stick_of_note(note).phase
        return _Plugged(note=note, phase=phase, left=left, code=note.code, ended=time.monotonic())

    def _next(self) -> _Plugged | None:
        return next((one for one in self._sticks.values() if one.left and not one.gone), None)

    def _follow(self) -> None:
        if self._child is None:
            return
        child, stick = self._child
        code = child.code()
        if code is None:
            found = work_under_way(self._directory)
            share = found[1].share if found is not None and found[1].phase == "content" else None
            stick.percent = None if share is None else int(share * 100)
            return
        self._child = None
        if code in (_BUSY, _PAUSED):
            stick.phase = Phase.WAITING
            return
        refused, files = self._outcome(stick, code)
        stick.left.pop(0)
        stick.files += files
        fine = refused in ("", MISSING)
        # Of several trees on one stick, another county's beside ours say, one that was imported is what counts.
        if fine or not stick.done:
            stick.code = refused
        stick.done = stick.done or fine
        stick.phase = Phase.WAITING if stick.left else Phase.DONE if stick.done else Phase.WRONG
        stick.ended = time.monotonic()

    def _outcome(self, stick: _Plugged, code: int) -> tuple[str, int]:
        """Return the code that the run ended with, and how many files it brought; it has noted both itself."""
        run = self._newest()
        # An import that was ended has noted nothing; the one before may have been of this stick too.
        if run is None or run == self._before or run.details.get("stick") != stick.note.name:
            return ("" if code == 0 else "E-SERVICE"), 0
        return ("" if run.result == "ok" else run.code), int(run.details.get("fetched_blobs", 0))

    def _newest(self) -> SyncRun | None:
        return next(iter(self._local.syncs(1)), None)

    # -- what is told ----------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        """Drop the sticks that are gone; one that was pulled out too early is told of for a while."""
        now = time.monotonic()
        others = any(not one.gone for one in self._sticks.values())
        for identity, stick in list(self._sticks.items()):
            if not stick.gone or (self._child is not None and self._child[1] is stick):
                continue
            early = bool(stick.left) or (stick.phase is Phase.WRONG and stick.code in _LOST)
            if early and stick.phase is not Phase.PULLED:
                stick.phase, stick.left, stick.ended = Phase.PULLED, [], now
            elif stick.phase is not Phase.PULLED or others or now - stick.ended > RECENT_SECONDS:
                del self._sticks[identity]

    def _publish(self) -> None:
        now = time.monotonic()
        self._shown = tuple(
            Stick(
                name=one.note.name,
                phase=one.phase,
                percent=one.percent if one.phase is Phase.IMPORTING else None,
                code=one.code,
                files=one.files,
                suspects=one.note.suspects,
                recent=bool(one.left) or now - one.ended < RECENT_SECONDS,
            )
            for one in reversed(self._sticks.values())
        )
        told = [
            Told(id=one.note.id, phase=one.phase, code=one.code, files=one.files)
            for one in self._sticks.values()
        ]
        if told != self._told:
            self._told = told
            tell(self._run, told)
