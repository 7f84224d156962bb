"""`kill -9` of a real update at random moments, over every road: nothing wrong is visible, little comes twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from county import NOW, County
from syncing_box import SyncingBox
from wsgi import address_of

from sync.daemon import DaemonSettings, RsyncDaemon
from sync.roads.staging import Staging
from sync.serve import published_tree

MIB = 1 << 20
KILLS = 10
RUN = """
import sys
from datetime import datetime
from pathlib import Path
from catalog.blobs import BlobStore
from catalog.library import Library
from catalog.local import Local
from sync.updating.update import Update, UpdateSettings

state = Path(sys.argv[1])
library = Library.open(state / "library.db")
local = Local.open(state / "local.db")
blobs = BlobStore(state / "blobs", state / "staging", library.add_blobs)
settings = UpdateSettings(sources=(sys.argv[2],), fingerprint=sys.argv[3], subscriptions=None)
update = Update(state, library=library, blobs=blobs, local=local, settings=settings)
print("ready", flush=True)
result = update.run(datetime.fromisoformat(sys.argv[4]))
assert result.failure is None, result.failure
"""


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> Iterator[County]:
    with County(tmp_path_factory.mktemp("kill") / "hub") as county:
        noise = random.Random(4)
        for number in range(150):
            county.add(f"r{number}", noise.randbytes(noise.randrange(1000, 60_000)))
        for number in range(4):
            county.add(f"big{number}", noise.randbytes(24 * MIB + number))
        county.publish()
        yield county


@pytest.mark.slow
@pytest.mark.parametrize("road", ["http", "rsync", "directory"])
def test_kill_an_update_at_random_moments(road: str, county: County, tmp_path: Path) -> None:
    chance = random.Random(road)
    with ExitStack() as stack:
        if road == "http":
            source = stack.enter_context(address_of(published_tree(county.public)))
        elif road == "rsync":
            settings = DaemonSettings(port=free_port(), address="127.0.0.1")
            stack.enter_context(RsyncDaemon(county.public, tmp_path / "daemon", settings))
            source = f"rsync://127.0.0.1:{settings.port}/tree/"
        else:
            source = str(county.public)
        with SyncingBox(tmp_path / "trial", county):
            seconds = run(tmp_path / "trial", county, source, None)
        SyncingBox(tmp_path / "box", county).close()
        held: set[str] = set()
        for _ in range(KILLS):
            run(tmp_path / "box", county, source, chance.uniform(0, seconds))
            with SyncingBox(tmp_path / "box", county) as box:
                box.check()
                # What was acknowledged is still there, and what is shown is searchable.
                assert held <= box.held()
                held = box.held()
                if box.library.generation().release:
                    assert len(box.ids()) == 154 and box.found("分数") == 154
        with SyncingBox(tmp_path / "box", county) as box:
            # A program of a killed run may still hold the place for a moment.
            Staging(box.state / "staging").close()
            staged = sum(one.stat().st_size for one in (box.state / "staging").glob("?" * 64))
            stored = sum(one.stat().st_size for one in (box.state / "blobs").rglob("?" * 64))
            result = box.update(source)
            assert result.failure is None and result.content_release == 1
            box.check()
            total = sum(box.blobs.path(name).stat().st_size for name in box.held())
            assert len(box.held()) == 154
            assert result.fetched_bytes <= (total - stored - staged) * 1.1 + MIB
            assert [one.name for one in (box.state / "staging").glob("?" * 64)] == []


def run(state: Path, county: County, source: str, kill_after: float | None) -> float:
    """Run an update to its end, or kill it; return how long it ran."""
    arguments = [sys.executable, "-c", RUN, str(state), source, county.identity.fingerprint, NOW.isoformat()]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"ready\n"
        began = time.monotonic()
        try:
            status = child.wait(kill_after)
            assert status == 0
        except subprocess.TimeoutExpired:
            child.kill()
        return time.monotonic() - began


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
