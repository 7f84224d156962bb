"""Does something to a state as the user whose it is, while this process stays what it is.

First boot runs as root: it writes system files and the FAT partition. A state belongs to an ordinary user, and root's
files in it (a database's journal) would lock that user out; so what concerns the state is done in a child process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from appliance.state import become_owner
from catalog.durable import storage_error
from catalog.errors import ConfigError, ContentError, RoadError, ShuxiangError, StorageError

_CLASSES: dict[range, type[ShuxiangError]] = {
    range(10, 20): ContentError,
    range(20, 30): StorageError,
    range(30, 40): RoadError,
}


def as_owner(state: Path, action: Callable[[], Any], needs: Iterable[str] = ()) -> Any:
    """Return the JSON value that `action` returns, done as the owner of `state`, or of the nearest folder above it.

    `needs` are modules that `action` imports late: that user need not be able to read the program (a checkout below
    `/root`), so they are loaded before.
    Raises the `ShuxiangError` that `action` raises; `StorageError` E-INTERNAL where the child dies.
    """
    place = _existing(state)
    if os.geteuid() != 0 or place.stat().st_uid == 0:
        return action()
    for name in needs:
        import_module(name)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        # A child must never return into what its parent was doing.
        try:
            os.write(writer, _answer(place, action))
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    if not answer:
        raise StorageError("E-INTERNAL", where=state)
    found = json.loads(answer)
    if "error" in found:
        raise _refusal(*found["error"])
    return found["value"]


def _answer(place: Path, action: Callable[[], Any]) -> bytes:
    try:
        become_owner(place)
        value: dict[str, Any] = {"value": action()}
    except ShuxiangError as error:
        value = {"error": (error.code, error.where, error.expected, error.found)}
    except OSError as error:
        refused = storage_error(error, error.filename or place)
        value = {"error": (refused.code, refused.where, refused.expected, refused.found)}
    return json.dumps(value, ensure_ascii=False).encode()


def _refusal(code: str, where: str, expected: str, found: str) -> ShuxiangError:
    status = ConfigError(code).exit_code
    kind = next((kind for statuses, kind in _CLASSES.items() if status in statuses), ConfigError)
    return kind(code, where=where, expected=expected, found=found)


def _existing(state: Path) -> Path:
    place = state.absolute()
    while not place.exists():
        place = place.parent
    return place
