"""Sharing what is here by BitTorrent, as a process of its own: `box seed` and `hub seed`.

It follows what the library or the release names, and a box tells its hub now and then where it can be met. Imported
by these commands only: what serves pages never loads libtorrent. Bytes that prove wrong when they
are asked for are shared no longer, and a box notes them for `box verify`.
"""

from __future__ import annotations

import logging
import os
import random
import select
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from appliance.box import Box
from appliance.neighbours import CardMaker
from appliance.policies import month
from catalog.blobs import Blob
from catalog.errors import ContentError, ShuxiangError
from sync import tree
from sync.formats.torrentfile import TorrentFile, read_torrent
from sync.formats.transport import Torrent, read_transport
from sync.roads.torrent import Swarm
from sync.trust.heads import current_head
from sync.updating.manifests import transport_lines

if TYPE_CHECKING:
    from appliance.hub import Hub

LOOK_SECONDS, COUNT_SECONDS = 5.0, 1.0
CHECK_IN_SECONDS = 300.0
RETRY_SECONDS = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A blob that is here with its torrent."""

    blob: Blob
    path: Path
    data: bytes


class Shelf(Protocol):
    """What there is to share."""

    def state(self) -> object:
        """Return a value that changes when there is something else to share."""
        ...

    def held(self) -> Iterator[tuple[str, Callable[[], Held]]]:
        """Stream the hash of every blob that is here with a torrent, and a way to read that."""
        ...

    def wrong(self, blob: Blob) -> None:
        """Take note that the bytes of this blob are not right."""
        ...


@dataclass(frozen=True, slots=True)
class BoxShelf:
    """The blobs of a box, by its library."""

    box: Box

    def state(self) -> object:
        """Return the generation of the library."""
        return self.box.library.generation()

    def held(self) -> Iterator[tuple[str, Callable[[], Held]]]:
        """Stream what the library has a torrent of."""
        with self.box.library.reading() as reader:
            for sha256, data in reader.torrents():
                yield sha256, partial(self._held, sha256, data)

    def wrong(self, blob: Blob) -> None:
        """Note the damage, for the next verify to repair."""
        self.box.local.note_damage([blob], self.box.clock())

    def _held(self, sha256: str, data: bytes) -> Held:
        path = self.box.blobs.path(sha256)
        return Held(blob=Blob(sha256=sha256, size_bytes=path.stat().st_size), path=path, data=data)


@dataclass(frozen=True, slots=True)
class HubShelf:
    """The blobs of the release that a hub's tree stands at: those of its transport files."""

    hub: Hub

    def state(self) -> object:
        """Return which timestamp the tree has."""
        try:
            found = (self.hub.public / tree.TIMESTAMP).stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino

    def held(self) -> Iterator[tuple[str, Callable[[], Held]]]:
        """Stream the torrents that the transport files of the release offer."""
        head = current_head(self.hub.public)
        for bundle in head.release.bundles if head else ():
            for offer in read_transport(transport_lines(self.hub.public, bundle), where=bundle.id):
                if isinstance(offer, Torrent):
                    yield offer.blob, partial(self._held, offer)

    def wrong(self, blob: Blob) -> None:
        """Say so: a hub has no other to repair from by itself."""
        _log.error("E-DAMAGED %s", blob.sha256)

    def _held(self, offer: Torrent) -> Held:
        return Held(
            blob=Blob(sha256=offer.blob, size_bytes=offer.size_bytes),
            path=self.hub.public / tree.blob_path(offer.blob),
            data=(self.hub.public / offer.file.path).read_bytes(),
        )


class Sharing:
    """Keeps a swarm sharing exactly what a shelf holds."""

    def __init__(self, swarm: Swarm, shelf: Shelf) -> None:
        self._swarm = swarm
        self._shelf = shelf
        self._state: object = None
        self._v2: dict[str, str] = {}
        self._blobs: dict[str, Blob] = {}
        self._wrong: set[str] = set()

    @property
    def count(self) -> int:
        """How many blobs are shared."""
        return len(self._v2)

    def follow(self) -> None:
        """Share what has come, and no longer what has gone or proved wrong."""
        for v2 in self._swarm.faults():
            blob = self._blobs.pop(v2)
            self._v2.pop(blob.sha256, None)
            if not self._gone(blob):
                self._wrong.add(blob.sha256)
                self._shelf.wrong(blob)
        state = self._shelf.state()
        if state == self._state:
            return
        here = set()
        for sha256, read in self._shelf.held():
            here.add(sha256)
            if sha256 not in self._v2 and sha256 not in self._wrong:
                self._share(sha256, read)
        for sha256 in self._v2.keys() - here:
            v2 = self._v2.pop(sha256)
            del self._blobs[v2]
            self._swarm.forget(v2)
        self._state = state

    def _share(self, sha256: str, read: Callable[[], Held]) -> None:
        try:
            held = read()
            torrent: TorrentFile = read_torrent(held.data, sha256=sha256, size_bytes=held.blob.size_bytes)
        except (ContentError, FileNotFoundError) as error:
            # Swept or recalled while we looked; a torrent that does not fit costs its sharing only.
            _log.warning("%s", error)
            return
        self._swarm.seed(torrent, held.path)
        self._v2[sha256] = torrent.v2
        self._blobs[torrent.v2] = held.blob

    def _gone(self, blob: Blob) -> bool:
        return all(sha256 != blob.sha256 for sha256, _ in self._shelf.held())


def share(
    swarm: Swarm,
    shelf: Shelf,
    meet: Callable[[], bool] | None = None,
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Share what `shelf` holds until interrupted, or until whoever started us closes our standard input.

    `meet` checks in and returns whether that was answered. It ends where it `is_over`, too. Once the month's budget is
    used up neighbours alone are given anything.
    """
    sharing = Sharing(swarm, shelf)
    wait = _wait_for_the_end()
    next_meeting = time.monotonic() + random.uniform(0, LOOK_SECONDS)
    while True:
        try:
            sharing.follow()
        except ShuxiangError as error:
            _log.error("%s", error)
        if meet is not None and time.monotonic() >= next_meeting:
            swarm.look_around()
            pause = CHECK_IN_SECONDS if meet() else RETRY_SECONDS
            # Boxes that are switched on together should not ask together for ever.
            next_meeting = time.monotonic() + pause * random.uniform(0.8, 1.2)
        if _counted(swarm, wait) or is_over():
            return


def _counted(swarm: Swarm, wait: Callable[[float], bool]) -> bool:
    """Wait until the next look while what is given outside is counted; return whether all is over."""
    until = time.monotonic() + LOOK_SECONDS
    while (left := until - time.monotonic()) > 0:
        if wait(min(left, COUNT_SECONDS) if swarm.settings.education_line else left):
            return True
        swarm.count_uploads()
        if swarm.settings.education_line and swarm.settings.governor.failure() is not None:
            swarm.shut_outside()
    return False


def seed_box(box: Box, swarm: Swarm) -> None:
    """Share what the box holds, and check in with the hub, until interrupted.

    It ends with the month too, whose budget `swarm` counts for: whoever began it begins it anew.
    """
    card = CardMaker(box, swarm)
    begun = month(box)

    def meet() -> bool:
        return bool(card.send().seen)

    share(swarm, BoxShelf(box), meet, lambda: swarm.settings.governor.metered and month(box) != begun)


def seed_hub(hub: Hub, swarm: Swarm) -> None:
    """Share what the hub has published, until interrupted."""
    share(swarm, HubShelf(hub))


def _wait_for_the_end() -> Callable[[float], bool]:
    """Return a function that waits and says whether the pipe that is our standard input was closed."""
    if sys.stdin is None or not stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        return _sleep
    handle = sys.stdin.fileno()

    def wait(seconds: float) -> bool:
        readable, _, _ = select.select([handle], [], [], seconds)
        return bool(readable) and not os.read(handle, 4096)

    return wait


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False
