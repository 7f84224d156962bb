"""Writing the library inside one transaction: rows, what is here, and the counts that follow from both.

Invariant: at the end of each transaction `resources.cached` and `serving` agree with `blobs`, and `shelves` with
`places`. What was touched is noted on the way and settled once, in `finish`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Set
from datetime import UTC, datetime
from typing import Any

from catalog.blobs import Blob
from catalog.library.reader import Reader
from catalog.library.rows import lesson_key, line_digest, places_of, shelf_columns
from catalog.manifest import Bundle
from catalog.resource import Resource, canonical_json


class Writer:
    """The one open write transaction of a library."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._shelves: set[tuple[str, str, str, str, int, str]] = set()
        self._unsettled: set[int] = set()
        self._catalogue_changed = False
        self._content_changed = False

    def reader(self) -> Reader:
        """Return a reader of what this transaction has written so far: the index is made from it before the commit."""
        return Reader(self._db)

    # -- catalogue -----------------------------------------------------------------------------------------------

    def put_bundle(self, bundle: Bundle) -> None:
        """Add the bundle or replace its head."""
        self._db.execute(
            "INSERT INTO bundles (id, title, publisher, version) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET title = excluded.title, publisher = excluded.publisher,"
            " version = excluded.version",
            (bundle.id, bundle.title, bundle.publisher, bundle.version),
        )
        self._catalogue_changed = True

    def set_bundle_version(self, bundle_id: str, version: int) -> None:
        """Record as which version the bundle was published."""
        self._db.execute("UPDATE bundles SET version = ? WHERE id = ?", (version, bundle_id))

    def drop_bundle(self, bundle_id: str) -> None:
        """Remove the bundle and the resources that no other bundle lists."""
        rows = self._db.execute(
            "SELECT r.id FROM members m JOIN resources r ON r.number = m.number WHERE m.bundle = ?",
            (bundle_id,),
        )
        self.remove_resources(bundle_id, [resource_id for (resource_id,) in rows.fetchall()])
        self._db.execute("DELETE FROM bundles WHERE id = ?", (bundle_id,))
        self._catalogue_changed = True

    def put_resource(
        self, resource: Resource, bundle: str | None = None, *, line: bytes | None = None
    ) -> int:
        """Add the resource or replace its record, list it in `bundle`, and return its number.

        `line` is the manifest's line where one came; it may hold fields that this version does not know. The files
        of the record that is replaced go on serving until all wanted new ones are here.
        """
        record = canonical_json(resource.to_json())
        digest = line_digest(record if line is None else line)
        row = self._db.execute(
            "SELECT number, digest, record, cached, serving FROM resources WHERE id = ?", (resource.id,)
        ).fetchone()
        if row is None:
            cursor = self._db.execute(
                "INSERT INTO resources (id, record, digest, quality, lesson_key) VALUES (?, ?, ?, ?, ?)",
                (resource.id, record.decode(), digest, resource.quality or 0.0, lesson_key(resource)),
            )
            number = int(cursor.lastrowid or 0)
            self._place(number, resource)
        else:
            number, old_digest, old_record, cached, serving = row
            if old_digest != digest:
                old = Resource.from_stored(json.loads(old_record))
                if cached and serving is None and old.files != resource.files:
                    serving = _files_json(old)
                self._forget(number, old)
                self._db.execute(
                    "UPDATE resources SET record = ?, digest = ?, quality = ?, lesson_key = ?, serving = ?"
                    " WHERE number = ?",
                    (
                        record.decode(),
                        digest,
                        resource.quality or 0.0,
                        lesson_key(resource),
                        serving,
                        number,
                    ),
                )
                self._place(number, resource)
                self._use(number, json.loads(serving) if serving else [])
        if bundle is not None:
            self.add_member(bundle, number)
        self._catalogue_changed = True
        return number

    def add_member(self, bundle: str, number: int) -> bool:
        """List the resource in `bundle`; return False where it was listed already."""
        cursor = self._db.execute(
            "INSERT OR IGNORE INTO members (bundle, number) VALUES (?, ?)", (bundle, number)
        )
        self._catalogue_changed = self._catalogue_changed or cursor.rowcount > 0
        return cursor.rowcount > 0

    def remove_resources(self, bundle: str, resource_ids: Iterable[str]) -> list[int]:
        """Take resources off `bundle`; those that no bundle lists any more are gone: return their numbers."""
        gone = []
        for resource_id in resource_ids:
            row = self._db.execute(
                "SELECT number, record FROM resources WHERE id = ?", (resource_id,)
            ).fetchone()
            if row is None:
                continue
            number, record = row
            self._db.execute("DELETE FROM members WHERE bundle = ? AND number = ?", (bundle, number))
            if (
                self._db.execute("SELECT 1 FROM members WHERE number = ? LIMIT 1", (number,)).fetchone()
                is None
            ):
                self._forget(number, Resource.from_stored(json.loads(record)))
                self._db.execute("DELETE FROM resources WHERE number = ?", (number,))
                self._unsettled.discard(number)
                gone.append(number)
            self._catalogue_changed = True
        return gone

    def delist(self, bundle: str, resource_ids: Iterable[str]) -> int:
        """Take resources off `bundle` and keep their records; return how many were listed."""
        count = 0
        for resource_id in resource_ids:
            count += self._db.execute(
                "DELETE FROM members WHERE bundle = ?"
                " AND number = (SELECT number FROM resources WHERE id = ?)",
                (bundle, resource_id),
            ).rowcount
        self._catalogue_changed = self._catalogue_changed or count > 0
        return count

    def set_left_out(self, left_out: Mapping[int, Iterable[str]]) -> None:
        """Say for each resource number which file roles are not wanted here (they did not fit)."""
        for number, roles in left_out.items():
            text = ",".join(sorted(roles))
            changed = self._db.execute(
                "UPDATE resources SET left_out = ? WHERE number = ? AND left_out <> ?", (text, number, text)
            ).rowcount
            if changed:
                self._unsettled.add(number)

    # -- counters ------------------------------------------------------------------------------------------------

    def set_index(self, index: int) -> None:
        """Name the index directory that belongs to these rows: commits both in one step."""
        self._set("index", index)

    def set_release(self, release: int, updated_to: str) -> None:
        """Record the release whose catalogue these rows are, and its publication time (ISO 8601)."""
        self._set("release", release)
        self._set("updated_to", updated_to)

    def set_content_release(self, release: int) -> None:
        """Record that all wanted content of `release` is here."""
        self._set("content_release", release)

    # -- blobs ---------------------------------------------------------------------------------------------------

    def add_blobs(self, blobs: Iterable[Blob]) -> None:
        """Record that `blobs` are here; resources that became whole turn to their new files."""
        for blob in blobs:
            key = bytes.fromhex(blob.sha256)
            self._db.execute(
                "INSERT OR REPLACE INTO blobs (sha256, size_bytes) VALUES (?, ?)", (key, blob.size_bytes)
            )
            self._unsettled.update(
                n for (n,) in self._db.execute("SELECT number FROM uses WHERE sha256 = ?", (key,))
            )

    def remove_blobs(self, sha256s: Iterable[str]) -> None:
        """Record that these blobs are no longer here: comes before their bytes are deleted."""
        for sha256 in sha256s:
            key = bytes.fromhex(sha256)
            self._db.execute("DELETE FROM blobs WHERE sha256 = ?", (key,))
            self._db.execute("DELETE FROM torrents WHERE sha256 = ?", (key,))
            self._unsettled.update(
                n for (n,) in self._db.execute("SELECT number FROM uses WHERE sha256 = ?", (key,))
            )

    def put_torrent(self, sha256: str, data: bytes) -> None:
        """Keep the torrent file of the blob `sha256`, which may be on its way still; it goes with the blob's row."""
        self._db.execute(
            "INSERT OR REPLACE INTO torrents (sha256, data) VALUES (?, ?)", (bytes.fromhex(sha256), data)
        )

    def drop_stray_torrents(self, on_their_way: Set[str] = frozenset()) -> int:
        """Remove the torrents of blobs that are not here and that no resource names; return how many went.

        Those of `on_their_way`, packs and patches that no resource names either, stay.
        """
        strays = self._db.execute(
            "SELECT sha256 FROM torrents WHERE NOT EXISTS (SELECT 1 FROM blobs b WHERE b.sha256 = torrents.sha256)"
            " AND NOT EXISTS (SELECT 1 FROM uses u WHERE u.sha256 = torrents.sha256)"
        ).fetchall()
        doomed = [(key,) for (key,) in strays if key.hex() not in on_their_way]
        self._db.executemany("DELETE FROM torrents WHERE sha256 = ?", doomed)
        return len(doomed)

    # -- ingest --------------------------------------------------------------------------------------------------

    def put_derivation(self, sha256: str, recipe: str, result: Any) -> None:
        """Keep the JSON value that `recipe` derived from this blob."""
        self._db.execute(
            "INSERT OR REPLACE INTO derivations (sha256, recipe, result) VALUES (?, ?, ?)",
            (bytes.fromhex(sha256), recipe, canonical_json(result).decode()),
        )

    def put_source_file(self, path: str, size_bytes: int, mtime_ns: int, sha256: str) -> None:
        """Keep the hash of a source file, so that the next ingest need not read it again."""
        self._db.execute(
            "INSERT OR REPLACE INTO source_files (path, size_bytes, mtime_ns, sha256) VALUES (?, ?, ?, ?)",
            (path, size_bytes, mtime_ns, bytes.fromhex(sha256)),
        )

    # -- the end of the transaction ------------------------------------------------------------------------------

    def finish(self) -> None:
        """Settle what was touched: called once, right before the commit."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        for number in sorted(self._unsettled):
            self._settle(number, now)
        for shelf in self._shelves:
            self._count(shelf)
        for name, changed in (("library", self._catalogue_changed), ("content", self._content_changed)):
            if changed:
                self._db.execute(
                    "INSERT INTO state (name, value) VALUES (?, 1)"
                    " ON CONFLICT (name) DO UPDATE SET value = value + 1",
                    (name,),
                )

    def _settle(self, number: int, now: str) -> None:
        row = self._db.execute(
            "SELECT record, cached, serving, left_out FROM resources WHERE number = ?", (number,)
        ).fetchone()
        if row is None:
            return
        record, cached, serving, left_out = row
        resource = Resource.from_stored(json.loads(record))
        roles = set(left_out.split(","))
        wanted = [file.sha256 for file in resource.files if file.role not in roles]
        whole = bool(wanted) and all(map(self._has, wanted))
        if serving is not None and (
            whole or not all(self._has(file["sha256"]) for file in json.loads(serving))
        ):
            self._stop_serving(number, serving, resource)
            serving = None
        if (whole, serving) != (bool(cached), row[2]):
            self._db.execute(
                "UPDATE resources SET cached = ?, serving = ?,"
                " arrived = CASE WHEN ? THEN ? WHEN ? THEN NULL ELSE arrived END WHERE number = ?",
                (whole, serving, whole and not cached, now, not whole and serving is None, number),
            )
            self._content_changed = True
            self._shelves.update(places_of(resource))
        elif whole and left_out:
            # Whole without them, and one of the files that were left out came or went: pages show it.
            self._content_changed = True

    def _has(self, sha256: str) -> bool:
        key = bytes.fromhex(sha256)
        return self._db.execute("SELECT 1 FROM blobs WHERE sha256 = ?", (key,)).fetchone() is not None

    def _stop_serving(self, number: int, serving: str, resource: Resource) -> None:
        current = {file.sha256 for file in resource.files}
        for file in json.loads(serving):
            if file["sha256"] not in current:
                self._db.execute(
                    "DELETE FROM uses WHERE sha256 = ? AND number = ?",
                    (bytes.fromhex(file["sha256"]), number),
                )

    def _place(self, number: int, resource: Resource) -> None:
        places = places_of(resource)
        self._db.executemany(
            "INSERT OR IGNORE INTO places VALUES (?, ?, ?, ?, ?, ?, ?)", [(*p, number) for p in places]
        )
        self._use(number, [{"sha256": file.sha256} for file in resource.files])
        self._shelves.update(places)
        self._unsettled.add(number)

    def _use(self, number: int, files: Iterable[Mapping[str, Any]]) -> None:
        self._db.executemany(
            "INSERT OR IGNORE INTO uses (sha256, number) VALUES (?, ?)",
            [(bytes.fromhex(file["sha256"]), number) for file in files],
        )

    def _forget(self, number: int, resource: Resource) -> None:
        """Remove what `_place` wrote for the record, and the files that still served for an older one."""
        self._shelves.update(places_of(resource))
        self._db.execute("DELETE FROM places WHERE number = ?", (number,))
        (serving,) = self._db.execute("SELECT serving FROM resources WHERE number = ?", (number,)).fetchone()
        names = {file.sha256 for file in resource.files}
        names.update(file["sha256"] for file in json.loads(serving or "[]"))
        self._db.executemany(
            "DELETE FROM uses WHERE sha256 = ? AND number = ?",
            [(bytes.fromhex(name), number) for name in names],
        )

    def _count(self, shelf: tuple[str, str, str, str, int, str]) -> None:
        resources, cached = self._db.execute(
            "SELECT count(*), coalesce(sum(r.cached = 1 OR r.serving IS NOT NULL), 0)"
            f" FROM places p JOIN resources r ON r.number = p.number WHERE {shelf_columns('p.')}",
            shelf,
        ).fetchone()
        self._db.execute(f"DELETE FROM shelves WHERE {shelf_columns()}", shelf)
        if resources:
            self._db.execute(
                "INSERT INTO shelves VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*shelf, resources, cached)
            )

    def _set(self, name: str, value: int | str) -> None:
        self._db.execute("INSERT OR REPLACE INTO state (name, value) VALUES (?, ?)", (name, value))


def _files_json(resource: Resource) -> str:
    return canonical_json(resource.to_json().get("files", [])).decode()
