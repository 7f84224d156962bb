"""The HTTP road: a few kept connections, every file by its own GET, ranges to go on inside a file.

Answers are read by the standard library, which gives the bytes as they come (`docs/adr/0021-http-road.md`). A range is
asked without `If-Range`: a blob's address names its content, so the first half may come from one server and the second
from another; the door checks the whole.
"""

from __future__ import annotations

import http.client
import queue
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from catalog.blobs import Staged
from catalog.byteranges import ByteRange
from catalog.errors import ContentError, RoadError, ShuxiangError
from sync.formats.release import TreeFile
from sync.roads.connection import Connection
from sync.roads.http_answers import expect_end, read_part, refuse_status
from sync.roads.http_fetch import ATTEMPTS_WITHOUT_PROGRESS, Fetching
from sync.roads.http_line import FAILURES, LONG_SECONDS, HttpLine
from sync.roads.ranges import MendedFile, parts_of
from sync.roads.road import Batches, Done, Missed, Progress, RoadSettings
from sync.roads.spread import spread_over
from sync.roads.staging import Staging

_TICK_SECONDS = 0.2
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagged:
    """A small file as it came, with the entity tag it had; `changed`: its bytes are here."""

    data: bytes
    tag: str
    changed: bool


class SmallFile(NamedTuple):
    """A small file to be asked for: nothing comes of it where it still has the tag."""

    path: str
    max_bytes: int
    tag: str = ""


class HttpRoad:
    """The tree below an `http:` or `https:` address."""

    name = "http"

    def __init__(self, address: str, settings: RoadSettings) -> None:
        self._line = HttpLine(address, settings)
        self.address = self._line.address
        self._settings = settings
        self._reader: Connection | None = None
        self._ahead: deque[SmallFile] = deque()
        self._came: dict[tuple[str, str], Tagged | RoadError] = {}

    @property
    def received_bytes(self) -> int:
        """The bytes of bodies that came."""
        return self._line.received_bytes

    @property
    def is_long(self) -> bool:
        """Whether the line is so long that each wait for it shows."""
        return self._line.round_trip_seconds >= LONG_SECONDS

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return a small file; see `Road.read`."""
        return self._small(SmallFile(path, max_bytes)).data

    def read_changed(self, path: str, max_bytes: int, tag: str) -> Tagged | None:
        """Return a small file with its entity tag; None where `tag` is still the file's (RFC 9110 §13.1.2).

        Raises as `Road.read` does.
        """
        answer = self._small(SmallFile(path, max_bytes, tag))
        return answer if answer.changed else None

    def ask_ahead(self, files: Iterable[SmallFile]) -> None:
        """Ask for small files that will be read soon, without waiting for them: together they take one round trip.

        It is a mere hint: what does not come so is asked for when it is read.
        """
        if not self._line.asks_ahead or self._line.settings.governor.failure(lan=not self._line.governed):
            return
        reader = self._reader_open()
        try:
            for file in files:
                reader.ask(self._line.asked(file.path, tag=file.tag))
                self._ahead.append(file)
        except OSError:
            self._forget_ahead()

    def open_ahead(self) -> None:
        """Begin to open the connections that a fetch will want beside the one that is open."""
        self._line.open_ahead(spread_over(self._line, self._reader_open()) - 1)

    def _small(self, file: SmallFile) -> Tagged:
        key = (file.path, file.tag)
        self._read_ahead(lambda: key in self._came)
        found = self._came.pop(key, None)
        if isinstance(found, RoadError):
            raise found
        return found or self._again(file.path, lambda reader: self._read_once(reader, file))

    def _read_ahead(self, enough: Callable[[], bool] = lambda: False) -> None:
        """Read what was asked for ahead, in order, and keep it for its readers, until it is `enough`."""
        while self._ahead and not enough():
            first, reader = self._ahead[0], self._reader_open()
            try:
                found: Tagged | RoadError = self._read_once(reader, first)
            except RoadError as error:
                if error.code != "E-ROAD-MISSING":
                    self._forget_ahead()
                    break
                found = error
            except (ContentError, *FAILURES):
                self._forget_ahead()
                break
            self._ahead.popleft()
            self._came[first.path, first.tag] = found

    def _forget_ahead(self) -> None:
        self._ahead.clear()
        if self._reader is not None:
            self._reader.close()

    def _reader_open(self) -> Connection:
        if self._reader is None:
            self._reader = self._line.take()
        return self._reader

    def _again(self, path: str, read: Callable[[Connection], _T]) -> _T:
        """Return what `read` makes of the connection for small files, tried again where the line fails."""
        self._read_ahead()
        reader = self._reader_open()
        self._line.check()
        failure: Exception | None = None
        for attempt in range(ATTEMPTS_WITHOUT_PROGRESS):
            if attempt:
                time.sleep(self._settings.retry_pause_seconds * (attempt - 1))
            try:
                return read(reader)
            except FAILURES as error:
                reader.close()
                failure = error
                if self._line.aborted or isinstance(error, ConnectionRefusedError | socket.gaierror):
                    break
            except ShuxiangError as error:
                if error.code != "E-ROAD-MISSING":
                    reader.close()
                raise
        raise self._line.down(failure, path)

    def fetch(
        self, files: Iterable[TreeFile], staging: Staging, done: Done, progress: Progress
    ) -> list[Missed]:
        """Bring `files` over several connections at once; see `Road.fetch`."""
        self._give_reader()
        fetching = Fetching(self._line, files, staging)
        missed: list[Missed] = []
        batches = Batches(done, time.monotonic)
        threads = [
            threading.Thread(target=fetching.work, name=f"http-road-{number}", daemon=True)
            for number in range(self._line.connections())
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
            while any(thread.is_alive() for thread in threads) or not fetching.results.empty():
                try:
                    result = fetching.results.get(timeout=_TICK_SECONDS)
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
            fetching.stop.set()
            for thread in threads:
                thread.join()
        if fetching.failure is not None:
            raise fetching.failure
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

    def abort(self) -> None:
        """End, from another thread, what is under way: it fails as if the line were cut, and is not tried again."""
        self._line.abort()

    def close(self) -> None:
        """Close the connections that were kept."""
        self._forget_ahead()
        self._reader = None
        self._line.close()

    def _give_reader(self) -> None:
        """Let a fetch have the connection for small files too: it is open and past its slow start."""
        self._read_ahead()
        if self._reader is not None:
            self._line.give(self._reader)
            self._reader = None

    def _read_once(self, connection: Connection, file: SmallFile) -> Tagged:
        where = self.address + file.path
        response = self._line.answer(connection, self._line.asked(file.path, tag=file.tag))
        if file.tag and response.status == 304:
            expect_end(response, file.path, 0)
            return Tagged(data=b"", tag=file.tag, changed=False)
        refuse_status(response, where, None)
        if response.length is not None and response.length > file.max_bytes:
            raise ContentError(
                "E-SIZE", where=file.path, expected=f"<= {file.max_bytes}", found=response.length
            )
        promised = response.length
        parts: list[bytes] = []
        size_bytes = 0
        while part := response.read1(self._line.read_bytes()):
            self._line.received(len(part))
            parts.append(part)
            size_bytes += len(part)
            if size_bytes > file.max_bytes:
                raise ContentError(
                    "E-SIZE", where=file.path, expected=f"<= {file.max_bytes}", found=f"> {file.max_bytes}"
                )
        if promised is not None and size_bytes < promised:
            raise http.client.IncompleteRead(b"", promised - size_bytes)
        expect_end(response, file.path, size_bytes)
        return Tagged(data=b"".join(parts), tag=response.getheader("ETag", ""), changed=True)

    def _read_part(self, connection: Connection, file: TreeFile, part: ByteRange, mended: MendedFile) -> None:
        place = part.start
        for data in read_part(self._line, connection, file, part):
            mended.write_at(place, data)
            place += len(data)
