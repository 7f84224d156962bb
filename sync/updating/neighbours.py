"""The company that a run keeps: the swarm, joined at the first load that it may carry.

On a long line it is joined, and left, beside what else the run does: each is a wait of several round trips.
Invariant: a run needs nobody. Without libtorrent, without a free port, without a check-in it goes on by the roads, and
says so in a warning; nothing here imports libtorrent (`sync.roads.torrent` does, where a run is composed).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from catalog.errors import ConfigError, ContentError, ShuxiangError
from catalog.library import Library
from sync.formats.release import TreeFile
from sync.formats.torrentfile import TorrentFile, read_torrent
from sync.roads.collecting import Part
from sync.roads.road import Done, Missed, Progress
from sync.roads.staging import Staging

LAN = "lan"
"""The kind of bytes that a neighbour gave."""
ALONE_BYTES = 16 << 20
"""So much is here before anyone who comes meanwhile could be of use, or be kept waiting."""
LINGER_SECONDS = 10.0
"""So long a run stays at most for those who are still collecting what it has just brought."""


class Swarm(Protocol):
    """What a delivery needs of `sync.roads.torrent.Swarm`."""

    port: int
    received: Counter[str]
    part: Part

    def fetch(
        self,
        wanted: Sequence[tuple[TreeFile, TorrentFile]],
        staging: Staging,
        done: Done,
        progress: Progress,
        *,
        web_seeds: Sequence[str],
        kept_at: Callable[[str], Path],
    ) -> list[Missed]: ...

    def linger(self, seconds: float, is_over: Callable[[], bool]) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """How a run meets others: `open` joins the swarm (raises `ConfigError` where that is not possible here), `meet`
    tells what a check-in says to it, and `leave` that the run is over."""

    open: Callable[[], Swarm]
    meet: Callable[[Any], Part]
    leave: Callable[[], None] = lambda: None


class Company:
    """The swarm of one run, if it has one. Close it."""

    def __init__(self, neighbours: Neighbours | None, library: Library) -> None:
        self.received: Counter[str] = Counter()
        """Bytes that came, by kind: "lan", "torrent", "http"."""
        self._neighbours = neighbours
        self._library = library
        self._beside = ThreadPoolExecutor(1, "company")
        self._entry: Future[tuple[Swarm, Callable[[], None]]] | None = None
        self._exit: Future[None] | None = None
        self._swarm: Swarm | None = None
        self._broken_off = threading.Event()

    def approach(self) -> None:
        """Begin to enter the swarm, beside what the run does until it has a load for it."""
        if self._entry is None and self._neighbours is not None:
            self._entry = self._beside.submit(self._enter, self._neighbours)

    def join(self, warnings: list[ShuxiangError]) -> bool:
        """Enter the swarm where that was not done yet; return whether we are in. What keeps us out goes to `warnings`."""
        self.approach()
        if self._entry is None or self._exit is not None:
            return False
        if self._swarm is None:
            try:
                self._swarm, _ = self._entry.result()
            except ConfigError as error:
                warnings.append(error)
                self._neighbours = self._entry = None
                return False
            self.received = self._swarm.received
        return True

    def is_idle_for(self, size_bytes: int) -> bool:
        """Return whether the check-in says that nobody whom we may meet fetches or shares while so much comes.

        Where the hub says nothing there may well be neighbours: local discovery finds them.
        """
        part = self._swarm.part if self._swarm is not None else Part()
        return size_bytes <= ALONE_BYTES and not part.peers and part.place == (0, 1)

    def known(self, files: Iterable[TreeFile]) -> list[TreeFile]:
        """Return those of `files` whose torrents the library has by now."""
        with self._library.reading() as reader:
            return [file for file in files if reader.torrent(file.sha256) is not None]

    def fetch(
        self,
        files: Sequence[TreeFile],
        staging: Staging,
        done: Done,
        progress: Progress,
        *,
        web_seeds: Sequence[str],
        kept_at: Callable[[str], Path],
    ) -> list[Missed]:
        """Bring those of `files` whose torrents the library has; see `Swarm.fetch`. What went through is shared on."""
        assert self._swarm is not None
        wanted = []
        with self._library.reading() as reader:
            for file in files:
                data = reader.torrent(file.sha256)
                if data is not None:
                    with suppress(ContentError):
                        torrent = read_torrent(data, sha256=file.sha256, size_bytes=file.size_bytes)
                        wanted.append((file, torrent))
        if not wanted:
            return []
        return self._swarm.fetch(
            wanted,
            staging,
            done,
            progress,
            web_seeds=web_seeds,
            kept_at=kept_at,
        )

    def depart(self) -> None:
        """Begin to leave, beside what the run still does: it has no more loads for the swarm."""
        if self._entry is not None and self._exit is None:
            self._exit = self._beside.submit(self._leave, self._entry)

    def break_off(self) -> None:
        """Wait for nobody when leaving, from now on: something ends the run before its time."""
        self._broken_off.set()

    def close(self) -> None:
        """Leave the swarm; where nothing broke off, after those who take from us what we just brought."""
        self.depart()
        with self._beside:
            try:
                if self._exit is not None:
                    self._exit.result()
            except BaseException:
                self.break_off()
                raise

    def _enter(self, neighbours: Neighbours) -> tuple[Swarm, Callable[[], None]]:
        swarm = neighbours.open()
        swarm.part = neighbours.meet(swarm)
        return swarm, neighbours.leave

    def _leave(self, entry: Future[tuple[Swarm, Callable[[], None]]]) -> None:
        if isinstance(entry.exception(), ConfigError):
            return
        swarm, leave = entry.result()
        try:
            swarm.linger(LINGER_SECONDS, self._broken_off.is_set)
        finally:
            swarm.close()
            leave()
