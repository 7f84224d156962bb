"""A line that misbehaves between box and hub: a TCP proxy that knows no protocol, so every road can be tried on it.

It counts what goes down to the box, so that bytes sent again can be told; `wrong` may be changed at any time.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from enum import Enum
from types import TracebackType

from hostile import PORTAL

MIB = 1 << 20
_BLOCK_BYTES = 1 << 14
_STALL_SECONDS = 60.0


class Wrong(Enum):
    """What happens on each connection once `every_bytes` of it have gone down (portals: at once)."""

    NOTHING = "nothing"
    RESET = "a reset"
    END = "an end"
    STALL = "silence"
    FLIP = "a flipped bit"
    PAGE = "a page with 200"
    REDIRECT = "a redirect"


_ANSWERS = {
    Wrong.PAGE: b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %d\r\n\r\n%b"
    % (len(PORTAL), PORTAL),
    Wrong.REDIRECT: b"HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/login\r\nContent-Length: 0\r\n\r\n",
}


class BadRoad:
    """A proxy in front of `target`; `port` is where the box finds it."""

    def __init__(self, target: int, wrong: Wrong = Wrong.NOTHING, every_bytes: int = MIB) -> None:
        self.wrong = wrong
        self.every_bytes = every_bytes
        self.down_bytes = self.up_bytes = self.faults = self.connections = 0
        self.target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._turn: tuple[int, Wrong] | None = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def turn_after(self, down_bytes: int, wrong: Wrong) -> None:
        """Go `wrong` once so many bytes have gone down: connections end, new ones meet it."""
        self._turn = (down_bytes, wrong)

    def heal(self) -> None:
        """Carry everything from now on."""
        self._turn = None
        self.wrong = Wrong.NOTHING

    def __enter__(self) -> BadRoad:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            # Little may lie in buffers: what is counted as sent has nearly all arrived.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            if answer := _ANSWERS.get(self.wrong):
                self._answer(client, answer)
                return
            with socket.create_connection(("127.0.0.1", self.target)) as server:
                up = threading.Thread(target=self._up, args=(client, server), daemon=True)
                up.start()
                try:
                    self._down(client, server)
                finally:
                    with suppress(OSError):
                        server.shutdown(socket.SHUT_RDWR)
                    with suppress(OSError):
                        client.shutdown(socket.SHUT_RDWR)
                    up.join(5)

    def _answer(self, client: socket.socket, answer: bytes) -> None:
        client.settimeout(5)
        while data := client.recv(_BLOCK_BYTES):
            self.faults += 1
            client.sendall(answer)
            if not data.startswith(b"GET "):
                return

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(_BLOCK_BYTES):
                with self._lock:
                    self.up_bytes += len(data)
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        passed = 0
        while data := server.recv(_BLOCK_BYTES):
            if self._turn is not None and self.down_bytes > self._turn[0]:
                self.wrong = self._turn[1]
                return
            if self.wrong is not Wrong.NOTHING and passed + len(data) > self.every_bytes:
                self.faults += 1
                if self.wrong is Wrong.RESET:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.close()
                    return
                if self.wrong is Wrong.END:
                    return
                if self.wrong is Wrong.STALL:
                    self._wait_for_end(client)
                    return
                if self.wrong is Wrong.FLIP:
                    data = bytes([data[0] ^ 1]) + data[1:]
                    passed -= self.every_bytes
            client.sendall(data)
            passed += len(data)
            with self._lock:
                self.down_bytes += len(data)

    def _wait_for_end(self, client: socket.socket) -> None:
        """Say nothing until the caller gives up; what it sends is read by the other thread."""
        for _ in range(int(_STALL_SECONDS / 0.05)):
            state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            if self._over.wait(0.05) or state != 1:
                return
