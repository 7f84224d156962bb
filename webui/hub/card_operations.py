"""What the pages of 制卡 and 制盘 ask of the hub they run on: readers, images, schools, what becomes of each.

`appliance` fulfils `CardOperations`. Invariant: pages name devices, images and schools by keys that they were given;
no path comes from a form.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from catalog.errors import ShuxiangError
from catalog.ingest.findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class CardDevice:
    """A card or disk that may be written now; `seal` names this medium, so that another in its place is known."""

    key: str
    model: str
    serial: str
    bus: str
    size_bytes: int
    is_read_only: bool
    seal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardWork:
    """A card, or data disk, that is or was being written: `phase` is `write`, `check` or `done`; `refusal` why it failed."""

    id: str
    is_disk: bool
    device: CardDevice
    image: str
    school: str
    phase: str
    percent: float = 0.0
    bytes_per_second: int | None = None
    seconds_left: int | None = None
    refusal: ShuxiangError | None = None

    @property
    def is_over(self) -> bool:
        return self.phase == "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardStanding:
    """What the machine says now; `refusal` where it has nobody who writes cards."""

    devices: tuple[CardDevice, ...] = ()
    works: tuple[CardWork, ...] = ()
    refusal: ShuxiangError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardContent:
    """A filesystem on a disk, or a partition with none that is known (`kind` ""); `owner` whose data disk it was.

    `is_bare`: a data disk on which nothing is kept yet.
    """

    kind: str
    label: str
    size_bytes: int
    used_bytes: int | None
    owner: str
    is_data_disk: bool
    is_bare: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CardContents:
    """What lies on a disk, or why nobody can say."""

    held: tuple[CardContent, ...] = ()
    refusal: ShuxiangError | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether somebody must say that it may go."""
        return any(not one.is_bare for one in self.held)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskWish:
    """One data disk to make, by key and seal; `erase` that what it holds is not wanted."""

    device: str
    seal: str
    erase: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CardImage:
    """An image that can be written; `place` is the disk that it lies on, "" the hub's own."""

    key: str
    name: str
    board: str
    role: str
    date: str
    size_bytes: int
    packed_bytes: int
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSchool:
    """A school whose settings are made; `written` is when a card with them was last written."""

    key: str
    written: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardLine:
    """One line of the record."""

    at: datetime
    school: str
    image: str
    model: str
    serial: str
    size_bytes: int
    is_done: bool
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeSchools:
    """What became of a list of schools: how many are new, how many were there, what is wrong."""

    new: int
    kept: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One card to write: the device by key and seal, and the school whose settings it gets ("" none)."""

    device: str
    seal: str
    school: str


class CardOperations(Protocol):
    """The requests that the pages of 制卡 pass on."""

    def standing(self) -> CardStanding:
        """Return what stands in the readers and how far the work is."""

    def images(self) -> list[CardImage]:
        """Return the images here and on the disks that are plugged in."""

    def schools(self) -> list[CardSchool]:
        """Return the schools whose settings are made."""

    def make_schools(self, table: Path, hub: str) -> MadeSchools:
        """Make the settings of the schools in an Excel or CSV list; `hub` is where their boxes find this machine."""

    def passwords(self) -> Path | None:
        """Return the newest sheet of passwords of the schools."""

    def write(self, image: str, wishes: list[Wish]) -> None:
        """Begin to write; raise `ShuxiangError` where nothing was begun."""

    def contents(self, devices: list[str]) -> dict[str, CardContents]:
        """Return what lies on each device, by key; one that is gone is not in it. Raises `ShuxiangError`."""

    def make_disks(self, wishes: list[DiskWish]) -> None:
        """Begin to make data disks; raise `ShuxiangError` where nothing was begun."""

    def stop(self, work: str) -> None:
        """End the writing of a card: it starts no machine then."""

    def dismiss(self) -> None:
        """Take what is over off the page; the record keeps it."""

    def lines(self) -> list[CardLine]:
        """Return the record, newest first."""

    def record(self) -> Path:
        """Return where the record lies as a table."""
