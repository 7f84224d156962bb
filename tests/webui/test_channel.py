"""Files over real sockets: byte exactness, slow readers, who goes away, what is cut off beneath, what sendfile refuses."""

from __future__ import annotations

import http.client
import io
import os
import random
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from waitress.server import create_server
from wsgi import stop

from catalog.byteranges import answer, send
from webui.channel import FilePart, use_channels

MIB = 1 << 20


class Serving:
    """One file at `/`, by ranges as all our files go; a stream without a descriptor at `/memory`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.server: Any = use_channels(
            create_server(self, host="127.0.0.1", port=0, threads=4, log_socket_errors=False)
        )
        self.port = int(self.server.effective_port)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == "/memory":
            start_response("200 OK", [("Content-Length", str(MIB))])
            return environ["wsgi.file_wrapper"](io.BytesIO(bytes(MIB)))
        said = answer(
            environ["REQUEST_METHOD"],
            environ,
            size_bytes=self.path.stat().st_size,
            etag='"e"',
            media_type="video/mp4",
        )
        start_response(said.status, list(said.headers))
        return send(self.path.open("rb", buffering=0), said.body, environ)

    def ask(self, path: str = "/", method: str = "GET", **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def begin(self) -> socket.socket:
        """Ask for the whole file, read its beginning, and leave the rest unread."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        connection.settimeout(30)
        connection.connect(("127.0.0.1", self.port))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        return connection


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    path = tmp_path / "film.mp4"
    path.write_bytes(random.Random(7).randbytes(24 * MIB))
    found = Serving(path)
    thread = threading.Thread(target=found.server.run, daemon=True)
    thread.start()
    yield found
    stop(found.server, thread)


def test_every_byte_arrives_at_many_clients_at_once(serving: Serving) -> None:
    data = serving.path.read_bytes()
    draw = random.Random(3)
    asked = [(draw.randrange(len(data)), draw.randrange(1, 3 * MIB)) for _ in range(60)]

    def one(start: int, length: int) -> bool:
        status, body = serving.ask(Range=f"bytes={start}-{start + length - 1}")
        return status == 206 and body == data[start : start + length]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, *zip(*asked, strict=True)))
    assert serving.ask() == (200, data)
    assert serving.ask(method="HEAD") == (200, b"")
    assert serving.ask(Range="bytes=0-9", If_Range='"e"') == (206, data[:10])
    assert serving.ask(Range="bytes=0-9", If_Range='"old"') == (200, data)


def test_a_slow_reader_gets_everything_without_pauses(serving: Serving) -> None:
    data = serving.path.read_bytes()
    started = time.monotonic()
    with serving.begin() as connection:
        left = len(data) - 2000
        while left > 0:
            left -= len(connection.recv(1 << 16))
    # Waiting for the loop's own timeout (a second) at each piece would take six minutes.
    assert time.monotonic() - started < 60


def test_one_connection_carries_files_and_other_answers_in_turn(serving: Serving) -> None:
    data = serving.path.read_bytes()
    connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=30)
    for start in range(0, 6 * MIB, MIB):
        connection.request("GET", "/", headers={"Range": f"bytes={start}-{start + MIB - 1}"})
        assert connection.getresponse().read() == data[start : start + MIB]
        connection.request("GET", "/memory")
        assert connection.getresponse().read() == bytes(MIB)
        connection.request("GET", "/", headers={"If-None-Match": '"e"'})
        assert connection.getresponse().read() == b""
        assert connection.sock is not None
    connection.close()


def test_who_goes_away_in_the_middle_leaves_nothing_open(serving: Serving) -> None:
    for _ in range(5):
        serving.begin().close()
    assert settled(lambda: not held_open(serving.path))
    assert serving.ask(Range="bytes=0-99")[0] == 206


def test_a_file_cut_off_beneath_ends_the_connection(serving: Serving) -> None:
    with serving.begin() as connection:
        os.truncate(serving.path, MIB)
        got = 0
        while piece := connection.recv(1 << 16):
            got += len(piece)
        assert got < 24 * MIB
    assert settled(lambda: not held_open(serving.path))
    assert serving.ask()[1] == serving.path.read_bytes()


def test_what_sendfile_refuses_is_read() -> None:
    expected = Path("/proc/self/environ").read_bytes()[:50]
    assert len(expected) == 50
    ours, theirs = socket.socketpair()
    with ours, theirs, Path("/proc/self/environ").open("rb", buffering=0) as stream:
        with pytest.raises(OSError, match="Invalid argument"):
            os.sendfile(ours.fileno(), stream.fileno(), 0, 50)
        assert FilePart(stream.fileno(), 0, 50).send(ours) == 50
        assert theirs.recv(100) == expected


def held_open(path: Path) -> list[Path]:
    """Return the descriptors of this process that are `path`."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            if descriptor.readlink() == path:
                found.append(descriptor)
    return found


def settled(true: Any, seconds: float = 30) -> bool:
    """Return whether `true()` becomes so within some seconds."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
