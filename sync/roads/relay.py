"""A relay on loopback through which the rsync program talks to its daemon, so that its bytes pass the governor too.

rsync's own `--bwlimit` is fixed for a run, is a wish that the other end may ignore, and knows nothing of the other
roads. The client asks a proxy instead (`RSYNC_PROXY`, rsync(1); CONNECT, RFC 9110 §9.3.6), and this is the proxy.
Invariant: it leads to the one daemon it was made for, whoever connects; when the governor ends the run it closes.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType

from catalog.errors import RoadError
from sync.line.rate import Governor
from sync.roads.connection import buffer_for, open_socket, set_buffer, unread_bytes

_HEAD_BYTES = 4096
_READ_BYTES = 64 << 10
_GRANTED = b"HTTP/1.0 200 OK\r\n\r\n"
_REFUSED = b"HTTP/1.0 502 Bad Gateway\r\n\r\n"


class Relay:
    """Listens while the block runs; `address` is what `RSYNC_PROXY` wants."""

    def __init__(self, host: str, port: int, governor: Governor, timeout_seconds: float) -> None:
        self._target = (host, port)
        self._governor = governor
        self._timeout_seconds = timeout_seconds
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Relay:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A thread in accept(2) is only woken by shutdown, not by close.
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="rsync-relay", daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._start(self._serve, self._listening.accept()[0])

    def _serve(self, program: socket.socket) -> None:
        with program:
            program.settimeout(self._timeout_seconds)
            with suppress(OSError):
                if not _read_head(program):
                    return
                buffer_bytes = buffer_for(self._governor.bytes_per_second, 1)
                try:
                    daemon = open_socket(*self._target, self._timeout_seconds, buffer_bytes)
                except OSError:
                    program.sendall(_REFUSED)
                    return
                self._governor.lend(buffer_bytes)
                with daemon:
                    program.sendall(_GRANTED)
                    self._carry_both(program, daemon, buffer_bytes)

    def _carry_both(self, program: socket.socket, daemon: socket.socket, buffer_bytes: int) -> None:
        """Carry both ways until either side ends; the programs have their own limits of time."""
        ends = {program, daemon}
        for one in ends:
            one.settimeout(None)
        with self._lock:
            self._open |= ends
        try:
            up = threading.Thread(target=self._up, args=(program, daemon), name="rsync-up", daemon=True)
            up.start()
            buffer_bytes = self._down(daemon, program, buffer_bytes)
            up.join()
            # What lies unread in the kernel's buffer has passed the line for good.
            self._governor.lend(-max(0, buffer_bytes - unread_bytes(daemon)))
        finally:
            with self._lock:
                self._open -= ends

    def _up(self, program: socket.socket, daemon: socket.socket) -> None:
        with suppress(OSError):
            while data := program.recv(_READ_BYTES):
                self._governor.count(0, sent=len(data))
                daemon.sendall(data)
        _shut(daemon, socket.SHUT_WR)

    def _down(self, daemon: socket.socket, program: socket.socket, buffer_bytes: int) -> int:
        """Carry what comes from the daemon, as the rate allows; return what its buffer holds at the end."""
        with suppress(OSError, RoadError):
            while data := daemon.recv(self._governor.read_bytes(_READ_BYTES)):
                program.sendall(data)
                self._governor.take(len(data))
                wanted = buffer_for(self._governor.bytes_per_second, 1)
                if wanted != buffer_bytes:
                    # Larger at once, smaller as the kernel gets rid of what it has taken.
                    set_buffer(daemon, wanted)
                    self._governor.lend(max(0, wanted - buffer_bytes))
                    buffer_bytes = wanted
        # Whatever ended it, both sides are told: the program must not wait for bytes that will not come.
        _shut(program, socket.SHUT_RDWR)
        _shut(daemon, socket.SHUT_RDWR)
        return buffer_bytes


def _shut(one: socket.socket, how: int) -> None:
    with suppress(OSError):
        one.shutdown(how)


def _read_head(program: socket.socket) -> bool:
    """Read the request's head; return whether it asks for a connection."""
    head = b""
    while b"\r\n\r\n" not in head and b"\n\n" not in head:
        data = program.recv(_HEAD_BYTES)
        if not data or len(head) > _HEAD_BYTES:
            return False
        head += data
    return head.startswith(b"CONNECT ")
