"""Packs, patches and torrent files that a box has used and keeps for who syncs from it.

Invariants: what stands here under a hash was checked by it and is on the disk; together it is no more than what may be
kept, the oldest goes first; what no transport file offers any more goes with the next whole sync. Losing it costs
others a longer way, never anything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from catalog.durable import make_directory, move, sync_file
from catalog.resource import is_sha256

FOLDER = "parcels"
"""Of a box's state directory."""
MOST_BYTES = 512 << 20
SHARE_OF_FREE = 20
"""Of the free space no more than this part is used."""
_HASH = re.compile(rb'"sha256":"([0-9a-f]{64})"')


class KeptParcels:
    """The parcels in `directory`. Several readers may serve from it meanwhile."""

    def __init__(self, directory: Path, most_bytes: int = MOST_BYTES) -> None:
        self._directory = directory
        self.most_bytes = most_bytes

    def keep(self, path: Path) -> None:
        """Take over the checked file at `path`, which bears its hash as its name, where it fits; raise `OSError`."""
        size_bytes = path.stat().st_size
        if size_bytes > self.most_bytes:
            return
        self._make_room(self.most_bytes - size_bytes)
        make_directory(self._directory)
        sync_file(path)
        move(path, self._directory / path.name)

    def prune(self, transport: Iterable[bytes]) -> None:
        """Drop what no line of the transport files of this release names."""
        here = {file.name: file for file in self._files()}
        if here:
            for line in transport:
                for found in _HASH.findall(line):
                    here.pop(found.decode(), None)
            for file in here.values():
                file.unlink(missing_ok=True)

    def clear(self) -> None:
        """Give all the room back."""
        self._make_room(0)

    def _make_room(self, most_bytes: int) -> None:
        files = sorted(((found := file.stat()).st_mtime, found.st_size, file) for file in self._files())
        held = sum(size_bytes for _, size_bytes, _ in files)
        for _, size_bytes, file in files:
            if held <= most_bytes:
                return
            file.unlink(missing_ok=True)
            held -= size_bytes

    def _files(self) -> list[Path]:
        if not self._directory.is_dir():
            return []
        return [file for file in self._directory.iterdir() if is_sha256(file.name)]
