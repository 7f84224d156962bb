"""What every road can do, and the words roads share with those who use them.

A road carries bytes and is never trusted. Invariant for all roads: bytes land in staging only, under the name of
their hash; a fetch goes on where an earlier one stopped; what it could not bring is told per file, and it raises only
where the road itself is of no use any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from catalog.blobs import Blob, Staged
from catalog.byteranges import ByteRange
from catalog.errors import ConfigError, ShuxiangError
from sync import tree
from sync.formats.release import TreeFile
from sync.line.rate import Governor
from sync.roads.staging import Staging

Done = Callable[[list[Staged]], None]
"""Takes a batch of files whose bytes have all come; called in the thread that called `fetch`."""
Progress = Callable[[int], None]
"""Takes the number of bytes received since the last call; called in the thread that called `fetch`."""

# What waits for the door is not on the disk yet: a cut costs a MiB of it, or a tenth of a second.
BATCH_BYTES = 1 << 20
BATCH_LEAST_SECONDS = 0.1
BATCH_MOST_FILES = 1000
BATCH_MOST_BYTES = 256 << 20
BATCH_MOST_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """A file that the road did not bring, and why."""

    file: TreeFile
    error: ShuxiangError


@dataclass(frozen=True, slots=True, kw_only=True)
class RoadSettings:
    """What a road needs to know besides its address; `rsync_password` never appears on a command line.

    `governor` is one for all roads of a run: it holds the rate, counts the budget and ends the run.
    """

    rsync_password: str | None = None
    timeout_seconds: float = 30.0
    connections: int = 4
    retry_pause_seconds: float = 0.5
    governor: Governor = field(default_factory=Governor, compare=False)


class Road(Protocol):
    """One way to one tree. Not thread-safe; a road may use threads inside."""

    name: str
    address: str

    @property
    def received_bytes(self) -> int:
        """What has come over it, in bytes."""
        ...

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return a small file of the tree.

        Raises `RoadError` E-ROAD-MISSING where the tree has no such file, E-PORTAL where a web page came,
        E-ROAD or E-ROAD-SHORT where the road failed; `ContentError` E-SIZE where it is longer than `max_bytes`.
        """
        ...

    def fetch(
        self, files: Iterable[TreeFile], staging: Staging, done: Done, progress: Progress
    ) -> list[Missed]:
        """Bring `files` into `staging`, handing them to `done` in batches; return those that did not come.

        Raises `RoadError` where the road fails as a whole and `StorageError` where our own disk does.
        """
        ...

    def fetch_ranges(
        self, file: TreeFile, ranges: Iterable[ByteRange], target: Path, progress: Progress
    ) -> None:
        """Write these parts of `file` to their places in `target`, a copy of it that is right everywhere else.

        What comes is not checked. Raises `RoadError` where the road fails or has no such file, `ContentError` where
        the answer can not be those parts, `StorageError` where our own disk fails.
        """
        ...

    def close(self) -> None:
        """Give back connections and programs."""
        ...


class Batches:
    """Collects finished files and hands them to `done` by number, size or age: the door is cheaper in batches."""

    def __init__(
        self, done: Done, clock: Callable[[], float], *, least_seconds: float = BATCH_LEAST_SECONDS
    ) -> None:
        self._done = done
        self._clock = clock
        self._least_seconds = least_seconds
        self._waiting: list[Staged] = []
        self._bytes = 0
        self._since = 0.0

    def add(self, staged: Staged) -> None:
        """Take one finished file."""
        if not self._waiting:
            self._since = self._clock()
        self._waiting.append(staged)
        self._bytes += staged.blob.size_bytes
        self.tick()

    def tick(self) -> None:
        """Hand the batch on if it is due."""
        if not self._waiting:
            return
        seconds = self._clock() - self._since
        if (
            len(self._waiting) >= BATCH_MOST_FILES
            or self._bytes >= BATCH_MOST_BYTES
            or seconds >= BATCH_MOST_SECONDS
            or (self._bytes >= BATCH_BYTES and seconds >= self._least_seconds)
        ):
            self.flush()

    def flush(self) -> None:
        """Hand on what waits."""
        batch, self._waiting, self._bytes = self._waiting, [], 0
        if batch:
            self._done(batch)


def split_address(address: str, *, expected: str) -> tuple[SplitResult, str]:
    """Return the parts of a URL and its host; raise `ConfigError` E-CONFIG where host or port are none that can be.

    What stands before an "@" may be a password and is not told.
    """
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        # Both are asked for the errors that they raise, too.
        if host.encode("idna") and parts.port != 0:
            return parts, host
    except ValueError:
        pass
    raise ConfigError("E-CONFIG", where=address.rpartition("@")[2], expected=expected)


def blob_file(sha256: str, size_bytes: int) -> TreeFile:
    """Return the file of a tree that is the blob `sha256`."""
    return TreeFile(path=tree.blob_path(sha256), size_bytes=size_bytes, sha256=sha256)


def staged_file(file: TreeFile, staging: Staging) -> Staged:
    """Return `file` as it waits in staging for the door."""
    return Staged(path=staging.path(file.sha256), blob=Blob(sha256=file.sha256, size_bytes=file.size_bytes))
