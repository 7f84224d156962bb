"""One fetch by swarm: which files are under way at once, when strangers are asked, when it is given up.

Invariant: a file leaves here whole and flushed for the door, or as it lies for whoever goes on; either way libtorrent
has closed it first. Only few pieces are incomplete at any moment, since these are what a cut costs.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from catalog.blobs import Staged
from catalog.durable import storage_error, sync_filesystem
from catalog.errors import RoadError
from sync.formats.release import TreeFile
from sync.formats.torrentfile import TorrentFile
from sync.line.rate import Governor
from sync.roads.road import Batches, Done, Missed, Progress, staged_file
from sync.roads.staging import Staging
from sync.roads.swarmfile import SwarmFile

MOST_AT_ONCE = 8
# What a cut costs is what was not flushed, or not even written, and the pieces that are not whole: of all files
# together a MiB and a piece.
PIECES_AT_ONCE_BYTES = 512 << 10
FLUSH_BYTES = 512 << 10
# So many files in a row that nobody has: then nobody has the others either.
LONELY_FILES = 8
STEER_SECONDS = 0.5
# Who hears our call in the local network calls back; if we called as well, both would hang up.
MEET_SECONDS = 1.0
_TICK_SECONDS = 0.2

Peer = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where a file may come from: addresses of trees (as web seeds), and peers."""

    trees: Sequence[str] = ()
    peers: Sequence[Peer] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A file to bring: `near` sources are neighbours, `far` ones are asked when these bring nothing."""

    file: TreeFile
    torrent: TorrentFile
    near: Sources
    far: Sources


class Download(Protocol):
    """A blob whose pieces are being collected. Bytes are counted, never sizes of pieces."""

    finished: bool
    failure: OSError | None
    unflushed_bytes: int
    near_bytes: int
    received_bytes: int

    def add_sources(self, web_seeds: Sequence[str], peers: Sequence[Peer]) -> None:
        """Ask these too."""
        ...

    def drop_web_seeds(self, web_seeds: Sequence[str]) -> None:
        """Ask these no longer."""
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

    def wait(self, seconds: float) -> None:
        """Wait for news of the downloads, and count what came."""
        ...

    def seed(self, torrent: TorrentFile, path: Path) -> None:
        """Share the whole blob at `path`."""
        ...

    def shut_outside(self) -> None:
        """Meet neighbours only from now on."""
        ...


@dataclass(slots=True)
class _Active:
    want: Want
    place: SwarmFile
    download: Download
    since: float
    heard: float = 0.0
    near_heard: float = 0.0
    received_bytes: int = 0
    near_bytes: int = 0
    near_asked: bool = False
    far_asked: bool = False
    trees_asked: bool = False
    steered: float = 0.0
    met: bool = field(default=False)


class SwarmFetch:
    """The files of one call of `Swarm.fetch`."""

    def __init__(
        self,
        swarm: FetchingSwarm,
        wants: Sequence[Want],
        staging: Staging,
        done: Done,
        progress: Progress,
        *,
        governor: Governor,
        discovery: bool,
        lan_seconds: float,
        stall_seconds: float,
        kept_at: Callable[[str], Path] | None,
    ) -> None:
        self._swarm = swarm
        self._waiting = deque(wants)
        self._torrents = {want.file.sha256: want.torrent for want in wants}
        self._staging = staging
        self._done = done
        self._progress = progress
        self._governor = governor
        self._discovery = discovery
        self._lan_seconds = lan_seconds
        self._stall_seconds = stall_seconds
        self._kept_at = kept_at
        self._active: list[_Active] = []
        self._missed: list[Missed] = []
        self._batches = Batches(self._through_the_door, time.monotonic)
        self._heard = time.monotonic()
        self._lonely = 0
        self._told_bytes = swarm.received.total()
        self._failure: RoadError | None = None

    def carry(self) -> list[Missed]:
        """Bring what can be brought; return the rest. Raises `RoadError` E-PAUSED, `StorageError`."""
        try:
            while self._waiting or self._active:
                self._look_at_the_governor()
                self._begin()
                self._swarm.wait(_TICK_SECONDS)
                self._flush(FLUSH_BYTES)
                self._tell()
                for one in tuple(self._active):
                    self._attend(one, time.monotonic())
                self._batches.tick()
            self._tell()
            self._batches.flush()
        finally:
            for one in tuple(self._active):
                self._leave(one)
        return self._missed

    def _flush(self, most_bytes: int) -> None:
        """Put on the disk what has come of all files, where together it is so much."""
        unflushed = [one for one in self._active if one.download.unflushed_bytes]
        if sum(one.download.unflushed_bytes for one in unflushed) < most_bytes:
            return
        for one in unflushed:
            one.download.unflushed_bytes = 0
        try:
            # The swarm does not wait meanwhile, so one flush for all.
            if len(unflushed) == 1:
                unflushed[0].place.flush()
            else:
                sync_filesystem(self._staging.directory)
        except OSError as error:
            raise storage_error(error, self._staging.directory) from error

    def _tell(self) -> None:
        total = self._swarm.received.total()
        if total > self._told_bytes:
            self._progress(total - self._told_bytes)
            self._told_bytes = total

    def _look_at_the_governor(self) -> None:
        self._governor.check(lan=True)
        failure = self._governor.failure()
        if failure is not None and self._failure is None:
            # The month's budget is used up: neighbours may still give.
            self._failure = failure
            self._swarm.shut_outside()
            for one in self._active:
                one.download.drop_web_seeds(_urls(one.want.far, one.want.file))

    def _begin(self) -> None:
        while self._waiting and self._room_for(self._waiting[0]):
            want = self._waiting.popleft()
            try:
                place = SwarmFile(self._staging, want.file, want.torrent)
            except OSError as error:
                raise storage_error(error, self._staging.path(want.file.sha256)) from error
            download = self._swarm.download(want.torrent, place.path)
            now = time.monotonic()
            self._active.append(
                _Active(want=want, place=place, download=download, since=now, heard=now, near_heard=now)
            )
            download.add_sources(_urls(want.near, want.file), () if self._discovery else want.near.peers)

    def _room_for(self, want: Want) -> bool:
        pieces_bytes = sum(one.want.torrent.piece_length for one in self._active)
        return not self._active or (
            len(self._active) < MOST_AT_ONCE
            and pieces_bytes + want.torrent.piece_length <= PIECES_AT_ONCE_BYTES
        )

    def _attend(self, one: _Active, now: float) -> None:
        download = one.download
        if download.failure is not None:
            raise storage_error(download.failure, one.place.path)
        if download.finished:
            self._finish(one)
            return
        if download.received_bytes > one.received_bytes:
            one.received_bytes, one.heard = download.received_bytes, now
            self._heard = now
        if download.near_bytes > one.near_bytes:
            one.near_bytes, one.near_heard = download.near_bytes, now
        if now - one.steered >= STEER_SECONDS:
            one.met, one.steered = download.steer(), now
        if self._discovery and not one.near_asked and now - one.since >= MEET_SECONDS:
            one.near_asked = True
            download.add_sources((), one.want.near.peers)
        if not one.far_asked and now - one.near_heard >= self._lan_seconds and self._failure is None:
            one.far_asked, one.heard = True, now
            download.add_sources((), one.want.far.peers)
        if one.far_asked and not one.trees_asked and self._failure is None and self._needs_trees(one, now):
            one.trees_asked = True
            download.add_sources(_urls(one.want.far, one.want.file), ())
        elif (one.far_asked or self._failure is not None) and self._is_hopeless(one, now):
            self._give_up(one)

    def _needs_trees(self, one: _Active, now: float) -> bool:
        """Return whether trees far away are to be asked: peers there bring nothing.

        A peer gives each of those who ask other pieces, which they then pass on to each other; a web server gives
        all of them the same (six boxes of one LAN: the hub sent 3.6 x the content with both, 1.5 x without trees).
        """
        return not one.want.far.peers or now - one.heard >= self._lan_seconds

    def _is_hopeless(self, one: _Active, now: float) -> bool:
        known = (one.want.near, one.want.far)
        nobody = not one.met and not any(sources.trees or sources.peers for sources in known)
        return now - one.heard >= (self._lan_seconds if nobody else self._stall_seconds)

    def _finish(self, one: _Active) -> None:
        one.download.end()
        # What waits for the door is not at risk any more, nor what the others have while the door works.
        self._flush(1)
        self._active.remove(one)
        try:
            one.place.flush()
            one.place.finish()
        except OSError as error:
            raise storage_error(error, one.place.path) from error
        self._lonely = 0
        self._batches.add(staged_file(one.want.file, self._staging))

    def _give_up(self, one: _Active) -> None:
        self._lonely = 0 if one.received_bytes else self._lonely + 1
        self._leave(one)
        code = "E-ROAD-SHORT" if one.received_bytes else "E-ROAD-MISSING"
        error = self._failure or RoadError(code, where=f"BitTorrent {one.want.file.sha256}")
        self._missed.append(Missed(file=one.want.file, error=error))
        if self._lonely >= LONELY_FILES:
            self._missed += [Missed(file=want.file, error=error) for want in self._waiting]
            self._waiting.clear()

    def _leave(self, one: _Active) -> None:
        self._active.remove(one)
        have = one.download.end()
        try:
            one.place.leave(have)
        except OSError as error:
            raise storage_error(error, one.place.path) from error

    def _through_the_door(self, batch: list[Staged]) -> None:
        self._done(batch)
        if self._kept_at is not None:
            for item in batch:
                path = self._kept_at(item.blob.sha256)
                if path.exists():
                    self._swarm.seed(self._torrents[item.blob.sha256], path)


def _urls(sources: Sources, file: TreeFile) -> list[str]:
    return [(address if address.endswith("/") else address + "/") + file.path for address in sources.trees]
