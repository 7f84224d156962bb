"""The state directory: whose it is, of which role, and who may write it now.

Invariant: only one process at a time changes a state, the one that holds the flock on `STATE/lock`; pages read
without it. Root never writes a state of another user: it becomes that user first.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from appliance.config import CONFIG_NAME, BoxConfig, HubConfig, read_config
from catalog import durable
from catalog.blobs import SpaceReserve
from catalog.errors import ConfigError, RoadError, StorageError
from catalog.progress import Progress

_T = TypeVar("_T")

LOCK_NAME = "lock"
LOCK_BYTES = 1024
SHOW_SECONDS = 0.5
# A lock of fcntl(2) on the whole file (Linux's `struct flock` on 64 bits: kind, whence, start, length, process). It
# goes with the flock, is freed with it, and unlike a flock it can be asked about without being taken.
_WHOLE_FILE = struct.pack("hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def check_new(state: Path) -> None:
    """Raise `ConfigError` E-STATE-EXISTS where a state is already initialised."""
    if _initialised(state):
        raise ConfigError("E-STATE-EXISTS", where=state)


def create(state: Path, directories: tuple[str, ...]) -> None:
    """Make a new state directory; raise `ConfigError` E-STATE-EXISTS where one is already initialised there."""
    check_new(state)
    become_owner(state)

    def make() -> None:
        durable.make_directory(state)
        for name in directories:
            durable.make_directory(state / name, mode=0o700 if name in ("key", "keys", "recovery") else 0o755)

    durable.storage(make, state)


def open_box(state: Path) -> BoxConfig:
    """Return the configuration of the box at `state`; raise `ConfigError` where it is none of ours."""
    config = _open(state)
    if not isinstance(config, BoxConfig):
        raise ConfigError("E-STATE-ROLE", where=state, expected="box", found="hub")
    return config


def open_hub(state: Path) -> HubConfig:
    """Return the configuration of the hub at `state`; raise `ConfigError` where it is none of ours."""
    config = _open(state)
    if not isinstance(config, HubConfig):
        raise ConfigError("E-STATE-ROLE", where=state, expected="hub", found="box")
    return config


def _open(state: Path) -> BoxConfig | HubConfig:
    if not _initialised(state):
        raise ConfigError("E-STATE-MISSING", where=state)
    become_owner(state)
    return read_config(state / CONFIG_NAME)


def _initialised(state: Path) -> bool:
    try:
        return (state / CONFIG_NAME).exists()
    except PermissionError as error:
        raise ConfigError("E-STATE-USER", where=state, found=_name(os.geteuid())) from error


def become_owner(state: Path) -> None:
    """Go on as the owner of `state` where this is root; raise `ConfigError` E-STATE-USER where it is someone else."""
    if not state.exists():
        return
    owner = state.stat().st_uid
    if owner == os.geteuid():
        return
    if os.geteuid() != 0:
        raise ConfigError("E-STATE-USER", where=state, expected=_name(owner), found=_name(os.geteuid()))
    try:
        entry = pwd.getpwuid(owner)
    except KeyError:
        os.setgroups([])
        os.setgid(state.stat().st_gid)
    else:
        os.initgroups(entry.pw_name, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.environ["HOME"] = entry.pw_dir
    os.setuid(owner)


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def with_reserve(make: Callable[[], _T], reserve: SpaceReserve) -> _T:
    """Return what `make` opens; on a disk without any room, where SQLite can not even read, give the reserve first."""
    try:
        return make()
    except StorageError as error:
        if error.code != "E-DISK-FULL" or not reserve.path.exists():
            raise
        reserve.release()
        return make()


class Hold:
    """The state is held for writing; what is done with it is shown to the pages through the lock file itself."""

    def __init__(self, handle: int, task: str) -> None:
        self._handle = handle
        self._task = task
        self._shown = 0.0
        self.show(Progress(phase=task))

    def show(self, progress: Progress) -> None:
        """Tell the pages how far the work is, at most twice a second; not durable, since it means nothing later."""
        now = time.monotonic()
        if now - self._shown < SHOW_SECONDS:
            return
        self._shown = now
        text = json.dumps({"task": self._task, **asdict(progress)}, ensure_ascii=False)
        os.pwrite(self._handle, text.encode().ljust(LOCK_BYTES)[:LOCK_BYTES], 0)


@contextmanager
def locked(state: Path, task: str) -> Iterator[Hold]:
    """Hold the state for writing; raise `RoadError` E-BUSY where another process does. A kill frees it."""
    handle = durable.storage(
        lambda: os.open(state / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), state
    )
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.fcntl(handle, fcntl.F_OFD_SETLK, _WHOLE_FILE)
        except BlockingIOError as error:
            raise RoadError("E-BUSY", where=state) from error
        yield Hold(handle, task)
    finally:
        os.close(handle)


def work_under_way(state: Path) -> tuple[str, Progress] | None:
    """Return the task that a living process does with this state, and how far it is; None where there is none.

    The words in the lock file outlive their work, a kill and a power cut: they count only while the file is locked.
    """
    try:
        with (state / LOCK_NAME).open("rb") as file:
            found = json.load(file)
            kind, *_ = struct.unpack_from("h", fcntl.fcntl(file, fcntl.F_OFD_GETLK, _WHOLE_FILE))
            task = str(found.pop("task"))
            progress = Progress(**found)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (task, progress) if kind != fcntl.F_UNLCK else None
