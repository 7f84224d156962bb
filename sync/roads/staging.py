"""Where roads leave bytes, and how much of them survives a power cut.

Invariant: bytes up to the recorded offset of a file are on the disk. After a power cut a road truncates a file to
that offset before it goes on, so whatever the cut left behind it (holes, zeros, other blocks) is never built upon;
small files have no record and start again. After a mere kill the kernel still has all that was written, so within one
boot the length of the file counts. Offset and boot stand in `<sha256>.at`, written after the data they speak of; on
the first run after a boot every file without a record gets one that says 0. The lock is inherited by programs that
write here, so a program that outlived its run (after `kill -9`) is found and ended before another run writes to the
same files.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from catalog import durable
from catalog.blobs import hash_file
from catalog.errors import RoadError
from catalog.resource import is_sha256
from sync.formats.release import TreeFile

CHECKPOINT_BYTES = 1 << 20
# Where checkpoints are further apart, the disk writes between them; each waits for the rest.
_BEGIN_BYTES = 4 << 20
LOCK_SECONDS = 15.0
_OFFSET_DIGITS = 20
SWARM_SUFFIX = ".swarm"
"""Of what a swarm collects beside (`sync.roads.swarmfile`)."""
_OFFSET_SUFFIX = ".at"
_LOCK_NAME = ".writers"
_BOOT_NAME = ".boot"
_BASES_NAME = ".bases"
_NO_BOOT = "-"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
"""Names the machine's present boot (random(4))."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """How many bytes of a file are on the disk, and in which boot of the machine that was written."""

    offset: int
    boot: str


class StagedFile:
    """One file that is being received: append-only, unbuffered, its durable length recorded on the way."""

    def __init__(
        self, path: Path, size_bytes: int, boot: str, checkpoint_bytes: int = CHECKPOINT_BYTES
    ) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self._boot = boot
        self._checkpoint_bytes = checkpoint_bytes
        self._mark_handle: int | None = None
        mark = _read_mark(path)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            length = os.fstat(self._handle).st_size
            after_cut = mark is not None and mark.boot != boot
            known = mark.offset if mark is not None and after_cut else length
            self.offset = known if known <= min(length, size_bytes) else 0
            if length != self.offset:
                os.ftruncate(self._handle, self.offset)
            os.lseek(self._handle, self.offset, os.SEEK_SET)
            self._durable = min(self.offset, mark.offset) if mark else 0
            self._begun = self.offset
            if after_cut:
                # From here on the length counts again; this need not be durable, the old record is as true.
                self._mark_handle = _open_mark(path)
                _write_mark(self._mark_handle, self.offset, boot)
        except BaseException:
            os.close(self._handle)
            raise

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
        if self.offset - self._durable >= self._checkpoint_bytes:
            self.checkpoint()
        elif self.offset - self._begun >= _BEGIN_BYTES:
            durable.begin_sync(self._handle, self._begun, self.offset - self._begun)
            self._begun = self.offset

    def restart(self) -> None:
        """Throw away what is here."""
        os.ftruncate(self._handle, 0)
        os.lseek(self._handle, 0, os.SEEK_SET)
        self.offset = self._durable = self._begun = 0
        if self._mark_handle is not None or _mark(self.path).exists():
            self._record(0)

    def checkpoint(self) -> None:
        """Make what was received durable and record how much that is."""
        if self.offset > self._durable:
            durable.sync_data(self._handle)
            self._record(self.offset)
            self._durable = self._begun = self.offset

    def close(self) -> None:
        """Close; an unfinished file keeps what it has, a finished large one is ready for the door."""
        try:
            if self.offset < self.size_bytes or self._mark_handle is not None:
                self.checkpoint()
            elif self._begun:
                durable.begin_sync(self._handle, self._begun, self.offset - self._begun)
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
        _write_mark(self._mark_handle, offset, self._boot)
        durable.sync_data(self._mark_handle)


class Staging:
    """The staging directory of one run; only one run and its programs have it at a time."""

    def __init__(
        self, directory: Path, *, lock_seconds: float = LOCK_SECONDS, boot: str | None = None
    ) -> None:
        """Open `directory` for writing; raises `RoadError` E-BUSY where another run keeps it.

        `boot` names the machine's present boot (as `BOOT_ID` does); what was unflushed in another one is lost.
        """
        self.directory = directory
        self.bases: Mapping[str, Path] = {}
        """Hash -> a local file that is much like it, for a road that sends differences."""
        self._boot = boot or BOOT_ID.read_text().strip()
        durable.make_directory(directory)
        self.lock_handle = os.open(directory / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._lock(lock_seconds)
            durable.storage(self._begin_boot, directory)
        except BaseException:
            os.close(self.lock_handle)
            raise

    def path(self, sha256: str) -> Path:
        """Return where the bytes named `sha256` are collected."""
        return self.directory / sha256

    def basis_path(self, sha256: str) -> Path:
        """Return where the basis of a file lies while a road works from it."""
        return self.directory / _BASES_NAME / sha256

    def open(self, file: TreeFile, *, checkpoint_bytes: int = CHECKPOINT_BYTES) -> StagedFile:
        """Open the place of `file`, cut back to what is known to be here; record its progress now and then."""
        return StagedFile(self.path(file.sha256), file.size_bytes, self._boot, checkpoint_bytes)

    def complete(self, file: TreeFile) -> bool:
        """Return whether an earlier run left all bytes of `file` here; wrong ones are cut back or dropped."""
        if file.size_bytes and not self.written_bytes(file):
            return False
        path = self.path(file.sha256)
        try:
            length = path.stat().st_size
        except FileNotFoundError:
            return file.size_bytes == 0 and self._touch(path)
        if length < file.size_bytes:
            return False
        if length == file.size_bytes and hash_file(path) == file.sha256:
            return True
        mark = _read_mark(path)
        if mark is not None and mark.boot != self._boot and 0 < mark.offset < file.size_bytes:
            # The cut spoilt what came after the record.
            self.open(file).close()
        else:
            self.forget(file.sha256)
        return False

    def length(self, file: TreeFile) -> int:
        """Return how many bytes of `file` are here."""
        return min(self.written_bytes(file), file.size_bytes)

    def begun(self) -> dict[str, int]:
        """Return hash -> how many bytes are here of each file that an earlier run began, cuts taken into account."""
        found = {}
        for path in self.directory.iterdir():
            if is_sha256(path.name):
                mark = _read_mark(path)
                length = path.stat().st_size
                found[path.name] = (
                    length if mark is None or mark.boot == self._boot else min(length, mark.offset)
                )
        return found

    def scattered(self) -> dict[str, int]:
        """Return hash -> how many bytes a swarm has left of each file, wherever in it they lie; holes do not count."""
        found = {}
        for path in self.directory.glob(f"*{SWARM_SUFFIX}"):
            if is_sha256(path.stem):
                state = path.stat()
                found[path.stem] = min(state.st_size, state.st_blocks * 512)
        return found

    def written_bytes(self, file: TreeFile) -> int:
        """Return how long the file at the place of `file` is, which may be more than it should."""
        # Asked of each of many files, most of which are not here: a `Path` costs more than the answer.
        try:
            return os.stat(f"{self.directory}/{file.sha256}").st_size  # noqa: PTH116
        except FileNotFoundError:
            return 0

    def note_written(self, file: TreeFile) -> None:
        """Record, for a program that writes here by itself, how much of `file` is on the disk."""
        path = self.path(file.sha256)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            length = os.fstat(handle).st_size
            before = _read_mark(path)
            if length - (before.offset if before else 0) >= CHECKPOINT_BYTES:
                durable.sync_data(handle)
                mark = _open_mark(path)
                try:
                    _write_mark(mark, length, self._boot)
                    durable.sync_data(mark)
                finally:
                    os.close(mark)
        finally:
            os.close(handle)

    def forget(self, sha256: str) -> None:
        """Remove what is here of `sha256`."""
        _mark(self.path(sha256)).unlink(missing_ok=True)
        self.path(sha256).unlink(missing_ok=True)

    def settle(self, sha256s: Iterable[str]) -> None:
        """Remove the records of files that went through the door, and what else was collected of them.

        What the swarm shares on is the same file under another name: that stays as long as it is shared.
        """
        for sha256 in sha256s:
            place = f"{self.directory}/{sha256}"
            with suppress(FileNotFoundError):
                os.unlink(place + _OFFSET_SUFFIX)  # noqa: PTH108
            with suppress(FileNotFoundError):
                if os.stat(place + SWARM_SUFFIX).st_nlink == 1:  # noqa: PTH116
                    os.unlink(place + SWARM_SUFFIX)  # noqa: PTH108

    def prune(self, is_wanted: Callable[[str], bool]) -> int:
        """Remove what nobody wants any more and what programs left over; return the bytes freed."""
        freed = 0
        for path in (*self.directory.iterdir(), *(self.directory / _BASES_NAME).glob("*")):
            digest = path.name.removesuffix(_OFFSET_SUFFIX).removesuffix(SWARM_SUFFIX)
            if (
                path.is_file()
                and path.name not in (_LOCK_NAME, _BOOT_NAME)
                and not (is_sha256(digest) and is_wanted(digest))
            ):
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

    def _begin_boot(self) -> None:
        """On the first run after a boot, note for files without a record that nothing of them is certain."""
        place = self.directory / _BOOT_NAME
        before = place.read_text() if place.exists() else _NO_BOOT
        if before == self._boot:
            return
        for path in self.directory.iterdir():
            if is_sha256(path.name) and _read_mark(path) is None:
                mark = _open_mark(path)
                try:
                    _write_mark(mark, 0, before)
                finally:
                    os.close(mark)
        durable.sync_filesystem(self.directory)
        durable.write_file(place, self._boot.encode())

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


def _write_mark(handle: int, offset: int, boot: str) -> None:
    os.pwrite(handle, f"{offset:0{_OFFSET_DIGITS}d} {boot}\n".encode(), 0)


def _read_mark(path: Path) -> _Mark | None:
    """Return the record of `path`; one that a cut spoilt says that nothing is certain."""
    try:
        with open(f"{path}{_OFFSET_SUFFIX}", errors="replace") as stream:  # noqa: PTH123
            words = stream.read().split()
    except FileNotFoundError:
        return None
    if len(words) != 2 or len(words[0]) != _OFFSET_DIGITS or not words[0].isdigit():
        return _Mark(0, _NO_BOOT)
    return _Mark(int(words[0]), words[1])
