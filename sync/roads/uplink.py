"""Pieces of a swarm's files from trees, over a few kept connections: who asks a hub for what all its neighbours want.

libtorrent would ask a tree for what it likes; here a run of pieces is asked for once, by whom it falls to
(`sync.roads.gaps`). Invariant: a piece is given on only when its hash is right; a tree that gave a wrong one is asked
no more in this run, one that has not the file is not asked for that again. What is in memory at a cut are the begun
runs: half a MiB together, a piece for each connection where these are longer.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from catalog.byteranges import ByteRange
from catalog.errors import ConfigError, ContentError, RoadError, ShuxiangError
from sync.formats.release import TreeFile
from sync.formats.torrentfile import TorrentFile
from sync.roads.connection import connections_for
from sync.roads.http import HttpRoad
from sync.roads.road import RoadSettings

MOST_CONNECTIONS, LEAST_CONNECTIONS = 4, 2
BEGUN_BYTES = 512 << 10
LEAST_RUN_BYTES = 64 << 10
# Long enough that the round trip between two runs weighs little, short enough that others soon have what came.
SHORT_SECONDS, LONG_SECONDS = 0.7, 2.5
TIMEOUT_SECONDS = 15.0
_JOIN_SECONDS = 2.0
_ENDING = ("E-PAUSED", "E-BUDGET")


@dataclass(frozen=True, slots=True)
class Errand:
    """A run of pieces to bring. `put` takes each that is right, in another thread."""

    file: TreeFile
    torrent: TorrentFile
    pieces: range
    put: Callable[[int, bytes], None]


class Uplink:
    """The connections of one fetch to the trees at `trees`, in the order in which they are asked. Close it."""

    def __init__(self, trees: Sequence[str], settings: RoadSettings) -> None:
        self.failure: ShuxiangError | None = None
        """Why nothing more comes, once no tree is left or the governor has ended it."""
        self._settings = replace(settings, timeout_seconds=min(settings.timeout_seconds, TIMEOUT_SECONDS))
        self._trees = list(trees)
        self._without: set[tuple[str, str]] = set()
        self._ended: deque[Errand] = deque()
        self._roads: list[HttpRoad] = []
        self._told_bytes = 0
        self._errands: queue.SimpleQueue[Errand | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closed = False
        self._under_way = 0
        self._run_bytes = LEAST_RUN_BYTES

    def run_length(self, torrent: TorrentFile) -> int:
        """Return how many pieces the next errand should be for."""
        most = min(self._run_bytes, BEGUN_BYTES // self._connections(torrent))
        return max(1, most // torrent.piece_length)

    def has_room(self, torrent: TorrentFile) -> bool:
        """Return whether an errand for `torrent` would be begun soon: one waits, the others are under way."""
        return self._under_way <= self._connections(torrent)

    def may_have(self, file: TreeFile) -> bool:
        """Return whether any tree is left that may have `file`."""
        return self.failure is None and any((tree, file.sha256) not in self._without for tree in self._trees)

    def ask(self, errand: Errand) -> None:
        """Begin an errand as soon as a connection is free."""
        self._under_way += 1
        if len(self._threads) < min(self._under_way, self._connections(errand.torrent)):
            thread = threading.Thread(target=self._work, name=f"uplink-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._errands.put(errand)

    def take_ended(self) -> list[Errand]:
        """Return the errands that have ended since the last call, whatever came of them."""
        found = [self._ended.popleft() for _ in range(len(self._ended))]
        self._under_way -= len(found)
        return found

    def take_bytes(self) -> int:
        """Return how many bytes came since the last call."""
        with self._lock:
            total = sum(road.received_bytes for road in self._roads)
        count, self._told_bytes = total - self._told_bytes, total
        return count

    def close(self) -> None:
        """End; a run that is under way is broken off, and nothing of it is given on."""
        with self._lock:
            self._closed = True
            roads = tuple(self._roads)
        for road in roads:
            road.abort()
        for _ in self._threads:
            self._errands.put(None)
        deadline = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self) -> None:
        roads: dict[str, HttpRoad] = {}
        memory = os.memfd_create("pieces", os.MFD_CLOEXEC)
        try:
            while (errand := self._errands.get()) is not None:
                self._carry(errand, roads, memory)
                self._ended.append(errand)
        finally:
            os.close(memory)
            for road in roads.values():
                road.close()

    def _carry(self, errand: Errand, roads: dict[str, HttpRoad], memory: int) -> None:
        """Bring the pieces of an errand from the first tree that gives them."""
        for tree in tuple(self._trees):
            if self._closed or self.failure is not None:
                return
            if (tree, errand.file.sha256) in self._without:
                continue
            try:
                if tree not in roads:
                    roads[tree] = self._open(tree)
                self._fetch(errand, roads[tree], memory)
                return
            except (RoadError, ContentError, ConfigError) as error:
                self._note(tree, errand, error)
            except ValueError as error:
                # What the standard library makes of an answer with an impossible number.
                if (road := roads.pop(tree, None)) is not None:
                    road.close()
                self._note(tree, errand, RoadError("E-ROAD-SHORT", where=tree, found=error))

    def _open(self, tree: str) -> HttpRoad:
        road = HttpRoad(tree, self._settings)
        with self._lock:
            self._roads.append(road)
            closed = self._closed
        if closed:
            road.abort()
        return road

    def _fetch(self, errand: Errand, road: HttpRoad, memory: int) -> None:
        torrent = errand.torrent
        first, last = torrent.piece(errand.pieces[0]), torrent.piece(errand.pieces[-1])
        part = ByteRange(first.start, last.start + last.length_bytes - first.start)
        began = time.monotonic()
        try:
            road.fetch_ranges(errand.file, [part], Path(f"/proc/self/fd/{memory}"), lambda _: None)
            if not self._closed:
                self._learn(time.monotonic() - began)
                for index in errand.pieces:
                    place = torrent.piece(index)
                    data = os.pread(memory, place.length_bytes, place.start)
                    if not torrent.is_piece(index, data):
                        raise ContentError("E-HASH", where=f"{road.address}{errand.file.path} [{index}]")
                    errand.put(index, data)
        finally:
            os.ftruncate(memory, 0)

    def _learn(self, seconds: float) -> None:
        """Make the next runs longer or shorter by how long one took."""
        factor = 2.0 if seconds < SHORT_SECONDS else 0.5 if seconds > LONG_SECONDS else 1.0
        self._run_bytes = max(LEAST_RUN_BYTES, min(BEGUN_BYTES, int(self._run_bytes * factor)))

    def _connections(self, torrent: TorrentFile) -> int:
        most = max(LEAST_CONNECTIONS, min(MOST_CONNECTIONS, BEGUN_BYTES // torrent.piece_length))
        return connections_for(self._settings.governor.bytes_per_second, most)

    def _note(self, tree: str, errand: Errand, error: ShuxiangError) -> None:
        with self._lock:
            if error.code in _ENDING:
                self.failure = error
            elif error.code == "E-ROAD-MISSING":
                self._without.add((tree, errand.file.sha256))
            else:
                with suppress(ValueError):
                    self._trees.remove(tree)
                if not self._trees:
                    self.failure = error
