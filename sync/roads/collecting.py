"""The words between a fetch by swarm and the swarm: our part in it, what is wanted, a download, and its swarm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sync.formats.release import TreeFile
from sync.formats.torrentfile import TorrentFile
from sync.roads.gaps import Share

Peer = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Our part in bringing what all want, as a check-in tells.

    `peers` are neighbours and others to meet, `hub` is where the hub itself shares. `place`: our rank in our LAN (0
    leads), None where nobody told; `stripe`: that of our LAN among those that reach each other.
    """

    peers: Sequence[Peer] = ()
    hub: Sequence[Peer] = ()
    place: Share | None = None
    stripe: Share = (0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A file to bring."""

    file: TreeFile
    torrent: TorrentFile


class Download(Protocol):
    """A blob whose pieces are being collected. Bytes are counted, never sizes of pieces."""

    finished: bool
    written: bool
    failure: OSError | None
    unflushed_bytes: int
    near_bytes: int
    received_bytes: int
    placed: set[int]
    """The pieces that came by another way."""

    def add_peers(self, peers: Sequence[Peer]) -> None:
        """Ask these too."""
        ...

    def lacking(self) -> tuple[list[bool], list[int]]:
        """Return which pieces are not here, and with how many whom we meet each is; empty while that is checked."""
        ...

    def put(self, index: int, data: bytes) -> None:
        """Take a piece that came by another way; called in any thread."""
        ...

    def steer(self) -> bool:
        """Choose the order of pieces by who else collects; return whether anybody is met, or the file is checked."""
        ...

    def end(self) -> list[bool]:
        """Stop, wait until everything is written and closed, and return which pieces are here."""
        ...


class FetchingSwarm(Protocol):
    """What a fetch needs of the swarm."""

    def download(self, torrent: TorrentFile, path: Path) -> Download:
        """Begin to collect the pieces of a blob at `path`."""
        ...

    received: Counter[str]
    """Bytes that came, by kind."""
    part: Part
    is_alone: bool

    def is_near(self, host: str) -> bool:
        """Return whether `host` is a neighbour."""
        ...

    def share_on(self, torrent: TorrentFile) -> None:
        """Go on sharing what was just collected."""
        ...

    def forget(self, v2: str) -> None:
        """Share this blob no longer."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait for news of the downloads, and count what came."""
        ...

    def seed(self, torrent: TorrentFile, path: Path) -> None:
        """Share the whole blob at `path`."""
        ...

    def shut_outside(self) -> None:
        """Meet neighbours only from now on."""
        ...
