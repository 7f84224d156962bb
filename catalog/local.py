"""`local.db`: what this machine alone knows and nobody can send again. Durable at each call (`synchronous = FULL`).

Version floors, subscriptions, requests, the display clock's offset, damaged blobs, the history of syncs, hourly usage
counts, and the audit log. No person, address or device of a pupil is ever recorded: usage is counts by hour.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.blobs import Blob
from catalog.database import Connections, Schema, migrate

if TYPE_CHECKING:
    from sqlite_utils import Database

AUDIT_KEPT = timedelta(days=400)
# Commits are small and come all day. A log that stays short is soon written over in place; one that grows makes the
# filesystem name new blocks each time, which writes more than the rows. Much shorter, and beginning anew would cost more.
_LOG_PAGES = 32


def _tables(db: Database) -> None:
    for statement in (
        "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE requests (resource_id TEXT PRIMARY KEY, asked_at TEXT NOT NULL, asked INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE syncs (number INTEGER PRIMARY KEY, at TEXT NOT NULL, result TEXT NOT NULL)",
        """CREATE TABLE usage (
            hour TEXT NOT NULL, resource_id TEXT NOT NULL, event TEXT NOT NULL, clock TEXT NOT NULL,
            count INTEGER NOT NULL, PRIMARY KEY (hour, resource_id, event, clock)
        ) WITHOUT ROWID""",
        "CREATE TABLE audit (number INTEGER PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, detail TEXT NOT NULL)",
    ):
        db.execute(statement)


def _damage(db: Database) -> None:
    db.execute(
        "CREATE TABLE damage (sha256 TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL, found_at TEXT NOT NULL) WITHOUT ROWID"
    )


SCHEMA = Schema(name="local", steps={"0001-local": _tables, "0002-damage": _damage})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A resource that was asked for here; `asked` counts how often."""

    resource_id: str
    asked_at: datetime
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRun:
    """One sync as it ended: `result` is "ok", "failed", or "paused" where the rules of the line stopped it.

    `code`: the refusal's code or "".
    """

    at: datetime
    result: str
    code: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How often something happened with a resource within one hour (`2026-11-21T08`) of the named clock."""

    hour: str
    resource_id: str
    event: str
    clock: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """Who did what that writes."""

    at: datetime
    actor: str
    action: str
    detail: str


class Local:
    """An open `local.db`. Threads may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connections = Connections(path, log_pages=_LOG_PAGES)

    @classmethod
    def open(cls, path: Path) -> Local:
        """Open or create the database at `path`."""
        local = cls(path)
        try:
            migrate(local._connections.mine(), SCHEMA, path)
        except BaseException:
            local.close()
            raise
        return local

    def close(self) -> None:
        """Close the connections of all threads."""
        self._connections.close()

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, name: str, default: Any = None) -> Any:
        """Return the JSON value of a setting."""
        with self._connections.reading() as db:
            row = db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return json.loads(row[0]) if row else default

    def put(self, name: str, value: Any) -> None:
        """Keep a JSON value under `name`; None removes it."""
        self.put_all({name: value})

    def put_all(self, values: Mapping[str, Any]) -> None:
        """Keep several settings in one step."""
        with self._connections.writing() as db:
            for name, value in values.items():
                if value is None:
                    db.execute("DELETE FROM settings WHERE name = ?", (name,))
                else:
                    db.execute(
                        "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)",
                        (name, json.dumps(value, ensure_ascii=False, sort_keys=True)),
                    )

    # -- requests ------------------------------------------------------------------------------------------------

    def add_request(self, resource_id: str, now: datetime) -> None:
        """Ask for a resource; asking again counts."""
        with self._connections.writing() as db:
            db.execute(
                "INSERT INTO requests (resource_id, asked_at, asked) VALUES (?, ?, 1)"
                " ON CONFLICT (resource_id) DO UPDATE SET asked = asked + 1",
                (resource_id, now.isoformat(timespec="seconds")),
            )

    def requests(self) -> list[Request]:
        """Return what was asked for, oldest first."""
        with self._connections.reading() as db:
            rows = db.execute(
                "SELECT resource_id, asked_at, asked FROM requests ORDER BY asked_at, resource_id"
            )
            return [Request(resource_id=r, asked_at=datetime.fromisoformat(at), asked=n) for r, at, n in rows]

    # -- damage --------------------------------------------------------------------------------------------------

    def note_damage(self, blobs: Iterable[Blob], now: datetime) -> None:
        """Keep that these blobs are damaged on the disk, until they are whole again or gone."""
        with self._connections.writing() as db:
            db.executemany(
                "INSERT OR IGNORE INTO damage (sha256, size_bytes, found_at) VALUES (?, ?, ?)",
                [(blob.sha256, blob.size_bytes, now.isoformat(timespec="seconds")) for blob in blobs],
            )

    def clear_damage(self, sha256s: Iterable[str]) -> None:
        """Strike out blobs that are whole again, or not here any more."""
        with self._connections.writing() as db:
            db.executemany("DELETE FROM damage WHERE sha256 = ?", [(sha256,) for sha256 in sha256s])

    def damage(self) -> list[Blob]:
        """Return the blobs that were found damaged and are not repaired yet, by hash."""
        with self._connections.reading() as db:
            rows = db.execute("SELECT sha256, size_bytes FROM damage ORDER BY sha256")
            return [Blob(sha256=sha256, size_bytes=size_bytes) for sha256, size_bytes in rows]

    # -- history -------------------------------------------------------------------------------------------------

    def record_sync(self, run: SyncRun, *, keep: int = 1000) -> None:
        """Keep how a sync ended, and the last `keep` of them."""
        value = {"result": run.result, "code": run.code, "details": dict(run.details)}
        with self._connections.writing() as db:
            cursor = db.execute(
                "INSERT INTO syncs (at, result) VALUES (?, ?)",
                (run.at.isoformat(timespec="seconds"), json.dumps(value, ensure_ascii=False)),
            )
            db.execute("DELETE FROM syncs WHERE number <= ?", ((cursor.lastrowid or 0) - keep,))

    def syncs(self, limit: int = 1) -> list[SyncRun]:
        """Return the last syncs, newest first."""
        with self._connections.reading() as db:
            rows = db.execute("SELECT at, result FROM syncs ORDER BY number DESC LIMIT ?", (limit,))
            return [SyncRun(at=datetime.fromisoformat(at), **json.loads(result)) for at, result in rows]

    def add_usage(self, counts: Iterable[Usage]) -> None:
        """Add hourly counts."""
        with self._connections.writing() as db:
            db.executemany(
                "INSERT INTO usage (hour, resource_id, event, clock, count) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (hour, resource_id, event, clock) DO UPDATE SET count = count + excluded.count",
                [(item.hour, item.resource_id, item.event, item.clock, item.count) for item in counts],
            )

    def usage(self) -> list[Usage]:
        """Return all hourly counts, by hour."""
        with self._connections.reading() as db:
            rows = db.execute("SELECT hour, resource_id, event, clock, count FROM usage ORDER BY 1, 2, 3, 4")
            return [Usage(hour=h, resource_id=r, event=e, clock=c, count=n) for h, r, e, c, n in rows]

    def audit(self, actor: str, action: str, detail: str, now: datetime) -> None:
        """Note who did what; lines older than 400 days are dropped."""
        with self._connections.writing() as db:
            db.execute(
                "INSERT INTO audit (at, actor, action, detail) VALUES (?, ?, ?, ?)",
                (now.isoformat(timespec="seconds"), actor, action, detail),
            )
            db.execute("DELETE FROM audit WHERE at < ?", ((now - AUDIT_KEPT).isoformat(timespec="seconds"),))

    def audit_log(self, limit: int = 200) -> list[AuditLine]:
        """Return the last lines of the audit log, newest first."""
        with self._connections.reading() as db:
            rows = db.execute(
                "SELECT at, actor, action, detail FROM audit ORDER BY number DESC LIMIT ?", (limit,)
            )
            return [
                AuditLine(at=datetime.fromisoformat(at), actor=a, action=c, detail=d) for at, a, c, d in rows
            ]
