"""One server as the HTTP road knows it: its address, the connections kept to it, the rate, and what came from it.

Connections are opened once and kept for the whole run, so that a round trip is paid once. Invariant: a connection
that is kept here is free: no question is open on it, and every answer was read to its end.
"""

from __future__ import annotations

import http.client
import threading
from contextlib import suppress
from functools import cached_property
from urllib.parse import quote
from weakref import WeakSet

from catalog.errors import ConfigError, RoadError
from sync.roads.connection import Asked, Connection, buffer_for, connections_for
from sync.roads.road import RoadSettings, split_address

READ_BYTES = 128 << 10
FAILURES = (OSError, http.client.HTTPException)
LONG_SECONDS = 0.15
"""From this round trip on a line is long: what is on the way is more than one connection's buffer takes."""
MOST_KEPT = 8
MOST_IGNORED = 2
# What stands for itself in a path (RFC 3986 §3.3), and what quotes.
_PATH_CHARACTERS = "/%:@!$&'()*+,;=~"


class HttpLine:
    """The connections of one road to the tree below `address`. Thread-safe."""

    def __init__(self, address: str, settings: RoadSettings) -> None:
        parts, host = split_address(address, expected="http://HOST[:PORT]/…")
        if parts.scheme not in ("http", "https"):
            raise ConfigError("E-CONFIG", where=address, expected="http://HOST[:PORT]/…")
        self.address = address if address.endswith("/") else address + "/"
        self.settings = settings
        self.received_bytes = 0
        self.asks_ahead = True
        """Whether the server answers what is asked before its last answer came; until it is seen not to."""
        self.has_answered_ahead = False
        """Whether it was seen to."""
        self.round_trip_seconds = 0.0
        """How long a question and its answer are on the way, as the last connection had it; 0 until one is known."""
        self._secure = parts.scheme == "https"
        self._host = host
        self._port = parts.port or (443 if self._secure else 80)
        # Of an address that is copied from elsewhere much may be quoted already.
        self._base = quote(parts.path.rstrip("/"), safe=_PATH_CHARACTERS)
        self._lock = threading.Lock()
        self._kept: list[Connection] = []
        self._opening = self._ignored = 0
        self._closed = False
        self.aborted = False
        """Whether `abort` ended all: nothing more is asked."""
        # Those that are kept and those that a thread reads from.
        self._all: WeakSet[Connection] = WeakSet()

    # -- connections -----------------------------------------------------------------------------------------------

    def take(self) -> Connection:
        """Return a connection for one thread, one that is open where there is one."""
        with self._lock:
            if self._kept:
                return self._kept.pop()
        return self._new()

    def give(self, connection: Connection) -> None:
        """Keep a connection for the next one who takes one, if it is free."""
        with self._lock:
            self.round_trip_seconds = connection.round_trip_seconds() or self.round_trip_seconds
            if connection.is_free and len(self._kept) < MOST_KEPT and not self._closed:
                self._kept.append(connection)
                return
        connection.close()

    def open_ahead(self, count: int) -> None:
        """Begin to open so many connections: by the time they are wanted the round trip that it takes is over."""
        with self._lock:
            missing = max(0, min(count, MOST_KEPT) - len(self._kept) - self._opening)
            self._opening += missing
        for _ in range(missing):
            threading.Thread(target=self._open_one, name="http-open", daemon=True).start()

    def close(self) -> None:
        """Close what is kept; what is still being opened closes itself."""
        with self._lock:
            self._closed = True
            kept, self._kept = self._kept, []
        for connection in kept:
            connection.close()

    def abort(self) -> None:
        """Break off what is under way, in any thread: who reads finds the connection broken, nobody opens another."""
        self.aborted = True
        with self._lock:
            connections = list(self._all)
        for connection in connections:
            connection.abort()

    def connections(self) -> int:
        """Return over how many connections to fetch."""
        return connections_for(self._rate(), self.settings.connections)

    def buffer_bytes(self) -> int:
        """See `Line.buffer_bytes`."""
        return buffer_for(self._rate(), self.connections())

    def lend(self, count: int) -> None:
        """See `Line.lend`."""
        if self.governed:
            self.settings.governor.lend(count)

    @property
    def is_limited(self) -> bool:
        """Whether a rate holds for this line now."""
        return self._rate() is not None

    def _new(self) -> Connection:
        connection = Connection(
            self._host, self._port, self.settings.timeout_seconds, self, secure=self._secure
        )
        with self._lock:
            self._all.add(connection)
        return connection

    def _open_one(self) -> None:
        connection = self._new()
        try:
            with suppress(OSError):
                connection.connect()
        finally:
            with self._lock:
                self._opening -= 1
        self.give(connection)

    # -- what passes -----------------------------------------------------------------------------------------------

    def asked(self, path: str, start: int = 0, last: int | None = None, tag: str = "") -> Asked:
        """Return the question for the file at `path` of the tree."""
        return Asked(f"{self._base}/{quote(path)}", start, last, tag)

    def answer(self, connection: Connection, question: Asked) -> http.client.HTTPResponse:
        """Return the head of the answer to `question`, which may have been asked before. Raises `FAILURES`."""
        if connection.asked and connection.asked[0] != question:
            connection.close()
        if not connection.asked:
            connection.ask(question)
        try:
            response = connection.answer()
        except FAILURES as error:
            if connection.has_asked_ahead and not connection.answers_ahead:
                self._ignored_ahead(silent=isinstance(error, TimeoutError))
            raise
        if connection.answers_ahead:
            self.has_answered_ahead = True
        return response

    def _ignored_ahead(self, *, silent: bool) -> None:
        """Ask one by one for the rest of the run, where whoever stands between does not like to be asked ahead.

        A server that closes after some answers has answered ahead before; one that closes early may do so by chance,
        so it is tried twice; to wait in vain costs too much for that.
        """
        with self._lock:
            self._ignored += 1
            if silent or self._ignored >= MOST_IGNORED:
                self.asks_ahead = False

    def check(self) -> None:
        """Raise where nothing more may come over this road: before something is asked for."""
        self.settings.governor.check(lan=not self.governed)

    def received(self, count: int) -> None:
        """Count bytes that have come, and wait until the next may come."""
        with self._lock:
            self.received_bytes += count
        if self.governed and self.aborted:
            self.settings.governor.count(count)
        elif self.governed:
            self.settings.governor.take(count)
        else:
            self.settings.governor.check(lan=True)

    def read_bytes(self) -> int:
        """Return how much one reading takes."""
        return self.settings.governor.read_bytes(READ_BYTES) if self.governed else READ_BYTES

    def down(self, error: Exception | None, path: str = "") -> RoadError:
        """Return what a failure of the line means."""
        interrupted = isinstance(error, TimeoutError | http.client.HTTPException | ConnectionResetError)
        code = "E-ROAD-SHORT" if interrupted else "E-ROAD"
        return RoadError(code, where=self.address + path, found=_words(error))

    @cached_property
    def governed(self) -> bool:
        """Whether what comes from here passes the governor: a neighbour's bytes do not."""
        return self.settings.governor.governs(self._host)

    def _rate(self) -> int | None:
        return self.settings.governor.bytes_per_second if self.governed else None


def _words(error: Exception | None) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__} {error}".strip()[:160]
