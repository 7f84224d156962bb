"""`kill -9` of the commands at random moments of their work: the next run finishes and nothing acknowledged is gone.

Each round gives the county new bytes for every file, kills one command somewhere between taking the lock and its end,
looks at what stands there, and runs the command again. The moments come from a seed.
"""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from command import call, command, environment, service
from supplier import write_folder

from appliance.box import Box, NewBox
from appliance.hub import Hub
from appliance.ports import listen, port_of
from appliance.syncing import run_sync
from catalog.finder import Finder
from catalog.library import Library
from sync.updating.update import UpdateResult

FILES = 120
QUICK, ALL = 2, 10
ROADS = ("http", "rsync", "directory")


class Village:
    """A hub with a folder to take from, and a box that follows it. What is not killed is done in this process."""

    def __init__(self, base: Path, stack: ExitStack) -> None:
        self.hub, self.box, self.folder = base / "hub", base / "box", base / "folder"
        self.chance = random.Random(20261121)
        self.killed = 0
        self.reach = 1.0
        self.release = self.edition = 0
        self._stack = stack
        Hub.create(self.hub, "青禾县")[0].close()

    def follow(self, road: str) -> None:
        """Make the box, which follows the hub over `road`, and sync it once."""
        address = str(self.hub / "public")
        if road != "directory":
            with listen("127.0.0.1", 0) as free:
                rsync_port = port_of(free)
            ports = ("--host", "127.0.0.1", "--port", "0", "--rsync-port", str(rsync_port))
            running = self._stack.enter_context(service(self.hub, "hub", "run", *ports))
            address = running["address"] if road == "http" else f"rsync://127.0.0.1:{rsync_port}"
        root = (self.hub / "public" / "metadata" / "1.root.json").read_bytes()
        new = NewBox(hub=address, name="书箱", root=root, fingerprint=None, subscriptions=None)
        Box.create(self.box, new).close()
        self.sync()

    def write(self) -> None:
        """Give the supplier's folder new bytes under the old names."""
        self.edition += 1
        write_folder(self.folder, files=FILES, size_bytes=30_000, seed=self.edition)

    def ingest(self) -> None:
        self.write()
        with Hub.open(self.hub) as hub, hub.ingesting(self.folder) as session:
            assert not session.run().rejected

    def publish(self) -> None:
        self.ingest()
        with Hub.open(self.hub) as hub:
            self.release = hub.publish().release

    def sync(self) -> UpdateResult:
        with Box.open(self.box) as box:
            return run_sync(box, None)

    def kill(self, state: Path, *arguments: object, seconds: float) -> bool:
        """Run the command and kill it within `seconds` after it took the lock; return whether it was still at work."""
        lock = state / "lock"
        lock.write_bytes(b"")
        # Only the command itself: an rsync or ffmpeg that it started may outlive it, as it would on a box.
        with subprocess.Popen(
            command(state, *arguments), env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            while not lock.stat().st_size and process.poll() is None:
                time.sleep(0.001)
            time.sleep(self.chance.uniform(0, seconds * self.reach))
            process.send_signal(signal.SIGKILL)
            ended = process.wait()
        assert ended in (0, -signal.SIGKILL)
        if ended == 0:
            # This machine is faster than that: look at earlier moments from here on.
            self.reach *= 0.8
        self.killed += ended != 0
        return ended != 0


@pytest.fixture
def village(tmp_path: Path) -> Iterator[Village]:
    with ExitStack() as stack:
        yield Village(tmp_path, stack)


def assert_whole(state: Path) -> dict[str, Any]:
    """Every visible blob has its hash, every row its blob, everything served its blobs; return the records by id."""
    here = set()
    for path in (state / "blobs").rglob("*"):
        if path.is_file():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
            here.add(path.name)
    with Library.open(state / "library.db") as library, library.reading() as reader:
        assert {blob.sha256 for blob in reader.blobs()} <= here
        entries = list(reader.entries())
    for entry in entries:
        assert {file.sha256 for file in entry.serving} <= here
    return {entry.resource.id: entry for entry in entries}


def kills(village: Village, wanted: int, round_of: Callable[[], None]) -> None:
    """Do rounds until `wanted` of them killed a command at work: a few moments fall behind the end of the work."""
    for _ in range(wanted * 4):
        round_of()
        if village.killed >= wanted:
            return
    raise AssertionError(f"only {village.killed} kills met the work")


AMOUNT = pytest.mark.parametrize("amount", [QUICK, pytest.param(ALL, marks=pytest.mark.slow)])


@AMOUNT
def test_ingest_killed(village: Village, amount: int) -> None:
    village.ingest()
    before = assert_whole(village.hub)
    assert len(before) == FILES

    def one_round() -> None:
        village.write()
        village.kill(village.hub, "hub", "ingest", village.folder, seconds=1.0)
        # What was acknowledged earlier is there, as it was or as it is now, with its bytes.
        assert assert_whole(village.hub).keys() == before.keys()
        done = call(village.hub, "hub", "ingest", village.folder)
        assert done["changed"] + done["unchanged"] == FILES and not done["rejected"]
        assert_whole(village.hub)
        wanted = {hashlib.sha256(path.read_bytes()).hexdigest() for path in village.folder.glob("*.txt")}
        assert set().union(*files_of(village.hub).values()) == wanted

    kills(village, amount, one_round)


@AMOUNT
def test_publish_killed(village: Village, amount: int) -> None:
    village.publish()
    village.follow("directory")

    def one_round() -> None:
        village.ingest()
        village.kill(village.hub, "hub", "publish", seconds=0.6)
        # The tree stands at the old release or at the new one, whole either way.
        got = village.sync()
        assert got.failure is None and got.release == got.content_release
        assert got.release in (village.release, village.release + 1)
        assert len(assert_whole(village.box)) == FILES
        village.release = call(village.hub, "hub", "publish")["release"]
        assert village.sync().content_release == village.release >= got.release
        assert files_of(village.box) == files_of(village.hub)

    kills(village, amount, one_round)


@pytest.mark.parametrize(
    ("road", "amount"),
    [("http", QUICK), *(pytest.param(road, ALL, marks=pytest.mark.slow) for road in ROADS)],
)
def test_sync_killed(village: Village, road: str, amount: int) -> None:
    village.publish()
    village.follow(road)

    def one_round() -> None:
        before = village.release
        village.publish()
        village.kill(village.box, "box", "sync", seconds=1.2)
        # One whole state is served at once, without another run: every lesson plays, every search answers.
        assert all(entry.serving for entry in assert_whole(village.box).values())
        with Box.open(village.box) as box, closing(Finder(box.library, box.index)) as finder:
            generation = box.library.generation()
            assert before <= generation.content_release <= generation.release <= village.release
            assert finder.search("认识几分之几").total == FILES // 5
        assert call(village.box, "box", "sync")["content_release"] == village.release
        assert files_of(village.box) == files_of(village.hub)
        assert_whole(village.box)

    kills(village, amount, one_round)


def files_of(state: Path) -> dict[str, set[str]]:
    """Return the hashes of the files of each resource."""
    with Library.open(state / "library.db") as library, library.reading() as reader:
        return {
            entry.resource.id: {file.sha256 for file in entry.resource.files} for entry in reader.entries()
        }
