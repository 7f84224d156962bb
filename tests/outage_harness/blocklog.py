"""What a disk may hold after the power is cut: pure functions of a recorded block log.

A disk keeps what it wrote before the last flush that it completed, and each write that was to go through to the disk.
Of every sector (512 bytes) written since, it may
hold the flushed content or any later version: writes since a flush are lost, torn and reordered at will, but a
sector is never mixed, and a version never comes back once the disk held a later one durably. The superblocks of ext4
and of its journal are not torn, only lost: their checksum spans two sectors, and ext4 itself counts on a page.
"""

from __future__ import annotations

import enum
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from outage_harness.journal import FLUSH, MARK, THROUGH, WRITE, Record

SECTOR_BYTES = 512
BLOCK_BYTES = 4096
_JOURNAL_SUPERBLOCK = bytes.fromhex("c03b399800000004")
_ZEROS = bytes(SECTOR_BYTES)


class Survival(enum.Enum):
    """Which of the writes since the last flush are on the disk."""

    NOTHING = "none of them"
    EVERYTHING = "all of them"
    LATEST = "only the latest: the disk wrote them first"
    WHOLE = "some of them, each whole"
    TORN = "some sectors of some of them"


@dataclass(frozen=True, slots=True)
class Cut:
    """One power cut: `records[:position]` had reached the disk, of the unflushed ones a `survival` chosen by `seed`."""

    log: BlockLog
    position: int
    survival: Survival
    seed: int

    @property
    def acknowledged(self) -> tuple[str, ...]:
        """What the workload had acknowledged before the cut, in order."""
        return tuple(text for at, text in self.log.marks if at < self.position)

    def image(self) -> dict[int, memoryview]:
        """Return the sectors that are on the disk, by sector number; all others are zero."""
        return self.log.image(self)

    def __str__(self) -> str:
        said = self.acknowledged
        return (
            f"power cut at record {self.position} of {len(self.log.records)} (flushed up to {self.log.flushed(self.position)}); "
            f"unflushed writes: {self.survival.value}; seed {self.seed}; "
            f"{len(said)} acknowledged, the last {said[-1] if said else 'none'!r}"
        )


@dataclass(frozen=True)
class BlockLog:
    """All that a disk saw, from the image `base` on; the workload began at record `start`.

    An empty `base` leaves out of each image what was never written. `filesystems` are the bytes at which each ext4 begins.
    """

    base: bytes
    records: list[Record]
    start: int
    filesystems: tuple[int, ...] = (0,)
    marks: list[tuple[int, str]] = field(init=False)
    _flushes: list[int] = field(init=False)
    _versions: dict[int, list[tuple[int, memoryview]]] = field(init=False)
    _superblocks: set[int] = field(init=False)
    _through: set[int] = field(init=False)

    def __post_init__(self) -> None:
        marks = [
            (at, record.data.decode())
            for at, record in enumerate(self.records)
            if record.kind == MARK and at >= self.start
        ]
        flushes = [at for at, record in enumerate(self.records) if record.kind == FLUSH]
        versions: dict[int, list[tuple[int, memoryview]]] = {}
        superblocks = {offset // BLOCK_BYTES for offset in self.filesystems}
        for at, record in [(-1, Record(WRITE, 0, self.base)), *enumerate(self.records)]:
            if record.kind not in (WRITE, THROUGH):
                continue
            if record.offset % SECTOR_BYTES or len(record.data) % SECTOR_BYTES:
                raise ValueError(f"record {at} is not made of whole sectors")
            for sector, content in _sectors(record):
                if at >= 0 or content != _ZEROS:
                    versions.setdefault(sector, []).append((at, content))
                if content[: len(_JOURNAL_SUPERBLOCK)] == _JOURNAL_SUPERBLOCK:
                    superblocks.add(_block(sector))
        object.__setattr__(self, "marks", marks)
        object.__setattr__(self, "_flushes", flushes)
        object.__setattr__(self, "_versions", versions)
        object.__setattr__(self, "_superblocks", superblocks)
        through = {at for at, record in enumerate(self.records) if record.kind == THROUGH}
        object.__setattr__(self, "_through", through)

    def flushed(self, position: int) -> int:
        """Return the record of the last flush before `position`: all writes before it are durable (-1: none)."""
        before = bisect_left(self._flushes, position)
        return self._flushes[before - 1] if before else -1

    def cuts(self, count: int, seed: int) -> list[Cut]:
        """Return `count` cuts of the workload: a third after acknowledgements, a third before flushes complete, the
        rest anywhere; the first one loses all that is unflushed after the last acknowledgement."""
        chance = random.Random(seed)
        end = len(self.records)
        anywhere = range(self.start, end + 1)
        flushes = [at for at in self._flushes if at >= self.start] or anywhere
        said = [at + 1 for at, _ in self.marks] or anywhere
        kinds = list(Survival)
        chosen = [Cut(self, end, Survival.NOTHING, seed)]
        for number in range(1, count):
            position = chance.choice((said, flushes, anywhere)[number % 3])
            chosen.append(Cut(self, position, kinds[chance.randrange(len(kinds))], chance.randrange(2**32)))
        return chosen[:count]

    def image(self, cut: Cut) -> dict[int, memoryview]:
        """Return the sectors of the disk after `cut`."""
        flushed = self.flushed(cut.position)
        by_lot = _survivors(cut, flushed, self._superblocks)

        def survives(at: int, sector: int) -> bool:
            return at <= flushed or at in self._through or by_lot(at, sector)

        image: dict[int, memoryview] = {}
        for sector, versions in self._versions.items():
            at = bisect_left(versions, cut.position, key=lambda version: version[0]) - 1
            while at >= 0 and not survives(versions[at][0], sector):
                at -= 1
            if at >= 0:
                image[sector] = versions[at][1]
        return image


def _sectors(record: Record) -> Iterator[tuple[int, memoryview]]:
    """Yield each sector of a write: number and content."""
    content = memoryview(record.data)
    for at in range(0, len(content), SECTOR_BYTES):
        yield (record.offset + at) // SECTOR_BYTES, content[at : at + SECTOR_BYTES]


def _block(sector: int) -> int:
    return sector * SECTOR_BYTES // BLOCK_BYTES


def _survivors(cut: Cut, flushed: int, superblocks: set[int]) -> Callable[[int, int], bool]:
    """Return whether the write of record `at` to `sector`, not flushed before `cut`, is on the disk."""
    chance = random.Random(cut.seed)
    share = chance.random()
    match cut.survival:
        case Survival.NOTHING:
            return lambda at, sector: False
        case Survival.EVERYTHING:
            return lambda at, sector: True
        case Survival.LATEST:
            first = chance.randint(flushed + 1, cut.position)
            return lambda at, sector: at >= first
        case Survival.WHOLE:
            return _drawn(chance, share, lambda sector: 0)
        case Survival.TORN:
            return _drawn(chance, share, lambda sector: 0 if _block(sector) in superblocks else sector)


def _drawn(chance: random.Random, share: float, part_of: Callable[[int], int]) -> Callable[[int, int], bool]:
    """Return survivors by lot: each part of a write, as `part_of` a sector tells, has the same `share`."""
    lots: dict[tuple[int, int], bool] = {}

    def survives(at: int, sector: int) -> bool:
        lot = (at, part_of(sector))
        if lot not in lots:
            lots[lot] = chance.random() < share
        return lots[lot]

    return survives
