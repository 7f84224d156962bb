"""How every SQLite database here is opened, and what SQLite's own errors mean to a person."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.durable import storage_error
from catalog.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from sqlite_utils import Database

# What SQLite needs to open a database in WAL mode: 32 kB for the index of its log, and the log's head.
_ROOM_BYTES = 64 << 10
# SQLite's own figure (4 MB): for many rows at once.
LOG_PAGES = 1000
# Each thread has a connection and a cache of its own (kB); the kernel keeps the file's pages once for all. Who writes
# holds its changed pages in it.
_READING_CACHE, _WRITING_CACHE = "PRAGMA cache_size = -250", "PRAGMA cache_size = -4000"


class Connections:
    """One connection per thread to the database at `path`: WAL, `synchronous = FULL`, explicit transactions.

    FULL is what keeps an acknowledged commit through a power cut; NORMAL lost 17 % of them.
    """

    def __init__(self, path: Path, *, log_pages: int = LOG_PAGES) -> None:
        """`log_pages`: how long the log grows before its pages go to the database and it is written over again."""
        self.path = path
        self._log_pages = log_pages
        self._local = threading.local()
        self._lock = threading.Lock()
        self._all: list[sqlite3.Connection] = []

    def mine(self) -> sqlite3.Connection:
        """Return the connection of the calling thread."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _connect(self.path, self._log_pages)
            with self._lock:
                self._all.append(connection)
        return connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Hold one read transaction: all statements see the same commit."""
        connection = self.mine()
        with database_errors(self.path):
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Hold one write transaction: committed durably at the end, or rolled back whole."""
        connection = self.mine()
        with database_errors(self.path):
            connection.execute(_WRITING_CACHE)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                connection.execute(_READING_CACHE)

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._lock:
            for connection in self._all:
                connection.close()
            self._all.clear()
            self._local = threading.local()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The steps that made the tables of one database, in order; a step that was released never changes."""

    name: str
    steps: Mapping[str, Callable[[Database], None]]


def migrate(connection: sqlite3.Connection, schema: Schema, where: object) -> None:
    """Bring the database up to `schema`; raise `ConfigError` E-STATE-VERSION where a newer program wrote it.

    sqlite-utils is loaded only where there is a step to take: opening a database is on every command's way.
    """
    with database_errors(Path(str(where))):
        applied = _applied(connection, schema)
        if applied - schema.steps.keys():
            raise ConfigError("E-STATE-VERSION", where=where, expected=max(schema.steps), found=max(applied))
        if applied == schema.steps.keys():
            return
        from sqlite_utils import Database, Migrations

        migrations = Migrations(schema.name)
        for name, step in schema.steps.items():
            migrations(name=name)(step)
        migrations.apply(Database(connection, execute_plugins=False))


def _applied(connection: sqlite3.Connection, schema: Schema) -> set[str]:
    """Return the steps that this database has, as sqlite-utils notes them."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = '_sqlite_migrations'").fetchone() is None:
        return set()
    rows = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = ?", (schema.name,))
    return {name for (name,) in rows}


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's word for a full, failing or read-only disk into a `StorageError`."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
        # A full disk is an I/O error to SQLite where it makes its files: the index of its log, the log itself.
        no_room = code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and _is_full(path.parent)
        if code == sqlite3.SQLITE_FULL or no_room:
            raise StorageError("E-DISK-FULL", where=path) from error
        if code == sqlite3.SQLITE_READONLY:
            raise StorageError("E-READ-ONLY", where=path) from error
        if code in (
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_NOTADB,
        ):
            raise StorageError("E-IO", where=path, found=error) from error
        raise


def _is_full(directory: Path) -> bool:
    try:
        found = os.statvfs(directory)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < _ROOM_BYTES


def _connect(path: Path, log_pages: int) -> sqlite3.Connection:
    try:
        with database_errors(path):
            connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            for pragma in (
                "journal_mode = WAL",
                "synchronous = FULL",
                "temp_store = MEMORY",
                f"wal_autocheckpoint = {log_pages}",
            ):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute(_READING_CACHE)
            return connection
    except OSError as error:
        raise storage_error(error, path) from error
