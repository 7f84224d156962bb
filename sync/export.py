"""What a box holds, written as a tree for another box: a stick, a disk, a folder.

Invariant: a box that reads the tree at any moment, even after an interrupted export, finds an accepted head whose
files are signed by the publisher, and takes no byte on trust. Blobs first, then manifests, then metadata with
`timestamp.json` last. Sticks are often FAT: no hard links, and no rename into place; a file is written under its
name and continued there. `exporting.txt` stands in the tree while one runs; where it is found, the run before was cut,
and everything that is there is read again before it is believed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog import durable
from catalog.blobs import Blob, BlobStore, hash_file
from catalog.errors import ContentError, RoadError, StorageError
from catalog.library import Library
from catalog.progress import OnProgress, Progress, silent
from sync import tree
from sync.trust.heads import current_head

MARKER = "exporting.txt"
_MARKER_TEXT = "书箱正在写入；若长时间停留，说明上次被中断，请再导出一次。\nAn export is under way, or was cut off: export again.\n"
_BLOCK_BYTES = 1 << 20
# The filesystem's own needs on a stick: directories, tables, partly filled clusters.
_SPARE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """The release that the tree stands at, how many blobs it has and their bytes, and how many bytes were written."""

    release: int
    blobs: int
    size_bytes: int
    written_bytes: int


def export(
    library: Library, blobs: BlobStore, trust: Path, directory: Path, progress: OnProgress = silent
) -> ExportResult:
    """Write what is here as a tree into `directory` (made where missing); running it again writes what is new.

    Raises `RoadError` E-NO-TREE where this box has accepted nothing yet, `StorageError` E-DISK-FULL before anything
    is written where it does not fit, E-DAMAGED where a file of ours, or what the stick gives back, is not whole.
    """
    head = current_head(trust)
    if head is None:
        raise RoadError("E-NO-TREE", where=trust)
    with library.reading() as reader:
        held = list(reader.blobs())
        return durable.storage(
            lambda: _Export(blobs, trust, directory, progress, reader.torrents).run(
                held, head.release.number, head.head.paths()
            ),
            directory,
        )


class _Export:
    def __init__(
        self,
        blobs: BlobStore,
        trust: Path,
        directory: Path,
        progress: OnProgress,
        torrents: Callable[[], Iterator[tuple[str, bytes]]],
    ) -> None:
        self._blobs = blobs
        self._trust = trust
        self._directory = directory
        self._progress = progress
        self._torrents = torrents
        self._written_bytes = 0

    def run(self, held: list[Blob], release: int, named: set[str]) -> ExportResult:
        durable.make_directory(self._directory)
        marker = self._directory / MARKER
        believed = not marker.exists()
        missing = [blob for blob in held if not self._is_there(blob, believed=believed)]
        self._check_room(missing, named)
        durable.write_file(marker, _MARKER_TEXT.encode())
        total_bytes = sum(blob.size_bytes for blob in missing)
        for number, blob in enumerate(missing):
            self._progress(
                Progress(
                    phase="export",
                    done=number,
                    total=len(missing),
                    done_bytes=self._written_bytes,
                    total_bytes=total_bytes,
                )
            )
            self._write_blob(blob)
        for place, data in self._missing_torrents(believed=believed):
            place.parent.mkdir(parents=True, exist_ok=True)
            self._written_bytes += place.write_bytes(data)
        durable.sync_filesystem(self._directory)
        self._read_back(missing)
        self._write_metadata(named)
        durable.sync_filesystem(self._directory)
        marker.unlink()
        durable.sync_directory(self._directory)
        self._progress(
            Progress(
                phase="export",
                done=len(missing),
                total=len(missing),
                done_bytes=total_bytes,
                total_bytes=total_bytes,
            )
        )
        return ExportResult(
            release=release,
            blobs=len(held),
            size_bytes=sum(blob.size_bytes for blob in held),
            written_bytes=self._written_bytes,
        )

    def _place(self, blob: Blob) -> Path:
        return self._directory / tree.blob_path(blob.sha256)

    def _is_there(self, blob: Blob, *, believed: bool) -> bool:
        place = self._place(blob)
        try:
            if place.stat().st_size != blob.size_bytes:
                return False
        except FileNotFoundError:
            return False
        if believed or hash_file(place) == blob.sha256:
            return True
        place.unlink()
        return False

    def _check_room(self, missing: Iterable[Blob], named: Iterable[str]) -> None:
        needed = sum(blob.size_bytes - self._length(blob) for blob in missing) + _SPARE_BYTES
        lists = (path for path in named if not (self._directory / path).exists())
        needed += sum(place.stat().st_size for path in lists if (place := self._trust / path).exists())
        needed += sum(len(data) for _, data in self._missing_torrents(believed=True))
        found = os.statvfs(self._directory)
        free = found.f_bavail * found.f_frsize
        if needed > free:
            raise StorageError(
                "E-DISK-FULL", where=self._directory, expected=f"{needed:,} B", found=f"{free:,} B"
            )

    def _length(self, blob: Blob) -> int:
        try:
            return self._place(blob).stat().st_size
        except FileNotFoundError:
            return 0

    def _write_blob(self, blob: Blob) -> None:
        """Copy a blob, going on where a cut copy ends; what is there of it is read back with the rest."""
        place = self._place(blob)
        place.parent.mkdir(parents=True, exist_ok=True)
        source = os.open(self._blobs.path(blob.sha256), os.O_RDONLY | os.O_CLOEXEC)
        try:
            target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                length = os.fstat(target).st_size
                # The last block of a cut copy may be holes; anything longer is not ours.
                offset = max(0, length - _BLOCK_BYTES) if length < blob.size_bytes else 0
                os.ftruncate(target, offset)
                os.lseek(source, offset, os.SEEK_SET)
                os.lseek(target, offset, os.SEEK_SET)
                while data := os.read(source, _BLOCK_BYTES):
                    view = memoryview(data)
                    while view:
                        count = os.write(target, view)
                        self._written_bytes += count
                        view = view[count:]
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _missing_torrents(self, *, believed: bool) -> Iterator[tuple[Path, bytes]]:
        """Stream the torrents of what is here and that are not there: who gets it can repair it and share it on.

        Each is the blob of the tree that the transport file names.
        """
        for _, data in self._torrents():
            blob = Blob(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
            if not self._is_there(blob, believed=believed):
                yield self._place(blob), data

    def _read_back(self, written: list[Blob]) -> None:
        """Compare what the disk gives back; one that is wrong is written once more, then refused."""
        for number, blob in enumerate(written):
            self._progress(Progress(phase="verify", done=number, total=len(written)))
            place = self._place(blob)
            _drop_cache(place)
            if hash_file(place) == blob.sha256:
                continue
            place.unlink()
            self._write_blob(blob)
            durable.sync_file(place)
            _drop_cache(place)
            if hash_file(place) != blob.sha256:
                whole = self._blobs.verify(blob)
                place.unlink()
                raise StorageError(
                    "E-DAMAGED", where=place if whole else self._blobs.path(blob.sha256), expected=blob.sha256
                )

    def _write_metadata(self, named: set[str]) -> None:
        roots = {f"metadata/{path.name}" for path in (self._trust / "metadata").iterdir()}
        kept = {path for path in roots if (name := tree.parse(path)) and name.kind == "root"}
        for path in [*sorted(kept | named), tree.TIMESTAMP]:
            source = self._trust / path
            if not source.exists():
                # One form of a manifest is enough, mostly the compressed one.
                continue
            place = self._directory / path
            if place.exists() and hash_file(place) == hash_file(source):
                continue
            durable.make_directory(place.parent)
            part = place.with_name(f".{place.name}{durable.TEMPORARY_SUFFIX}export")
            shutil.copyfile(source, part)
            durable.publish_file(part, place)
            self._written_bytes += place.stat().st_size
        if not (self._directory / tree.TIMESTAMP).exists():
            raise ContentError("E-CATALOG", where=self._trust / tree.TIMESTAMP)


def _drop_cache(path: Path) -> None:
    """Ask the kernel to forget the file's pages, so that the next read comes from the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)
