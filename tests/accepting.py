"""A server on loopback for tests of roads: a thread accepts, each connection has threads of its own, all end with it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class Accepting:
    """Listens on a free port while the block lasts. Give `welcome` what a new connection is for."""

    def __init__(self) -> None:
        self.connections = 0
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._threads: list[threading.Thread] = []
        self._sockets: list[socket.socket] = []
        self.port: int = self._listening.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}/"

    def welcome(self, one: socket.socket) -> None:
        """Begin to serve a connection; must not wait for it."""
        raise NotImplementedError

    def start(self, work: object, *arguments: object) -> None:
        """Run `work` in a thread that ends before the block does."""
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def __enter__(self) -> Self:
        self.start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                one, _ = self._listening.accept()
                self.connections += 1
                self._sockets.append(one)
                self.welcome(one)
