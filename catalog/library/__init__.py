"""The library: the catalogue and what is here of it, in SQLite. The only module that holds catalogue SQL.

Invariant: a reader sees one whole state. Readers read inside one read transaction, a writer commits once; the
database is in WAL mode with `synchronous = FULL`, so what `writing()` committed survives a power cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.blobs import Blob
from catalog.database import Connections, database_errors, migrate
from catalog.errors import ConfigError
from catalog.library.entries import BundleState, Counts, Entry, Generation, Lesson, Shelf, Unit
from catalog.library.reader import Reader
from catalog.library.schema import SCHEMA
from catalog.library.writer import Writer

__all__ = [
    "BundleState",
    "Counts",
    "Entry",
    "Generation",
    "Lesson",
    "Library",
    "Reader",
    "Shelf",
    "Unit",
    "Writer",
]


class Library:
    """An open `library.db`. Threads may share it: each has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connections = Connections(path)

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Library:
        """Open the library at `path`; raise `ConfigError` where it is missing or of a newer version."""
        if not create and not path.exists():
            raise ConfigError("E-STATE-MISSING", where=path)
        library = cls(path)
        try:
            migrate(library._connections.mine(), SCHEMA, path)
        except BaseException:
            library.close()
            raise
        return library

    def close(self) -> None:
        """Close the connections of all threads."""
        self._connections.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def reading(self) -> Iterator[Reader]:
        """Give a reader of one whole state: everything it is asked comes from the same commit."""
        with self._connections.reading() as connection:
            yield Reader(connection)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """Give a writer whose whole work becomes visible and durable at the end, or not at all."""
        with self._connections.writing() as connection:
            writer = Writer(connection)
            yield writer
            writer.finish()

    def generation(self) -> Generation:
        """Return what readers see now: one statement, which sees one commit by itself."""
        with database_errors(self.path):
            return Reader(self._connections.mine()).generation()

    def add_blobs(self, blobs: Iterable[Blob]) -> None:
        """Record that `blobs` are here, verified and durable: the last step of the one door."""
        with self.writing() as writer:
            writer.add_blobs(blobs)
