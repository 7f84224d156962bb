"""One fetch by swarm: which files are under way at once, who is asked for what, when it is given up.

Neighbours are asked for everything, always. Others are asked by who leads its LAN, at once, and by its mates when
neighbours bring nothing for some seconds, one after the other: a leader that vanished costs seconds. What comes from a
tree is asked for by the run of pieces (`sync.roads.uplink`), those that nobody has whom we meet.
Invariant: a file leaves here whole and flushed for the door, or as it lies for whoever goes on; no more is written to
it then. Only few pieces are incomplete at any moment, since these are what a cut costs.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from catalog.blobs import Staged
from catalog.durable import storage_error, sync_filesystem
from catalog.errors import RoadError
from sync.roads.collecting import Download, FetchingSwarm, Peer, Want
from sync.roads.gaps import next_helping, next_own
from sync.roads.road import Batches, Done, Missed, Progress, RoadSettings, staged_file
from sync.roads.staging import Staging
from sync.roads.swarmfile import SwarmFile
from sync.roads.uplink import Errand, Uplink

MOST_AT_ONCE = 8
# What a cut costs is what was not flushed, what comes in one burst before the next look (`MOST_REQUESTS`
# of `sync.roads.swarmsettings`), and the pieces that are not whole: of all files together a MiB and a piece.
PIECES_AT_ONCE_BYTES = 512 << 10
FLUSH_BYTES = 256 << 10
# So many files in a row that nobody has: then nobody has the others either.
LONELY_FILES = 8
STEER_SECONDS = 0.5
# Who hears our call in the local network calls back; if we called as well, both would hang up.
MEET_SECONDS = 1.0
# So long a leader lets mates that it was told of give what they have, before it asks others.
GRACE_SECONDS = 2.0
# Mates whose leader vanished follow one after the other, and hear each other: none waits more than so many times as
# long as the first.
STAGGER, MOST_STAGGER = 0.4, 3.0
LOOK_SECONDS = 0.1
_TICK_SECONDS = 0.2


@dataclass(slots=True)
class _Active:
    want: Want
    place: SwarmFile
    download: Download
    since: float
    heard: float
    received_bytes: int = 0
    near_bytes: int = 0
    near_asked: bool = False
    far_asked: bool = False
    hub_asked: bool = False
    steered: float = 0.0
    looked: float = 0.0
    met: bool = False
    asked: set[int] = field(default_factory=set)


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
        trees: Sequence[str],
        peers: Sequence[Peer],
        road: RoadSettings,
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
        self._peers = tuple(peers)
        self._governor = road.governor
        self._discovery = discovery
        self._lan_seconds = lan_seconds
        self._stall_seconds = stall_seconds
        self._kept_at = kept_at
        near = {tree: swarm.is_near(urlsplit(tree).hostname or "") for tree in trees}
        self._near_trees = Uplink([tree for tree in trees if near[tree]], road)
        self._far_trees = Uplink([tree for tree in trees if not near[tree]], road)
        self._active: list[_Active] = []
        self._missed: list[Missed] = []
        self._batches = Batches(self._through_the_door, time.monotonic)
        self._started = self._heard = self._near_heard = self._peers_heard = time.monotonic()
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
                self._look_at_the_trees()
                self._tell()
                for one in tuple(self._active):
                    self._attend(one, time.monotonic())
                self._batches.tick()
            self._tell()
            self._batches.flush()
        finally:
            for uplink in (self._near_trees, self._far_trees):
                uplink.close()
                if count := uplink.take_bytes():
                    self._swarm.received["http"] += count
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

    def _begin(self) -> None:
        while self._waiting and self._room_for(self._waiting[0]):
            want = self._waiting.popleft()
            try:
                place = SwarmFile(self._staging, want.file, want.torrent)
            except OSError as error:
                raise storage_error(error, self._staging.path(want.file.sha256)) from error
            download = self._swarm.download(want.torrent, place.path)
            now = time.monotonic()
            self._active.append(_Active(want=want, place=place, download=download, since=now, heard=now))

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
            if download.written:
                self._finish(one)
            return
        if download.received_bytes > one.received_bytes:
            one.received_bytes, one.heard = download.received_bytes, now
            self._heard = self._peers_heard = now
        if download.near_bytes > one.near_bytes:
            one.near_bytes, self._near_heard = download.near_bytes, now
            self._swarm.is_alone = False
        if now - one.steered >= STEER_SECONDS:
            one.met, one.steered = download.steer(), now
        if not one.near_asked and now - one.since >= (MEET_SECONDS if self._discovery else 0.0):
            one.near_asked = True
            download.add_peers(self._known(near=True))
        asks = self._asks_others(now)
        if asks and not one.far_asked:
            one.far_asked, one.heard = True, now
            download.add_peers(self._known(near=False))
        if asks and not one.hub_asked and self._needs_the_hubs_peer(one):
            one.hub_asked, one.heard = True, now
            download.add_peers(self._swarm.part.hub)
        elif (one.far_asked or self._failure is not None) and self._is_hopeless(one, now):
            self._give_up(one)

    def _known(self, *, near: bool) -> list[Peer]:
        peers = dict.fromkeys((*self._peers, *self._swarm.part.peers))
        return [peer for peer in peers if self._swarm.is_near(peer[0]) is near]

    def _asks_others(self, now: float) -> bool:
        """Return whether others than neighbours are asked now."""
        if self._failure is not None:
            return False
        place = self._swarm.part.place
        if place is not None and place[0] == 0:
            told = any(self._swarm.is_near(host) for host, _ in self._swarm.part.peers)
            if not told or now - self._started >= GRACE_SECONDS:
                self._swarm.is_alone = True
            return self._swarm.is_alone
        patience = self._lan_seconds
        if place is not None:
            patience *= min(MOST_STAGGER, 1 + STAGGER * (place[0] - 1))
        # Who has once waited for nobody does not wait again in this run.
        if now - max(self._near_heard, self._started) >= patience:
            self._swarm.is_alone = True
        return self._swarm.is_alone

    # -- trees ---------------------------------------------------------------------------------------------------

    def _look_at_the_trees(self) -> None:
        """Take note of what came from trees, and ask them for more."""
        now = time.monotonic()
        for uplink in (self._near_trees, self._far_trees):
            if count := uplink.take_bytes():
                self._swarm.received["http"] += count
                self._heard = now
            ended = uplink.take_ended()
            for errand in ended:
                for one in self._active:
                    if one.want.torrent is errand.torrent:
                        # What was brought is here as soon as libtorrent has hashed it too.
                        one.asked.difference_update(set(errand.pieces) - one.download.placed)
                        one.looked = 0.0
        self._send(self._near_trees, self._active, now)
        if self._asks_others(now):
            self._send(self._far_trees, [one for one in self._active if self._needs_trees(one, now)], now)

    def _send(self, uplink: Uplink, files: Sequence[_Active], now: float) -> None:
        able = [one for one in files if not one.download.finished and uplink.may_have(one.want.file)]
        for helping in (False, True):
            for one in able:
                torrent = one.want.torrent
                while uplink.has_room(torrent) and now - one.looked >= LOOK_SECONDS:
                    run = self._next_run(one, uplink.run_length(torrent), helping, now)
                    if not run:
                        one.looked = now if helping else one.looked
                        break
                    one.asked.update(run)
                    uplink.ask(Errand(one.want.file, torrent, run, one.download.put))

    def _next_run(self, one: _Active, most: int, helping: bool, now: float) -> range:
        part = self._swarm.part
        leads = part.place is None or part.place[0] == 0
        share = part.stripe if leads else part.place or (0, 1)
        silent = now - max(self._peers_heard, one.since) >= self._lan_seconds
        lacking, found = one.download.lacking()
        open_pieces = [
            lacks and (silent or not found[index]) and index not in one.asked
            for index, lacks in enumerate(lacking)
        ]
        if not helping:
            return next_own(open_pieces, share, most)
        return next_helping(open_pieces, share, most, alone=silent or share[1] == 1)

    def _needs_trees(self, one: _Active, now: float) -> bool:
        """Return whether trees far away are to be asked for this file.

        Where nobody tells who asks for what, peers are better: they give each of those who ask other pieces, which
        these then pass on to each other.
        """
        if self._swarm.part.place is not None:
            return True
        return one.far_asked and (not self._far_peers() or now - one.heard >= self._lan_seconds)

    def _far_peers(self) -> bool:
        return bool(self._known(near=False) or self._swarm.part.hub)

    def _needs_the_hubs_peer(self, one: _Active) -> bool:
        return self._swarm.part.place is None or not self._far_trees.may_have(one.want.file)

    def _is_hopeless(self, one: _Active, now: float) -> bool:
        trees = self._near_trees.may_have(one.want.file) or (
            self._failure is None and self._far_trees.may_have(one.want.file)
        )
        known = trees or self._known(near=True) or self._far_peers()
        if not one.met and not known:
            return now - one.heard >= self._lan_seconds
        # Who is asked may be busy with another file.
        heard = max(one.heard, self._heard) if one.met or trees else one.heard
        return now - heard >= self._stall_seconds

    def _finish(self, one: _Active) -> None:
        if self._kept_at is None:
            one.download.end()
        else:
            # Whoever takes it from us goes on while it passes the door.
            self._swarm.share_on(one.want.torrent)
        # What waits for the door is not at risk any more, nor what the others have while the door works.
        self._flush(1)
        self._active.remove(one)
        try:
            one.place.flush()
            one.place.finish(shared=self._kept_at is not None)
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
                if not self._kept_at(item.blob.sha256).exists():
                    self._swarm.forget(self._torrents[item.blob.sha256].v2)
