"""What the library gives to its readers, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from catalog.resource import File, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What a reader sees: counters that change with the catalogue, the content, the index and the release.

    `updated_to` is the publication time of the catalogue that is shown (ISO 8601, UTC), None before the first one.
    """

    library: int = 0
    content: int = 0
    index: int = 0
    release: int = 0
    content_release: int = 0
    updated_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A resource as this machine has it.

    `current`: all wanted files of the record are here. `serving`: the files that pages use now: those of the record
    that are here, or the older ones until all new ones are here. `cached`: pages can open it.
    """

    number: int
    resource: Resource
    current: bool
    serving: tuple[File, ...]
    arrived: datetime | None = None

    @property
    def cached(self) -> bool:
        return bool(self.serving)

    def files_of(self, role: str) -> tuple[File, ...]:
        """Return the files of `role` that pages can use now, in the record's order."""
        return tuple(file for file in self.serving if file.role == role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """One book: a place in the curriculum and how many resources stand there. Empty codes mean "not said"."""

    stage: str
    grade: str
    subject: str
    edition: str
    textbook_year: int
    volume: str
    resources: int
    cached: int

    @property
    def key(self) -> tuple[str, str, str, str, int, str]:
        return (self.stage, self.grade, self.subject, self.edition, self.textbook_year, self.volume)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """The resources of one lesson: "" names what stands directly in the unit."""

    name: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One unit of a book with its lessons, in the order of the book."""

    name: str
    lessons: tuple[Lesson, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleState:
    """A bundle as this machine has it."""

    id: str
    title: str
    publisher: str
    version: int
    resources: int
    cached: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Resources in the catalogue, and how many have all their wanted files here."""

    resources: int
    cached: int
