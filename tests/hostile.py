"""A hub that misbehaves, over real sockets: it serves a directory and breaks what a test tells it to break.

The rules of `Misbehaviour` are tried in order for each request; the counters say what really went over the wire, so
that a test can tell a resumed transfer from a repeated one.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PORTAL = "<html><head><title>登录</title></head><body>请先登录校园网</body></html>".encode()


@dataclass
class Misbehaviour:
    """What goes wrong for paths that match `pattern`, for the first `times` requests (None: always)."""

    pattern: str
    times: int | None = None
    stop_after: int | None = None  # close in mid-file after that many body bytes
    reset_after: int | None = None  # the same with a TCP reset
    stall: bool = False  # send the head and then nothing
    lie_length: int | None = None  # a Content-Length that is off by that many
    swap: bytes | None = None  # other bytes of the same length
    portal: bool = False  # 200 with a login page
    redirect: str | None = None
    status: int | None = None
    ignore_ranges: bool = False
    wrong_range: bool = False  # 206 from another offset than asked
    used: int = field(default=0, init=False)

    def applies(self, path: str) -> bool:
        if self.times is not None and self.used >= self.times:
            return False
        if re.search(self.pattern, path) is None:
            return False
        self.used += 1
        return True


class HostileHub:
    """Serves `root` at `address`; `wrong` is the list of misbehaviours, which a test may change at any time."""

    def __init__(self, root: Path, *wrong: Misbehaviour) -> None:
        self.root = root
        self.wrong = list(wrong)
        self.requests: list[tuple[str, str | None]] = []
        self.body_bytes: Counter[str] = Counter()
        self.connections = 0
        self.release = threading.Event()
        hub = self

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that goes away is what these tests are about."""

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}/"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)

    def sent(self, pattern: str = "") -> int:
        """Body bytes sent for paths that match `pattern`."""
        return sum(count for path, count in self.body_bytes.items() if re.search(pattern, path))

    def __enter__(self) -> HostileHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: HostileHub
    protocol_version = "HTTP/1.1"
    wbufsize = 0
    disable_nagle_algorithm = True

    def setup(self) -> None:
        self.hub.connections += 1
        super().setup()
        # A small send buffer, so that what is counted as sent has nearly all arrived.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 << 10)

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = self.path.removeprefix("/")
        self.hub.requests.append((path, self.headers.get("Range")))
        wrong = next((rule for rule in self.hub.wrong if rule.applies(path)), Misbehaviour(""))
        file = self.hub.root / path
        if wrong.portal:
            return self._plain(200, PORTAL, "text/html; charset=utf-8")
        if wrong.redirect:
            return self._plain(302, b"", "text/html", ("Location", wrong.redirect))
        if wrong.status:
            return self._plain(wrong.status, b"")
        if not file.is_file():
            return self._plain(404, b"")
        self._file(file.read_bytes(), wrong)

    def _plain(self, status: int, body: bytes, kind: str = "text/plain", *more: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *more):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _file(self, data: bytes, wrong: Misbehaviour) -> None:
        if wrong.swap is not None:
            data = (wrong.swap * (len(data) // max(1, len(wrong.swap)) + 1))[: len(data)]
        total = len(data)
        start = 0
        end = total
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and not wrong.ignore_ranges:
            start = int(asked[1])
            end = min(total, int(asked[2]) + 1) if asked[2] else total
            if wrong.wrong_range:
                start = max(0, start - 1000)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{total}")
        else:
            self.send_response(200)
        body = data[start:end]
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body) + (wrong.lie_length or 0)))
        self.end_headers()
        if wrong.stall:
            self.hub.release.wait(30)
            self.close_connection = True
            return
        limit = wrong.stop_after if wrong.stop_after is not None else wrong.reset_after
        if wrong.lie_length is not None and wrong.lie_length > 0 and limit is None:
            limit = len(body)
        self._send(body if limit is None else body[:limit])
        if limit is not None and (limit < len(body) or wrong.lie_length):
            self.close_connection = True
            if wrong.reset_after is not None:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

    def _send(self, body: bytes) -> None:
        view = memoryview(body)
        while view:
            count = self.connection.send(view[: 64 << 10])
            self.hub.body_bytes[self.path.removeprefix("/")] += count
            view = view[count:]
