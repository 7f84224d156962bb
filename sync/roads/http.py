"""The HTTP road: a few kept connections, every file by its own GET, ranges to go on inside a file.

The client is the standard library's: it gives the socket's options before it connects and the bytes as they come,
which is all this road needs (`docs/adr/0021-http-road.md`). A range is asked without `If-Range`: a blob's address
names its content, so the first half may come from one server and the second from another; the door checks the whole.
"""

from __future__ import annotations

import http.client
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlsplit

from catalog.blobs import Staged
from catalog.byteranges import ByteRange
from catalog.durable import storage_error
from catalog.errors import ConfigError, ContentError, RoadError, ShuxiangError
from sync.formats.release import TreeFile
from sync.roads.connection import Connection, SecureConnection, buffer_for, connections_for
from sync.roads.http_answers import bytes_to_skip, check_part, refuse_status
from sync.roads.ranges import MendedFile, parts_of
from sync.roads.road import Batches, Done, Missed, Progress, RoadSettings, staged_file
from sync.roads.staging import CHECKPOINT_BYTES, StagedFile, Staging

READ_BYTES = 128 << 10
ATTEMPTS_WITHOUT_PROGRESS = 4
DEAD_FILES_IN_A_ROW = 3
_TICK_SECONDS = 0.2
_FAILURES = (OSError, http.client.HTTPException)
# What ends a fetch, not only the file at hand.
_FATAL = ("E-PORTAL", "E-PAUSED", "E-BUDGET")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """A small file as it came, with the entity tag it had; `changed`: its bytes are here."""

    data: bytes
    tag: str
    changed: bool


class HttpRoad:
    """The tree below an `http:` or `https:` address."""

    name = "http"

    def __init__(self, address: str, settings: RoadSettings) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("E-CONFIG", where=address, expected="http://HOST[:PORT]/…")
        self.address = address if address.endswith("/") else address + "/"
        self.received_bytes = 0
        self._settings = settings
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._secure else 80)
        self._base = parts.path.rstrip("/")
        self._reader: Connection | None = None
        self._count_lock = threading.Lock()

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return a small file; see `Road.read`."""
        return self._again(path, lambda reader: self._read_once(reader, path, max_bytes)).data

    def read_changed(self, path: str, max_bytes: int, tag: str) -> Tagged | None:
        """Return a small file with its entity tag; None where `tag` is still the file's (RFC 9110 §13.1.2).

        Raises as `Road.read` does.
        """
        answer = self._again(path, lambda reader: self._read_once(reader, path, max_bytes, tag))
        return answer if answer.changed else None

    def _again(self, path: str, read: Callable[[Connection], _T]) -> _T:
        """Return what `read` makes of the connection for small files, tried again where the line fails."""
        if self._reader is None:
            self._reader = self._connection()
        self._check()
        failure: Exception | None = None
        for attempt in range(ATTEMPTS_WITHOUT_PROGRESS):
            if attempt:
                time.sleep(self._settings.retry_pause_seconds * (attempt - 1))
            try:
                return read(self._reader)
            except _FAILURES as error:
                self._reader.close()
                failure = error
                if isinstance(error, ConnectionRefusedError | socket.gaierror):
                    break
            except ShuxiangError as error:
                if error.code != "E-ROAD-MISSING":
                    self._reader.close()
                raise
        raise self._down(failure, path)

    def fetch(
        self, files: Iterable[TreeFile], staging: Staging, done: Done, progress: Progress
    ) -> list[Missed]:
        """Bring `files` over several connections at once; see `Road.fetch`."""
        run = _Run(self, iter(files), staging)
        missed: list[Missed] = []
        batches = Batches(done, time.monotonic)
        threads = [
            threading.Thread(target=run.work, name=f"http-road-{number}", daemon=True)
            for number in range(self._connections())
        ]
        told = self.received_bytes

        def tell() -> None:
            nonlocal told
            if self.received_bytes > told:
                progress(self.received_bytes - told)
                told = self.received_bytes

        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads) or not run.results.empty():
                try:
                    result = run.results.get(timeout=_TICK_SECONDS)
                    if isinstance(result, Staged):
                        batches.add(result)
                    elif result is not None:
                        missed.append(result)
                except queue.Empty:
                    batches.tick()
                tell()
            tell()
            batches.flush()
        finally:
            run.stop.set()
            for thread in threads:
                thread.join()
        if run.failure is not None:
            raise run.failure
        return missed

    def fetch_ranges(
        self, file: TreeFile, ranges: Iterable[ByteRange], target: Path, progress: Progress
    ) -> None:
        """Bring parts of `file`; see `Road.fetch_ranges`."""
        with MendedFile(target) as mended:
            for part in parts_of(ranges):
                before = self.received_bytes
                self._again(file.path, partial(self._read_part, file=file, part=part, mended=mended))
                progress(self.received_bytes - before)

    def close(self) -> None:
        """Close the connection kept for small files."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    @cached_property
    def _governed(self) -> bool:
        return self._settings.governor.governs(self._host)

    def _connections(self) -> int:
        return connections_for(self._rate(), self._settings.connections)

    def buffer_bytes(self) -> int:
        """See `Line.buffer_bytes`."""
        return buffer_for(self._rate(), self._connections())

    def lend(self, count: int) -> None:
        """See `Line.lend`."""
        if self._governed:
            self._settings.governor.lend(count)

    def _rate(self) -> int | None:
        return self._settings.governor.bytes_per_second if self._governed else None

    def _connection(self) -> Connection:
        kind = SecureConnection if self._secure else Connection
        return kind(self._host, self._port, self._settings.timeout_seconds, self)

    def _ask(
        self,
        connection: Connection,
        path: str,
        offset: int = 0,
        tag: str = "",
        last: int | None = None,
    ) -> http.client.HTTPResponse:
        headers = {"Range": f"bytes={offset}-{last if last is not None else ''}"} if offset or last else {}
        if tag:
            headers["If-None-Match"] = tag
        connection.request("GET", f"{self._base}/{quote(path)}", headers=headers)
        return connection.getresponse()

    def _check(self) -> None:
        """Raise where nothing more may come over this road: before something is asked for."""
        self._settings.governor.check(lan=not self._governed)

    def _received(self, count: int) -> None:
        """Count bytes that have come, and wait until the next may come."""
        with self._count_lock:
            self.received_bytes += count
        if self._governed:
            self._settings.governor.take(count)
        else:
            self._settings.governor.check(lan=True)

    def _read_bytes(self) -> int:
        return self._settings.governor.read_bytes(READ_BYTES) if self._governed else READ_BYTES

    def _down(self, error: Exception | None, path: str = "") -> RoadError:
        interrupted = isinstance(error, TimeoutError | http.client.HTTPException | ConnectionResetError)
        code = "E-ROAD-SHORT" if interrupted else "E-ROAD"
        return RoadError(code, where=self.address + path, found=_words(error))

    def _read_once(self, connection: Connection, path: str, max_bytes: int, tag: str = "") -> Tagged:
        response = self._ask(connection, path, tag=tag)
        if tag and response.status == 304:
            response.read()
            return Tagged(data=b"", tag=tag, changed=False)
        refuse_status(response, self.address + path, None)
        if response.length is not None and response.length > max_bytes:
            raise ContentError("E-SIZE", where=path, expected=f"<= {max_bytes}", found=response.length)
        promised = response.length
        parts: list[bytes] = []
        size_bytes = 0
        while part := response.read1(self._read_bytes()):
            self._received(len(part))
            parts.append(part)
            size_bytes += len(part)
            if size_bytes > max_bytes:
                raise ContentError("E-SIZE", where=path, expected=f"<= {max_bytes}", found=f"> {max_bytes}")
        if promised is not None and size_bytes < promised:
            raise http.client.IncompleteRead(b"", promised - size_bytes)
        _end(response)
        return Tagged(data=b"".join(parts), tag=response.getheader("ETag", ""), changed=True)

    def _read_part(self, connection: Connection, file: TreeFile, part: ByteRange, mended: MendedFile) -> None:
        last = part.start + part.length_bytes - 1
        response = self._ask(connection, file.path, part.start, last=last)
        refuse_status(response, self.address + file.path, file.size_bytes)
        check_part(response, file, part)
        place = part.start
        while place <= last and (data := response.read1(min(self._read_bytes(), last + 1 - place))):
            mended.write_at(place, data)
            place += len(data)
            self._received(len(data))
        if place <= last:
            raise http.client.IncompleteRead(b"", last + 1 - place)
        _end(response)


class _Run:
    """One fetch: the files still to take, shared by the threads, and what became of them."""

    def __init__(self, road: HttpRoad, files: Iterator[TreeFile], staging: Staging) -> None:
        self.results: queue.SimpleQueue[Staged | Missed | None] = queue.SimpleQueue()
        self.stop = threading.Event()
        self.failure: ShuxiangError | None = None
        self._road = road
        self._files = files
        self._files_lock = threading.Lock()
        self._staging = staging
        self._dead_files = 0
        # Together the connections risk no more than one of them would.
        self._checkpoint_bytes = CHECKPOINT_BYTES // road._settings.connections

    def work(self) -> None:
        connection = self._road._connection()
        try:
            while not self.stop.is_set() and (file := self._take()) is not None:
                self._bring(connection, file)
        finally:
            connection.close()
            self.results.put(None)

    def _take(self) -> TreeFile | None:
        with self._files_lock:
            return next(self._files, None)

    def _bring(self, connection: Connection, file: TreeFile) -> None:
        try:
            with self._staging.open(file, checkpoint_bytes=self._checkpoint_bytes) as staged:
                self._receive(connection, file, staged)
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

    def _receive(self, connection: Connection, file: TreeFile, staged: StagedFile) -> None:
        """Receive until the file is whole, going on after each failure as long as something comes."""
        stalled = 0
        attempts_left = 16 + file.size_bytes // (64 << 10)
        while staged.offset < file.size_bytes and not self.stop.is_set():
            before = staged.offset
            try:
                self._attempt(connection, file, staged)
            except _RoadFailure as failure:
                connection.close()
                attempts_left -= 1
                stalled = 0 if staged.offset > before else stalled + 1
                if stalled >= ATTEMPTS_WITHOUT_PROGRESS or attempts_left <= 0:
                    raise self._give_up(failure.reason, file) from failure
                if stalled > 1:
                    self.stop.wait(self._road._settings.retry_pause_seconds * (stalled - 1))

    def _give_up(self, reason: Exception, file: TreeFile) -> RoadError:
        error = self._road._down(reason, file.path)
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
        self._road._check()
        if not connection.suits(2):
            connection.close()
        try:
            response = self._road._ask(connection, file.path, staged.offset)
            refuse_status(response, self._road.address + file.path, file.size_bytes)
        except _FAILURES as error:
            raise _RoadFailure(error) from error
        skip = bytes_to_skip(response, file, staged.offset)
        remaining = file.size_bytes - staged.offset + skip
        while remaining and not self.stop.is_set():
            if not connection.suits(4, 1 << 30):
                break
            connection.shrink()
            try:
                data = response.read1(min(self._road._read_bytes(), remaining))
            except _FAILURES as error:
                raise _RoadFailure(error) from error
            if not data:
                raise _RoadFailure(http.client.IncompleteRead(b"", remaining))
            remaining -= len(data)
            staged.write(data[skip:] if skip else data)
            skip -= min(skip, len(data))
            self._road._received(len(data))
        if remaining:
            connection.close()
        elif not response.isclosed():
            self._expect_end(response, file, staged)

    def _expect_end(self, response: http.client.HTTPResponse, file: TreeFile, staged: StagedFile) -> None:
        try:
            more = response.read(1)
        except _FAILURES as error:
            # All bytes are here; only the end of the answer is missing.
            raise _RoadFailure(error) from error
        if more:
            staged.restart()
            raise ContentError(
                "E-SIZE", where=file.path, expected=file.size_bytes, found=f"> {file.size_bytes}"
            )


class _RoadFailure(Exception):
    """The connection failed (not our own disk, which also speaks `OSError`)."""

    def __init__(self, reason: Exception) -> None:
        self.reason = reason
        super().__init__(str(reason))


def _end(response: http.client.HTTPResponse) -> None:
    """Read the end of an answer all of whose bytes are here, so that the connection is free for the next one."""
    if not response.isclosed():
        response.read()


def _words(error: Exception | None) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__} {error}".strip()[:160]
