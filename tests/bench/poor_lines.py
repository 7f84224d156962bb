"""A hub and its boxes on the lab's machines, and the plain ways to bring the same content, for benchmarks of poor lines.

Content goes into the hub's library directly: what is measured is the road, not the describing of files. Plain ways
(rsync, HTTP by `plain_ways.py`, a bare BitTorrent session) carry the same files from the same machine.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from builders import file_of, resource, sha256
from command import command, environment
from netlab import HUB_PORT, Node, Towns

from appliance.box import ALL, Box, NewBox
from appliance.hub import Hub
from catalog.blobs import Blob, Staged
from catalog.resource import File, Resource
from sync.daemon import DaemonSettings, configuration

RSYNC_PORT, PLAIN_RSYNC_PORT, TORRENT_PORT = 8873, 8874, 6999
_PLAIN_WAYS = Path(__file__).with_name("plain_ways.py")
_START_SECONDS = 20.0
_BATCH_FILES = 200


@dataclass(frozen=True)
class Content:
    """Files as a county has them: `folder` with each under its name."""

    folder: Path
    names: tuple[str, ...]
    size_bytes: int


def write_content(folder: Path, *, total_bytes: int, files: int, large: int, seed: int = 1) -> Content:
    """Write `files` files that do not compress: `large` of them three quarters of the bytes, the rest of any size."""
    noise = random.Random(seed)
    folder.mkdir(parents=True)
    large_bytes = int(total_bytes * 0.75) // large if large else 0
    weights = [noise.uniform(0.2, 1.8) for _ in range(files - large)]
    share = (total_bytes - large_bytes * large) / sum(weights)
    sizes = [large_bytes] * large + [max(100, int(weight * share)) for weight in weights]
    names = []
    for number, size in enumerate(sizes):
        name = f"{number:03}.mp4"
        (folder / name).write_bytes(noise.randbytes(size))
        names.append(name)
    return Content(folder, tuple(names), sum(sizes))


class CountyHub:
    """The state of a hub; `address` is where boxes find it in the lab."""

    def __init__(self, state: Path, host: str) -> None:
        self.state = state
        self.host = host
        self.address = f"http://{host}:{HUB_PORT}/"
        Hub.create(state, "青禾县")[0].close()

    def publish(
        self, resources: Mapping[str, Sequence[Path]], titles: Mapping[str, str] | None = None
    ) -> int:
        """Put a resource for each id with these files into the library, publish, and return the release."""
        with Hub.open(self.state) as hub:
            hub.need_bundle("main")
            made: list[Resource] = []
            for resource_id, paths in resources.items():
                files = tuple(_admit(hub, paths))
                title = (titles or {}).get(resource_id, f"第{resource_id}课 认识几分之一")
                made.append(resource(resource_id, title=title, files=files))
            for first in range(0, len(made), _BATCH_FILES):
                with hub.library.writing() as writer:
                    for one in made[first : first + _BATCH_FILES]:
                        writer.put_resource(one, "main")
            return hub.publish().release

    @contextmanager
    def running(self, node: Node) -> Iterator[None]:
        """Run the hub's service on `node` while the block lasts."""
        ports = ("--host", "0.0.0.0", "--port", HUB_PORT, "--rsync-port", RSYNC_PORT)
        with program(node, command(self.state, "hub", "run", *ports)) as process:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise SystemExit("the hub did not start")
            wait_for_port(node, self.host, HUB_PORT)
            yield

    def new_box(self, state: Path, address: str | None = None) -> Path:
        """Make a box that follows this hub."""
        root = (self.state / "public" / "metadata" / "1.root.json").read_bytes()
        new = NewBox(
            hub=address or self.address, name=state.name, root=root, fingerprint=None, subscriptions=(ALL,)
        )
        Box.create(state, new).close()
        return state


def _admit(hub: Hub, paths: Iterable[Path]) -> Iterator[File]:
    for path in paths:
        data = path.read_bytes()
        blob = Blob(sha256=sha256(data), size_bytes=len(data))
        with hub.library.reading() as reader:
            known = reader.has(blob.sha256)
        if not known:
            place = hub.blobs.staging_path(blob.sha256)
            place.write_bytes(data)
            if refused := hub.blobs.admit([Staged(path=place, blob=blob)]):
                raise refused[0].error
        media_type = _MEDIA_TYPES.get(path.suffix, "video/mp4")
        role = "play" if media_type == "video/mp4" else "source"
        yield file_of(data, path.name, role=role, media_type=media_type)


_MEDIA_TYPES = {
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".pdf": "application/pdf",
    ".js": "text/javascript",
    ".h5p": "application/zip",
}


@contextmanager
def program(node: Node, words: Sequence[object], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program on `node` while the block lasts."""
    process = subprocess.Popen(
        node.command(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, env=environment(), **options,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


def wait_for_port(node: Node, host: str, port: int) -> None:
    """Wait until something listens at `host` and `port` of `node`."""
    import socket

    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with node.entered(), socket.create_connection((host, port), 1):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@dataclass(frozen=True)
class Run:
    """What one way cost: seconds until the last box had all, and bytes that left the hub over its uplink."""

    seconds: float
    hub_bytes: int
    each: tuple[Any, ...] = ()
    line_seconds: float | None = None

    def figures(self, content_bytes: int, bound_seconds: float) -> dict[str, float]:
        """Return seconds, and both as multiples: of the content, of the time one copy takes on the hub's uplink."""
        found = {
            "seconds": round(self.seconds, 1),
            "time_to_bound": round(self.seconds / bound_seconds, 2),
            "hub_egress": round(self.hub_bytes / content_bytes, 3),
        }
        if self.line_seconds is not None:
            found["line_to_bound"] = round(self.line_seconds / bound_seconds, 2)
        return found


def measured(towns: Towns, work: Callable[[], Iterable[Any]]) -> Run:
    """Run `work` and count."""
    before, began = towns.hub_sent_bytes(), time.monotonic()
    each = tuple(work())
    return Run(time.monotonic() - began, towns.hub_sent_bytes() - before, each)


def at_once(jobs: Iterable[tuple[Node, Sequence[object]]], seconds: float = 3600) -> list[str]:
    """Run a program on each node, all at the same time; return what they printed."""
    with ExitStack() as stack:
        started = []
        for node, words in jobs:
            errors = stack.enter_context(tempfile.TemporaryFile("w+"))
            process = subprocess.Popen(
                node.command(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                text=True, env=environment(),
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.kill)
            started.append((process, errors))
        printed = []
        for process, errors in started:
            printed.append(process.communicate(timeout=seconds)[0])
            if process.returncode:
                errors.seek(0)
                raise SystemExit(f"{process.args}: {process.returncode}: {errors.read()[-2000:]}")
    return printed


def syncs(towns: Towns, states: Sequence[Path], *options: object) -> list[Any]:
    """Sync every box at once; return what each said."""
    jobs = [(node, command(state, "box", "sync", *options)) for node, state in zip(towns.boxes, states, strict=True)]  # fmt: skip
    return [json.loads(text) for text in at_once(jobs)]


@contextmanager
def plain_rsync(node: Node, folder: Path, work: Path) -> Iterator[int]:
    """Give `folder` by a plain rsync daemon on `node`; return its port."""
    work.mkdir(parents=True, exist_ok=True)
    everyone = DaemonSettings(port=PLAIN_RSYNC_PORT, hosts_allow=("*",))
    text = configuration(folder, work, everyone, root=os.geteuid() == 0)
    (work / "plain.conf").write_text(text.replace(" compress", ""))
    with program(node, ["rsync", "--daemon", "--no-detach", f"--config={work / 'plain.conf'}"]):
        wait_for_port(node, "127.0.0.1", PLAIN_RSYNC_PORT)
        yield PLAIN_RSYNC_PORT


def rsync_words(host: str, target: Path, *options: str) -> list[object]:
    """Return the command that copies the plain module."""
    return ["rsync", "-a", *options, f"rsync://{host}:{PLAIN_RSYNC_PORT}/tree/", f"{target}/"]


@contextmanager
def plain_http(node: Node, folder: Path) -> Iterator[int]:
    """Give `folder` by a plain HTTP server on `node`; return its port."""
    with program(node, [sys.executable, _PLAIN_WAYS, "serve", folder]) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


def http_words(host: str, port: int, names: Path, target: Path, connections: int) -> list[object]:
    """Return the command that fetches the files named in `names` over kept connections."""
    return [sys.executable, _PLAIN_WAYS, "fetch", f"{host}:{port}", names, target, connections]


@contextmanager
def plain_torrent(towns: Towns, content: Content, work: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Seed the content from the hub by a bare libtorrent session; give a peer per box, not yet started.

    A peer starts at a line on its input and prints a line when it has all; it shares until its input ends.
    """
    torrent = work / "plain.torrent"
    seed = [sys.executable, _PLAIN_WAYS, "seed", content.folder, torrent, TORRENT_PORT]
    with program(towns.hub, seed) as seeding:
        assert _line(seeding.stdout) == "ready"
        peers: list[subprocess.Popen[str]] = []
        try:
            for number, node in enumerate(towns.boxes):
                target = work / f"torrent-{number}"
                target.mkdir()
                words = [sys.executable, _PLAIN_WAYS, "peer", torrent, target, towns.hub_host, TORRENT_PORT]
                peers.append(
                    subprocess.Popen(
                        node.command(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                    )
                )
            for peer in peers:
                assert _line(peer.stdout) == "ready"
            yield peers
        finally:
            for peer in peers:
                peer.kill()
                peer.communicate()
            for number in range(len(peers)):
                shutil.rmtree(work / f"torrent-{number}", ignore_errors=True)


def all_peers(peers: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Start the peers and wait until each has all."""
    for peer in peers:
        assert peer.stdin is not None
        peer.stdin.write("go\n")
        peer.stdin.flush()
    return [_line(peer.stdout) for peer in peers]


def _line(stream: TextIO | None) -> str:
    assert stream is not None
    return stream.readline().strip()
