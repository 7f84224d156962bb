"""Connections whose kernel buffer is bounded before they connect, and on which more than one thing may be asked ahead.

What a kernel holds at a kill is lost, and what it takes ahead of a rate is a burst on the line: so a buffer holds
0.6 seconds of its share of the rate, and never more than half a MiB (`SO_RCVBUF` 256 KiB: socket(7), the kernel
doubles what it is asked for, and holds up to that: measured).
Answers come in the order of the questions (RFC 9112 §9.3.2): on a long line a question need not wait for the answer
to the one before it. Invariant: an answer is read to its end before the next one begins, or the connection is closed.
"""

from __future__ import annotations

import errno
import fcntl
import http.client
import io
import os
import socket
import ssl
import struct
import termios
from collections import deque
from contextlib import suppress
from typing import NamedTuple, Protocol, cast

RECEIVE_BUFFER_BYTES, LEAST_BUFFER_BYTES = 512 << 10, 16 << 10
BUFFER_SECONDS = 0.6
# Where `struct tcp_info` of linux/tcp.h has the smoothed round trip, in microseconds.
_TCP_INFO_BYTES, _ROUND_TRIP_AT = 104, 68


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

    @property
    def aborted(self) -> bool:
        """Whether nothing more is to be opened."""


class Asked(NamedTuple):
    """One question: the file at `path`, as a URL has it, from `start` (to `last`), unless it has the tag."""

    path: str
    start: int = 0
    last: int | None = None
    tag: str = ""


class Connection:
    """A connection over `line`, plain or `secure` (TLS, certificates checked). Used by one thread at a time."""

    def __init__(
        self, host: str, port: int, timeout_seconds: float, line: Line, *, secure: bool = False
    ) -> None:
        self.sock: socket.socket | None = None
        self.lent_bytes = 0
        self.asked: deque[Asked] = deque()
        """What was asked and has no answer yet, in order."""
        self.answers = 0
        """How many answers came since it was opened."""
        self.answers_ahead = 0
        """How many of them to questions that did not wait for the answer before."""
        # For each of `asked`, whether the answer before it was still to come or to be read.
        self._were_ahead: deque[bool] = deque()
        self._host = host
        self._port = port
        self._timeout_seconds = timeout_seconds
        self._line = line
        self._secure = secure
        self._stream: _Stream | None = None
        self._last: http.client.HTTPResponse | None = None

    def connect(self) -> None:
        """Open it; raises `OSError`."""
        self._check()
        self.lent_bytes = self._line.buffer_bytes()
        self.sock = open_socket(self._host, self._port, self._timeout_seconds, self.lent_bytes)
        self._line.lend(self.lent_bytes)
        try:
            # Whoever ended all while it was being opened did not see it.
            self._check()
            if self._secure:
                context = ssl.create_default_context()
                self.sock = context.wrap_socket(self.sock, server_hostname=self._host)
            self._stream = _Stream(cast(io.RawIOBase, self.sock.makefile("rb", buffering=0)))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close it, whatever was asked."""
        if self.sock is not None:
            # What lies unread in the kernel's buffer has passed the line for good.
            self._line.lend(-max(0, self.lent_bytes - unread_bytes(self.sock)))
            if self._stream is not None:
                self._stream.end()
            self.sock.close()
        self.sock = self._stream = self._last = None
        self.asked.clear()
        self._were_ahead.clear()
        self.answers = self.answers_ahead = 0

    def abort(self) -> None:
        """Wake the thread that waits for an answer; it finds the connection broken."""
        if (sock := self.sock) is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    @property
    def is_free(self) -> bool:
        """Whether the next question may be asked on it: it is open, and every answer was read to its end."""
        return self.sock is not None and not self.asked and not self._is_ending and self._is_read

    @property
    def has_asked_ahead(self) -> bool:
        """Whether one of the open questions was asked before the answer to the one before it was read."""
        return any(self._were_ahead)

    def ask(self, asked: Asked) -> None:
        """Send a question; open the connection where it is not. Raises `OSError`."""
        if self._is_ending:
            self.close()
        if self.sock is None:
            self.connect()
        assert self.sock is not None
        lines = [
            f"GET {asked.path} HTTP/1.1",
            f"Host: {self._host_field()}",
            "Accept-Encoding: identity",
        ]
        if asked.start or asked.last is not None:
            lines.append(f"Range: bytes={asked.start}-{'' if asked.last is None else asked.last}")
        if asked.tag:
            lines.append(f"If-None-Match: {asked.tag}")
        is_ahead = bool(self.asked) or not self._is_read
        self.sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
        self.asked.append(asked)
        self._were_ahead.append(is_ahead)

    def answer(self) -> http.client.HTTPResponse:
        """Return the head of the answer to the first question that has none yet; its body is still to be read.

        Raises `OSError` or `HTTPException` where none comes.
        """
        if not self._is_read:
            raise http.client.CannotSendRequest("the answer before was not read to its end")
        if self._stream is None or self._is_ending or not self.asked:
            raise http.client.RemoteDisconnected("the server ended the connection")
        response = http.client.HTTPResponse(cast(socket.socket, _Answers(self._stream)), method="GET")
        response.begin()
        self.asked.popleft()
        self.answers_ahead += self._were_ahead.popleft()
        self.answers += 1
        self._last = response
        return response

    def shrink(self) -> None:
        """Let the open socket's buffer follow a rate that has become much lower; what is in it comes first."""
        if self.sock is not None and self.lent_bytes >= 2 * (wanted := self._line.buffer_bytes()):
            set_buffer(self.sock, wanted)
            self.lent_bytes = wanted

    def suits(self, more: int, less: int = 2) -> bool:
        """Return whether the buffer of an open socket is neither `more` times too small nor `less` times too large."""
        if self.sock is None:
            return True
        wanted = self._line.buffer_bytes()
        return wanted < self.lent_bytes * more and self.lent_bytes < wanted * less

    def round_trip_seconds(self) -> float:
        """Return how long a question and its answer take on the way, as the kernel reckons; 0 where it is closed."""
        if self.sock is None:
            return 0.0
        try:
            info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
            return float(struct.unpack_from("I", info, _ROUND_TRIP_AT)[0]) / 1e6
        except (OSError, struct.error):
            return 0.0

    def _check(self) -> None:
        if self._line.aborted:
            raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))

    @property
    def _is_read(self) -> bool:
        return self._last is None or self._last.isclosed()

    @property
    def _is_ending(self) -> bool:
        return self._last is not None and self._last.will_close

    def _host_field(self) -> str:
        # RFC 9110 §7.2 takes the name from RFC 3986 §3.2.2: a Chinese one in its ASCII form.
        name = f"[{self._host}]" if ":" in self._host else self._host.encode("idna").decode("ascii")
        usual = 443 if self._secure else 80
        return name if self._port == usual else f"{name}:{self._port}"


class _Stream(io.BufferedReader):
    """What comes over a socket: one answer after the other. An answer closes its file at its end; this one stays.

    Nothing is read of it without a bound: a chunk of negative length would have the standard library do so.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """Return `size` bytes; raise `HTTPException` where an answer does not say how many."""
        return super().read(_bounded(size))

    def read1(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes; raises as `read`."""
        return super().read1(_bounded(size))

    def close(self) -> None:
        """Stay open for the next answer."""

    def end(self) -> None:
        """Close for good."""
        super().close()


def _bounded(size: int | None) -> int:
    if size is None or size < 0:
        raise http.client.HTTPException(f"malformed answer: a length of {size}")
    return size


class _Answers:
    """What `HTTPResponse` takes for a socket: it only asks it for a file."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def makefile(self, _: str) -> _Stream:
        return self._stream


def set_buffer(one: socket.socket, buffer_bytes: int) -> None:
    """Let the kernel hold `buffer_bytes` of what has come and was not read."""
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes // 2)


def unread_bytes(one: socket.socket) -> int:
    """Return how much the kernel holds of what has come (FIONREAD: ioctl_tty(2), tcp(7)); 0 where it is gone."""
    try:
        (found,) = struct.unpack("i", fcntl.ioctl(one.fileno(), termios.FIONREAD, bytes(4)))
    except (OSError, ValueError):
        return 0
    return int(found)


def open_socket(host: str, port: int, timeout_seconds: float | None, buffer_bytes: int) -> socket.socket:
    """Return a socket connected to the first address of `host` that answers, its kernel buffer bounded before.

    Raises `OSError`, the last address's where none answers.
    """
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
