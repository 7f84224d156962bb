"""Blobs in the hub's published tree: hard links to the store, so that a release costs names and no bytes.

Invariant: a name in the tree is given only to a blob of the right length, and everything there is readable by any
web server or rsync daemon: files 0644, directories 0755.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from catalog.blobs import Blob, BlobStore
from catalog.durable import link, move
from catalog.errors import StorageError
from catalog.progress import OnProgress, Progress
from sync import tree

PROGRESS_STEP = 500


def link_blobs(public: Path, blobs: BlobStore, wanted: Sequence[Blob], progress: OnProgress) -> int:
    """Give each of `wanted` its name in the tree `public`; return the bytes of those that had none.

    Names are not durable until the filesystem is synced. Raises `StorageError` E-DAMAGED where the store lacks a blob
    or holds it at another length; `OSError`.
    """
    bytes_new = 0
    directories: set[Path] = set()
    for number, blob in enumerate(wanted):
        if number % PROGRESS_STEP == 0:
            progress(Progress(phase="link", done=number, total=len(wanted)))
        source, name = blobs.path(blob.sha256), public / tree.blob_path(blob.sha256)
        _make_readable(source, blob)
        if name.parent not in directories:
            public_directory(name.parent)
            directories.add(name.parent)
        if link(source, name):
            bytes_new += blob.size_bytes
    progress(Progress(phase="link", done=len(wanted), total=len(wanted)))
    return bytes_new


def put_blobs(public: Path, made: Mapping[str, Path]) -> None:
    """Move made blobs (path in the tree -> staged file) to their names, those that the tree does not have.

    Names and bytes are not durable until the filesystem is synced. Raises `OSError`.
    """
    for path, file in made.items():
        name = public / path
        if name.exists() and name.stat().st_size == file.stat().st_size:
            continue
        public_directory(name.parent)
        file.chmod(0o644)
        move(file, name)


def stands(public: Path, blob: Blob) -> bool:
    """Return whether the tree `public` has a name for `blob`."""
    return (public / tree.blob_path(blob.sha256)).exists()


def public_directory(path: Path) -> None:
    """Create the directory `path` of a tree and its parents, readable by all whatever the umask."""
    if not path.is_dir():
        public_directory(path.parent)
        path.mkdir(exist_ok=True)
        path.chmod(0o755)


def _make_readable(source: Path, blob: Blob) -> None:
    """Check the stored blob's length and mode: a name shares its mode, and one 0600 file fails a whole rsync (23)."""
    try:
        found = source.stat()
    except FileNotFoundError as error:
        raise StorageError("E-DAMAGED", where=blob.sha256, expected="blob", found="nothing") from error
    if found.st_size != blob.size_bytes:
        raise StorageError("E-DAMAGED", where=blob.sha256, expected=blob.size_bytes, found=found.st_size)
    if found.st_mode & 0o777 != 0o644:
        source.chmod(0o644)
