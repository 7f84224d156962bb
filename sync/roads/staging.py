"""Where roads leave bytes, and how much of them survives a power cut.

Invariant: bytes up to the recorded offset of a large file are on the disk. A road that goes on with a file truncates
it to that offset first, so whatever the cut left behind it (holes, zeros, other blocks) is never built upon. The
offset stands in `<sha256>.at` beside the file and is written after the data it speaks of, each MiB; small files have
none and start again. The lock is inherited by programs that write here, so a program that outlived its run (after
`kill -9`) is found and ended before another run writes to the same files.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from catalog import durable
from catalog.blobs import hash_file
from catalog.errors import RoadError
from catalog.resource import is_sha256
from sync.release import TreeFile

CHECKPOINT_BYTES = 1 << 20
LOCK_SECONDS = 15.0
_OFFSET_DIGITS = 20
_OFFSET_SUFFIX = ".at"
_LOCK_NAME = ".writers"


class StagedFile:
    """One file that is being received: append-only, unbuffered, its durable length recorded each MiB."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self._mark_handle: int | None = None
        known = _recorded_offset(path)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            length = os.fstat(self._handle).st_size
            self.offset = known if known <= min(length, size_bytes) else 0
            if length != self.offset:
                os.ftruncate(self._handle, self.offset)
            os.lseek(self._handle, self.offset, os.SEEK_SET)
        except BaseException:
            os.close(self._handle)
            raise
        self._durable = self.offset

    @property
    def handle(self) -> int:
        """The open file, for the kernel to copy into; call `copied` afterwards."""
        return self._handle

    def write(self, data: bytes | memoryview) -> None:
        """Append `data`; raises `OSError`."""
        view = memoryview(data)
        while view:
            count = os.write(self._handle, view)
            view = view[count:]
            self.copied(count)

    def copied(self, count: int) -> None:
        """Take note that `count` bytes were appended."""
        self.offset += count
        if self.offset - self._durable >= CHECKPOINT_BYTES:
            self.checkpoint()

    def restart(self) -> None:
        """Throw away what is here."""
        os.ftruncate(self._handle, 0)
        os.lseek(self._handle, 0, os.SEEK_SET)
        self.offset = self._durable = 0
        if self._mark_handle is not None or _mark(self.path).exists():
            self._record(0)

    def checkpoint(self) -> None:
        """Make what was received durable and record how much that is."""
        if self.offset > self._durable:
            durable.sync_data(self._handle)
            self._record(self.offset)
            self._durable = self.offset

    def close(self) -> None:
        """Close; an unfinished file keeps what it has, a finished large one is ready for the door."""
        try:
            if self.offset < self.size_bytes or self._mark_handle is not None:
                self.checkpoint()
        finally:
            os.close(self._handle)
            if self._mark_handle is not None:
                os.close(self._mark_handle)

    def __enter__(self) -> StagedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _record(self, offset: int) -> None:
        if self._mark_handle is None:
            self._mark_handle = _open_mark(self.path)
        os.pwrite(self._mark_handle, b"%0*d" % (_OFFSET_DIGITS, offset), 0)
        durable.sync_data(self._mark_handle)


class Staging:
    """The staging directory of one run; only one run and its programs have it at a time."""

    def __init__(self, directory: Path, *, lock_seconds: float = LOCK_SECONDS) -> None:
        """Open `directory` for writing; raises `RoadError` E-BUSY where another run keeps it."""
        self.directory = directory
        durable.make_directory(directory)
        self.lock_handle = os.open(directory / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock(lock_seconds)
        except BaseException:
            os.close(self.lock_handle)
            raise

    def path(self, sha256: str) -> Path:
        """Return where the bytes named `sha256` are collected."""
        return self.directory / sha256

    def open(self, file: TreeFile) -> StagedFile:
        """Open the place of `file`, cut back to what is known to be on the disk."""
        return StagedFile(self.path(file.sha256), file.size_bytes)

    def complete(self, file: TreeFile) -> bool:
        """Return whether an earlier run left all bytes of `file` here; wrong ones are cut back or dropped."""
        path = self.path(file.sha256)
        try:
            length = path.stat().st_size
        except FileNotFoundError:
            return file.size_bytes == 0 and self._touch(path)
        if length < file.size_bytes:
            return False
        if length == file.size_bytes and hash_file(path) == file.sha256:
            return True
        if _recorded_offset(path) >= file.size_bytes:
            # All of it was recorded as received, so no cut made it wrong: the source did.
            self.forget(file.sha256)
        else:
            StagedFile(path, file.size_bytes).close()
        return False

    def length(self, file: TreeFile) -> int:
        """Return how many bytes of `file` are here."""
        try:
            return min(self.path(file.sha256).stat().st_size, file.size_bytes)
        except FileNotFoundError:
            return 0

    def note_written(self, file: TreeFile) -> int:
        """Record, for a program that writes here by itself, how much of `file` is on the disk; return it."""
        path = self.path(file.sha256)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return 0
        try:
            length = os.fstat(handle).st_size
            if length - _recorded_offset(path) >= CHECKPOINT_BYTES:
                durable.sync_data(handle)
                mark = _open_mark(path)
                try:
                    os.pwrite(mark, b"%0*d" % (_OFFSET_DIGITS, length), 0)
                    durable.sync_data(mark)
                finally:
                    os.close(mark)
            return length
        finally:
            os.close(handle)

    def forget(self, sha256: str) -> None:
        """Remove what is here of `sha256`."""
        _mark(self.path(sha256)).unlink(missing_ok=True)
        self.path(sha256).unlink(missing_ok=True)

    def settle(self, sha256s: Iterable[str]) -> None:
        """Remove the records of files that went through the door."""
        for sha256 in sha256s:
            _mark(self.path(sha256)).unlink(missing_ok=True)

    def prune(self, is_wanted: Callable[[str], bool]) -> int:
        """Remove what nobody wants any more and what programs left over; return the bytes freed."""
        freed = 0
        for path in self.directory.iterdir():
            digest = path.name.removesuffix(_OFFSET_SUFFIX)
            if path.is_file() and path.name != _LOCK_NAME and not (is_sha256(digest) and is_wanted(digest)):
                freed += path.stat().st_size
                path.unlink(missing_ok=True)
        return freed

    def writer_started(self, process_group: int) -> None:
        """Note the process group of a program that inherits the lock, and whose program it is."""
        os.ftruncate(self.lock_handle, 0)
        os.pwrite(self.lock_handle, b"%d %d\n" % (os.getpid(), process_group), 0)

    def writer_ended(self) -> None:
        """Note that the program is gone."""
        os.ftruncate(self.lock_handle, 0)

    def close(self) -> None:
        """Give the directory back."""
        os.close(self.lock_handle)

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _touch(self, path: Path) -> bool:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        return True

    def _lock(self, lock_seconds: float) -> None:
        deadline = time.monotonic() + lock_seconds
        while True:
            try:
                fcntl.flock(self.lock_handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise RoadError("E-BUSY", where=self.directory) from None
            self._end_orphan()
            time.sleep(0.05)

    def _end_orphan(self) -> None:
        # The lock is held and the run that noted the group is gone: its program holds it, so the group is still its.
        words = os.pread(self.lock_handle, 64, 0).split()
        if len(words) != 2 or not all(word.isdigit() for word in words):
            return
        run, group = int(words[0]), int(words[1])
        if group > 1 and not Path(f"/proc/{run}").exists():
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)


def _mark(path: Path) -> Path:
    return path.with_name(path.name + _OFFSET_SUFFIX)


def _open_mark(path: Path) -> int:
    mark = _mark(path)
    fresh = not mark.exists()
    handle = os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    if fresh:
        durable.sync_directory(path.parent)
    return handle


def _recorded_offset(path: Path) -> int:
    try:
        text = _mark(path).read_bytes()
    except FileNotFoundError:
        return 0
    return int(text) if len(text) == _OFFSET_DIGITS and text.isdigit() else 0
