"""One fetch over HTTP: the files still to take, the threads that bring them, and what became of each.

Small files are asked for ahead on their connection, so that a long line does not stand still between them. The last
file of a fetch, where it is large and the line is long, comes in parts over several connections (`sync.roads.spread`).
"""

from __future__ import annotations

import http.client
import queue
import socket
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress

from catalog.blobs import Staged
from catalog.durable import storage_error
from catalog.errors import ContentError, RoadError, ShuxiangError
from sync.formats.release import TreeFile
from sync.roads.connection import Connection
from sync.roads.http_answers import bytes_to_skip, expect_end, refuse_status
from sync.roads.http_line import FAILURES, LONG_SECONDS, HttpLine
from sync.roads.road import Missed, staged_file
from sync.roads.spread import LEAST_SPREAD_BYTES, RoadFailure, Spread
from sync.roads.staging import CHECKPOINT_BYTES, StagedFile, Staging

ATTEMPTS_WITHOUT_PROGRESS = 4
DEAD_FILES_IN_A_ROW = 3
# What is asked ahead and on the way is lost at a kill: on all connections together half a MiB.
AHEAD_FILES, AHEAD_BYTES = 8, 128 << 10
SMALL_BYTES = 64 << 10
# What ends a fetch, not only the file at hand.
_FATAL = ("E-PORTAL", "E-PAUSED", "E-BUDGET")


class Fetching:
    """One fetch: the files still to take, shared by the threads, and what became of them."""

    def __init__(self, line: HttpLine, files: Iterable[TreeFile], staging: Staging) -> None:
        self.results: queue.SimpleQueue[Staged | Missed | None] = queue.SimpleQueue()
        self.stop = threading.Event()
        self.failure: ShuxiangError | None = None
        self._line = line
        self._files = deque(files)
        self._files_lock = threading.Lock()
        self._staging = staging
        self._dead_files = 0
        self._spreads = True
        self._spreading = threading.Lock()
        # Together the connections risk no more than one of them would.
        self._checkpoint_bytes = CHECKPOINT_BYTES // line.settings.connections

    def work(self) -> None:
        """Bring files until there are no more: what each thread does."""
        connection = self._line.take()
        coming: deque[TreeFile] = deque()
        try:
            while not self.stop.is_set():
                self._take_some(coming)
                if not coming:
                    break
                self._ask_ahead(connection, coming)
                self._bring(connection, coming)
                coming.popleft()
        finally:
            self._line.give(connection)
            self.results.put(None)

    def _take_some(self, coming: deque[TreeFile]) -> None:
        """Take the next file; where it is small, some of the small ones after it, but no more than a fair share."""
        with self._files_lock:
            share = max(1, len(self._files) // self._line.connections()) if self._line.asks_ahead else 1
            left = AHEAD_BYTES - sum(file.size_bytes for file in coming)
            while self._files and len(coming) < min(share, AHEAD_FILES):
                size_bytes = self._files[0].size_bytes
                if coming and (max(size_bytes, coming[-1].size_bytes) > SMALL_BYTES or size_bytes > left):
                    break
                coming.append(self._files.popleft())
                left -= size_bytes

    def _ask_ahead(self, connection: Connection, coming: Sequence[TreeFile]) -> None:
        """Ask for what comes next before the answers; where nothing is known of the server, after the first one."""
        known = connection.answers or self._line.has_answered_ahead
        if len(coming) < 2 or not (known and self._line.asks_ahead) or not connection.suits(2):
            return
        # Where the server has closed, what it sent before is still here to be read; the failure comes up after that.
        with suppress(OSError):
            for file in list(coming)[len(connection.asked) :]:
                connection.ask(self._line.asked(file.path, self._staging.length(file)))

    def _bring(self, connection: Connection, coming: Sequence[TreeFile]) -> None:
        """Bring the first of `coming`."""
        file = coming[0]
        try:
            with self._staging.open(file, checkpoint_bytes=self._checkpoint_bytes) as staged:
                self._receive(connection, coming, staged)
                complete = staged.offset == file.size_bytes
        except ShuxiangError as error:
            if error.code != "E-ROAD-MISSING":
                connection.close()
            self.results.put(Missed(file=file, error=error))
            if error.code in _FATAL:
                self._fail(error)
            return
        except OSError as error:
            self._fail(storage_error(error, self._staging.path(file.sha256)))
            return
        if complete:
            self._dead_files = 0
            self.results.put(staged_file(file, self._staging))

    def _receive(self, connection: Connection, coming: Sequence[TreeFile], staged: StagedFile) -> None:
        """Receive until the first file is whole, going on after each failure as long as something comes."""
        file = coming[0]
        stalled = 0
        attempts_left = 16 + file.size_bytes // (64 << 10)
        while staged.offset < file.size_bytes and not self.stop.is_set():
            before = staged.offset
            try:
                if not (
                    self._is_for_all(connection, file, staged) and self._spread(connection, file, staged)
                ):
                    self._attempt(connection, file, staged)
            except RoadFailure as failure:
                connection.close()
                attempts_left -= 1
                stalled = 0 if staged.offset > before else stalled + 1
                if stalled >= ATTEMPTS_WITHOUT_PROGRESS or attempts_left <= 0:
                    raise self._give_up(failure.reason, file) from failure
                if stalled > 1:
                    self.stop.wait(self._line.settings.retry_pause_seconds * (stalled - 1))
                else:
                    self._ask_ahead(connection, coming)

    def _is_for_all(self, connection: Connection, file: TreeFile, staged: StagedFile) -> bool:
        """Return whether what is missing of the file is worth the connections that have nothing left to do."""
        return (
            self._spreads
            and not self._files
            and file.size_bytes - staged.offset >= LEAST_SPREAD_BYTES
            and connection.round_trip_seconds() >= LONG_SECONDS
        )

    def _spread(self, connection: Connection, file: TreeFile, staged: StagedFile) -> bool:
        """Bring the file over many connections; return False where another has them.

        The last file of each thread may be large, and what a kill may cost is reckoned for one.
        """
        if not self._spreading.acquire(blocking=False):
            return False
        try:
            Spread(self._line, file, staged, self.stop).run(connection)
        except ContentError:
            # A server that gives no parts; what it does give is judged there.
            self._spreads = False
            connection.close()
        finally:
            self._spreading.release()
        return True

    def _give_up(self, reason: Exception, file: TreeFile) -> RoadError:
        error = self._line.down(reason, file.path)
        self._dead_files += 1
        unreachable = isinstance(reason, ConnectionRefusedError | socket.gaierror)
        if unreachable or self._dead_files >= DEAD_FILES_IN_A_ROW:
            self._fail(error)
        return error

    def _fail(self, error: ShuxiangError) -> None:
        if self.failure is None:
            self.failure = error
        self.stop.set()

    def _attempt(self, connection: Connection, file: TreeFile, staged: StagedFile) -> None:
        self._line.check()
        if not connection.suits(2):
            connection.close()
        try:
            response = self._line.answer(connection, self._line.asked(file.path, staged.offset))
            refuse_status(response, self._line.address + file.path, file.size_bytes)
        except FAILURES as error:
            raise RoadFailure(error) from error
        skip = bytes_to_skip(response, file, staged.offset)
        remaining = file.size_bytes - staged.offset + skip
        while remaining and not self.stop.is_set():
            if not connection.suits(4, 1 << 30):
                break
            connection.shrink()
            try:
                data = response.read1(min(self._line.read_bytes(), remaining))
            except FAILURES as error:
                raise RoadFailure(error) from error
            if not data:
                raise RoadFailure(http.client.IncompleteRead(b"", remaining))
            remaining -= len(data)
            staged.write(data[skip:] if skip else data)
            skip -= min(skip, len(data))
            self._line.received(len(data))
        if remaining:
            connection.close()
        else:
            self._expect_end(response, file, staged)

    def _expect_end(self, response: http.client.HTTPResponse, file: TreeFile, staged: StagedFile) -> None:
        try:
            expect_end(response, file.path, file.size_bytes)
        except FAILURES as error:
            # All bytes are here; only the end of the answer is missing.
            raise RoadFailure(error) from error
        except ContentError:
            staged.restart()
            raise
