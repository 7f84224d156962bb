"""Other BitTorrent clients for tests: Debian's aria2 and Transmission, as processes on loopback.

Debian 13's, since older ones misread hybrid torrents; `tools/debian13-clients` fetches them where the machine's own
are older. None of them finds anybody by itself: no DHT, no local discovery, no tracker.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from swarms import HERE, Shared

FETCHED = Path(__file__).resolve().parent.parent / "build" / "debian13"
_END_SECONDS = 10


def program(name: str) -> list[str]:
    """Return the command that runs `name`, of the fetched Debian or the machine's own; skips where there is none."""
    if (FETCHED / ".stamp").exists():
        loader = next((FETCHED / "usr").glob("lib*/ld-linux*"), None) or next(
            (FETCHED / "usr" / "lib").glob("*/ld-linux*")
        )
        [libc] = (FETCHED / "usr" / "lib").glob("*/libc.so.6")
        return [str(loader), "--library-path", str(libc.parent), str(FETCHED / "usr" / "bin" / name)]
    found = shutil.which(name)
    if found is None and os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not here: tools/debian13-clients")
    if found is None:
        pytest.skip(f"{name} is not here: tools/debian13-clients")
    return [found]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])


@contextmanager
def client(name: str, blob: Shared, place: Path, *, has_it: bool) -> Iterator[int]:
    """Run the client `name` on the torrent of `blob` in `place`, where the file lies if it `has_it`; give its port."""
    place.mkdir()
    if has_it:
        shutil.copy(blob.path, place / blob.file.sha256)
    metainfo = place.parent / f"{name}.torrent"
    metainfo.write_bytes(blob.torrent.data)
    port = free_port()
    command = _COMMANDS[name](metainfo, place, port)
    with (place.parent / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for(port, process, place.parent / f"{name}.log")
            yield port
        finally:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while True:
        try:
            socket.create_connection((HERE, port), 1).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.1)


def _aria2(metainfo: Path, place: Path, port: int) -> list[str]:
    return [
        *program("aria2c"),
        "--no-conf",
        "--enable-dht=false",
        "--enable-dht6=false",
        "--bt-enable-lpd=false",
        "--enable-peer-exchange=false",
        "--disable-ipv6",
        "--check-integrity=true",
        "--seed-ratio=0.0",
        "--file-allocation=none",
        "--summary-interval=0",
        f"--listen-port={port}",
        f"--dir={place}",
        str(metainfo),
    ]


def _transmission(metainfo: Path, place: Path, port: int) -> list[str]:
    watched = place.parent / "watched"
    watched.mkdir()
    shutil.copy(metainfo, watched)
    return [
        *program("transmission-daemon"),
        "--foreground",
        "--no-dht",
        "--no-lpd",
        "--no-utp",
        "--no-portmap",
        "--no-incomplete-dir",
        "--no-auth",
        "--bind-address-ipv4",
        HERE,
        "--rpc-bind-address",
        HERE,
        "--port",
        str(free_port()),
        "--peerport",
        str(port),
        "--config-dir",
        str(place.parent / "transmission"),
        "--watch-dir",
        str(watched),
        "--download-dir",
        str(place),
    ]


_COMMANDS = {"aria2c": _aria2, "transmission-daemon": _transmission}
