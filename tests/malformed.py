"""A server whose answers have a form that no honest server sends: a test says, byte for byte, what it answers."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from accepting import Accepting

_HEAD = re.compile(rb"GET (\S+) HTTP/1\.1\r\n")
_RANGE = re.compile(rb"\r\nRange: bytes=(\d+)-(\d*)\r\n")
_TOGETHER_SECONDS = 0.02

Answer = Callable[[str, int, int | None], Iterator[bytes]]
"""The bytes of the answer to a question for a path, from a place, to a last place where one was named."""


class MalformedServer(Accepting):
    """Answers each question with what `answer` makes; `questions` are the heads as they came.

    `drops_ahead`: of questions that came together it sees only the first, as some proxies do.
    """

    def __init__(self, answer: Answer, *, drops_ahead: bool = False) -> None:
        super().__init__()
        self.questions: list[bytes] = []
        self.sent_bytes = 0
        self._answer = answer
        self._drops_ahead = drops_ahead

    def welcome(self, one: socket.socket) -> None:
        self.start(self._serve, one)

    def _serve(self, one: socket.socket) -> None:
        data = b""
        with suppress(OSError):
            while more := one.recv(65536):
                data += more
                while (end := data.find(b"\r\n\r\n")) >= 0:
                    head, data = data[: end + 4], data[end + 4 :]
                    self.questions.append(head)
                    if self._drops_ahead:
                        time.sleep(_TOGETHER_SECONDS)
                        data = b""
                        with suppress(BlockingIOError):
                            while one.recv(65536, socket.MSG_DONTWAIT):
                                pass
                    self._send(one, head)

    def _send(self, one: socket.socket, head: bytes) -> None:
        path, part = _HEAD.match(head), _RANGE.search(head)
        assert path is not None, head
        first = int(part[1]) if part else 0
        last = int(part[2]) if part and part[2] else None
        for data in self._answer(path[1].decode(), first, last):
            one.sendall(data)
            self.sent_bytes += len(data)
