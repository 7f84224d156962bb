"""The hub's torrents: made when a blob is first published, each once, and kept beside it in the tree.

Invariant: one that was made is not made again: the last transport file offers it, or the library remembers it while
its file is in the tree, or the staging folder has it from a run that was cut.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from catalog.blobs import Blob
from catalog.durable import storage, write_file
from catalog.errors import ContentError, StorageError
from catalog.library import Library, Reader
from catalog.progress import OnProgress, Progress
from sync.formats.torrentfile import TorrentFile, make_torrent, read_torrent
from sync.formats.transport import Torrent, offer_line, read_offer, transport_blob

RECIPE = "torrent"
KEEP_BYTES = 64 << 20
"""The torrent of so much is worth a flush of its own, so that a publish that is cut need not read it all again."""
_MAKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeTorrent:
    """A torrent, and where its `.torrent` file lies now."""

    torrent: Torrent
    path: Path


class TorrentMaker:
    """Makes the torrents of one publish. `folder` outlives a run that is cut; `work` does not."""

    def __init__(self, reader: Reader, public: Path, *, folder: Path, work: Path) -> None:
        self._reader = reader
        self._public = public
        self._folder = folder
        self._work = work
        self._known: dict[str, MadeTorrent] = {}
        self._new: list[Torrent] = []

    def make(self, wanted: Sequence[tuple[Blob, Path]], progress: OnProgress) -> list[MadeTorrent]:
        """Return the torrents of blobs whose bytes lie at the paths beside them.

        Raises `StorageError` E-DAMAGED where the bytes are not those of the blob.
        """
        missing = []
        for blob, path in wanted:
            if blob.sha256 not in self._known and not self._remembered(blob):
                missing.append((blob, path))
        total_bytes = sum(blob.size_bytes for blob, _ in missing)
        done_bytes = 0
        with ThreadPoolExecutor(_MAKERS, "torrent") as makers:
            for number, ((blob, _), made) in enumerate(
                zip(missing, makers.map(self._make, missing), strict=True)
            ):
                progress(
                    Progress(
                        phase="torrent",
                        done=number,
                        total=len(missing),
                        done_bytes=done_bytes,
                        total_bytes=total_bytes,
                    )
                )
                done_bytes += blob.size_bytes
                self._known[blob.sha256] = made
                self._new.append(made.torrent)
        return [self._known[blob.sha256] for blob, _ in wanted]

    def remember(self, library: Library) -> None:
        """Write down what was made, once it is published."""
        if self._new:
            with library.writing() as writer:
                for torrent in self._new:
                    writer.put_derivation(torrent.blob, RECIPE, offer_line(torrent).decode())
        self._new.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _remembered(self, blob: Blob) -> bool:
        """Take up a torrent of an earlier release whose file is still in the tree."""
        line = self._reader.derivation(blob.sha256, RECIPE)
        if line is None:
            return False
        torrent = read_offer(line.encode(), where=RECIPE)
        if not isinstance(torrent, Torrent):
            return False
        path = self._public / torrent.file.path
        if not path.exists() or path.stat().st_size != torrent.file.size_bytes:
            return False
        self._known[blob.sha256] = MadeTorrent(torrent=torrent, path=path)
        return True

    def _make(self, one: tuple[Blob, Path]) -> MadeTorrent:
        blob, path = one
        keep = blob.size_bytes >= KEEP_BYTES
        place = (self._folder if keep else self._work) / f"{blob.sha256}.torrent"
        found = _left_by_a_cut(place, blob) if keep else None
        if found is None:
            found = _made(blob, path)
            if keep:
                storage(lambda: self._folder.mkdir(parents=True, exist_ok=True), place)
                storage(lambda: write_file(place, found.data), place)
            else:
                storage(lambda: place.write_bytes(found.data), place)
        return MadeTorrent(torrent=_torrent_of(blob, found), path=place)


def _made(blob: Blob, path: Path) -> TorrentFile:
    try:
        return make_torrent(path, blob.sha256)
    except ContentError as error:
        raise StorageError(
            "E-DAMAGED", where=blob.sha256, expected=error.expected, found=error.found
        ) from error


def _left_by_a_cut(place: Path, blob: Blob) -> TorrentFile | None:
    if not place.exists():
        return None
    try:
        return read_torrent(place.read_bytes(), sha256=blob.sha256, size_bytes=blob.size_bytes)
    except ContentError:
        return None


def _torrent_of(blob: Blob, made: TorrentFile) -> Torrent:
    return Torrent(
        blob=blob.sha256,
        size_bytes=blob.size_bytes,
        piece_length=made.piece_length,
        pieces_root=made.pieces_root,
        v1=made.v1,
        v2=made.v2,
        file=transport_blob(hashlib.sha256(made.data).hexdigest(), len(made.data)),
    )
