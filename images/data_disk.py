"""Makes empty disks into data disks: one GPT partition, ext4, the label by which a box or hub finds its content.

The filesystem is made in a file with holes, and of that file only what mke2fs wrote goes to the disk: seconds for any size.
Invariant: as for cards the first MiB goes last, when all is read back and e2fsck finds nothing: a disk whose making was
cut is no data disk, and no machine takes it for one.
"""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from catalog import durable
from catalog.clock import Clock
from catalog.errors import ConfigError, StorageError
from catalog.progress import Speed
from images import gpt
from images.card import Card, digest_of
from images.commands import run
from images.contents import Content
from images.disk import DATA_DISK, DATA_OPTIONS
from images.fat_files import Partition
from images.image_file import BLOCK_BYTES, HEAD_BYTES, Description
from images.opened import Tree
from images.write import Fate, OnTarget, OnWritten, Target, Written

NAME = "数据盘 data disk"
"""What stands in the record in the place of an image's name; the filesystem's UUID stands in that of its version."""
LEAST_BYTES = 1 << 30
_PAGE_BYTES = 4096
# What is free is written to here and there: a disk that claims more than it holds loses some of it.
_PROBES = 64
# As mke2fs writes to a device of which it knows nothing: whatever must be zeros is written, and stands in the file.
_AS_ON_DEVICE = {"UNIX_IO_NOZEROOUT": "1"}
_EXTENDED = "nodiscard,lazy_itable_init=1,lazy_journal_init=0,root_owner=0:0"
# The journal of one is 64 MiB in a hub's memory, until its zeros are holes again.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Stretch:
    """A piece of the filesystem that mke2fs wrote, in bytes."""

    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


def refuse_contents(where: object, found: Sequence[Content]) -> None:
    """Raise `ConfigError` E-CARD-HOLDS where a disk holds more than an empty data disk; it says what."""
    held = [content for content in found if not content.is_bare]
    if held:
        raise ConfigError("E-CARD-HOLDS", where=where, found="; ".join(map(str, held)))


def about_disk(size_bytes: int) -> Description:
    """Return what stands in the place of an image's description where a data disk is made."""
    return Description(name=NAME, version="", board="", role="", date="", size_bytes=size_bytes, sha256="")


def make_data_disks(
    targets: Sequence[Target],
    progress: OnTarget,
    clock: Clock,
    *,
    over: OnWritten | None = None,
    label: str = DATA_DISK,
) -> list[Written]:
    """Make all `targets`, devices or files with a length, into data disks; return what became of each, in order.

    One that fails does not hold up the others. In the result, `image.version` is the UUID of the filesystem and
    `image.sha256` the hash of all that was written.
    """
    makers = [_Maker(number, target, label, progress, clock, over) for number, target in enumerate(targets)]
    for maker in makers:
        maker.start()
    return [maker.result() for maker in makers]


class _Maker(Fate):
    """Makes one disk."""

    def __init__(
        self,
        number: int,
        target: Target,
        label: str,
        progress: OnTarget,
        clock: Clock,
        over: OnWritten | None,
    ) -> None:
        size_bytes = target.device.size_bytes if target.device else 0
        super().__init__(number, target, about_disk(size_bytes), progress, clock, over)
        self._label = label
        self._marks: list[tuple[int, int, bytes]] = []
        self._hash = hashlib.sha256()

    def _write(self, card: Card) -> None:
        if card.size_bytes < LEAST_BYTES:
            raise StorageError(
                "E-CARD-SMALL",
                where=card.path,
                expected=f"≥ {LEAST_BYTES / 1e6:,.0f} MB",
                found=f"{card.size_bytes / 1e6:,.0f} MB",
            )
        name, sector = uuid.uuid4(), card.sector_bytes
        table = gpt.table(card.size_bytes, sector, self._label, uuid.uuid4(), uuid.uuid4())
        self._hash.update(table.head)
        with _filesystem(table.size_bytes, self._label, name) as (handle, stretches):
            card.begin(card.size_bytes // sector * sector)
            self._fill(card, table, handle, stretches)
        card.settle()
        self._speed, done, total = Speed(), 0, sum(length for _, length, _ in self._marks)
        for place, length, digest in self._marks:
            self._keep_on()
            card.check(place, length, digest)
            done += length
            self._tell("check", done, length, total)
        _prove(card, table, self._label, name)
        card.finish(table.head.ljust(HEAD_BYTES, b"\0"))
        card.show_partitions()
        self._written = replace(
            self._written,
            image=replace(self._image, version=str(name), size_bytes=card.size_bytes, sha256=self._hash.hexdigest()),
        )  # fmt: skip
        self._tell("check", total, 0, total)

    def _fill(self, card: Card, table: gpt.Table, handle: int, stretches: list[_Stretch]) -> None:
        """Write the filesystem, a few pages of noise where it is free, and the end of the disk."""
        total, done = sum(one.length for one in stretches), 0
        for one in stretches:
            for start in range(one.start, one.end, BLOCK_BYTES):
                self._keep_on()
                block = os.pread(handle, min(BLOCK_BYTES, one.end - start), start)
                self._put(card, table.start + start, block)
                done += len(block)
                self._tell("write", done, len(block), total)
        for start in _free_pages(table.size_bytes, stretches):
            self._put(card, table.start + start, os.urandom(_PAGE_BYTES))
        end = table.start + table.size_bytes
        self._put(card, end, table.tail.rjust(table.tail_start + len(table.tail) - end, b"\0"))

    def _put(self, card: Card, place: int, block: bytes) -> None:
        self._hash.update(block)
        self._count(card.put(place, block))
        self._marks.append((place, len(block), digest_of(block)))


@contextmanager
def _filesystem(size_bytes: int, label: str, name: uuid.UUID) -> Iterator[tuple[int, list[_Stretch]]]:
    """Give a file with the new filesystem, and where in it mke2fs wrote."""
    with tempfile.TemporaryDirectory(prefix="shuxiang-") as folder:
        file = Path(folder) / "filesystem"
        with file.open("xb+") as stream:
            handle = stream.fileno()
            durable.storage(lambda: stream.truncate(size_bytes), file)
            with _one_at_a_time:
                run(
                    ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", *DATA_OPTIONS, "-L", label,
                     "-U", str(name), "-E", _EXTENDED, file],
                    _AS_ON_DEVICE,
                )  # fmt: skip
                stretches = list(_stretches(handle, size_bytes))
                with suppress(ConfigError):  # a filesystem that knows no holes just takes more room
                    run(["fallocate", "--dig-holes", file])
            # Whatever ends us, nothing stays behind.
            file.unlink()
            yield handle, stretches


def _stretches(handle: int, size_bytes: int) -> Iterator[_Stretch]:
    end = 0
    while end < size_bytes:
        try:
            start = os.lseek(handle, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # a hole to the end
            raise
        end = os.lseek(handle, start, os.SEEK_HOLE)
        yield _Stretch(start, end - start)


def _free_pages(size_bytes: int, stretches: list[_Stretch]) -> Iterator[int]:
    """Yield places all over the filesystem, its last page among them, at which mke2fs wrote nothing."""
    written = iter(stretches)
    one = next(written, None)
    for number in range(1, _PROBES + 1):
        place = (size_bytes * number // _PROBES - 1) // _PAGE_BYTES * _PAGE_BYTES
        while one is not None and one.end <= place:
            one = next(written, None)
        if one is None or place + _PAGE_BYTES <= one.start:
            yield place


def _prove(card: Card, table: gpt.Table, label: str, name: uuid.UUID) -> None:
    """Let other programs than mke2fs look at the filesystem; raise `StorageError` E-STICK-BAD where it is another one."""
    place = Partition(number=1, type_code=0, start_bytes=table.start, size_bytes=table.size_bytes)
    try:
        run(["e2fsck", "-f", "-n", f"{card.path}?offset={table.start}"])
    except ConfigError as error:
        if error.code == "E-TOOL":
            raise
        raise StorageError("E-STICK-BAD", where=card.path, found=error.found) from error
    about = Tree(card.path, place).about
    found = (about.get("Filesystem volume name"), about.get("Filesystem UUID"))
    if found != (label, str(name)):
        raise StorageError(
            "E-STICK-BAD", where=card.path, expected=f"{label} {name}", found=" ".join(map(str, found))
        )
