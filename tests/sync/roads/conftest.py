"""One small tree and a real server for every road to it; and how each brings files, the swarm as well."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import sha256
from swarms import HERE, seeder, settings
from wsgi import address_of

from catalog.blobs import Staged
from sync import tree
from sync.daemon import DaemonSettings, RsyncDaemon
from sync.formats.release import TreeFile
from sync.formats.torrentfile import make_torrent
from sync.roads import road_for
from sync.roads.road import Missed, RoadSettings, blob_file
from sync.roads.staging import Staging
from sync.roads.torrent import Swarm
from sync.serve import published_tree

MIB = 1 << 20
QUICK = RoadSettings(timeout_seconds=5, retry_pause_seconds=0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def put_blob(root: Path, data: bytes) -> TreeFile:
    file = blob_file(sha256(data), len(data))
    path = root / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return file


def grow_tree(root: Path, *, small: int = 40, large: int = 2) -> list[TreeFile]:
    """Write metadata and blobs as a hub lays them out; return the blobs."""
    (root / "metadata").mkdir(parents=True)
    (root / tree.TIMESTAMP).write_bytes(b'{"signed":{},"signatures":[]}')
    (root / tree.PINNED_ROOT).write_bytes(b'{"signed":{"version":1}}')
    (root / tree.ROADS).write_bytes(b'{"roads":[]}')
    noise = random.Random(7)
    sizes = [0, 1, *(noise.randrange(100, 40_000) for _ in range(small))]
    sizes += [3 * MIB + noise.randrange(MIB) for _ in range(large)]
    return [put_blob(root, noise.randbytes(size)) for size in sizes]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "tree"


ROADS = ("http", "rsync", "directory")


def serve(kind: str, root: Path, place: Path, stack: ExitStack) -> str:
    """Serve `root` on the road `kind` until `stack` closes; return the address."""
    if kind == "http":
        return stack.enter_context(address_of(published_tree(root)))
    if kind == "rsync":
        port = free_port()
        daemon = DaemonSettings(port=port, address="127.0.0.1")
        stack.enter_context(RsyncDaemon(root, place, daemon))
        return f"rsync://127.0.0.1:{port}/tree/"
    return str(root)


@pytest.fixture(params=ROADS)
def open_road(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """A function that starts serving `root` and returns the address."""
    with ExitStack() as stack:
        yield lambda: serve(request.param, root, tmp_path / "daemon", stack)


@dataclass(frozen=True)
class Brought:
    """What came, what did not, and how many bytes were received for it."""

    came: list[Staged]
    missed: list[Missed]
    received_bytes: int


@dataclass(frozen=True)
class Bringing:
    """Brings files of the tree at `root` into a staging directory, over one kind of road or by the swarm."""

    kind: str
    root: Path
    place: Path

    def __call__(
        self,
        files: Sequence[TreeFile],
        staging: Path,
        *,
        boot: str | None = None,
        gone: Sequence[TreeFile] = (),
    ) -> Brought:
        """Fetch `files`; those that are `gone` were once in the tree and are there no more."""
        came: list[Staged] = []
        told: list[int] = []
        by = self._by_swarm if self.kind == "torrent" else self._by_road
        with Staging(staging, boot=boot) as place:
            missed, received_bytes = by(files, place, came, told, gone)
        assert bool(sum(told)) == any(item.blob.size_bytes for item in came)
        return Brought(came, missed, received_bytes)

    def _by_road(
        self,
        files: Sequence[TreeFile],
        place: Staging,
        came: list[Staged],
        told: list[int],
        gone: Sequence[TreeFile],
    ) -> tuple[list[Missed], int]:
        self._take_away(gone)
        with ExitStack() as stack:
            road = road_for(serve(self.kind, self.root, self.place, stack), QUICK)
            stack.callback(road.close)
            missed = road.fetch(files, place, came.extend, told.append)
            return missed, road.received_bytes

    def _by_swarm(
        self,
        files: Sequence[TreeFile],
        place: Staging,
        came: list[Staged],
        told: list[int],
        gone: Sequence[TreeFile],
    ) -> tuple[list[Missed], int]:
        # A torrent has bytes: a blob without any is planned for no swarm.
        torrents = {
            file.sha256: make_torrent(self.root / file.path, file.sha256) for file in files if file.size_bytes
        }
        self._take_away(gone)
        patience = settings(stall_seconds=2.0 if gone else 10.0)
        with seeder() as source, Swarm(patience) as swarm:
            for file in files:
                if file.size_bytes and file not in gone:
                    source.seed(torrents[file.sha256], self.root / file.path)
            wanted = [(file, torrents[file.sha256]) for file in files if file.size_bytes]
            missed = swarm.fetch(wanted, place, came.extend, told.append, peers=[(HERE, source.port)])
            return missed, swarm.received.total()

    def _take_away(self, gone: Sequence[TreeFile]) -> None:
        for file in gone:
            (self.root / file.path).unlink()


@pytest.fixture(params=[*ROADS, "torrent"])
def bring(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Bringing:
    """What every way of a blob promises is tried on this."""
    return Bringing(request.param, root, tmp_path / "daemon")
