"""Disks plugged into the hub: which are mounted, and which folders on them hold a list.

Invariant: a folder that these functions return lies on its disk; no link and no `..` leads off it. Nothing is written
to a disk.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.ingest.lists import LIST_SUFFIXES

# What people bring; everything else under /mnt (bind mounts, overlays, proc) is no disk.
_DISK_TYPES = frozenset(
    [
        "vfat",
        "exfat",
        "ntfs",
        "ntfs3",
        "fuseblk",
        "ext2",
        "ext3",
        "ext4",
        "btrfs",
        "xfs",
        "f2fs",
        "iso9660",
        "udf",
        "hfsplus",
    ]
)
_OCTAL = re.compile(r"\\([0-7]{3})")
SEARCH_DEPTH = 3
SEARCH_FOLDERS = 2000
_ARCHIVES = (".zip",)
_SYSTEM_FOLDERS = frozenset(
    ("$recycle.bin", "system volume information", "lost+found", ".trash-1000", ".trashes", ".spotlight-v100")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """A mounted disk; `key` names it in an address."""

    key: str
    name: str
    mounted: Path
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder on a disk, relative to it (`.` the whole disk), with the lists that lie in it."""

    path: str
    name: str
    lists: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One folder opened: its folders, what else lies there, and how many files.

    `nameless` folders and archives are left out, whose names are no text: no page could show them, no address name them.
    """

    folder: Folder
    folders: tuple[Folder, ...]
    archives: tuple[Folder, ...]
    files: int
    nameless: int = 0


def mounted_disks(mountinfo: str, media: Sequence[Path]) -> list[tuple[str, Path]]:
    """Return (device number, mount point) of the disks that `mountinfo` (proc(5)) shows under `media` (pure)."""
    found: dict[Path, str] = {}
    # Spaces and line ends alone divide it: a byte of a Chinese name (0x85, 0xa0) may be white space in Latin-1.
    for line in mountinfo.split("\n"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.partition(" ")[0]
        if len(fields) < 5 or kind not in _DISK_TYPES:
            continue
        name = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]).encode("latin-1")
        point = Path(os.fsdecode(name))
        if any(folder in point.parents for folder in media):
            found[point] = fields[2]
    return sorted(((device, point) for point, device in found.items()), key=lambda item: item[1])


def plugged_in(mounts: Path, media: Sequence[Path]) -> list[Disk]:
    """Return the disks that are mounted now."""
    text = mounts.read_text(encoding="latin-1") if mounts.exists() else ""
    disks = []
    for device, point in mounted_disks(text, media):
        try:
            usage = shutil.disk_usage(point)
        except OSError:
            continue  # pulled out this moment
        disks.append(
            Disk(
                key=device.replace(":", "-"), name=os.fsencode(point.name).decode("utf-8", "replace"), mounted=point,
                total_bytes=usage.total, free_bytes=usage.free,
            )
        )  # fmt: skip
    return disks


def place_on(disk: Disk, path: str) -> Path | None:
    """Return the folder or archive at `path` on the disk, or None where that is not there or not on it."""
    try:
        root = disk.mounted.resolve(strict=True)
        place = (root / path).resolve(strict=True)
    except (OSError, ValueError):
        return None
    return place if place == root or root in place.parents else None


def look_into(disk: Disk, path: str) -> Listing | None:
    """Open the folder at `path` on the disk; None where it is gone or can not be read."""
    place = place_on(disk, path)
    if place is None or not place.is_dir():
        return None
    root = disk.mounted.resolve()
    try:
        items = sorted(os.scandir(place), key=lambda item: item.name)
        folders, archives = list(filter(_is_folder, items)), list(filter(_is_archive, items))
        return Listing(
            folder=_folder(root, place),
            folders=tuple(_folder(root, Path(item.path)) for item in folders if _is_text(item.name)),
            archives=tuple(
                Folder(path=str(Path(item.path).relative_to(root)), name=item.name, lists=())
                for item in archives
                if _is_text(item.name)
            ),
            files=sum(item.is_file(follow_symlinks=False) for item in items),
            nameless=sum(not _is_text(item.name) for item in (*folders, *archives)),
        )
    except OSError:
        return None


def folders_with_lists(disk: Disk) -> list[Folder]:
    """Return the folders down to three levels that hold a list: what staff are most likely to look for."""
    root = disk.mounted.resolve()
    found: list[Folder] = []
    waiting, seen = [(root, 0)], 0
    while waiting and seen < SEARCH_FOLDERS:
        place, depth = waiting.pop(0)
        seen += 1
        folder = _folder(root, place)
        if folder.lists:
            found.append(folder)
        if depth < SEARCH_DEPTH:
            waiting += [(below, depth + 1) for below in _below(place)]
    return found


def _below(place: Path) -> list[Path]:
    try:
        return [
            Path(item.path)
            for item in sorted(os.scandir(place), key=lambda item: item.name)
            if _is_folder(item) and _is_text(item.name)
        ]
    except OSError:
        return []


def _is_folder(item: os.DirEntry[str]) -> bool:
    hidden = item.name.startswith(".") or item.name.lower() in _SYSTEM_FOLDERS
    return item.is_dir(follow_symlinks=False) and not hidden


def _is_archive(item: os.DirEntry[str]) -> bool:
    return item.is_file(follow_symlinks=False) and item.name.lower().endswith(_ARCHIVES)


def _is_text(name: str) -> bool:
    """Return whether a name is no other bytes than UTF-8, which a page can show and an address can carry."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _folder(root: Path, place: Path) -> Folder:
    try:
        lists = sorted(
            item.name
            for item in os.scandir(place)
            if item.name.lower().endswith(LIST_SUFFIXES)
            and not item.name.startswith((".", "~$"))
            and _is_text(item.name)
        )
    except OSError:
        lists = []
    return Folder(path=str(place.relative_to(root)), name=place.name, lists=tuple(lists))
