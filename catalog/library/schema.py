"""The tables of `library.db`, as migrations that are applied once and in order.

`resources.number` is the small stable integer by which the search index knows a resource; it is never used again.
`places` names each shelf a resource stands on (one row per grade); `shelves` holds their counts, kept in the same
transaction. `uses` says which resources name a blob; `blobs` says which blobs are here, verified and durable: a
blob without a row does not exist for any reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.database import Schema

if TYPE_CHECKING:
    from sqlite_utils import Database


def _catalogue(db: Database) -> None:
    for statement in (
        "CREATE TABLE state (name TEXT PRIMARY KEY, value) WITHOUT ROWID",
        """CREATE TABLE bundles (
            id TEXT PRIMARY KEY, title TEXT NOT NULL, publisher TEXT NOT NULL, version INTEGER NOT NULL
        ) WITHOUT ROWID""",
        """CREATE TABLE resources (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            record TEXT NOT NULL,
            digest BLOB NOT NULL,
            quality REAL NOT NULL,
            lesson_key BLOB,
            left_out TEXT NOT NULL DEFAULT '',
            cached INTEGER NOT NULL DEFAULT 0,
            serving TEXT,
            arrived TEXT
        )""",
        "CREATE INDEX resources_lesson ON resources (lesson_key) WHERE lesson_key IS NOT NULL",
        "CREATE INDEX resources_arrived ON resources (arrived DESC, number) WHERE arrived IS NOT NULL",
        "CREATE INDEX resources_quality ON resources (quality DESC, id)",
        "CREATE INDEX resources_cached ON resources (number) WHERE cached = 1 OR serving IS NOT NULL",
        """CREATE TABLE members (
            bundle TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (bundle, number)
        ) WITHOUT ROWID""",
        "CREATE INDEX members_number ON members (number)",
        """CREATE TABLE places (
            stage TEXT NOT NULL, grade TEXT NOT NULL, subject TEXT NOT NULL, edition TEXT NOT NULL,
            textbook_year INTEGER NOT NULL, volume TEXT NOT NULL, number INTEGER NOT NULL,
            PRIMARY KEY (stage, grade, subject, edition, textbook_year, volume, number)
        ) WITHOUT ROWID""",
        "CREATE INDEX places_number ON places (number)",
        """CREATE TABLE shelves (
            stage TEXT NOT NULL, grade TEXT NOT NULL, subject TEXT NOT NULL, edition TEXT NOT NULL,
            textbook_year INTEGER NOT NULL, volume TEXT NOT NULL,
            resources INTEGER NOT NULL, cached INTEGER NOT NULL,
            PRIMARY KEY (stage, grade, subject, edition, textbook_year, volume)
        ) WITHOUT ROWID""",
        "CREATE TABLE uses (sha256 BLOB NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (sha256, number)) WITHOUT ROWID",
        "CREATE TABLE blobs (sha256 BLOB PRIMARY KEY, size_bytes INTEGER NOT NULL) WITHOUT ROWID",
    ):
        db.execute(statement)


def _ingest(db: Database) -> None:
    """What the hub already did, so that an ingest goes on where it was and does nothing twice."""
    db.execute(
        "CREATE TABLE derivations (sha256 BLOB NOT NULL, recipe TEXT NOT NULL, result TEXT NOT NULL,"
        " PRIMARY KEY (sha256, recipe)) WITHOUT ROWID"
    )
    db.execute(
        "CREATE TABLE source_files (path TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL,"
        " mtime_ns INTEGER NOT NULL, sha256 BLOB NOT NULL) WITHOUT ROWID"
    )


def _torrents(db: Database) -> None:
    """The torrent of each big blob, for every road: its piece layer says which pieces of a damaged blob are bad.

    An ordinary table: its small index is searched and scanned without touching the torrents themselves.
    """
    db.execute("CREATE TABLE torrents (sha256 BLOB PRIMARY KEY, data BLOB NOT NULL)")


SCHEMA = Schema(
    name="library",
    steps={"0001-catalogue": _catalogue, "0002-ingest": _ingest, "0003-torrents": _torrents},
)
