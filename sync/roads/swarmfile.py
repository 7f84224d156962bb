"""Where the pieces of a torrent are collected: `staging/<sha256>.swarm`, sparse, and how it meets the other roads.

Invariant: what lies here is believed only piece by piece, by the torrent's hashes; so nothing need be recorded about
it, and any cut is survived by looking. What another road left of the same file is taken over, and what the swarm
leaves is given back as a beginning of the file, on the disk before its new name says so. A file is whole under its
plain name only.
"""

from __future__ import annotations

import os
from pathlib import Path

from catalog import durable
from sync.formats.release import TreeFile
from sync.formats.torrentfile import TorrentFile
from sync.roads.staging import SWARM_SUFFIX, Staging

_BLOCK_BYTES = 512


class SwarmFile:
    """The collected pieces of one file. Not thread-safe."""

    def __init__(self, staging: Staging, file: TreeFile, torrent: TorrentFile) -> None:
        """Open the place of `file`, taking over what an ordinary road left; raises `OSError`."""
        self.file = file
        self.torrent = torrent
        self._staging = staging
        self.path = swarm_path(staging, file.sha256)
        if self.path.exists() and self.path.stat().st_nlink > 1:
            # Left by a run that shared it on: the same bytes as what passed the door, and never to be written to.
            self.path.unlink()
        plain = staging.path(file.sha256)
        if held_bytes(plain) > held_bytes(self.path):
            durable.move(plain, self.path)
        staging.forget(file.sha256)
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if os.fstat(self._handle).st_size > file.size_bytes:
            os.ftruncate(self._handle, file.size_bytes)

    def flush(self) -> None:
        """Put on the disk what was written."""
        durable.sync_data(self._handle)

    def finish(self, *, shared: bool = False) -> None:
        """Give the whole file its plain name, ready for the door; `shared` leaves it this one too, to be read by."""
        os.close(self._handle)
        plain = self._staging.path(self.file.sha256)
        if shared:
            plain.unlink(missing_ok=True)
            durable.link(self.path, plain)
        else:
            durable.move(self.path, plain)

    def leave(self, have: list[bool]) -> None:
        """Leave what has come to whoever goes on: a beginning of the file under its plain name, where it is most.

        `have` are the verified pieces. Where more lies scattered than at the beginning, it stays for the next swarm.
        """
        beginning = next((index for index, one in enumerate(have) if not one), len(have))
        try:
            if beginning and 2 * beginning >= sum(have):
                end = min(beginning * self.torrent.piece_length, self.file.size_bytes)
                os.ftruncate(self._handle, end)
                self.flush()
                durable.move(self.path, self._staging.path(self.file.sha256))
                self._staging.note_written(self.file)
            elif not any(have):
                self.path.unlink(missing_ok=True)
            else:
                self.flush()
        finally:
            os.close(self._handle)


def swarm_path(staging: Staging, sha256: str) -> Path:
    """Return where the pieces of the file `sha256` are collected."""
    return staging.path(sha256 + SWARM_SUFFIX)


def held_bytes(path: Path) -> int:
    """Return how much of a file is on the disk, holes not counted."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0
    return min(found.st_size, found.st_blocks * _BLOCK_BYTES)
