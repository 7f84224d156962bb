"""The blob store and the one door to it.

Invariant: a blob is visible only when its row is in the library, and a row is written only after the bytes had their
SHA-256 and they and their name were durable: staging -> hash -> flush -> name in `blobs/` -> flush -> row. A cut
between any two steps leaves a file in `staging/` that is checked again, or a nameless row's absence; never a wrong
blob. Opening a published blob for writing is nobody's business.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog import durable
from catalog.errors import ContentError, ShuxiangError
from catalog.resource import is_sha256

READ_BYTES = 1 << 20
# Up to here one fsync per file is cheaper than flushing the filesystem.
FEW_FILES = 3
# Hashing and flushing let other threads run: several large files go side by side, small ones are quicker in turn.
HASHERS = 4
LARGE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Bytes named by their SHA-256 (64 lowercase hex digits)."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A file outside the store that should be the blob `blob`; it is moved, not copied."""

    path: Path
    blob: Blob


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A staged file that was not the blob it should be; its bytes are deleted."""

    staged: Staged
    error: ShuxiangError


class BlobStore:
    """The blobs under `root`, and `staging` beside it on the same filesystem."""

    def __init__(self, root: Path, staging: Path, record: Callable[[list[Blob]], None]) -> None:
        self.root = root
        self.staging = staging
        self._record = record

    def path(self, sha256: str) -> Path:
        """Return where the blob lies, whether it is here or not."""
        return self.root / sha256[:2] / sha256

    def staging_path(self, sha256: str) -> Path:
        """Return where a road collects the bytes of the blob; they survive a kill, so the next run goes on."""
        return self.staging / sha256

    def admit(self, staged: Iterable[Staged]) -> list[Refusal]:
        """Let a batch through the door and return those that were refused (hash or size wrong: bytes deleted)."""
        batch = list(staged)
        right: list[Staged] = []
        refused: list[Refusal] = []
        for item, error in zip(batch, self._checked(batch), strict=True):
            if error is None:
                right.append(item)
            else:
                # What our own disk failed to give back may be right all the same: only wrong bytes are thrown away.
                if isinstance(error, ContentError):
                    item.path.unlink(missing_ok=True)
                refused.append(Refusal(staged=item, error=error))
        self.admit_hashed(right)
        return refused

    def admit_hashed(self, staged: Sequence[Staged]) -> None:
        """Let a batch through the door whose bytes were hashed by the caller while it wrote them."""
        if not staged:
            return
        try:
            self._make_visible(staged)
        except OSError as error:
            raise durable.storage_error(error, self.root) from error
        self._record([item.blob for item in staged])

    def verify(self, blob: Blob) -> bool:
        """Read the stored blob from the disk and return whether it is whole."""
        path = self.path(blob.sha256)
        try:
            return path.stat().st_size == blob.size_bytes and hash_file(path) == blob.sha256
        except OSError:
            return False

    def delete(self, blobs: Iterable[Blob]) -> int:
        """Delete the bytes of blobs whose rows are gone already; return the number of bytes freed."""
        freed = 0
        for blob in blobs:
            path = self.path(blob.sha256)
            if path.exists():
                path.unlink()
                freed += blob.size_bytes
        return freed

    def files(self) -> Iterator[Path]:
        """Stream every file in the store, with or without a row: what a cut may have left is among them."""
        for directory in sorted(self.root.glob("[0-9a-f][0-9a-f]")):
            for path in sorted(directory.iterdir()):
                if is_sha256(path.name):
                    yield path

    def free_bytes(self) -> int:
        """Return how many bytes an ordinary user can still write here."""
        return shutil.disk_usage(self.root).free

    def _checked(self, batch: list[Staged]) -> Iterator[ShuxiangError | None]:
        large = [item for item in batch if item.blob.size_bytes >= LARGE_BYTES]
        if len(large) < 2:
            yield from map(self._check, batch)
            return
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(min(HASHERS, len(large)), "hash") as hashers:
            side_by_side = hashers.map(self._check_and_flush, large)
            for item in batch:
                yield next(side_by_side) if item.blob.size_bytes >= LARGE_BYTES else self._check(item)

    def _check_and_flush(self, item: Staged) -> ShuxiangError | None:
        error = self._check(item)
        if error is None:
            # `_make_visible` flushes again, and finds nothing left to do. Of small files only that: they are many.
            durable.storage(lambda: durable.sync_file(item.path), item.path)
        return error

    def _check(self, item: Staged) -> ShuxiangError | None:
        try:
            size_bytes = item.path.stat().st_size
            if size_bytes != item.blob.size_bytes:
                return ContentError(
                    "E-SIZE", where=item.blob.sha256, expected=item.blob.size_bytes, found=size_bytes
                )
            found = hash_file(item.path)
        except OSError as error:
            return durable.storage_error(error, item.path)
        if found != item.blob.sha256:
            return ContentError("E-HASH", where=item.path.name, expected=item.blob.sha256, found=found)
        return None

    def _make_visible(self, staged: Sequence[Staged]) -> None:
        if len(staged) <= FEW_FILES:
            for item in staged:
                durable.sync_file(item.path)
        else:
            durable.sync_filesystem(self.staging)
        paths = [self.path(item.blob.sha256) for item in staged]
        directories = {path.parent for path in paths}
        durable.make_directory(self.root)
        durable.make_directories(self.root, directories)
        for item, path in zip(staged, paths, strict=True):
            durable.move(item.path, path)
        if len(directories) <= FEW_FILES:
            for directory in directories:
                durable.sync_directory(directory)
        else:
            durable.sync_filesystem(self.root)


def hash_file(path: Path) -> str:
    """Return the SHA-256 of the file at `path`, read in bounded memory."""
    with path.open("rb", buffering=0) as stream:
        # The buffer of `file_digest` is too much for the many small files, and too little for large ones side by side.
        size_bytes = os.fstat(stream.fileno()).st_size
        buffer = memoryview(bytearray(max(1, min(size_bytes, READ_BYTES))))
        digest = hashlib.sha256()
        while count := stream.readinto(buffer):
            digest.update(buffer[:count])
        return digest.hexdigest()


class SpaceReserve:
    """A file that holds space back, so that a full disk can still be put in order (SQLite needs room to delete)."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self.path = path
        self.size_bytes = size_bytes

    def hold(self) -> bool:
        """Take the space where it is free; return whether it is held now."""
        if self.held():
            return True
        try:
            with self.path.open("wb") as stream:
                os.posix_fallocate(stream.fileno(), 0, self.size_bytes)
        except OSError:
            self.path.unlink(missing_ok=True)
            return False
        return True

    def held(self) -> bool:
        """Return whether the space is held."""
        return self.path.exists() and self.path.stat().st_size >= self.size_bytes

    def release(self) -> None:
        """Give the space back for the work that makes room."""
        self.path.unlink(missing_ok=True)
