"""What stands on a stick already, and what of it nobody needs any more.

Invariant: after a cut nothing counts as there that was not read and hashed again; otherwise a file of the right name
and length does, and a pack whose index is right. What is not ours is never touched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog.blobs import Blob, hash_file
from catalog.durable import TEMPORARY_SUFFIX
from catalog.errors import ContentError
from sync import tree
from sync.exporting.ground import SIGNED_FOLDERS
from sync.exporting.stock import Item, Stock
from sync.exporting.units import MOST_FILE_BYTES, Tell, same_blob
from sync.formats.stickpack import SMALL_BYTES, Member
from sync.roads.stick import StickPacks, pack_files, parts_of_blob, read_index


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What may go: packs of which most is of no use (`moved` of them is still wanted), other files, their bytes."""

    packs: frozenset[Path] = frozenset()
    moved: tuple[Item, ...] = ()
    files: tuple[Path, ...] = ()
    size_bytes: int = 0


class Inventory:
    """The blobs in the tree in `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.packs = StickPacks(root)
        self._plain = {name for _, name in _blob_names(root)}

    def stands(self, blob: Blob) -> Path | None:
        """Return the file (of parts: the first) in which the whole blob lies, by name and length."""
        if blob.size_bytes <= SMALL_BYTES and (piece := self.packs.piece(blob.sha256, blob.size_bytes)):
            return piece.path
        if blob.sha256 in self._plain:
            place = self.root / tree.blob_path(blob.sha256)
            return place if place.stat().st_size == blob.size_bytes else None
        if f"{blob.sha256}.1" in self._plain:
            parts = parts_of_blob(self.root, blob.sha256, blob.size_bytes)
            return parts[0].path if parts else None
        return None

    def check(self, wanted: dict[str, int], tell: Tell) -> None:
        """Read all that is there after a cut; remove what is wrong, but keep beginnings of what is `wanted`."""
        for path in pack_files(self.root):
            try:
                members = read_index(path)
            except ContentError:
                # A beginning: gone on with where the same pack is written again, else swept.
                continue
            if not _pack_is_whole(path, members, tell):
                path.unlink()
        for path, name in list(_blob_names(self.root)):
            sha256, _, part = name.partition(".")
            if part:
                # Written anew: parts are few, and only all of them together have a hash.
                path.unlink()
                continue
            length = path.stat().st_size
            if length > wanted.get(sha256, MOST_FILE_BYTES):
                # Not ours, and a sparse one would be read for years.
                path.unlink()
                continue
            tell(length)
            if length < wanted.get(sha256, 0) or hash_file(path) == sha256:
                continue
            path.unlink()
        self.packs = StickPacks(self.root)
        self._plain = {name for _, name in _blob_names(self.root)}

    def sweep_of(self, stock: Stock) -> Sweep:
        """Return what the head of `stock` makes useless: blobs that its catalogue does not name."""
        packs: set[Path] = set()
        moved: list[Item] = []
        files: list[Path] = []
        for path in pack_files(self.root):
            try:
                members = read_index(path)
            except ContentError:
                files.append(path)
                continue
            live = [one for one in members if stock.named(one.sha256)]
            live_bytes = sum(one.size_bytes for one in live)
            if live and 2 * live_bytes >= sum(one.size_bytes for one in members):
                continue
            items = [stock.source(Blob(sha256=one.sha256, size_bytes=one.size_bytes)) for one in live]
            # What this machine does not have itself stays where it is.
            if None not in items:
                packs.add(path)
                moved += [item for item in items if item is not None]
        files += [path for path, name in _blob_names(self.root) if not stock.named(name.partition(".")[0])]
        files += _leftovers(self.root)
        size_bytes = sum(path.stat().st_size for path in (*packs, *files))
        return Sweep(packs=frozenset(packs), moved=tuple(moved), files=tuple(files), size_bytes=size_bytes)

    def places(self) -> Iterator[tuple[Path, int, str]]:
        """Yield the files that blobs lie in, their lengths, and the blob (of packs and parts: "")."""
        for path in pack_files(self.root):
            yield path, path.stat().st_size, ""
        for path, name in _blob_names(self.root):
            yield path, path.stat().st_size, "" if "." in name else name


def _pack_is_whole(path: Path, members: list[Member], tell: Tell) -> bool:
    with path.open("rb") as stream:
        stream.seek(members[0].offset)
        for one in members:
            tell(one.size_bytes)
            if not same_blob(Blob(sha256=one.sha256, size_bytes=one.size_bytes), stream.read(one.size_bytes)):
                return False
    return True


def _blob_names(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files below `blobs/` that have a name of ours."""
    for number in range(256):
        folder = f"blobs/{number:02x}"
        try:
            names = sorted(os.listdir(root / folder))  # noqa: PTH208 - names, not a path for each of many
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            found = tree.parse(f"{folder}/{name}")
            if found is not None and found.kind in ("blob", "part"):
                yield root / folder / name, name


def _leftovers(root: Path) -> list[Path]:
    """Return what a cut left of files that are replaced in one step."""
    return [
        path
        for folder in SIGNED_FOLDERS
        if (root / folder).is_dir()
        for path in (root / folder).iterdir()
        if path.name.startswith(".") and TEMPORARY_SUFFIX in path.name
    ]
