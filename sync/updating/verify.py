"""Every stored blob read again and compared with its name.

A damaged blob stays where it is until a whole one is here (`sync.updating.repair`): a film with one bad sector still plays, and
the door replaces it in one step. What was found stands in `local.db` until it is repaired or gone, so that it is told
truly after any restart.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from catalog.blobs import Blob, BlobStore
from catalog.errors import ShuxiangError, StorageError
from catalog.library import Library
from catalog.local import Local
from catalog.progress import OnProgress, Progress, silent

_BLOCK_BYTES = 256 << 10
_TELL_BYTES = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What a repair brought; `failure` is why something remains damaged."""

    whole: frozenset[str] = frozenset()
    fetched_bytes: int = 0
    failure: ShuxiangError | None = None


Mend = Callable[[list[Blob]], Repair]
"""Takes damaged blobs and returns which of them are whole again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult:
    """How many blobs were read, how many are damaged, how many of these are whole again, and what that cost the line."""

    checked: int
    damaged: int
    repaired: int
    fetched_bytes: int
    failure: ShuxiangError | None = None

    def damage(self) -> StorageError | None:
        """Return the refusal E-DAMAGED where damage remains; its place says what kept the repair from it."""
        remains = self.damaged - self.repaired
        return (
            StorageError("E-DAMAGED", expected=0, found=remains, where=self.failure or "")
            if remains
            else None
        )


class Pace:
    """Keeps reading to `bytes_per_second` (None: as fast as it goes); a pause of the machine earns nothing."""

    def __init__(self, bytes_per_second: int | None = None) -> None:
        self._rate = bytes_per_second
        self._next_at = 0.0

    def take(self, count: int) -> None:
        """Wait until `count` bytes more have their time."""
        if self._rate is None:
            return
        now = time.monotonic()
        self._next_at = max(self._next_at, now) + count / self._rate
        time.sleep(self._next_at - now)


def is_whole(path: Path, blob: Blob, pace: Pace) -> bool:
    """Read the file at `path` from the disk, not from what the kernel remembers, and return whether it is `blob`."""
    found = hashlib.sha256()
    try:
        with path.open("rb", buffering=0) as stream:
            if os.fstat(stream.fileno()).st_size != blob.size_bytes:
                return False
            _forget(stream.fileno())
            while data := stream.read(_BLOCK_BYTES):
                found.update(data)
                pace.take(len(data))
            # Nor shall the reading push out what the school is looking at.
            _forget(stream.fileno())
    except OSError:
        return False
    return found.hexdigest() == blob.sha256


def verify(
    library: Library,
    blobs: BlobStore,
    local: Local,
    *,
    now: datetime,
    pace: Pace,
    repair: Mend | None = None,
    progress: OnProgress = silent,
) -> VerifyResult:
    """Read every blob that the library knows; hand the damaged ones to `repair` where one is given."""
    with library.reading() as reader:
        known = list(reader.blobs())
    damaged: list[Blob] = []
    for blob in telling(known, progress, len(known), sum(blob.size_bytes for blob in known)):
        if not is_whole(blobs.path(blob.sha256), blob, pace):
            damaged.append(blob)
    local.clear_damage({blob.sha256 for blob in local.damage()} - {blob.sha256 for blob in damaged})
    local.note_damage(damaged, now)
    mended = repair(damaged) if repair is not None and damaged else Repair()
    local.clear_damage(mended.whole)
    return VerifyResult(
        checked=len(known),
        damaged=len(damaged),
        repaired=len(mended.whole),
        fetched_bytes=mended.fetched_bytes,
        failure=mended.failure,
    )


def telling(
    blobs: Iterable[Blob],
    progress: OnProgress,
    total: int,
    total_bytes: int,
    before: tuple[int, int] = (0, 0),
) -> Iterator[Blob]:
    """Yield `blobs`, telling how far the reading is each 16 MiB and at the end; `before` (blobs, bytes) was read."""
    number, done_bytes = before
    told_bytes = done_bytes
    for blob in blobs:
        yield blob
        number += 1
        done_bytes += blob.size_bytes
        if done_bytes - told_bytes >= _TELL_BYTES or number == total:
            told_bytes = done_bytes
            progress(
                Progress(
                    phase="verify",
                    done=min(number, total),
                    total=total,
                    done_bytes=min(done_bytes, total_bytes),
                    total_bytes=total_bytes,
                )
            )


def _forget(handle: int) -> None:
    """Let the kernel drop what it remembers of an open file; not every filesystem can."""
    with suppress(OSError):
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
