"""Copy a source file to the hub and hash what was copied, in one pass.

The source is somebody's disk: an error on it refuses the file, an error on ours stops the ingest. Where both are on one
filesystem that can share blocks (Btrfs, XFS), the copy takes no space; a source is never hard-linked.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from catalog.blobs import Blob, hash_file
from catalog.durable import storage_error
from catalog.errors import ContentError
from catalog.ingest.sources import Source, SourceFile

_FICLONE = 0x40049409
_BLOCK_BYTES = 1 << 20


def copy_file(source: Source, file: SourceFile, target: Path) -> Blob:
    """Copy `file` to `target` and return what it is; raise `ContentError` E-FILE-READ or `StorageError`."""
    digest = hashlib.sha256()
    size_bytes = 0
    with target.open("wb", buffering=0) as out, _readable(source, file) as stream:
        if _cloned(stream, out):
            return Blob(sha256=hash_file(target), size_bytes=target.stat().st_size)
        while block := _read(stream, file):
            digest.update(block)
            size_bytes += len(block)
            _write(out, block, target)
    return Blob(sha256=digest.hexdigest(), size_bytes=size_bytes)


def _readable(source: Source, file: SourceFile) -> AbstractContextManager[IO[bytes]]:
    try:
        return source.open(file)
    except OSError as error:
        raise ContentError("E-FILE-READ", where=file.path, found=error.strerror or error) from error


def _read(stream: IO[bytes], file: SourceFile) -> bytes:
    try:
        return stream.read(_BLOCK_BYTES)
    except OSError as error:
        raise ContentError("E-FILE-READ", where=file.path, found=error.strerror or error) from error


def _write(out: IO[bytes], block: bytes, target: Path) -> None:
    try:
        view = memoryview(block)
        while view:
            view = view[out.write(view) :]
    except OSError as error:
        raise storage_error(error, target) from error


def _cloned(stream: IO[bytes], out: IO[bytes]) -> bool:
    """Share the blocks of `stream` with `out`; return False where the two filesystems do not offer that."""
    try:
        fcntl.ioctl(out.fileno(), _FICLONE, stream.fileno())
    except (OSError, AttributeError):
        return False
    return os.fstat(out.fileno()).st_size > 0
