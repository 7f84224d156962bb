"""Damaged blobs made whole again, for little more than the damage.

A big blob has its torrent in the library: the hashes of its pieces say which are bad. The good ones are copied into
staging, the bad ones come from neighbours or as ranges over the roads, each is checked, and the whole goes through the
one door, which replaces the damaged blob in one step. What has no torrent, or what that did not mend, comes whole
(over rsync as what differs from the damaged copy).
Invariant: the stored blob is never written to; a copy that is killed half-way is looked through by pieces again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from catalog import durable
from catalog.blobs import Blob, BlobStore
from catalog.byteranges import ByteRange
from catalog.errors import ConfigError, ContentError, RoadError, ShuxiangError, StorageError
from catalog.library import Library
from catalog.local import Local
from sync.formats.release import TreeFile
from sync.formats.torrentfile import TorrentFile, read_torrent
from sync.roads import RoadSettings
from sync.roads.road import Done, blob_file, staged_file
from sync.roads.staging import SWARM_SUFFIX, Staging
from sync.updating.carry import Carrier, worst
from sync.updating.verify import Mend, Repair

_COPY_BYTES = 1 << 20

Swarming = Callable[[Sequence[tuple[TreeFile, TorrentFile]], Staging, Done], object]
"""Brings the missing pieces of files that lie in staging under `SWARM_SUFFIX`, and hands whole ones on."""


def repair_from(
    sources: tuple[str, ...],
    library: Library,
    blobs: BlobStore,
    local: Local | None,
    settings: RoadSettings,
    swarming: Swarming | None = None,
) -> Mend:
    """Return a repair over the swarm, where there is one, and the roads to `sources`, in order."""

    def repair(damaged: list[Blob]) -> Repair:
        with (
            Staging(blobs.staging) as staging,
            closing(Carrier(sources, staging, settings, local)) as carrier,
        ):
            mending = _Mending(library, blobs, staging, carrier)
            failure: ShuxiangError | None = None
            try:
                mending.by_pieces(damaged, swarming)
                mending.whole_blobs(damaged)
            except (StorageError, RoadError, ContentError) as error:
                failure = error
            return Repair(
                whole=frozenset(mending.whole),
                fetched_bytes=sum(carrier.received().values()),
                failure=failure or worst(mending.errors.values()),
            )

    return repair


class _Mending:
    """One repair under way. `whole` are the hashes that went through the door, `errors` why others did not."""

    def __init__(self, library: Library, blobs: BlobStore, staging: Staging, carrier: Carrier) -> None:
        self.whole: set[str] = set()
        self.errors: dict[str, ShuxiangError] = {}
        self._library = library
        self._blobs = blobs
        self._staging = staging
        self._carrier = carrier

    def by_pieces(self, damaged: Sequence[Blob], swarming: Swarming | None) -> None:
        """Mend those of `damaged` that have a torrent, piece by piece."""
        begun = []
        for blob in damaged:
            torrent = self._torrent(blob)
            if torrent is not None and self._copy(blob, torrent):
                begun.append((blob_file(blob.sha256, blob.size_bytes), torrent))
        if swarming is not None and begun:
            swarming(begun, self._staging, lambda batch: self._door([one.blob for one in batch]))
        for file, torrent in begun:
            if file.sha256 not in self.whole and self._fetch_pieces(file, torrent):
                self._give_name(file.sha256)
                self._door([Blob(sha256=file.sha256, size_bytes=file.size_bytes)])

    def whole_blobs(self, damaged: Sequence[Blob]) -> None:
        """Bring whole what is damaged still."""
        rest = [blob for blob in damaged if blob.sha256 not in self.whole]
        # Where the disk cannot give it back any more, a basis would only be in the way.
        self._staging.bases = {
            blob.sha256: path for blob in rest if _is_readable(path := self._blobs.path(blob.sha256))
        }
        files = [blob_file(blob.sha256, blob.size_bytes) for blob in rest]
        brought = self._carrier.bring(files, self._blobs.admit, lambda _: None)
        missed = {one.file.sha256: one.error for one in brought.missed}
        self.errors.update(missed)
        self.whole |= {blob.sha256 for blob in rest} - missed.keys()

    # -- pieces ----------------------------------------------------------------------------------------------------

    def _torrent(self, blob: Blob) -> TorrentFile | None:
        with self._library.reading() as reader:
            data = reader.torrent(blob.sha256)
        if data is None:
            return None
        try:
            return read_torrent(data, sha256=blob.sha256, size_bytes=blob.size_bytes)
        except ContentError:
            # The disk that spoilt the blob may have spoilt this too.
            return None

    def _copy(self, blob: Blob, torrent: TorrentFile) -> bool:
        """Copy what can be read of the blob into staging; return False where nothing of it is good."""
        copy = self._copy_path(blob.sha256)
        if not copy.exists():
            try:
                source = os.open(self._blobs.path(blob.sha256), os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return False
            try:
                durable.storage(lambda: _copy_readable(source, copy, blob.size_bytes), copy)
            finally:
                os.close(source)
        bad = torrent.bad_pieces(copy)
        if sum(part.length_bytes for part in bad) < blob.size_bytes:
            return True
        copy.unlink()
        return False

    def _fetch_pieces(self, file: TreeFile, torrent: TorrentFile) -> bool:
        """Bring the bad pieces of the copy, each source making good what the ones before it did not."""
        copy = self._copy_path(file.sha256)
        bad = torrent.bad_pieces(copy)
        for source in self._carrier.sources:
            if not bad:
                break
            if source.failure is not None:
                continue
            try:
                source.road().fetch_ranges(file, bad, copy, lambda _: None)
            except (RoadError, ContentError, ConfigError) as error:
                self.errors[file.sha256] = error
                if not isinstance(error, ContentError) and error.code != "E-ROAD-MISSING":
                    source.failure = error
            bad = _still_bad(torrent, copy, bad)
        return not bad

    def _copy_path(self, sha256: str) -> Path:
        # Where a swarm looks for what it has of a file.
        return self._staging.path(sha256 + SWARM_SUFFIX)

    def _give_name(self, sha256: str) -> None:
        path = self._staging.path(sha256)
        durable.storage(lambda: durable.move(self._copy_path(sha256), path), path)

    def _door(self, batch: Sequence[Blob]) -> None:
        files = [blob_file(blob.sha256, blob.size_bytes) for blob in batch]
        refused = {
            one.staged.blob.sha256: one.error
            for one in self._blobs.admit(staged_file(file, self._staging) for file in files)
        }
        self._staging.settle(file.sha256 for file in files)
        self.errors.update(refused)
        came = {file.sha256 for file in files} - refused.keys()
        self.whole |= came
        for sha256 in came:
            self.errors.pop(sha256, None)


def _copy_readable(source: int, copy: Path, size_bytes: int) -> None:
    """Copy the open file `source`, cut or grown to `size_bytes`; what the disk cannot give back stays a hole."""
    target = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.ftruncate(target, size_bytes)
        for start in range(0, size_bytes, _COPY_BYTES):
            try:
                data = os.pread(source, min(_COPY_BYTES, size_bytes - start), start)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                continue
            os.pwrite(target, data, start)
    except BaseException:
        with suppress(OSError):
            copy.unlink()
        raise
    finally:
        os.close(target)


def _still_bad(torrent: TorrentFile, copy: Path, ranges: Sequence[ByteRange]) -> list[ByteRange]:
    """Return those pieces within `ranges` that are bad in the copy."""
    bad = []
    with copy.open("rb", buffering=0) as stream:
        for part in ranges:
            for start in range(part.start, part.start + part.length_bytes, torrent.piece_length):
                index = start // torrent.piece_length
                piece = torrent.piece(index)
                if not torrent.is_piece(index, os.pread(stream.fileno(), piece.length_bytes, piece.start)):
                    bad.append(piece)
    return bad


def _is_readable(path: Path) -> bool:
    """Return whether the disk gives back all of the file."""
    try:
        with path.open("rb", buffering=0) as stream:
            while stream.read(_COPY_BYTES):
                pass
    except OSError:
        return False
    return True
