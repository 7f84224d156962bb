"""The road of a mounted disk, a stick or a plain folder: the kernel copies, resumed like any other road.

The folder is as untrusted as the rest: only regular files are read (a named pipe would never end), and what fails to
read is told apart from what fails to be written here. Of a stick, small blobs come out of its packs, in the order in
which they lie there. A disk that was pulled out is known by its device: it ends the run with one refusal.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from catalog.byteranges import ByteRange
from catalog.durable import storage_error
from catalog.errors import ContentError, RoadError, ShuxiangError
from sync import tree
from sync.formats.release import TreeFile
from sync.line.network import address_parts
from sync.roads.ahead import ahead
from sync.roads.ranges import MendedFile, parts_of
from sync.roads.readahead import ReadAhead
from sync.roads.road import Batches, Done, Missed, Progress, RoadSettings, staged_file
from sync.roads.staging import StagedFile, Staging
from sync.roads.stick import SMALL_BYTES, Piece, StickPacks, open_regular, parts_of_blob

_DEAD_FILES_IN_A_ROW = 20
# Reading a disk again costs no line: a cut may cost more of it than of a road that does.
_CHECKPOINT_BYTES = 32 << 20
# A batch costs the disk four flushes, however much is in it: a cut may cost half a second of reading.
_BATCH_SECONDS = 0.5
_COPY_BYTES = 4 << 20
_READ_BYTES = 1 << 20
_ROOT_BYTES = 1 << 20
# What is told of at once, and how much of it may wait for the door: threads that take turns for each file lose time.
_TOLD_BYTES = 1 << 20
_TOLD_FILES = 64
_AHEAD = 128
_BLOCK_DEVICES = Path("/sys/dev/block")


@dataclass(slots=True)
class _Copied:
    """Bytes that came, and files that are through, each with what kept it from its end."""

    count: int = 0
    files: list[tuple[TreeFile, ShuxiangError | None]] = field(default_factory=list)


class DirectoryRoad:
    """The tree in a folder; `address` is a path or a `file:` address."""

    name = "directory"

    def __init__(self, address: str, settings: RoadSettings) -> None:
        self.address = address
        self.received_bytes = 0
        self._governor = settings.governor
        parts = address_parts(address)
        self._root = Path(unquote(parts.path) if parts.scheme == "file" else address)
        self._packs = StickPacks(self._root, self._gone)
        self._pack: tuple[Path, int] | None = None
        self._device = _device(self._root)
        self._buffer = memoryview(bytearray(_READ_BYTES))

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
        batches = Batches(done, time.monotonic, least_seconds=_BATCH_SECONDS)
        placed = self._placed(files)
        # The disk is read while the door hashes and flushes what was read before.
        with ahead(lambda: self._copies(placed, staging), _AHEAD) as copies:
            for copied in copies:
                self.received_bytes += copied.count
                progress(copied.count)
                for file in (file for file, error in copied.files if error is None):
                    batches.add(staged_file(file, staging))
                    dead_in_a_row = 0
                if (ended := self._governor.failure(lan=True)) is not None:
                    batches.flush()
                    raise ended
                # A group ends with what failed.
                for file, error in copied.files:
                    if error is None:
                        continue
                    missed.append(Missed(file=file, error=error))
                    if not isinstance(error, RoadError):
                        if error.exit_code in range(20, 30):
                            raise error
                        continue
                    dead_in_a_row += error.code != "E-ROAD-MISSING"
                    # A stick that was pulled out fails for every file: no use in asking for the rest.
                    if error.code == "E-PULLED" or self._gone():
                        batches.flush()
                        raise self._pulled() from error
                    if dead_in_a_row >= _DEAD_FILES_IN_A_ROW:
                        batches.flush()
                        raise error
        batches.flush()
        return missed

    def fetch_ranges(
        self, file: TreeFile, ranges: Iterable[ByteRange], target: Path, progress: Progress
    ) -> None:
        """Copy parts of `file`; see `Road.fetch_ranges`."""
        with self._source(file, self._pieces(file)) as source, MendedFile(target) as mended:
            for part in parts_of(ranges):
                data = self._read_part(source, file, part)
                mended.write_at(part.start, data)
                self.received_bytes += len(data)
                progress(len(data))

    @property
    def cut(self) -> bool:
        """Whether the writing of this stick was cut off, or is still going on."""
        try:
            (self._root / tree.EXPORTING).lstat()
        except OSError:
            # Also where the disk does not say: what is missing is told by itself.
            return False
        return True

    def check_owner(self, fingerprint: str) -> None:
        """Raise `ContentError` E-STICK-OTHER where the tree here begins with another root than that of `fingerprint`."""
        try:
            found = hashlib.sha256(self.read(tree.PINNED_ROOT, _ROOT_BYTES)).hexdigest()
        except ShuxiangError:
            return
        if found != fingerprint:
            raise ContentError("E-STICK-OTHER", where=self._root, expected=fingerprint, found=found)

    def plain_names(self) -> list[str]:
        """Return some names in the folder where it has files but no part of a tree."""
        try:
            names = sorted(path.name for path in self._root.iterdir())
        except OSError:
            return []
        return [] if {"metadata", "targets", "blobs"}.intersection(names) else names[:3]

    def close(self) -> None:
        """Close the pack that was read last."""
        if self._pack is not None:
            os.close(self._pack[1])
            self._pack = None

    # -- where bytes lie -------------------------------------------------------------------------------------------

    def _placed(self, files: Iterable[TreeFile]) -> list[tuple[TreeFile, list[Piece]]]:
        """Return `files` with where they lie: those in packs first, as they lie there, so that a disk need not seek."""
        placed = [(file, self._packed(file)) for file in files]
        inside = [(file, piece) for file, piece in placed if piece is not None]
        inside.sort(key=lambda one: (one[1].path, one[1].offset))
        return [
            *((file, [piece]) for file, piece in inside),
            *(
                (file, [Piece(self._root / file.path, 0, file.size_bytes)])
                for file, found in placed
                if found is None
            ),
        ]

    def _packed(self, file: TreeFile) -> Piece | None:
        if file.size_bytes > SMALL_BYTES or file.path != tree.blob_path(file.sha256):
            return None
        try:
            return self._packs.piece(file.sha256, file.size_bytes)
        except OSError as error:
            raise self._unreadable(tree.PACKS, error) from error

    def _pieces(self, file: TreeFile) -> list[Piece]:
        return [self._packed(file) or Piece(self._root / file.path, 0, file.size_bytes)]

    def _parts(self, file: TreeFile) -> list[Piece]:
        try:
            return parts_of_blob(self._root, file.sha256, file.size_bytes)
        except OSError as error:
            raise self._unreadable(file.path, error) from error

    @contextmanager
    def _source(self, file: TreeFile, pieces: list[Piece]) -> Iterator[_Source]:
        """Open what `file` lies in; raise `RoadError` where it is not there, `ContentError` where it is too long."""
        if pieces[0].path.parent.name == tree.PACKS:
            yield _Source(pieces, [self._pack_handle(pieces[0].path)])
            return
        handles: list[int] = []
        try:
            try:
                handles.append(self._open(file.path))
            except RoadError as error:
                pieces = self._parts(file)
                if error.code != "E-ROAD-MISSING" or not pieces:
                    raise self._why_missing(file, error) from error
                handles += [self._open(str(piece.path.relative_to(self._root))) for piece in pieces]
            else:
                size_bytes = os.fstat(handles[0]).st_size
                if size_bytes < file.size_bytes and self.cut:
                    raise RoadError("E-STICK-CUT", where=self._root, expected=file.path)
                if size_bytes != file.size_bytes:
                    raise ContentError("E-SIZE", where=file.path, expected=file.size_bytes, found=size_bytes)
            yield _Source(pieces, handles)
        finally:
            for handle in handles:
                os.close(handle)

    def _pack_handle(self, path: Path) -> int:
        """Return the pack at `path`, open until another one is asked for."""
        if self._pack is None or self._pack[0] != path:
            self.close()
            self._pack = (path, self._open(str(path.relative_to(self._root))))
        return self._pack[1]

    def _why_missing(self, file: TreeFile, error: RoadError) -> ShuxiangError:
        if error.code == "E-ROAD-MISSING" and self.cut:
            return RoadError("E-STICK-CUT", where=self._root, expected=file.path)
        if error.code == "E-ROAD-MISSING" and self._packs.problems and file.size_bytes <= SMALL_BYTES:
            return self._packs.problems[0]
        return error

    # -- copying ---------------------------------------------------------------------------------------------------

    def _copies(
        self, placed: Sequence[tuple[TreeFile, list[Piece]]], staging: Staging
    ) -> Generator[_Copied, None, None]:
        """Copy each file into staging and tell of it; of what failed at once."""
        copied = _Copied()
        with ReadAhead(piece for _, pieces in placed for piece in pieces) as hints:
            begins = 0
            for file, pieces in placed:
                hints.reached(begins)
                error = None
                try:
                    for offset, count in self._copy(file, pieces, staging):
                        hints.reached(begins + offset)
                        copied.count += count
                        if copied.count >= _TOLD_BYTES:
                            yield copied
                            copied = _Copied()
                except ShuxiangError as refused:
                    error = refused
                copied.files.append((file, error))
                begins += file.size_bytes
                if error is not None or len(copied.files) >= _TOLD_FILES:
                    yield copied
                    copied = _Copied()
        yield copied

    def _copy(self, file: TreeFile, pieces: list[Piece], staging: Staging) -> Iterator[tuple[int, int]]:
        """Copy `file`; yield how far it is and how many bytes came, block by block."""
        with self._source(file, pieces) as source:
            try:
                with staging.open(file, checkpoint_bytes=_CHECKPOINT_BYTES) as staged:
                    while staged.offset < file.size_bytes:
                        self._governor.check(lan=True)
                        before = staged.offset
                        self._copy_block(source, staged, file)
                        yield staged.offset, staged.offset - before
            except OSError as error:
                raise storage_error(error, staging.path(file.sha256)) from error

    def _copy_block(self, source: _Source, staged: StagedFile, file: TreeFile) -> None:
        """Copy up to 4 MiB; the kernel does it (sharing blocks where the filesystem can), else we do."""
        handle, offset, wanted = source.stretch(staged.offset, _COPY_BYTES)
        if source.by_kernel:
            # Whatever it fails for, reading and writing by ourselves tells which of the two it was.
            with suppress(OSError):
                count = os.copy_file_range(handle, staged.handle, wanted, offset, staged.offset)
                if count:
                    os.lseek(staged.handle, staged.offset + count, os.SEEK_SET)
                    staged.copied(count)
                    return
            source.by_kernel = False
        try:
            count = os.preadv(handle, [self._buffer[: min(wanted, _READ_BYTES)]], offset)
        except OSError as error:
            raise self._unreadable(file.path, error) from error
        if not count:
            raise RoadError("E-ROAD-SHORT", where=self._root / file.path)
        staged.write(self._buffer[:count])

    def _read_part(self, source: _Source, file: TreeFile, part: ByteRange) -> bytes:
        data = b""
        try:
            while len(data) < part.length_bytes:
                handle, offset, wanted = source.stretch(part.start + len(data), part.length_bytes - len(data))
                block = os.pread(handle, wanted, offset)
                if not block:
                    raise RoadError("E-ROAD-SHORT", where=self._root / file.path)
                data += block
        except OSError as error:
            raise self._unreadable(file.path, error) from error
        return data

    def _open(self, path: str) -> int:
        """Open a regular file of the tree for reading."""
        where = self._root / path
        try:
            handle = open_regular(where)
        except FileNotFoundError as error:
            raise RoadError("E-ROAD-MISSING", where=where) from error
        except OSError as error:
            raise self._unreadable(path, error) from error
        if handle is None:
            raise RoadError("E-ROAD-MISSING", where=where, expected="file")
        return handle

    def _unreadable(self, path: str, error: OSError) -> RoadError:
        if self._gone():
            return self._pulled()
        return RoadError("E-ROAD", where=self._root / path, found=error.strerror or error)

    def _pulled(self) -> RoadError:
        return RoadError("E-PULLED", where=self._root)

    def _gone(self) -> bool:
        """Return whether the disk that the folder was on is there no more."""
        if self._device is None:
            return False
        now = _device(self._root)
        if now != self._device:
            return True
        name = f"{os.major(now)}:{os.minor(now)}"
        # Filesystems without a device of their own have major number 0.
        return os.major(now) != 0 and _BLOCK_DEVICES.is_dir() and not (_BLOCK_DEVICES / name).exists()


class _Source:
    """The open files that a blob lies in."""

    def __init__(self, pieces: list[Piece], handles: list[int]) -> None:
        self._pieces = list(zip(pieces, handles, strict=True))
        self.by_kernel = pieces[0].size_bytes >= _COPY_BYTES

    def stretch(self, start: int, most_bytes: int) -> tuple[int, int, int]:
        """Return the file, the place in it and the length (at least 1) of what is at `start` of the blob."""
        for piece, handle in self._pieces:
            if start < piece.size_bytes:
                return handle, piece.offset + start, min(most_bytes, piece.size_bytes - start)
            start -= piece.size_bytes
        raise ValueError(f"{start} bytes behind the end")


def _device(root: Path) -> int | None:
    try:
        return root.stat().st_dev
    except OSError:
        return None
