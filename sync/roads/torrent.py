"""BitTorrent, by libtorrent: who is met, what is shared (`sync.roads.swarmdownload` is what is collected).

These two modules are the only ones that import it.

Invariants: no tracker, no DHT, no port mapping; who is met is a neighbour, found by local discovery or named by a
check-in, or the hub. A host outside the local network is met only where the line is marked as the education network, or
is the hub, so nothing is uploaded over a line that punishes it. Trees are not libtorrent's business (`sync.roads.uplink`).
Neighbours are exempt from every rate. A blob of the store is only ever read: who shares it never downloads into it.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import libtorrent

from catalog.errors import ConfigError
from sync.formats.release import TreeFile
from sync.formats.torrentfile import TorrentFile
from sync.line.network import own_networks
from sync.roads.collecting import Part, Peer, Want
from sync.roads.road import Done, Missed, Progress, RoadSettings
from sync.roads.staging import Staging
from sync.roads.swarmdownload import SwarmDownload
from sync.roads.swarmfetch import SwarmFetch
from sync.roads.swarmfile import held_bytes
from sync.roads.swarmsettings import (
    RECONNECT_SECONDS,
    SwarmSettings,
    addresses_of,
    free_port,
    reconnecting,
    session_settings,
)

LAN, OUTSIDE, WEB = "lan", "torrent", "http"
_LISTEN_SECONDS, _COUNT_SECONDS = 5.0, 0.5
MOST_KEPT = 64
_FLAGS = libtorrent.torrent_flags
_ALERTS = libtorrent.alert_category
_QUIET = _ALERTS.error | _ALERTS.status
_BUSY = _QUIET | _ALERTS.storage | _ALERTS.piece_progress | _ALERTS.block_progress
# A rate is kept by giving quota at each tick: half a second between them makes bursts of several seconds' worth.
_SHARING = {"alert_mask": _QUIET, "tick_interval": 500, "close_redundant_connections": True}
# Who has just finished says that it only gives from now on, before it tells of its last piece: whoever then wants
# nothing else of it would hang up, and wait seconds for that piece.
_FETCHING = {"alert_mask": _BUSY, "tick_interval": 100, "close_redundant_connections": False}
_DOUBTS = (libtorrent.state_changed_alert, libtorrent.torrent_error_alert, libtorrent.file_error_alert)
_BLOCKED = 1
_ALL = (("0.0.0.0", "255.255.255.255"), ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))


class Swarm:
    """One machine's part in the swarms of its blobs. Close it. Not thread-safe but for `set_rates` and `connect`."""

    def __init__(self, settings: SwarmSettings) -> None:
        """Begin to listen; raises `ConfigError` E-PORT where that is not possible."""
        self.received: Counter[str] = Counter()
        """Bytes of content that came, by kind: "lan", "torrent", "http"."""
        self.settings = settings
        self.part = Part()
        """Whom a check-in named, and what it leaves to us; set it at any time, in any thread."""
        self.is_alone = False
        """Whether neighbours have kept silent for so long that this machine no longer waits for them."""
        self._allowed: set[str] = set()
        self._near: dict[str, bool] = {}
        self._seeds: dict[str, libtorrent.torrent_handle] = {}
        self._kept: dict[str, SwarmDownload] = {}
        self._suspects: set[str] = set()
        self._downloads: dict[str, SwarmDownload] = {}
        self._up_bytes_per_second = settings.up_bytes_per_second
        self._closed = False
        self._shuffle_at = self._count_at = 0.0
        self._given: dict[tuple[str, Peer], int] = {}
        parameters = libtorrent.session_params()
        parameters.settings = cast(Any, session_settings(settings, free_port(settings)) | _SHARING)
        self._session = libtorrent.session(parameters)
        self._lan_class = self._session.create_peer_class("lan")
        self._outside_class = self._session.create_peer_class("outside")
        # Each neighbour is served at once: slots are for lines that are poor.
        self._set_class(self._lan_class, None, None, slots=False)
        self.set_rates(settings.governor.bytes_per_second, settings.up_bytes_per_second)
        settings.governor.on_rate(lambda rate: self.set_rates(rate, self._up_bytes_per_second))
        self.allow(settings.hub)
        self.port = self._listening_port()

    def __enter__(self) -> Swarm:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all connections and wait until libtorrent is gone."""
        if self._closed:
            return
        self._closed = True
        self._session.pause()
        for v2 in tuple(self._kept):
            self.forget(v2)
        self._seeds.clear()
        self._downloads.clear()
        del self._session

    # -- who may be met ------------------------------------------------------------------------------------------

    def look_around(self) -> None:
        """Learn this machine's subnets anew (addresses change) and set by them who may be met, at which rate."""
        self._networks = own_networks() if self.settings.networks is None else self.settings.networks
        self._near.clear()
        near = [(str(network[0]), str(network[-1])) for network in self._networks]
        blocked = libtorrent.ip_filter()
        classes = libtorrent.ip_filter()
        for first, last in _ALL:
            blocked.add_rule(first, last, 0 if self.settings.education_line else _BLOCKED)
            classes.add_rule(first, last, 1 << self._outside_class)
        for first, last in near:
            blocked.add_rule(first, last, 0 if self.settings.lan else _BLOCKED)
            classes.add_rule(first, last, 1 << self._lan_class)
        for address in self._allowed:
            blocked.add_rule(address, address, 0)
        self._session.set_ip_filter(blocked)
        self._session.set_peer_class_filter(classes)

    def allow(self, hosts: Iterable[str]) -> None:
        """Let these hosts (names or addresses) be met on any line."""
        for host in hosts:
            self._allowed.update(addresses_of(host))
        self.look_around()

    def shut_outside(self) -> None:
        """Meet neighbours only from now on."""
        self._allowed.clear()
        self.settings = replace(self.settings, education_line=False, hub=())
        self.look_around()

    def is_near(self, host: str) -> bool:
        """Return whether `host` (a name or an address) is a neighbour."""
        if host not in self._near:
            addresses = [ipaddress.ip_address(one) for one in addresses_of(host)]
            self._near[host] = bool(addresses) and all(
                any(address in network for network in self._networks) for address in addresses
            )
        return self._near[host]

    def connect(self, peers: Iterable[Peer]) -> None:
        """Meet these, for every blob that is shared or fetched now; who may not be met is left out."""
        for host, port in peers:
            for address in addresses_of(host):
                for handle in self._handles():
                    with suppress(RuntimeError):
                        handle.connect_peer((address, port))

    def set_rates(self, down: int | None, up: int | None) -> None:
        """Bound the bytes per second from and to hosts outside the local network; None for no bound."""
        self._up_bytes_per_second = up
        if self._closed:
            return
        self._set_class(self._outside_class, down, up)

    # -- sharing -------------------------------------------------------------------------------------------------

    def seed(self, torrent: TorrentFile, path: Path) -> None:
        """Share the whole blob at `path`; a piece is checked when it is first asked for, and nothing is ever written."""
        if torrent.v2 in self.shared() or torrent.v2 in self._downloads:
            return
        # Silent in local discovery: who wants the blob calls, and is heard.
        flags = _FLAGS.seed_mode | _FLAGS.upload_mode | _FLAGS.disable_lsd
        self._seeds[torrent.v2] = self._add(torrent, path, flags)

    def share_on(self, torrent: TorrentFile) -> None:
        """Go on sharing what was just collected, from where it lies: whoever is connected stays so.

        The oldest of many is forgotten; what it was of is shared on by `seed` alone.
        """
        # A finished torrent asks for nothing. To set upload mode besides makes libtorrent 2.1.1 cancel what peers were
        # asked for in a list of pieces that a finished torrent no longer has: it crashes.
        self._kept[torrent.v2] = self._downloads.pop(torrent.v2)
        while len(self._kept) > MOST_KEPT:
            self.forget(next(iter(self._kept)))

    def forget(self, v2: str) -> None:
        """Share this blob no longer."""
        handle = self._seeds.pop(v2, None)
        kept = self._kept.pop(v2, None)
        if kept is not None:
            handle = kept.handle
            kept.path.unlink(missing_ok=True)
        if handle is not None:
            self._session.remove_torrent(handle)

    def shared(self) -> frozenset[str]:
        """Return the v2 hashes of what is shared."""
        return frozenset(self._seeds) | frozenset(self._kept)

    def linger(self, seconds: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Stay, so many seconds at most, as long as somebody whom we meet still collects what we have just brought.

        Whoever pauses the run, or ends it (`is_over`), does not wait for that.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not (is_over() or self.settings.governor.stopped):
            if not any(
                not peer.flags & (libtorrent.peer_info.seed | libtorrent.peer_info.connecting)
                for kept in self._kept.values()
                for peer in kept.handle.get_peer_info()
            ):
                return
            self._take_alerts(0.1)

    def count_uploads(self) -> None:
        """Count what others than neighbours were given since the last look; call it each second or so.

        What is given between the last look at a peer and its end is not seen.
        """
        counts = self.settings.education_line and self.settings.governor.metered
        if not counts or self._closed or time.monotonic() < self._count_at:
            return
        self._count_at = time.monotonic() + _COUNT_SECONDS
        given: dict[tuple[str, Peer], int] = {}
        for status in self._session.get_torrent_status(lambda one: bool(one.num_peers)):
            for peer in status.handle.get_peer_info():
                if peer.total_upload and not self.is_near(peer.ip[0]):
                    given[str(status.info_hashes.v2), peer.ip] = peer.total_upload
        # One that hung up and came again begins at nothing.
        grown = (
            total - before if total >= (before := self._given.get(one, 0)) else total
            for one, total in given.items()
        )
        self._given, count = given, sum(grown)
        if count:
            self.settings.governor.count(0, sent=count)

    def faults(self) -> list[str]:
        """Return the v2 hashes of shared blobs whose bytes proved wrong or could not be read; they are forgotten."""
        self._take_alerts(0)
        handles = self._seeds | {v2: kept.handle for v2, kept in self._kept.items()}
        found = [v2 for v2 in self._suspects if v2 in handles and self._is_faulty(handles[v2])]
        self._suspects.clear()
        for v2 in found:
            self.forget(v2)
        return found

    # -- fetching ------------------------------------------------------------------------------------------------

    def fetch(
        self,
        wanted: Sequence[tuple[TreeFile, TorrentFile]],
        staging: Staging,
        done: Done,
        progress: Progress,
        *,
        web_seeds: Sequence[str] = (),
        peers: Sequence[Peer] = (),
        kept_at: Callable[[str], Path] | None = None,
    ) -> list[Missed]:
        """Bring files into `staging` from neighbours, peers and the trees at `web_seeds`; see `Road.fetch`.

        Who leads (`part`) asks hub and trees at once; all others when neighbours bring nothing for `lan_seconds`. With
        `kept_at` (hash -> path) what went through the door is shared on. Raises `RoadError` E-PAUSED, `StorageError`.
        """
        fetch = SwarmFetch(
            self,
            [Want(file=file, torrent=torrent) for file, torrent in wanted],
            staging,
            done,
            progress,
            trees=web_seeds,
            peers=peers,
            road=RoadSettings(governor=self.settings.governor),
            discovery=self.settings.lan and self.settings.discovery,
            lan_seconds=self.settings.lan_seconds,
            stall_seconds=self.settings.stall_seconds,
            kept_at=kept_at,
        )
        self._session.apply_settings(cast(Any, _FETCHING))
        try:
            return fetch.carry()
        finally:
            self._session.apply_settings(cast(Any, _SHARING))

    def download(self, torrent: TorrentFile, path: Path) -> SwarmDownload:
        """Begin to collect the pieces of a blob at `path`; those that are there already are found by their hashes."""
        self.forget(torrent.v2)
        begun_bytes = held_bytes(path)
        handle = self._add(torrent, path, _FLAGS.sequential_download)
        self._downloads[torrent.v2] = download = SwarmDownload(self, torrent, handle, path)
        download.begun_bytes = begun_bytes
        return download

    def wait(self, seconds: float) -> None:
        """Wait for news of the downloads, and count what came."""
        if time.monotonic() >= self._shuffle_at:
            self._shuffle_at = time.monotonic() + RECONNECT_SECONDS[0]
            self._session.apply_settings(cast(Any, reconnecting()))
        self._take_alerts(seconds)
        for download in self._downloads.values():
            self._count(download)

    # -- inside --------------------------------------------------------------------------------------------------

    def _add(self, torrent: TorrentFile, path: Path, flags: int) -> libtorrent.torrent_handle:
        parameters = libtorrent.load_torrent_buffer(torrent.data)
        parameters.save_path = str(path.parent)
        parameters.renamed_files = {0: path.name}
        # Exchanged addresses would join sites by their weakest lines: who meets whom is the check-in's business.
        parameters.flags = flags | _FLAGS.apply_ip_filter | _FLAGS.disable_dht | _FLAGS.disable_pex
        return self._session.add_torrent(parameters)

    def _handles(self) -> Iterator[libtorrent.torrent_handle]:
        yield from [one.handle for one in [*self._downloads.values(), *self._kept.values()]]
        yield from list(self._seeds.values())

    def remove(self, torrent: TorrentFile, handle: libtorrent.torrent_handle) -> None:
        """Take the torrent of a download out of the session."""
        self._downloads.pop(torrent.v2, None)
        self._session.remove_torrent(handle)

    def _take_alerts(self, seconds: float) -> None:
        if seconds:
            self._session.wait_for_alert(int(seconds * 1000))
        self.count_uploads()
        for alert in self._session.pop_alerts():
            if not isinstance(alert, libtorrent.torrent_alert):
                continue
            v2 = str(alert.handle.info_hashes().v2)
            download = self._downloads.get(v2)
            if download is None:
                if isinstance(alert, _DOUBTS):
                    self._suspects.add(v2)
                continue
            if isinstance(alert, libtorrent.block_finished_alert):
                download.kinds[self._kind(alert.endpoint)] += 1
            elif isinstance(alert, libtorrent.block_downloading_alert):
                download.asked[self._kind(alert.endpoint)] += 1
            else:
                download.note(alert)

    def _is_faulty(self, handle: libtorrent.torrent_handle) -> bool:
        status = handle.status(0)
        return bool(status.errc.value()) or status.state in (status.checking_files, status.downloading)

    def _kind(self, place: Peer) -> tuple[str, bool]:
        near = self.is_near(place[0])
        return (LAN if near else OUTSIDE), near

    def _count(self, download: SwarmDownload) -> None:
        """Count what came for a download since the last look, by the kinds that gave it."""
        for (kind, near), count in download.shares():
            self.received[kind] += count
            download.received_bytes += count
            if near:
                download.near_bytes += count
            else:
                self.settings.governor.count(count)

    def _set_class(self, number: int, down: int | None, up: int | None, *, slots: bool = True) -> None:
        found = self._session.get_peer_class(number)
        found["download_limit"], found["upload_limit"] = down or 0, up or 0
        found["ignore_unchoke_slots"] = not slots
        self._session.set_peer_class(number, found)

    def _listening_port(self) -> int:
        deadline = time.monotonic() + _LISTEN_SECONDS
        while time.monotonic() < deadline:
            for alert in self._session.pop_alerts():
                if isinstance(alert, libtorrent.listen_succeeded_alert):
                    return int(alert.port)
            self._session.wait_for_alert(100)
        raise ConfigError("E-PORT", where="BitTorrent", found=self.settings.port)
