"""`kill -9` of a publish: the tree always stands at one whole release, and the next run finishes.

A driver process forks one publisher after another. The first test kills it before its n-th change to the disk, for
every n, which an audit hook (PEP 578) counts; the second at random moments of time.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from builders import sha256
from county import NOW, Box, County, DirectoryRoad

from sync import tree
from sync.formats.release import BundleHead
from sync.formats.torrentfile import LEAST_BYTES
from sync.formats.transport import Offer, Pack, Patch, Torrent, read_transport
from sync.publishing.survey import manifest_lines
from sync.publishing.sweep import BLOB_NAME
from sync.trust.heads import current_head, kept_heads

DRIVER = """
import os, signal, sys, time
from datetime import datetime
from pathlib import Path
from catalog.blobs import BlobStore
from catalog.library import Library
from sync.trust.keys import load_keys
from sync.publishing.publish import publish

CHANGES = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod"}
state, now = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
left = 0

def hook(event, arguments):
    global left
    if event in CHANGES and left and str(arguments[0]).startswith(str(state)):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

def run():
    with Library.open(state / "library.db") as library:
        blobs = BlobStore(state / "blobs", state / "staging", library.add_blobs)
        publish(library, blobs, state, load_keys(state / "keys"), publisher="县", now=now)

for line in sys.stdin:
    before, wait_seconds = line.split()
    child = os.fork()
    if not child:
        left = int(before)
        sys.addaudithook(hook)
        run()
        os._exit(0)
    if float(wait_seconds):
        time.sleep(float(wait_seconds))
        os.kill(child, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Publisher:
    """Runs publishes of `county` in processes of their own."""

    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child

    def run(self, *, kill_before: int = 0, kill_after_seconds: float = 0) -> bool:
        """Publish; return False where the process was killed before its end."""
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(f"{kill_before} {kill_after_seconds}\n")
        self._child.stdin.flush()
        status = int(self._child.stdout.readline())
        assert status in (0, -signal.SIGKILL)
        return status == 0


@contextmanager
def publisher_of(county: County) -> Iterator[Publisher]:
    command = [sys.executable, "-c", DRIVER, str(county.state), NOW.isoformat()]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        yield Publisher(child)


class Witness:
    """Follows the tree as a reader does, and checks at each look that it is whole."""

    def __init__(self, directory: Path, county: County) -> None:
        self.county = county
        self.box, self.road = Box(directory, county), DirectoryRoad(county.public)
        self.release = 0
        self._seen: dict[str, bytes] = {}

    def bundle(self) -> BundleHead:
        """Return the only bundle of the current release."""
        head = current_head(self.county.public)
        assert head is not None
        (bundle,) = head.release.bundles
        return bundle

    def look(self) -> set[str]:
        """Accept the head, check all that it names and return its blobs."""
        number = self.box.follow(self.road).release.number
        assert self.release <= number <= self.release + 1
        self.release = number
        public = self.county.public
        head = current_head(public)
        assert head is not None
        names: set[str] = set()
        for file in (*head.release.files(), *head.release.deltas()):
            assert sha256((public / file.path).read_bytes()) == file.sha256
        for bundle in head.release.bundles:
            for line in manifest_lines(public / bundle.manifest.plain.path):
                names.update(found.decode() for found in BLOB_NAME.findall(line))
            for offer in offers(self.county, bundle):
                assert sha256((public / offer.file.path).read_bytes()) == offer.file.sha256
        for name in names:
            assert sha256((public / tree.blob_path(name)).read_bytes()) == name
        for path in head.head.paths():
            # What readers may have seen under a name never changes.
            data = (public / path).read_bytes()
            assert self._seen.setdefault(path, data) == data
        return names


def offers(county: County, bundle: BundleHead) -> list[Offer]:
    text = (county.public / bundle.transport.plain.path).read_bytes()
    return list(read_transport(text.splitlines(), where=bundle.id))


def standing(county: County) -> set[str]:
    """The content in the tree; deltas, packs, patches and torrents are there of the kept releases and of no others.

    A pack that was withdrawn with what is in it is the exception.
    """
    found = {path.name for path in (county.public / "blobs").rglob("*") if path.is_file()}
    releases = [head.release for head in kept_heads(county.public, 4)]
    deltas = {file.sha256 for release in releases for file in release.deltas()}
    assert deltas <= found
    offered = {
        offer.file.sha256 for release in releases for one in release.bundles for offer in offers(county, one)
    }
    return found - deltas - offered


def edit(number: int) -> bytes:
    """Return a text that is worth a patch from the one before."""
    chance = random.Random(3)
    return chance.randbytes(9000) + b"edit %d" % number


def video(number: int) -> bytes:
    """Return bytes that are worth a torrent."""
    return random.Random(number).randbytes(LEAST_BYTES)


@pytest.mark.slow
def test_kill_a_publish_before_each_change_of_the_disk(tmp_path: Path) -> None:
    with County(tmp_path / "hub") as county, publisher_of(county) as publisher:
        county.add("stays", b"stays")
        assert publisher.run()
        witness = Witness(tmp_path / "box", county)
        witness.look()
        outcomes = []
        kinds: set[type] = set()
        before, killed = 1, True
        while killed:
            county.add("edited", edit(before))
            county.add(f"new{before}", b"new %d" % before)
            if before % 20 == 1:
                county.add("video", video(before))
            if before > 1:
                county.add(f"new{before - 1}", b"new %d" % (before - 1), state="recalled")
            number = witness.release
            killed = not publisher.run(kill_before=before)
            witness.look()
            outcomes.append(witness.release - number)
            assert publisher.run()
            names = witness.look()
            assert witness.release == number + 1
            film = before - (before - 1) % 20
            new = {sha256(b"new %d" % before), sha256(video(film))}
            assert names == {sha256(b"stays"), sha256(edit(before)), *new}
            kinds.update(type(offer) for offer in offers(county, witness.bundle()))
            # The editions of the releases before stay, recalled content and what a cut left do not.
            older = {sha256(edit(n)) for n in range(max(1, before - 3), before)}
            older |= {sha256(video(film - 20)) for n in range(max(1, before - 3), film) if film > 20}
            assert standing(county) == names | older
            before += 1
        assert kinds == {Pack, Patch, Torrent}
        # Both sides of the commit point were met; a release with a film makes more changes before it than others.
        assert {0, 1} == set(outcomes) and not any(outcomes[:40]) and before > 40


def test_kill_a_publish_at_random_moments(tmp_path: Path) -> None:
    chance = random.Random(2)
    with County(tmp_path / "hub") as county, publisher_of(county) as publisher:
        for number in range(200):
            county.add(f"first{number}", b"%d" % number * 50)
        began = time.monotonic()
        assert publisher.run()
        seconds = time.monotonic() - began
        witness = Witness(tmp_path / "box", county)
        witness.look()
        for number in range(10):
            county.add(f"n{number}", b"n%d" % number)
            publisher.run(kill_after_seconds=chance.uniform(0.001, seconds))
            witness.look()
        assert publisher.run()
        assert witness.look() == standing(county) and len(standing(county)) == 210
