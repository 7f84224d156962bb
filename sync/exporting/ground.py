"""What a stick is before anything is written to it: whose, at which head, and without a way out of it.

Invariant: nothing on a stick is believed. Its files are read up to a bound and only where they are regular (a named
pipe never ends); what would lead a write or a removal elsewhere, a link or another disk below it, is refused before
the first write; its head counts where our own root vouches for it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from catalog import durable
from catalog.durable import TEMPORARY_SUFFIX
from catalog.errors import ContentError, RoadError, StorageError
from sync import tree
from sync.roads.stick import read_bounded
from sync.trust.accept import fetch_head
from sync.trust.floors import Floors
from sync.trust.heads import Head
from sync.trust.pinned import MAX_ROOT_BYTES

SIGNED_FOLDERS = ("metadata", "targets", "targets/bundles", "boxes")
_FOLDERS = (*SIGNED_FOLDERS, tree.PACKS, "blobs", *(f"blobs/{number:02x}" for number in range(256)))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class StickHead:
    """The head of a stick: its release, its timestamp's version, the hash of its catalogue."""

    release: int
    timestamp: int
    catalog_path: str

    def names_the_same(self, head: Head) -> bool:
        """Return whether it names what `head` names, whoever signed it when."""
        return self.catalog_path == tree.catalog_path(head.catalog_sha256)


def check_ground(root: Path) -> None:
    """Raise `ContentError` E-STICK-LINK where a name of ours below `root` leads elsewhere or is no plain file.

    Raises `StorageError` E-STICK-ACCESS where we may not write there, `OSError`.
    """
    device = root.stat().st_dev
    # Of a disk that is read-only the first write tells.
    read_only = os.statvfs(root).f_flag & os.ST_RDONLY
    if not read_only:
        _check_access(root)
    try:
        if not stat.S_ISREG((root / tree.EXPORTING).lstat().st_mode):
            raise _refused(root / tree.EXPORTING, "file")
    except FileNotFoundError:
        pass
    for folder in _FOLDERS:
        place = root / folder
        try:
            found = place.lstat()
        except FileNotFoundError:
            continue
        if not stat.S_ISDIR(found.st_mode) or found.st_dev != device:
            raise _refused(place, "folder")
        if not read_only:
            _check_access(place)
        with os.scandir(place) as entries:
            for entry in entries:
                if _is_ours(folder, entry.name) and not entry.is_file(follow_symlinks=False):
                    raise _refused(place / entry.name, "file")


def foreign_owner(root: Path, own: bytes) -> str | None:
    """Return the fingerprint of the root that stands in `root` where it is not `own`; a torn one counts as none."""
    found = read_bounded(root / tree.PINNED_ROOT, MAX_ROOT_BYTES)
    if found is None or found == own:
        return None
    try:
        json.loads(found)
    except (ValueError, RecursionError):
        return None
    return fingerprint(found)


def fingerprint(root: bytes) -> str:
    """Return the fingerprint of a root."""
    return hashlib.sha256(root).hexdigest()


def head_of(root: Path, own: bytes) -> StickHead | None:
    """Return the head of the stick in `root` that the root `own` vouches for, expired or not; None where it has none.

    Raises `ContentError` E-VERSION where it is signed, and of a format that this version does not know.
    """

    def fetch(path: str, max_bytes: int) -> bytes:
        try:
            data = own if path == tree.PINNED_ROOT else read_bounded(root / path, max_bytes)
        except OSError:
            # What can not be read is written anew.
            data = None
        if data is None:
            raise RoadError("E-ROAD-MISSING", where=root / path)
        return data

    with tempfile.TemporaryDirectory(prefix="stick-") as name:
        work = Path(name)
        try:
            head = fetch_head(
                fetch,
                fingerprint=fingerprint(own),
                trust_dir=work / "none",
                staging_dir=work,
                now=_EPOCH,
                floors=Floors(),
            )
        except RoadError:
            return None
        except ContentError as error:
            if error.code == "E-VERSION":
                raise
            return None
    catalog = next(path for path in head.files if (kind := tree.parse(path)) and kind.kind == "catalog")
    return StickHead(release=head.release.number, timestamp=head.floors.timestamp, catalog_path=catalog)


def write_plain(path: Path, data: bytes) -> None:
    """Let the file at `path` hold `data`, never what a link there leads to. Raises `OSError`."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    handle = os.open(path, flags, 0o644)
    with os.fdopen(handle, "wb") as stream:
        stream.write(data)


def own_bytes(path: Path) -> bytes:
    """Return the bytes of a file of this machine; raise `StorageError`, which blames no stick."""
    return durable.storage(path.read_bytes, path)


def _check_access(folder: Path) -> None:
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise StorageError("E-STICK-ACCESS", where=folder)


def _is_ours(folder: str, name: str) -> bool:
    return tree.parse(f"{folder}/{name}") is not None or (name.startswith(".") and TEMPORARY_SUFFIX in name)


def _refused(place: Path, expected: str) -> ContentError:
    return ContentError("E-STICK-LINK", where=place, expected=expected)
