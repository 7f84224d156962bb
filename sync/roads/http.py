"""The HTTP road: a few kept connections, every file by its own GET, ranges to go on inside a file.

The client is the standard library's: it gives the socket's options before it connects and the bytes as they come,
which is all this road needs (`docs/adr/0021-http-road.md`). A range is asked without `If-Range`: a blob's address
names its content, so the first half may come from one server and the second from another; the door checks the whole.
"""

from __future__ import annotations

import http.client
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from urllib.parse import quote, urlsplit

from catalog.blobs import Staged
from catalog.durable import storage_error
from catalog.errors import ConfigError, ContentError, RoadError, ShuxiangError
from sync.release import TreeFile
from sync.roads.road import Batches, Done, Missed, Progress, RoadSettings, staged_file
from sync.roads.staging import CHECKPOINT_BYTES, StagedFile, Staging

RECEIVE_BUFFER_BYTES = 256 << 10
READ_BYTES = 128 << 10
ATTEMPTS_WITHOUT_PROGRESS = 4
DEAD_FILES_IN_A_ROW = 3
_TICK_SECONDS = 0.2
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_FAILURES = (OSError, http.client.HTTPException)


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
        self._reader: http.client.HTTPConnection | None = None
        self._count_lock = threading.Lock()

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return a small file; see `Road.read`."""
        if self._reader is None:
            self._reader = self._connection()
        failure: Exception | None = None
        for attempt in range(ATTEMPTS_WITHOUT_PROGRESS):
            if attempt:
                time.sleep(self._settings.retry_pause_seconds * (attempt - 1))
            try:
                return self._read_once(self._reader, path, max_bytes)
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
            for number in range(self._settings.connections)
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

    def close(self) -> None:
        """Close the connection kept for small files."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _connection(self) -> http.client.HTTPConnection:
        kind = _SecureConnection if self._secure else _Connection
        return kind(self._host, self._port, timeout=self._settings.timeout_seconds)

    def _ask(
        self, connection: http.client.HTTPConnection, path: str, offset: int = 0
    ) -> http.client.HTTPResponse:
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        connection.request("GET", f"{self._base}/{quote(path)}", headers=headers)
        return connection.getresponse()

    def _received(self, count: int) -> None:
        with self._count_lock:
            self.received_bytes += count

    def _down(self, error: Exception | None, path: str = "") -> RoadError:
        interrupted = isinstance(error, TimeoutError | http.client.HTTPException | ConnectionResetError)
        code = "E-ROAD-SHORT" if interrupted else "E-ROAD"
        return RoadError(code, where=self.address + path, found=_words(error))

    def _read_once(self, connection: http.client.HTTPConnection, path: str, max_bytes: int) -> bytes:
        response = self._ask(connection, path)
        self._refuse_status(response, path, None)
        if response.length is not None and response.length > max_bytes:
            raise ContentError("E-SIZE", where=path, expected=f"<= {max_bytes}", found=response.length)
        promised = response.length
        data = response.read(max_bytes + 1)
        self._received(len(data))
        if len(data) > max_bytes:
            raise ContentError("E-SIZE", where=path, expected=f"<= {max_bytes}", found=f"> {max_bytes}")
        if promised is not None and len(data) < promised:
            raise http.client.IncompleteRead(data, promised - len(data))
        if not response.isclosed():
            response.read()
        return data

    def _refuse_status(self, response: http.client.HTTPResponse, path: str, size_bytes: int | None) -> None:
        """Raise where the answer's head shows that its body is not what was asked for."""
        status = response.status
        where = self.address + path
        html = response.getheader("Content-Type", "").startswith(("text/html", "application/xhtml"))
        if status in (404, 410):
            response.read(READ_BYTES)
            raise RoadError("E-ROAD-MISSING", where=where)
        if status in (301, 302, 303, 307, 308):
            raise RoadError("E-PORTAL", where=where, found=response.getheader("Location", str(status))[:200])
        if status == 511 or (
            html and (status != 200 or response.length is None or response.length != size_bytes)
        ):
            raise RoadError("E-PORTAL", where=where, expected="data", found=f"{status} text/html")
        if status == 416:
            raise ContentError("E-SIZE", where=where, expected=size_bytes, found="416 range not satisfiable")
        if status >= 500 or status == 429:
            raise http.client.HTTPException(f"{status} {response.reason}")
        if status not in (200, 206):
            raise RoadError("E-ROAD", where=where, expected="200", found=f"{status} {response.reason}"[:100])


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

    def _bring(self, connection: http.client.HTTPConnection, file: TreeFile) -> None:
        try:
            with self._staging.open(file, checkpoint_bytes=self._checkpoint_bytes) as staged:
                self._receive(connection, file, staged)
                complete = staged.offset == file.size_bytes
        except ShuxiangError as error:
            if error.code != "E-ROAD-MISSING":
                connection.close()
            self.results.put(Missed(file=file, error=error))
            if error.code == "E-PORTAL":
                self._fail(error)
            return
        except OSError as error:
            self._fail(storage_error(error, self._staging.path(file.sha256)))
            return
        if complete:
            self._dead_files = 0
            self.results.put(staged_file(file, self._staging))

    def _receive(self, connection: http.client.HTTPConnection, file: TreeFile, staged: StagedFile) -> None:
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

    def _attempt(self, connection: http.client.HTTPConnection, file: TreeFile, staged: StagedFile) -> None:
        try:
            response = self._road._ask(connection, file.path, staged.offset)
            self._road._refuse_status(response, file.path, file.size_bytes)
        except _FAILURES as error:
            raise _RoadFailure(error) from error
        skip = _check_extent(response, file, staged.offset)
        remaining = file.size_bytes - staged.offset + skip
        while remaining and not self.stop.is_set():
            try:
                data = response.read1(min(READ_BYTES, remaining))
            except _FAILURES as error:
                raise _RoadFailure(error) from error
            if not data:
                raise _RoadFailure(http.client.IncompleteRead(b"", remaining))
            self._road._received(len(data))
            remaining -= len(data)
            staged.write(data[skip:] if skip else data)
            skip -= min(skip, len(data))
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


def _check_extent(response: http.client.HTTPResponse, file: TreeFile, offset: int) -> int:
    """Return how many bytes of the body to skip; raise E-SIZE where it is not the rest of `file`.

    RFC 9110 §14.2: a server may ignore a range and send the whole; what is here already is then skipped, not lost.
    """
    expected = file.size_bytes
    skip = offset
    if response.status == 206:
        match = _CONTENT_RANGE.fullmatch(response.getheader("Content-Range", ""))
        if match is None or int(match[1]) != offset or match[3] not in ("*", str(file.size_bytes)):
            found = response.getheader("Content-Range", "206")[:80]
            raise ContentError(
                "E-SIZE", where=file.path, expected=f"bytes {offset}-{expected - 1}/{expected}", found=found
            )
        expected -= offset
        skip = 0
    if response.length is not None and response.length != expected:
        raise ContentError("E-SIZE", where=file.path, expected=expected, found=response.length)
    return skip


class _Connection(http.client.HTTPConnection):
    """A connection with a small receive buffer: what the kernel holds at a kill is lost (≤ 0.33 MB measured)."""

    def connect(self) -> None:
        self.sock = _open_socket(self.host, self.port, self.timeout)


class _SecureConnection(http.client.HTTPSConnection):
    """The same over TLS, certificates checked."""

    def connect(self) -> None:
        plain = _open_socket(self.host, self.port, self.timeout)
        try:
            self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


def _open_socket(host: str, port: int, timeout_seconds: float | None) -> socket.socket:
    failure: OSError | None = None
    for family, kind, protocol, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        one = socket.socket(family, kind, protocol)
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.settimeout(timeout_seconds)
            one.connect(place)
            return one
        except OSError as error:
            one.close()
            failure = error
    raise failure or OSError("no address")


def _words(error: Exception | None) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__} {error}".strip()[:160]
