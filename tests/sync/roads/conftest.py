"""One small tree and a real server for every road to it."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from builders import sha256
from wsgi import address_of

from sync import tree
from sync.daemon import DaemonSettings, RsyncDaemon
from sync.formats.release import TreeFile
from sync.roads.road import RoadSettings, blob_file
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


@pytest.fixture(params=["http", "rsync", "directory"])
def open_road(request: pytest.FixtureRequest, root: Path, tmp_path: Path) -> Iterator[Callable[[], str]]:
    """A function that starts serving `root` and returns the address."""
    with ExitStack() as stack:

        def start() -> str:
            if request.param == "http":
                return stack.enter_context(address_of(published_tree(root)))
            if request.param == "rsync":
                port = free_port()
                settings = DaemonSettings(port=port, address="127.0.0.1")
                stack.enter_context(RsyncDaemon(root, tmp_path / "daemon", settings))
                return f"rsync://127.0.0.1:{port}/tree/"
            return str(root)

        yield start
