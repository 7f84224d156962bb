"""What lies on a disk before it is made anew: tables, filesystems, and whose data disk it was. Nothing is mounted.

Invariant: the disk is only read, and what can not be read is an error, never an empty disk.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog import durable
from catalog.errors import ConfigError
from images.commands import run
from images.disk import DATA_DISK
from images.fat_files import Partition
from images.opened import Tree

_SECTOR_BYTES = 512
_TABLES = frozenset(("gpt", "dos", "mac", "sun", "sgi", "bsd"))
# What stands before a GPT; alone it says that the GPT is damaged.
_PROTECTIVE = "PMBR"
_LOOKED_AT_BYTES = 4096
_STATE, _CONFIG = "state", "config.toml"
_CONFIG_BYTES = 64 << 10
_EMPTY_NAMES = frozenset(("lost+found", _STATE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A filesystem, or a partition in which none is known (`kind` ""). `used_bytes` None: not known.

    `owner` is the name of the box or hub whose state lies there; `is_bare` a data disk on which nothing was kept yet.
    """

    kind: str
    label: str
    size_bytes: int
    used_bytes: int | None = None
    owner: str = ""
    is_bare: bool = False

    @property
    def is_data_disk(self) -> bool:
        return self.label.casefold() == DATA_DISK

    def __str__(self) -> str:
        size = f"{self.size_bytes / 1e9:,.1f} GB"
        if self.used_bytes is not None:
            size = f"{self.used_bytes / 1e9:,.1f} / {size}"
        return " ".join(filter(None, (self.kind or "?", self.label, self.owner, size)))


def contents(path: Path, size_bytes: int) -> tuple[Content, ...]:
    """Return what lies on the disk, or in the file like one, at `path`; raise `StorageError` where it can not be read."""
    durable.storage(lambda: _read_some(path), path)
    kinds = _signatures(path)
    if not kinds:
        return ()
    try:
        places = list(_partitions(path))
    except ConfigError as error:
        if error.code == "E-TOOL":
            raise
        # No table but a filesystem on the whole disk; or a table that can not be read, which has had something in it.
        return (_content(path, 0, size_bytes),)
    if not places and kinds - _TABLES - ({_PROTECTIVE} if "gpt" in kinds else set()):
        return (_content(path, 0, size_bytes),)
    found = [_content(path, start, size) for start, size in places]
    return tuple(one for one in found if one.kind) or tuple(found)


def _read_some(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.pread(handle, _LOOKED_AT_BYTES, 0)
    finally:
        os.close(handle)


def _signatures(path: Path) -> set[str]:
    """Return the kinds of tables and filesystems of which the whole disk bears a mark."""
    said = json.loads(run(["wipefs", "--no-act", "--json", "--output", "TYPE", path]) or "{}")
    return {one["type"] for one in said.get("signatures", ())}


def _partitions(path: Path) -> Iterator[tuple[int, int]]:
    """Yield start and size in bytes of each partition that the table names, whatever the kernel knows of it."""
    for line in run(["partx", "--raw", "--noheadings", "--output", "START,SECTORS", path]).splitlines():
        start, sectors = line.split()
        yield int(start) * _SECTOR_BYTES, int(sectors) * _SECTOR_BYTES


def _content(path: Path, start: int, size_bytes: int) -> Content:
    kind, label = (_probed(path, start, size_bytes, field) for field in ("TYPE", "LABEL"))
    found = Content(kind=kind, label=label, size_bytes=size_bytes)
    if not kind.startswith("ext"):
        return found
    tree = Tree(path, Partition(number=0, type_code=0, start_bytes=start, size_bytes=size_bytes))
    used = _used_bytes(tree.about)
    if not found.is_data_disk or used is None:
        return Content(kind=kind, label=label, size_bytes=size_bytes, used_bytes=used)
    return Content(
        kind=kind,
        label=label,
        size_bytes=size_bytes,
        used_bytes=used,
        owner=_owner(tree),
        is_bare=_is_bare(tree),
    )


def _probed(path: Path, start: int, size_bytes: int, field: str) -> str:
    where = ("--offset", str(start), "--size", str(size_bytes))
    try:
        return run(["blkid", "--probe", "--output", "value", "--match-tag", field, *where, path]).strip()
    except ConfigError as error:
        if error.code == "E-TOOL":
            raise
        return ""


def _used_bytes(about: dict[str, str]) -> int | None:
    try:
        blocks, free, size = (int(about[name]) for name in ("Block count", "Free blocks", "Block size"))
        # Room for inodes and the journal, which nobody would call used.
        own = int(about.get("Overhead clusters", 0))
    except (KeyError, ValueError):
        return None
    return max(0, blocks - free - own) * size


def _is_bare(tree: Tree) -> bool:
    try:
        return not {*tree.names("/"), *tree.names(f"/{_STATE}")} - _EMPTY_NAMES
    except ConfigError:
        return False  # damaged: nobody knows


def _owner(tree: Tree) -> str:
    """Return the name of the machine whose state it is; a disk that nobody could read any more has none."""
    place = f"/{_STATE}/{_CONFIG}"
    try:
        entry = tree.entry(place)
        if entry is None or entry.is_link or entry.size_bytes > _CONFIG_BYTES:
            return ""
        name = tomllib.loads(tree.text(place) or "").get("name", "")
    except (ConfigError, ValueError):
        return ""
    return name if isinstance(name, str) else ""
