"""A directory for one ingest's unfinished files; what a killed ingest left is removed by the next one.

Each ingest holds a lock on its own directory, so that a dry run on the console and an ingest from the command line do
not sweep each other's files away.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from catalog.durable import storage


class Workplace:
    """A locked, empty directory below `parent`; close it to delete it."""

    def __init__(self, parent: Path) -> None:
        storage(lambda: parent.mkdir(parents=True, exist_ok=True), parent)
        _sweep(parent)
        self._path = Path(storage(lambda: tempfile.mkdtemp(prefix="ingest-", dir=parent), parent))
        self._lock = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def new(self, prefix: str) -> Path:
        """Return a new empty directory."""
        return Path(storage(lambda: tempfile.mkdtemp(prefix=prefix, dir=self._path), self._path))

    def close(self) -> None:
        """Delete the directory with everything in it."""
        shutil.rmtree(self._path, ignore_errors=True)
        os.close(self._lock)


def _sweep(parent: Path) -> None:
    for leftover in parent.glob("ingest-*"):
        try:
            handle = os.open(leftover, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(leftover, ignore_errors=True)
        finally:
            os.close(handle)
