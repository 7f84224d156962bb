"""A finished image, opened to look inside: partition table, FAT by mtools, ext4 by debugfs and dumpe2fs, nothing mounted.

Invariant: the image is only read.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from catalog import durable
from catalog.errors import ConfigError, ContentError
from images import fat_files
from images.commands import run
from images.fat_files import Partition
from images.image_file import HEAD_BYTES, Description, blocks

_SUPERBLOCK, _MAGIC_AT, _MAGIC = 1024, 56, b"\x53\xef"
_LABEL_AT, _LABEL_BYTES = 71, 11
_LINKS = 8
_LINK = re.compile(r'Fast link dest: "(.*)"')


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in a directory: its rights with the kind of file (`100644`, `040755`, `120777`), owner, length."""

    name: str
    mode: str
    user: int
    size_bytes: int

    @property
    def is_link(self) -> bool:
        return self.mode.startswith("12")

    @property
    def is_directory(self) -> bool:
        return self.mode.startswith("04")


class Tree:
    """An ext4 filesystem inside the image."""

    def __init__(self, image: Path, partition: Partition) -> None:
        self._place = f"{image}?offset={partition.start_bytes}"

    @cached_property
    def about(self) -> dict[str, str]:
        """What dumpe2fs says of the filesystem, by its own names; empty where there is none."""
        try:
            told = run(["dumpe2fs", "-h", self._place])
        except ConfigError as error:
            if error.code == "E-TOOL":
                raise
            return {}
        found = (line.partition(":") for line in told.splitlines())
        return {name.strip(): value.strip() for name, colon, value in found if colon}

    def names(self, directory: str) -> dict[str, Entry]:
        """Return what lies in a directory, by name; nothing where there is no such directory."""
        found = {}
        for line in self._ask(f"ls -p {directory}").splitlines():
            fields = line.split("/")
            if len(fields) < 8 or fields[5] in (".", ".."):
                continue
            found[fields[5]] = Entry(fields[5], fields[2], int(fields[3]), int(fields[6] or 0))
        return found

    def entry(self, path: str) -> Entry | None:
        """Return what stands at `path`, a link as it is; None where there is nothing."""
        place = PurePosixPath(path)
        return self.names(str(place.parent)).get(place.name)

    def link(self, path: str) -> str:
        """Return where the link at `path` leads, "" where it is none."""
        found = _LINK.search(self._ask(f"stat {path}"))
        return found[1] if found else ""

    def text(self, path: str) -> str | None:
        """Return what the file at `path` holds, links followed; None where there is none."""
        for _ in range(_LINKS):
            entry = self.entry(path)
            if entry is None or entry.is_directory:
                return None
            if not entry.is_link:
                return self._ask(f"cat {path}")
            path = str(PurePosixPath(path).parent / self.link(path))
        return None

    def texts(self, directory: str, suffix: str) -> dict[str, str]:
        """Return the files of a directory whose names end so, by name in order."""
        names = sorted(name for name in self.names(directory) if name.endswith(suffix))
        return {name: self.text(f"{directory}/{name}") or "" for name in names}

    def _ask(self, request: str) -> str:
        # Names with a space would be several words for debugfs; none of what is asked for has one.
        return run(["debugfs", "-R", request, self._place])


class Opened:
    """An image whose partitions can be looked into. Made by `opened`."""

    def __init__(self, path: Path, description: Description) -> None:
        self.path = path
        self.description = description
        with path.open("rb") as file:
            self.head = file.read(HEAD_BYTES)
        self.partitions = {one.number: one for one in fat_files.partitions(self.head)}
        self.system = self._tree(2)
        self.data = self._tree(4)

    @cached_property
    def boot_names(self) -> list[str]:
        """The files on the FAT partition."""
        return fat_files.names_on(self.path, self.boot)

    @property
    def boot(self) -> Partition:
        return fat_files.fat_of(self.head)

    def boot_file(self, name: str) -> bytes:
        """Return what a file on the FAT partition holds; nothing where there is none."""
        found = next((one for one in self.boot_names if one.lower() == name.lower()), None)
        return b"" if found is None else fat_files.read_file(self.path, self.boot, found)

    def boot_label(self) -> str:
        """Return the label in the FAT partition's first sector."""
        sector = self._at(self.boot.start_bytes, 512)
        return sector[_LABEL_AT : _LABEL_AT + _LABEL_BYTES].decode("ascii", "replace").strip()

    def is_empty(self, partition: Partition) -> bool:
        """Return whether a partition holds no filesystem that we make."""
        return self._at(partition.start_bytes + _SUPERBLOCK + _MAGIC_AT, 2) != _MAGIC

    def _at(self, offset: int, length: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)

    def _tree(self, number: int) -> Tree:
        if number not in self.partitions:
            raise ContentError(
                "E-IMAGE", where=self.path.name, expected="4 partitions", found=len(self.partitions)
            )
        return Tree(self.path, self.partitions[number])


@contextmanager
def opened(image: Path, description: Description) -> Iterator[Opened]:
    """Open `image`; a packed one is unpacked first, into a file with holes beside it that goes when all is done.

    Raises `ContentError` E-IMAGE-HASH where it is not what its description says, E-IMAGE where it can not be read.
    """
    with tempfile.TemporaryDirectory(prefix=".check-", dir=image.parent) as folder:
        plain = image if image.name.endswith(".img") else Path(folder) / "plain.img"
        durable.storage(lambda: _unpack(image, plain, description), image.parent)
        yield Opened(plain, description)


def _unpack(image: Path, plain: Path, description: Description) -> None:
    """Read the whole image, so that its hash is proved where one is promised; write what is not zeros."""
    with image.open("rb") as source:
        if plain == image and not description.sha256:
            return
        if plain == image:
            for _ in blocks(source, image.name, description):
                pass
            return
        with plain.open("wb") as target:
            for block in blocks(source, image.name, description):
                if any(block):
                    target.write(block)
                else:
                    target.seek(len(block), 1)
            target.truncate(description.size_bytes)
