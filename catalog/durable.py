"""The only place that calls `fsync`, `syncfs`, `Path.replace` and `os.link` on our own state.

Invariant: when a function here returns, what it wrote survives a power cut, name included. The order is always
data, then file metadata, then the directory that names it (SYNC point 7; POSIX promises no more than that).
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from catalog.errors import StorageError

_libc = ctypes.CDLL(None, use_errno=True)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
_SYNC_FILE_RANGE_WRITE = 2
_T = TypeVar("_T")

TEMPORARY_SUFFIX = ".part-"


def storage(action: Callable[[], _T], where: object) -> _T:
    """Run `action`; an `OSError` of the disk becomes the `StorageError` that tells what to do."""
    try:
        return action()
    except OSError as error:
        raise storage_error(error, where) from error


def storage_error(error: OSError, where: object) -> StorageError:
    """Return the refusal that fits `error`: full, read-only, closed to us, or a failing disk."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError("E-DISK-FULL", where=where)
    if error.errno == errno.EROFS:
        return StorageError("E-READ-ONLY", where=where)
    if error.errno in (errno.EACCES, errno.EPERM):
        return StorageError("E-ACCESS", where=where)
    return StorageError("E-IO", where=where, found=error.strerror or error)


def sync_file(path: Path) -> None:
    """Make the data of the file at `path` durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_data(handle: int) -> None:
    """Make the data written so far through the open file `handle` durable (its length included)."""
    os.fdatasync(handle)


def begin_sync(handle: int, offset: int, length: int) -> None:
    """Let the disk begin to write these bytes of the open file `handle`, and do not wait.

    Nothing is durable by it: a later flush has less to wait for, and is told of what failed (sync_file_range(2)).
    """
    _libc.sync_file_range(handle, offset, length, _SYNC_FILE_RANGE_WRITE)


def sync_directory(path: Path) -> None:
    """Make the names in the directory at `path` durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_filesystem(path: Path) -> None:
    """Make everything written to the filesystem of `path` durable: cheaper than one fsync per file of a batch."""
    handle = os.open(path, os.O_RDONLY)
    try:
        if _libc.syncfs(handle) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(path))
    finally:
        os.close(handle)


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace the file at `path` by `data` in one durable step; a reader sees the old bytes or the new ones."""
    temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def overwrite(path: Path, offset: int, data: bytes) -> None:
    """Write `data` over what the file at `path` holds at `offset`, durably; its length must not change.

    For filesystems on which replacing a file is no single step (FAT): name, length and place on the disk stay.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.pwrite(handle, data, offset)
        os.fsync(handle)
    finally:
        os.close(handle)


def write_in_place(path: Path, data: bytes) -> None:
    """Let the file at `path` hold `data` and be durable; a cut leaves it old, new, short or empty (for FAT)."""
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    sync_directory(path.parent)


def point(link: Path, target: str) -> None:
    """Let the symbolic link `link` point to `target` in one durable step."""
    temporary = link.with_name(f".{link.name}{TEMPORARY_SUFFIX}{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)
    sync_directory(link.parent)


def remove_file(path: Path) -> bool:
    """Remove the file at `path` durably; return False where there is none."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync_directory(path.parent)
    return True


def publish_file(staged: Path, path: Path) -> None:
    """Move `staged` to `path` (same filesystem) in one durable step, replacing what is there."""
    sync_file(staged)
    staged.replace(path)
    sync_directory(path.parent)


def move(staged: Path, path: Path) -> None:
    """Give the synced file `staged` the name `path` (same filesystem). The name is not durable until synced."""
    staged.replace(path)


def link(existing: Path, path: Path) -> bool:
    """Link `existing` to the new name `path`; return False where that name exists. Not durable until synced."""
    try:
        os.link(existing, path)
    except FileExistsError:
        return False
    return True


def make_directory(path: Path, *, mode: int = 0o755) -> None:
    """Create `path` and its missing parents, each durably named in its own parent."""
    missing = []
    step = path
    while not step.exists():
        missing.append(step)
        step = step.parent
    for directory in reversed(missing):
        directory.mkdir(mode=mode, exist_ok=True)
        sync_directory(directory.parent)


def make_directories(parent: Path, paths: Iterable[Path]) -> None:
    """Create those of `paths`, all directly in `parent`, that are missing: durably named, with one flush for all."""
    missing = [path for path in paths if not path.exists()]
    for path in missing:
        path.mkdir(mode=0o755, exist_ok=True)
    if missing:
        sync_directory(parent)


def sync_all(paths: Iterable[Path]) -> None:
    """Make each file and directory of `paths` durable."""
    for path in paths:
        sync_directory(path) if path.is_dir() else sync_file(path)
