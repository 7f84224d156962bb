"""Connections whose kernel buffer is bounded before they connect.

What a kernel holds at a kill is lost, and what it takes ahead of a rate is a burst on the line: so a buffer holds
0.6 seconds of its share of the rate, and never more than half a MiB (`SO_RCVBUF` 256 KiB: socket(7), the kernel
doubles what it is asked for, and holds up to that: measured).
"""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import Protocol

RECEIVE_BUFFER_BYTES, LEAST_BUFFER_BYTES = 512 << 10, 16 << 10
BUFFER_SECONDS = 0.6


def connections_for(rate: int | None, most: int) -> int:
    """Return over how many connections to fetch at `rate`: fewer where a low rate leaves each too little."""
    if rate is None:
        return most
    return max(1, min(most, int(rate * BUFFER_SECONDS) // LEAST_BUFFER_BYTES))


def buffer_for(rate: int | None, connections: int) -> int:
    """Return how many bytes the kernel may hold for each of `connections` at `rate`."""
    if rate is None:
        return RECEIVE_BUFFER_BYTES
    share = int(rate * BUFFER_SECONDS) // connections
    return max(LEAST_BUFFER_BYTES, min(RECEIVE_BUFFER_BYTES, share))


class Line(Protocol):
    """What a connection asks of its road."""

    def buffer_bytes(self) -> int:
        """Return how large the kernel's buffer of a new socket may be."""

    def lend(self, count: int) -> None:
        """Note that so much may come before anything is read; negative when the socket is closed."""


class Connection(http.client.HTTPConnection):
    """A plain connection over `line`."""

    def __init__(self, host: str, port: int, timeout_seconds: float, line: Line) -> None:
        super().__init__(host, port, timeout=timeout_seconds)
        self._line = line
        self.lent_bytes = 0

    def connect(self) -> None:
        self.lent_bytes = self._line.buffer_bytes()
        self.sock = open_socket(self.host, self.port, self.timeout, self.lent_bytes)
        self._line.lend(self.lent_bytes)

    def close(self) -> None:
        if self.sock is not None:
            self._line.lend(-self.lent_bytes)
        super().close()

    def suits(self, more: int, less: int = 2) -> bool:
        """Return whether the buffer of an open socket is neither `more` times too small nor `less` times too large."""
        if self.sock is None:
            return True
        wanted = self._line.buffer_bytes()
        return wanted < self.lent_bytes * more and self.lent_bytes < wanted * less


class SecureConnection(Connection):
    """The same over TLS, certificates checked."""

    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        super().connect()
        try:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)
        except BaseException:
            self.close()
            raise


def set_buffer(one: socket.socket, buffer_bytes: int) -> None:
    """Let the kernel hold `buffer_bytes` of what has come and was not read."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes // 2)


def open_socket(host: str, port: int, timeout_seconds: float | None, buffer_bytes: int) -> socket.socket:
    failure: OSError | None = None
    for family, kind, protocol, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        one = socket.socket(family, kind, protocol)
        try:
            set_buffer(one, buffer_bytes)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.settimeout(timeout_seconds)
            one.connect(place)
            return one
        except OSError as error:
            one.close()
            failure = error
    raise failure or OSError("no address")
