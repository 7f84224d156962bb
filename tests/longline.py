"""A web server at the far end of a long line: each answer leaves a round trip after its question came.

It serves a directory with ranges on kept connections and answers in order. `rounds` counts how often somebody waited: the
questions that came while none was open. `parts` are the ranges of blobs that were asked for.
"""

from __future__ import annotations

import queue
import re
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from accepting import Accepting

_GET = re.compile(rb"GET (\S+) HTTP/1.1\r\n")
_RANGE = re.compile(rb"\r\nRange: bytes=(\d+)-(\d*)\r\n")
_CHUNK_BYTES = 16 << 10


class LongLine(Accepting):
    """Serves `root` at `address` while the block lasts.

    `closes`: as HTTP/1.0 did, one answer on each connection; `closes_after` so many answers, without a word.
    """

    def __init__(
        self, root: Path, round_trip_seconds: float = 0.1, *, closes: bool = False, closes_after: int = 0
    ) -> None:
        super().__init__()
        self.rounds = 0
        self.paths: list[str] = []
        self.parts: list[tuple[int, int]] = []
        self._root = root
        self._round_trip_seconds = round_trip_seconds
        self._closes = closes
        self._most_answers = 1 if closes else closes_after
        self._open = 0
        self._lock = threading.Lock()

    def welcome(self, one: socket.socket) -> None:
        asked: queue.SimpleQueue[tuple[float, bytes] | None] = queue.SimpleQueue()
        self.start(self._read, one, asked)
        self.start(self._answer, one, asked)

    def _read(self, one: socket.socket, asked: queue.SimpleQueue[tuple[float, bytes] | None]) -> None:
        data = b""
        with suppress(OSError):
            while more := one.recv(65536):
                data += more
                while (end := data.find(b"\r\n\r\n")) >= 0:
                    with self._lock:
                        self.rounds += self._open == 0
                        self._open += 1
                    asked.put((time.monotonic(), data[: end + 4]))
                    data = data[end + 4 :]
        asked.put(None)

    def _answer(self, one: socket.socket, asked: queue.SimpleQueue[tuple[float, bytes] | None]) -> None:
        answers = 0
        while (found := asked.get()) is not None:
            at, head = found
            is_over = answers and answers == self._most_answers
            time.sleep(0 if is_over else max(0.0, at + self._round_trip_seconds - time.monotonic()))
            with self._lock:
                self._open -= 1
            with suppress(OSError):
                if is_over:
                    continue
                self._send(one, head)
                answers += 1
                if answers == self._most_answers:
                    one.shutdown(socket.SHUT_RDWR)

    def _send(self, one: socket.socket, head: bytes) -> None:
        match = _GET.match(head)
        assert match is not None, head
        path = match[1].decode()
        self.paths.append(path)
        place = self._root / path.lstrip("/")
        version = b"HTTP/1.0" if self._closes else b"HTTP/1.1"
        if not place.is_file():
            one.sendall(version + b" 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        data = place.read_bytes()
        if part := _RANGE.search(head):
            first = int(part[1])
            last = int(part[2]) if part[2] else len(data) - 1
            self.parts.append((first, last))
            words = b" 206 Partial\r\nContent-Range: bytes %d-%d/%d" % (first, last, len(data))
            data = data[first : last + 1]
        else:
            words = b" 200 OK"
        one.sendall(version + words + b"\r\nContent-Length: %d\r\n\r\n" % len(data))
        for start in range(0, len(data), _CHUNK_BYTES):
            one.sendall(data[start : start + _CHUNK_BYTES])
