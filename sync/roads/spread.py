"""One large file over several connections at once, for a line so long that one of them can not fill it.

A new connection begins with a few packets a round trip, and a lost packet halves it: eight of them fill a line of
600 ms three round trips sooner than one. Each asks for the next parts before it has the last; parts that come early wait in memory.
Invariants: the file grows from its beginning on, as by any road, so what a cut leaves is a beginning; no more than
`AHEAD_BYTES` beyond that are asked for, so no more than these are lost at a kill.
"""

from __future__ import annotations

import http.client
import threading
from collections import deque
from collections.abc import Iterator

from catalog.byteranges import ByteRange
from catalog.errors import ShuxiangError
from sync.formats.release import TreeFile
from sync.roads.connection import Asked, Connection
from sync.roads.http_answers import read_part
from sync.roads.http_line import FAILURES, LONG_SECONDS, HttpLine
from sync.roads.staging import StagedFile

AHEAD_BYTES = 1 << 20
LEAST_SPREAD_BYTES = AHEAD_BYTES
CONNECTIONS = 8
# All connections share the line, so parts come at the same time: with one each the line would stand still until the
# next are asked for.
_ASKED_EACH = 4
_ATTEMPTS = 3
_TICK_SECONDS = 0.2


class RoadFailure(Exception):
    """The connection failed (not our own disk, which also speaks `OSError`)."""

    def __init__(self, reason: Exception) -> None:
        self.reason = reason
        super().__init__(str(reason))


def spread_over(line: HttpLine, connection: Connection) -> int:
    """Return over how many connections a fetch goes at most: over more where `connection` shows that the line is long."""
    if line.is_limited or connection.round_trip_seconds() < LONG_SECONDS:
        return line.connections()
    return CONNECTIONS


class Spread:
    """Brings what is missing of `file` to `staged`; `stop` ends it early."""

    def __init__(self, line: HttpLine, file: TreeFile, staged: StagedFile, stop: threading.Event) -> None:
        self._line = line
        self._file = file
        self._staged = staged
        self._stop = stop
        self._count = line.connections() if line.is_limited else CONNECTIONS
        self._each = _ASKED_EACH if line.asks_ahead else 1
        self._part_bytes = AHEAD_BYTES // (self._count * self._each)
        self._changed = threading.Condition()
        self._written = self._asked = staged.offset
        self._came: dict[int, bytes] = {}
        self._failure: Exception | None = None
        self._over = False

    def run(self, connection: Connection) -> None:
        """Bring it, over `connection` and others.

        Raises `RoadFailure` where the line fails, `ContentError` where what comes are not the parts asked for,
        `RoadError` as a road does, `OSError` where our own disk fails.
        """
        connections = [connection, *(self._line.take() for _ in range(self._count - 1))]
        threads = [
            threading.Thread(target=self._work, args=(one, number), name=f"http-spread-{number}", daemon=True)
            for number, one in enumerate(connections)
        ]
        for thread in threads:
            thread.start()
        try:
            for data in self._in_order():
                self._staged.write(data)
                with self._changed:
                    self._written = self._staged.offset
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()
            if self._written < self._file.size_bytes:
                for one in connections:
                    one.abort()
            for thread in threads:
                thread.join()
            for one in connections[1:]:
                self._line.give(one)
        if self._failure is not None and self._written < self._file.size_bytes:
            if isinstance(self._failure, ShuxiangError):
                raise self._failure
            raise RoadFailure(self._failure)

    def _in_order(self) -> Iterator[bytes]:
        """Yield the parts in the order of the file, until it is whole or something ended it."""
        place = self._written
        while place < self._file.size_bytes:
            with self._changed:
                while place not in self._came:
                    if self._failure is not None or self._stop.is_set():
                        return
                    self._changed.wait(_TICK_SECONDS)
                data = self._came.pop(place)
            yield data
            place += len(data)

    def _work(self, connection: Connection, number: int) -> None:
        """Bring parts over one connection until there are none left, or a rate that was set leaves it too little."""
        parts: deque[ByteRange] = deque()
        # Whatever ends this thread before its parts are here, nobody waits for them.
        failure: Exception | None = http.client.HTTPException("a connection was given up")
        try:
            while self._take_parts(connection, parts, 0 if self._is_too_many(number) else self._each):
                data = self._bring(connection, parts[0])
                with self._changed:
                    self._came[parts.popleft().start] = data
                    self._changed.notify_all()
            failure = None
        except (ShuxiangError, *FAILURES) as error:
            connection.close()
            failure = error
        finally:
            with self._changed:
                self._failure = self._failure or failure
                self._changed.notify_all()

    def _is_too_many(self, number: int) -> bool:
        return number > 0 and self._line.is_limited and number >= self._line.connections()

    def _take_parts(self, connection: Connection, parts: deque[ByteRange], most: int) -> bool:
        """Take the next parts until there are `most`; return whether there are any."""
        while len(parts) < most and (part := self._next_part(waits=not parts)) is not None:
            parts.append(part)
            if len(parts) == 1 + len(connection.asked) and connection.suits(2):
                connection.ask(self._question(part))
        return bool(parts)

    def _next_part(self, *, waits: bool) -> ByteRange | None:
        with self._changed:
            while not self._over and self._failure is None and self._asked < self._file.size_bytes:
                if self._asked - self._written < AHEAD_BYTES:
                    length = min(self._part_bytes, self._file.size_bytes - self._asked)
                    self._asked += length
                    return ByteRange(self._asked - length, length)
                if not waits:
                    return None
                self._changed.wait(_TICK_SECONDS)
        return None

    def _question(self, part: ByteRange) -> Asked:
        return self._line.asked(self._file.path, part.start, part.start + part.length_bytes - 1)

    def _bring(self, connection: Connection, part: ByteRange) -> bytes:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._line.check()
                return b"".join(read_part(self._line, connection, self._file, part))
            except FAILURES:
                connection.close()
                if attempt == _ATTEMPTS or self._over:
                    raise
        raise AssertionError("the last attempt returns or raises")
