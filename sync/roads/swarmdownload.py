"""A blob whose pieces are being collected, as libtorrent sees it: what came of whom, in which order, and its end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import libtorrent

from sync.formats.torrentfile import TorrentFile
from sync.roads.collecting import Peer
from sync.roads.swarmsettings import addresses_of

_END_SECONDS = 30.0
_FLAGS = libtorrent.torrent_flags


class Session(Protocol):
    """What a download needs of the swarm that it is part of."""

    def wait(self, seconds: float) -> None:
        """Wait for news of the downloads."""
        ...

    def remove(self, torrent: TorrentFile, handle: libtorrent.torrent_handle) -> None:
        """Take the torrent out of the session."""
        ...


class SwarmDownload:
    """A blob whose pieces are being collected, as `swarmfetch.Download` says."""

    def __init__(
        self, swarm: Session, torrent: TorrentFile, handle: libtorrent.torrent_handle, path: Path
    ) -> None:
        self.handle = handle
        self.path = path
        self.finished = self.written = False
        self.failure: OSError | None = None
        self.begun_bytes = self.unflushed_bytes = self.near_bytes = self.received_bytes = 0
        self.placed: set[int] = set()
        self.kinds: Counter[tuple[str, bool]] = Counter()
        self.asked: Counter[tuple[str, bool]] = Counter()
        self._weights: Counter[tuple[str, bool]] = Counter()
        self._counted_bytes = 0
        self._swarm = swarm
        self._torrent = torrent
        self._paused = False

    def note(self, alert: libtorrent.torrent_alert) -> None:
        """Take note of what libtorrent says of it."""
        if isinstance(alert, libtorrent.piece_finished_alert):
            self.unflushed_bytes += self._torrent.piece_length
        elif isinstance(alert, libtorrent.torrent_finished_alert):
            self.finished = True
            self.handle.flush_cache()
        elif isinstance(alert, libtorrent.cache_flushed_alert):
            self.written = self.finished
        elif isinstance(alert, libtorrent.torrent_paused_alert):
            self._paused = True
        elif isinstance(alert, libtorrent.file_error_alert):
            self.failure = OSError(alert.error.value(), alert.error.message())

    def shares(self) -> Iterator[tuple[tuple[str, bool], int]]:
        """Give what came since the last call, by who gave it; nothing as long as that is not known."""
        # Who gave the last blocks is not told when the connection ends before these are written.
        if self.kinds or (self.finished and not self._weights):
            self._weights = self.kinds or self.asked
            self.kinds = Counter()
        # The counter runs behind by a tick, and what has finished is looked at for the last time.
        least = self._torrent.size_bytes - self.begun_bytes - self.put_bytes if self.finished else 0
        came = max(self.handle.status(0).total_payload_download, least) - self._counted_bytes
        if not self._weights or came <= 0:
            return
        self._counted_bytes += came
        parts = self._weights.total()
        for kind, weight in self._weights.items():
            share = came * weight // parts
            came, parts = came - share, parts - weight
            yield kind, share

    def add_peers(self, peers: Sequence[Peer]) -> None:
        """Ask these too."""
        for host, port in peers:
            for address in addresses_of(host):
                self.handle.connect_peer((address, port))

    def lacking(self) -> tuple[list[bool], list[int]]:
        """Return which pieces are not here, and with how many of those we meet each is; empty while that is checked."""
        status = self.handle.status(libtorrent.torrent_handle.query_pieces)
        if status.state != status.downloading:
            return [], []
        here = list(status.pieces) or [False] * self._torrent.pieces
        return [not one for one in here], self.handle.piece_availability() or [0] * len(here)

    def put(self, index: int, data: bytes) -> None:
        """Take a piece that came by another way; called in any thread."""
        with suppress(RuntimeError):
            self.placed.add(index)
            self.handle.add_piece(index, data, 0)

    @property
    def put_bytes(self) -> int:
        """How much came by another way."""
        return sum(self._torrent.piece(index).length_bytes for index in tuple(self.placed))

    def steer(self) -> bool:
        """Collect in order where only whole copies are met, else what is rare first; return whether any is met.

        In order, what has come is a beginning of the file that every other road can go on from; but where others
        collect too, all would then wait for the same piece.
        """
        if any(map(_collects, self.handle.get_peer_info())):
            self.handle.unset_flags(_FLAGS.sequential_download)
        else:
            self.handle.set_flags(_FLAGS.sequential_download)
        status = self.handle.status(0)
        checking = status.state in (status.checking_files, status.checking_resume_data)
        return checking or status.num_connections > 0 or status.connect_candidates > 0

    def end(self) -> list[bool]:
        """Stop, wait until everything is written and closed, and return which pieces are here."""
        self.handle.pause()
        deadline = time.monotonic() + _END_SECONDS
        while not self._paused and time.monotonic() < deadline:
            self._swarm.wait(0.05)
        pieces = self.handle.status(libtorrent.torrent_handle.query_pieces).pieces
        self._swarm.remove(self._torrent, self.handle)
        return list(pieces) if pieces else [False] * self._torrent.pieces


def _collects(peer: libtorrent.peer_info) -> bool:
    """Return whether `peer` is known to have a part only: one that was just met has said nothing yet."""
    if peer.flags & libtorrent.peer_info.seed:
        return False
    return bool(peer.flags & libtorrent.peer_info.remote_interested) or peer.progress_ppm > 0
