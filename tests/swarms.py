"""Swarms on loopback for tests: blobs with their torrents, machines that share or fetch them."""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builders import sha256

from catalog.blobs import Staged, hash_file
from sync.formats.release import TreeFile
from sync.formats.torrentfile import TorrentFile, make_torrent
from sync.roads.collecting import Peer
from sync.roads.road import Missed, blob_file
from sync.roads.staging import Staging
from sync.roads.swarmsettings import SwarmSettings
from sync.roads.torrent import Swarm

MIB = 1 << 20
HERE = "127.0.0.1"
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
NOWHERE = (ipaddress.ip_network("192.0.2.0/24"),)
"""Networks that leave loopback outside: whoever is there is a stranger."""


@dataclass(frozen=True)
class Shared:
    """A blob in a tree, and its torrent."""

    path: Path
    file: TreeFile
    torrent: TorrentFile

    @property
    def wanted(self) -> tuple[TreeFile, TorrentFile]:
        return self.file, self.torrent


def shared(root: Path, size_bytes: int, seed: int = 1) -> Shared:
    """Put a blob of noise into the tree at `root`."""
    data = random.Random(seed).randbytes(size_bytes)
    file = blob_file(sha256(data), size_bytes)
    path = root / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return Shared(path=path, file=file, torrent=make_torrent(path, file.sha256))


def settings(**changes: Any) -> SwarmSettings:
    """Return settings for loopback, found by being told only."""
    plain: dict[str, Any] = {
        "listen": (HERE,),
        "lan": True,
        "discovery": False,
        "networks": LOOPBACK,
        "lan_seconds": 0.5,
        "stall_seconds": 10.0,
    }
    return SwarmSettings(**(plain | changes))


def seeder(*blobs: Shared, **changes: Any) -> Swarm:
    """Return a machine that shares these; close it."""
    swarm = Swarm(settings(**changes))
    for blob in blobs:
        swarm.seed(blob.torrent, blob.path)
    return swarm


@dataclass
class Fetched:
    """What a fetch brought. `right`: whole files whose hash is right."""

    right: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    missed: list[Missed] = field(default_factory=list)
    told_bytes: int = 0
    seconds: float = 0.0
    received: dict[str, int] = field(default_factory=dict)


def fetch(
    place: Path,
    blobs: Sequence[Shared],
    *,
    peers: Sequence[Peer] = (),
    web_seeds: Sequence[str] = (),
    kept_at: Callable[[str], Path] | None = None,
    **changes: Any,
) -> Fetched:
    """Fetch into `place`/staging with a machine of its own; what is right goes to `place`/door."""
    with Swarm(settings(**changes)) as swarm, Staging(place / "staging") as staging:
        return fetch_by(
            swarm, staging, place / "door", blobs, peers=peers, web_seeds=web_seeds, kept_at=kept_at
        )


def fetch_by(
    swarm: Swarm,
    staging: Staging,
    door: Path,
    blobs: Sequence[Shared],
    **more: Any,
) -> Fetched:
    """Fetch with the machine `swarm`; what is right goes to `door`."""
    came = Fetched()
    door.mkdir(exist_ok=True)

    def done(batch: list[Staged]) -> None:
        for item in batch:
            right = hash_file(item.path) == item.blob.sha256
            (came.right if right else came.wrong).append(item.blob.sha256)
            item.path.rename(door / item.blob.sha256)
        staging.settle(item.blob.sha256 for item in batch)

    def progress(count: int) -> None:
        came.told_bytes += count

    start = time.monotonic()
    came.missed = swarm.fetch([blob.wanted for blob in blobs], staging, done, progress, **more)
    came.seconds = time.monotonic() - start
    came.received = dict(swarm.received)
    return came
