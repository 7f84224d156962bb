"""Reading the library: every method answers from the one state that the reader was opened on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any

from catalog.blobs import Blob
from catalog.curriculum import natural_key
from catalog.library.entries import BundleState, Counts, Entry, Generation, Lesson, Shelf, Unit
from catalog.library.rows import lesson_key, shelf_columns
from catalog.resource import File, Resource

_ENTRY = "SELECT r.number, r.record, r.cached, r.serving, r.arrived, r.left_out FROM resources r"
# SQLite admits 32,766; a page needs twenty, a book some hundreds.
MOST_PARAMETERS = 500


class Reader:
    """A view of one whole state of the library. Valid until the transaction that made it ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._generation: Generation | None = None

    # -- state ---------------------------------------------------------------------------------------------------

    def generation(self) -> Generation:
        """Return the counters of this state."""
        if self._generation is None:
            values: dict[str, Any] = dict(self._db.execute("SELECT name, value FROM state"))
            self._generation = Generation(**values)
        return self._generation

    def counts(self) -> Counts:
        """Return how many resources the catalogue has and how many are wholly here."""
        (resources,) = self._db.execute("SELECT count(*) FROM resources").fetchone()
        (cached,) = self._db.execute("SELECT count(*) FROM resources WHERE cached = 1").fetchone()
        return Counts(resources=resources, cached=cached)

    def bundles(self) -> list[BundleState]:
        """Return the bundles by id, with their counts."""
        rows = self._db.execute(
            "SELECT b.id, b.title, b.publisher, b.version, count(m.number), coalesce(sum(r.cached), 0)"
            " FROM bundles b LEFT JOIN members m ON m.bundle = b.id LEFT JOIN resources r ON r.number = m.number"
            " GROUP BY b.id ORDER BY b.id"
        )
        return [
            BundleState(id=i, title=title, publisher=publisher, version=version, resources=n, cached=cached)
            for i, title, publisher, version, n, cached in rows
        ]

    # -- resources -----------------------------------------------------------------------------------------------

    def resource(self, resource_id: str) -> Entry | None:
        """Return the resource of that id."""
        row = self._db.execute(f"{_ENTRY} WHERE r.id = ?", (resource_id,)).fetchone()
        return self._entry(row) if row else None

    def resources(self, resource_ids: Iterable[str]) -> list[Entry]:
        """Return the resources of these ids that exist, in the order of `resource_ids`."""
        found = (self.resource(resource_id) for resource_id in resource_ids)
        return [entry for entry in found if entry]

    def by_numbers(self, numbers: Iterable[int]) -> list[Entry]:
        """Return the resources of these numbers that exist, in the order of `numbers`."""
        wanted = list(numbers)
        found: dict[int, Entry] = {}
        for start in range(0, len(wanted), MOST_PARAMETERS):
            some = wanted[start : start + MOST_PARAMETERS]
            marks = ",".join("?" * len(some))
            rows = self._db.execute(f"{_ENTRY} WHERE r.number IN ({marks})", some).fetchall()
            # One text is parsed faster than twenty.
            records = json.loads(f"[{','.join([row[1] for row in rows])}]")
            for row, record in zip(rows, records, strict=True):
                found[row[0]] = self._entry(row, record)
        return [found[number] for number in wanted if number in found]

    def numbers_of(self, resource_ids: Iterable[str]) -> dict[str, int]:
        """Return id -> number of the resources that exist."""
        found = {}
        for resource_id in resource_ids:
            row = self._db.execute("SELECT number FROM resources WHERE id = ?", (resource_id,)).fetchone()
            if row:
                found[resource_id] = row[0]
        return found

    def digests(self, bundle: str) -> Iterator[tuple[str, bytes]]:
        """Stream (id, digest of its canonical line) of a bundle's resources, sorted by id."""
        return iter(
            self._db.execute(
                "SELECT r.id, r.digest FROM members m JOIN resources r ON r.number = m.number"
                " WHERE m.bundle = ? ORDER BY r.id",
                (bundle,),
            )
        )

    def digests_of(self, bundle: str, resource_ids: Iterable[str]) -> dict[str, bytes]:
        """Return id -> digest of its canonical line for those of `resource_ids` that the bundle lists."""
        found = {}
        for resource_id in resource_ids:
            row = self._db.execute(
                "SELECT r.digest FROM resources r JOIN members m ON m.number = r.number"
                " WHERE r.id = ? AND m.bundle = ?",
                (resource_id, bundle),
            ).fetchone()
            if row:
                found[resource_id] = row[0]
        return found

    def lines(self, bundle: str) -> Iterator[bytes]:
        """Stream the canonical lines (with newline) of a bundle's resources in every state, sorted by id."""
        rows = self._db.execute(
            "SELECT r.record FROM members m JOIN resources r ON r.number = m.number"
            " WHERE m.bundle = ? ORDER BY r.id",
            (bundle,),
        )
        return (record.encode() + b"\n" for (record,) in rows)

    def entries(self, bundle: str | None = None) -> Iterator[Entry]:
        """Stream the resources (of one bundle) in load order: descending quality, then id."""
        if bundle is None:
            rows = self._db.execute(f"{_ENTRY} ORDER BY r.quality DESC, r.id")
        else:
            rows = self._db.execute(
                f"{_ENTRY} JOIN members m ON m.number = r.number WHERE m.bundle = ?"
                " ORDER BY r.quality DESC, r.id",
                (bundle,),
            )
        return map(self._entry, rows)

    def stored(self) -> Iterator[tuple[int, Resource]]:
        """Stream (number, record) in load order without asking what is here: what the search index is built from."""
        rows = self._db.execute("SELECT number, record FROM resources ORDER BY quality DESC, id")
        return ((number, Resource.from_stored(json.loads(record))) for number, record in rows)

    def bundles_of(self, number: int) -> tuple[str, ...]:
        """Return the ids of the bundles that list the resource."""
        rows = self._db.execute("SELECT bundle FROM members WHERE number = ? ORDER BY bundle", (number,))
        return tuple(bundle for (bundle,) in rows)

    def members(self, bundles: Collection[str]) -> set[int]:
        """Return the numbers of the resources that any of `bundles` lists."""
        found: set[int] = set()
        for bundle in bundles:
            found.update(
                n for (n,) in self._db.execute("SELECT number FROM members WHERE bundle = ?", (bundle,))
            )
        return found

    def wanted(self, numbers: Iterable[int]) -> Iterator[tuple[int, Resource]]:
        """Stream (number, record) of these resources: what a plan is made of."""
        for number in numbers:
            row = self._db.execute("SELECT record FROM resources WHERE number = ?", (number,)).fetchone()
            if row:
                yield number, Resource.from_stored(json.loads(row[0]))

    def left_out(self) -> dict[int, frozenset[str]]:
        """Return number -> file roles of the resources of which not everything fits here."""
        rows = self._db.execute("SELECT number, left_out FROM resources WHERE left_out <> ''")
        return {number: frozenset(roles.split(",")) for number, roles in rows}

    def serving_blobs(self) -> Iterator[str]:
        """Stream the hashes of older files that pages still use: they must stay until the new ones are here."""
        for (serving,) in self._db.execute("SELECT serving FROM resources WHERE serving IS NOT NULL"):
            for file in json.loads(serving):
                yield file["sha256"]

    def cached_numbers(self) -> list[int]:
        """Return the numbers of the resources that pages can open, ascending."""
        rows = self._db.execute(
            "SELECT number FROM resources WHERE cached = 1 OR serving IS NOT NULL ORDER BY number"
        )
        return [number for (number,) in rows]

    def absent_numbers(self) -> list[int]:
        """Return the numbers of the resources that pages can not open, ascending."""
        rows = self._db.execute(
            "SELECT number FROM resources WHERE cached = 0 AND serving IS NULL ORDER BY number"
        )
        return [number for (number,) in rows]

    def newest(self, limit: int) -> list[Entry]:
        """Return the resources whose content arrived last."""
        rows = self._db.execute(
            f"{_ENTRY} WHERE r.arrived IS NOT NULL ORDER BY r.arrived DESC, r.number LIMIT ?", (limit,)
        )
        return [self._entry(row) for row in rows.fetchall()]

    # -- the curriculum ------------------------------------------------------------------------------------------

    def shelves(self) -> list[Shelf]:
        """Return every book of the catalogue with its counts; filter by scope with `catalog.scope`."""
        rows = self._db.execute(
            "SELECT stage, grade, subject, edition, textbook_year, volume, resources, cached FROM shelves"
        )
        return [
            Shelf(
                stage=stage, grade=grade, subject=subject, edition=edition,
                textbook_year=year, volume=volume, resources=resources, cached=cached,
            )
            for stage, grade, subject, edition, year, volume, resources, cached in rows
        ]  # fmt: skip

    def numbers_on(self, shelves: Iterable[Shelf]) -> set[int]:
        """Return the numbers of the resources that stand on any of `shelves`."""
        found: set[int] = set()
        for shelf in shelves:
            rows = self._db.execute(f"SELECT number FROM places WHERE {shelf_columns()}", shelf.key)
            found.update(number for (number,) in rows)
        return found

    def units(self, shelves: Iterable[Shelf]) -> list[Unit]:
        """Return the units and lessons of the book(s), in the order of the book."""
        units: dict[str, dict[str, list[Entry]]] = {}
        for entry in self._in_order(self.numbers_on(shelves)):
            lessons = units.setdefault(entry.resource.unit or "", {})
            lessons.setdefault(entry.resource.lesson or "", []).append(entry)
        return [
            Unit(
                name=unit,
                lessons=tuple(Lesson(name=name, entries=tuple(found)) for name, found in lessons.items()),
            )
            for unit, lessons in units.items()
        ]

    def lesson_mates(self, resource: Resource) -> list[Entry]:
        """Return all resources of the same lesson (stage, subject, edition, year, volume, path), this one included."""
        key = lesson_key(resource)
        if key is None:
            return []
        rows = self._db.execute(f"{_ENTRY} WHERE r.lesson_key = ?", (key,)).fetchall()
        return sorted(map(self._entry, rows), key=_book_order)

    def _in_order(self, numbers: Iterable[int]) -> list[Entry]:
        entries = self.by_numbers(numbers)
        first: dict[tuple[str, ...], int] = {}
        for entry in entries:
            number = entry.resource.lesson_no
            for depth in range(1, len(entry.resource.path) + 1):
                name = entry.resource.path[:depth]
                first[name] = min(first.get(name, 1 << 30), 1 << 30 if number is None else number)
        entries.sort(key=lambda entry: (_path_order(entry.resource.path, first), _book_order(entry)))
        return entries

    # -- files and blobs -----------------------------------------------------------------------------------------

    def blob(self, sha256: str) -> Blob | None:
        """Return the blob where it is here, verified and durable."""
        row = self._db.execute(
            "SELECT size_bytes FROM blobs WHERE sha256 = ?", (bytes.fromhex(sha256),)
        ).fetchone()
        return Blob(sha256=sha256, size_bytes=row[0]) if row else None

    def has(self, sha256: str) -> bool:
        """Return whether the blob is here."""
        return self.blob(sha256) is not None

    def blobs(self, after: str = "") -> Iterator[Blob]:
        """Stream all blobs that are here, by hash; with `after` only those behind that hash."""
        rows = self._db.execute(
            "SELECT sha256, size_bytes FROM blobs WHERE sha256 > ? ORDER BY sha256", (bytes.fromhex(after),)
        )
        return (Blob(sha256=sha256.hex(), size_bytes=size_bytes) for sha256, size_bytes in rows)

    def predecessors(self) -> dict[str, str]:
        """Return new hash -> old hash of the files that wait to be replaced: what pages still serve in their place.

        A resource's file is known again by its role and its place or name; where it was renamed, by its role if no
        other file has it.
        """
        found: dict[str, str] = {}
        rows = self._db.execute("SELECT record, serving FROM resources WHERE serving IS NOT NULL")
        for record, serving in rows:
            old = [File(**file) for file in json.loads(serving)]
            new = Resource.from_stored(json.loads(record)).files
            for file in new:
                before = older_edition(file, old, new)
                if before is not None and before.sha256 != file.sha256 and not self.has(file.sha256):
                    found.setdefault(file.sha256, before.sha256)
        return found

    def unused_blobs(self) -> Iterator[Blob]:
        """Stream the blobs that no resource and no derivation names."""
        rows = self._db.execute(
            "SELECT b.sha256, b.size_bytes FROM blobs b"
            " WHERE NOT EXISTS (SELECT 1 FROM uses u WHERE u.sha256 = b.sha256) ORDER BY b.sha256"
        )
        return (Blob(sha256=sha256.hex(), size_bytes=size_bytes) for sha256, size_bytes in rows)

    def file(self, sha256: str) -> File | None:
        """Return how a record names this blob (the first that does): its file name and media type."""
        for (number,) in self._db.execute(
            "SELECT number FROM uses WHERE sha256 = ?", (bytes.fromhex(sha256),)
        ):
            for entry in self.by_numbers([number]):
                for file in (*entry.resource.files, *entry.serving):
                    if file.sha256 == sha256:
                        return file
        return None

    def package_file(self, resource_id: str, path: str) -> File | None:
        """Return the file at `path` inside the interactive package of the resource, where it is here."""
        entry = self.resource(resource_id)
        if entry is None:
            return None
        return next((file for file in entry.serving if file.role == "package" and file.path == path), None)

    def torrent(self, sha256: str) -> bytes | None:
        """Return the torrent file kept for the blob, whether the blob is here or not."""
        row = self._db.execute(
            "SELECT data FROM torrents WHERE sha256 = ?", (bytes.fromhex(sha256),)
        ).fetchone()
        return row[0] if row else None

    def torrents(self) -> Iterator[tuple[str, bytes]]:
        """Stream (hash, torrent file) of the blobs that are here, by hash: what this machine can share."""
        rows = self._db.execute(
            "SELECT t.sha256, t.data FROM torrents t JOIN blobs b ON b.sha256 = t.sha256 ORDER BY t.sha256"
        )
        return ((sha256.hex(), data) for sha256, data in rows)

    # -- ingest --------------------------------------------------------------------------------------------------

    def derivation(self, sha256: str, recipe: str) -> Any:
        """Return the JSON value that was derived from this blob by `recipe`, or None."""
        row = self._db.execute(
            "SELECT result FROM derivations WHERE sha256 = ? AND recipe = ?", (bytes.fromhex(sha256), recipe)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def source_file(self, path: str, size_bytes: int, mtime_ns: int) -> str | None:
        """Return the hash of a source file that was read before and has not changed since."""
        row = self._db.execute(
            "SELECT sha256 FROM source_files WHERE path = ? AND size_bytes = ? AND mtime_ns = ?",
            (path, size_bytes, mtime_ns),
        ).fetchone()
        return row[0].hex() if row else None

    def _entry(
        self, row: tuple[int, str, int, str | None, str | None, str], record: dict[str, Any] | None = None
    ) -> Entry:
        """Return the entry of a row; `record` is its record where that was parsed already."""
        number, text, cached, serving, arrived, left_out = row
        resource = Resource.from_stored(record or json.loads(text))
        if serving is not None:
            files = tuple(File(**file) for file in json.loads(serving))
        elif cached:
            # What was left out for want of room may be here all the same under another name.
            roles = left_out.split(",") if left_out else ()
            files = tuple(f for f in resource.files if f.role not in roles or self.has(f.sha256))
        else:
            files = ()
        return Entry(
            number=number,
            resource=resource,
            current=bool(cached),
            serving=files,
            arrived=datetime.fromisoformat(arrived) if arrived else None,
        )


def _path_order(path: tuple[str, ...], first: dict[tuple[str, ...], int]) -> list[tuple[int, Any]]:
    return [(first[path[:depth]], natural_key(path[depth - 1])) for depth in range(1, len(path) + 1)]


def older_edition(file: File, old: list[File], new: tuple[File, ...]) -> File | None:
    """Return which of a resource's `old` files `file`, one of its `new` ones, takes the place of."""
    return _same_place(file, old) or _same_role(file, old, new)


def _same_place(file: File, old: list[File]) -> File | None:
    key = (file.role, file.path or file.name)
    return next((one for one in old if (one.role, one.path or one.name) == key), None)


def _same_role(file: File, old: list[File], new: tuple[File, ...]) -> File | None:
    mates = [one for one in old if one.role == file.role]
    alone = sum(one.role == file.role for one in new) == 1
    return mates[0] if alone and len(mates) == 1 else None


_KIND_ORDER = {
    kind: place for place, kind in enumerate(("video", "courseware", "plan", "tasksheet", "exercise"))
}


def _book_order(entry: Entry) -> tuple[Any, ...]:
    resource = entry.resource
    return (
        resource.period_no or 0,
        _KIND_ORDER.get(resource.kind or "", len(_KIND_ORDER)),
        natural_key(resource.title),
        resource.id,
    )
