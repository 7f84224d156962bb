"""What the two sides tell each other: a note for each stick that is plugged in, and how far the box is with each.

Invariant: each side writes only its own files, in one step; what is read is bounded and may be anything, so that
neither side trusts the other further than a name, a code and a folder.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from catalog import durable
from catalog.stick import Phase, Stick

RUN = Path("/run/shuxiang")
STICKS, NOTES, TOLD = "sticks", "plugged", "told"
"""Below the run directory: where sticks are mounted, root's notes of them, what the box tells."""
TOLD_NAME, WISH_NAME = "sticks.json", "write.json"
READ, WRITE = "read", "write"
PROCESSES = Path("/proc")
MOST_BYTES = 64 << 10
MOST_STICKS = 32
_CODE = re.compile(r"[A-Z0-9-]{0,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A stick that is plugged in. `id` is new each time it is; `name` also names the folder that it is mounted at.

    `filesystem` is the same each time that this one is plugged in; of one without an identity of its own it is `id`.

    `trees`: folders on it that begin as a tree does, relative; `code` and `found` say why it could not be mounted ("":
    it is). `suspects` are names at its root that a virus leaves there. `access`: READ or, where the running hub asked
    for it, WRITE; `denied` and `denied_found` say why it can not be written.
    """

    id: str
    name: str
    device: str
    kind: str = ""
    filesystem: str = ""
    mounted: str = ""
    trees: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()
    code: str = ""
    found: str = ""
    access: str = READ
    denied: str = ""
    denied_found: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the box says of a stick: `phase` as of `webui.operations.Stick`, how it ended, files that came."""

    id: str
    phase: str
    code: str = ""
    files: int = 0


def run_directory() -> Path:
    """Return `$SHUXIANG_RUN`, else `/run/shuxiang`."""
    return Path(os.environ.get("SHUXIANG_RUN") or RUN)


def write_note(run: Path, note: Note) -> None:
    """Tell of a stick; raise `StorageError`."""
    _write(run / NOTES / f"{note.name}.json", asdict(note))


def remove_note(run: Path, name: str) -> None:
    """Tell no more of the stick `name`."""
    path = run / NOTES / f"{name}.json"
    durable.storage(lambda: durable.remove_file(path), path)


def read_notes(run: Path) -> list[Note]:
    """Return the sticks that are plugged in, the longest plugged in first; a note that can not be read is left out."""
    try:
        paths = sorted((run / NOTES).glob("*.json"), key=lambda path: (path.lstat().st_mtime_ns, path.name))
    except OSError:
        return []
    return [note for path in paths[:MOST_STICKS] if (note := _note(_read(path))) is not None]


def stick_of(source: str | None) -> str:
    """Return the name of the stick that a run is from; "" where it is from somewhere else."""
    sticks = run_directory() / STICKS
    if source is None or not Path(source).is_relative_to(sticks):
        return ""
    return next(iter(Path(source).relative_to(sticks).parts), "")


def filesystem_at(place: Path) -> str:
    """Return which filesystem a folder of a stick that is in lies on; "" where there is no such stick."""
    name = stick_of(str(place))
    return next((note.filesystem for note in read_notes(run_directory()) if note.name == name), "")


def tell(run: Path, told: Iterable[Told]) -> None:
    """Say how far the box is with each stick; where there is nobody to read it, do nothing."""
    if (run / TOLD).is_dir():
        _write(run / TOLD / TOLD_NAME, [asdict(one) for one in told])


def read_told(run: Path, stick: str) -> Told | None:
    """Return what the box says of the stick with this id; None where it says nothing yet."""
    for row in _rows(_read(run / TOLD / TOLD_NAME)):
        code = str(row.get("code"))
        if row.get("id") == stick and isinstance(row.get("files"), int) and _CODE.fullmatch(code):
            return Told(id=stick, phase=str(row.get("phase")), code=code, files=row["files"])
    return None


def wish_to_write(run: Path, stick: str | None) -> None:
    """Ask that the stick with this id may be written as long as this process runs; None: none any more.

    Raises `StorageError`.
    """
    _write(run / TOLD / WISH_NAME, {"id": stick, "process": os.getpid()})


def is_to_be_written(run: Path, stick: str) -> bool:
    """Return whether a process that still runs asks that the stick with this id may be written."""
    value = _read(run / TOLD / WISH_NAME)
    if not isinstance(value, dict) or value.get("id") != stick:
        return False
    process = value.get("process")
    return type(process) is int and process > 0 and (PROCESSES / str(process)).exists()


def _note(value: Any) -> Note | None:
    try:
        trees, suspects = (tuple(map(str, value.pop(name))) for name in ("trees", "suspects"))
        texts = {name: str(text) for name, text in value.items()}
        return Note(trees=trees, suspects=suspects, **texts)
    except (AttributeError, KeyError, TypeError):
        return None


def stick_of_note(note: Note) -> Stick:
    """Return what the note alone says of the stick."""
    phase = Phase.WRONG if note.code else Phase.WAITING if note.trees else Phase.PLAIN
    return Stick(name=note.name, phase=phase, code=note.code, suspects=note.suspects)


def _rows(value: Any) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _write(path: Path, value: Any) -> None:
    # Escaped: the name of a folder on a stick may be no text at all.
    data = json.dumps(value).encode()
    durable.storage(lambda: durable.write_file(path, data), path)


def _read(path: Path) -> Any:
    """Return the value in the file at `path`; None where there is none that can be read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as stream:
            return json.loads(stream.read(MOST_BYTES))
    except (OSError, ValueError):
        return None
