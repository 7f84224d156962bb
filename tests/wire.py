"""A TCP proxy that counts what passes, for tests and benchmarks of what a line really carries."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType

# As on a real line: loopback's own segments are 64 kB.
BUFFER_BYTES, SEGMENT_BYTES = 4 << 10, 1448


def burst_bytes(seen: Iterable[tuple[float, int]], bytes_per_second: float) -> float:
    """Return the most that any stretch of time carried beyond the rate; `seen` is when how many bytes passed.

    No machine's pauses make it larger than what the sender was allowed to do, unlike the rate of a window: where each
    stretch has at most B bytes too many, ten seconds at a rate R have at most 10 R + B.
    """
    most = above = 0.0
    before: float | None = None
    for at, count in sorted(seen):
        if before is not None:
            above = max(0.0, above - (at - before) * bytes_per_second)
        before = at
        above += count
        most = max(most, above)
    return most


class Wire:
    """A proxy in front of `port` of this machine: counts connections and the bytes each way, with their times.

    Its own buffers are small, so that a byte is counted when the client has room for it. `pause_seconds` after each
    4 KiB make it slow.
    """

    def __init__(self, port: int, *, pause_seconds: float = 0.0) -> None:
        self._target = port
        self._pause_seconds = pause_seconds
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listening.getsockname()[1]
        self._seen: list[tuple[float, int]] = []
        self.up_bytes = self.down_bytes = self.connections = 0
        self._start(self._accept)

    def reset(self) -> None:
        """Count from nothing."""
        self.up_bytes = self.down_bytes = self.connections = 0
        self._seen = []

    def down_between(self, first: float, last: float) -> int:
        """Return the bytes that went down between two times of `time.monotonic`."""
        return sum(count for _, count in self.seen_between(first, last))

    def seen_between(self, first: float, last: float) -> list[tuple[float, int]]:
        """Return what went down between two times of `time.monotonic`: when, and how many bytes."""
        return [(at, count) for at, count in self._seen if first <= at < last]

    def close(self) -> None:
        for one in (self._listening, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in (self._listening, *self._open):
            one.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
                self.connections += 1
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                self._start(self._carry, client, server, True)
                self._start(self._carry, server, client, False)

    def _carry(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with suppress(OSError):
            while data := source.recv(BUFFER_BYTES):
                target.sendall(data)
                if self._pause_seconds:
                    time.sleep(self._pause_seconds)
                if up:
                    self.up_bytes += len(data)
                else:
                    self.down_bytes += len(data)
                    self._seen.append((time.monotonic(), len(data)))
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
