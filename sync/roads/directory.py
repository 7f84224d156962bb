"""The road of a mounted disk, a stick or a plain folder: the kernel copies, resumed like any other road.

The folder is as untrusted as the rest: only regular files are read (a named pipe would never end), and what fails to
read is told apart from what fails to be written here.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from catalog.byteranges import ByteRange
from catalog.durable import storage_error
from catalog.errors import ContentError, RoadError, ShuxiangError
from sync.formats.release import TreeFile
from sync.roads.ranges import MendedFile, parts_of
from sync.roads.road import Batches, Done, Missed, Progress, RoadSettings, staged_file
from sync.roads.staging import StagedFile, Staging

_NO_KERNEL_COPY = {
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.EIO,
    errno.EBADF,
}
_DEAD_FILES_IN_A_ROW = 20
# Reading a disk again costs no line: a cut may cost more of it than of a road that does.
_CHECKPOINT_BYTES = 32 << 20
_COPY_BYTES = 4 << 20


class DirectoryRoad:
    """The tree in a folder; `address` is a path or a `file:` address."""

    name = "directory"

    def __init__(self, address: str, settings: RoadSettings) -> None:
        self.address = address
        self.received_bytes = 0
        self._governor = settings.governor
        parts = urlsplit(address)
        self._root = Path(unquote(parts.path) if parts.scheme == "file" else address)

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return a small file; see `Road.read`."""
        handle = self._open(path)
        try:
            size_bytes = os.fstat(handle).st_size
            if size_bytes > max_bytes:
                raise ContentError("E-SIZE", where=path, expected=f"<= {max_bytes}", found=size_bytes)
            with os.fdopen(os.dup(handle), "rb") as stream:
                data = stream.read(max_bytes)
        except OSError as error:
            raise self._unreadable(path, error) from error
        finally:
            os.close(handle)
        self.received_bytes += len(data)
        return data

    def fetch(
        self, files: Iterable[TreeFile], staging: Staging, done: Done, progress: Progress
    ) -> list[Missed]:
        """Copy `files` into staging; see `Road.fetch`."""
        missed: list[Missed] = []
        dead_in_a_row = 0
        batches = Batches(done, time.monotonic)
        for file in files:
            if (ended := self._governor.failure(lan=True)) is not None:
                batches.flush()
                raise ended
            try:
                self._copy(file, staging, progress)
                batches.add(staged_file(file, staging))
                dead_in_a_row = 0
            except RoadError as error:
                missed.append(Missed(file=file, error=error))
                dead_in_a_row += error.code != "E-ROAD-MISSING"
                # A stick that was pulled out fails for every file: no use in asking for the rest.
                if dead_in_a_row >= _DEAD_FILES_IN_A_ROW or not self._root.is_dir():
                    batches.flush()
                    raise
            except ShuxiangError as error:
                missed.append(Missed(file=file, error=error))
                if error.exit_code in range(20, 30):
                    raise
        batches.flush()
        return missed

    def fetch_ranges(
        self, file: TreeFile, ranges: Iterable[ByteRange], target: Path, progress: Progress
    ) -> None:
        """Copy parts of `file`; see `Road.fetch_ranges`."""
        source = self._open(file.path)
        try:
            size_bytes = os.fstat(source).st_size
            if size_bytes != file.size_bytes:
                raise ContentError("E-SIZE", where=file.path, expected=file.size_bytes, found=size_bytes)
            with MendedFile(target) as mended:
                for part in parts_of(ranges):
                    data = self._read_part(source, file, part)
                    mended.write_at(part.start, data)
                    self.received_bytes += len(data)
                    progress(len(data))
        finally:
            os.close(source)

    def plain_names(self) -> list[str]:
        """Return some names in the folder where it has files but no part of a tree."""
        try:
            names = sorted(path.name for path in self._root.iterdir())
        except OSError:
            return []
        return [] if {"metadata", "targets", "blobs"}.intersection(names) else names[:3]

    def close(self) -> None:
        """Nothing is kept open."""

    def _copy(self, file: TreeFile, staging: Staging, progress: Progress) -> None:
        source = self._open(file.path)
        try:
            size_bytes = os.fstat(source).st_size
            if size_bytes != file.size_bytes:
                raise ContentError("E-SIZE", where=file.path, expected=file.size_bytes, found=size_bytes)
            try:
                with staging.open(file, checkpoint_bytes=_CHECKPOINT_BYTES) as staged:
                    while staged.offset < file.size_bytes:
                        self._governor.check(lan=True)
                        before = staged.offset
                        self._copy_block(source, staged, file)
                        self.received_bytes += staged.offset - before
                        progress(staged.offset - before)
            except OSError as error:
                raise storage_error(error, staging.path(file.sha256)) from error
        finally:
            os.close(source)

    def _copy_block(self, source: int, staged: StagedFile, file: TreeFile) -> None:
        """Copy up to 4 MiB; the kernel does it (sharing blocks where the filesystem can), else we do."""
        wanted = min(_COPY_BYTES, file.size_bytes - staged.offset)
        try:
            count = os.copy_file_range(source, staged.handle, wanted, staged.offset, staged.offset)
            if count:
                os.lseek(staged.handle, staged.offset + count, os.SEEK_SET)
                staged.copied(count)
                return
        except OSError as error:
            if error.errno not in _NO_KERNEL_COPY:
                raise
        try:
            data = os.pread(source, wanted, staged.offset)
        except OSError as error:
            raise self._unreadable(file.path, error) from error
        if not data:
            raise RoadError("E-ROAD-SHORT", where=self._root / file.path)
        staged.write(data)

    def _read_part(self, source: int, file: TreeFile, part: ByteRange) -> bytes:
        try:
            data = os.pread(source, part.length_bytes, part.start)
        except OSError as error:
            raise self._unreadable(file.path, error) from error
        if len(data) != part.length_bytes:
            raise RoadError("E-ROAD-SHORT", where=self._root / file.path)
        return data

    def _open(self, path: str) -> int:
        """Open a regular file of the tree for reading."""
        where = self._root / path
        try:
            handle = os.open(where, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise RoadError("E-ROAD-MISSING", where=where) from error
        except OSError as error:
            raise self._unreadable(path, error) from error
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise RoadError("E-ROAD-MISSING", where=where, expected="file")
        return handle

    def _unreadable(self, path: str, error: OSError) -> RoadError:
        return RoadError("E-ROAD", where=self._root / path, found=error.strerror or error)
