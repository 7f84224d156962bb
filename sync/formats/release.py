"""A release: the one signed head of a tree (`catalog.json`), as a frozen value with its strict reader and writer.

Invariant: `Release.from_bytes(release.to_bytes()) == release`; equal releases have equal bytes; a path in a release is
always the one that `sync.tree` makes of the hash beside it, so that no catalogue can name a file outside the tree.
The bytes are signed by the publisher, and still read as hostile: a publisher's key may be lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from catalog.errors import ContentError
from catalog.manifest import is_bundle_id
from catalog.resource import canonical_json, is_sha256
from sync import tree

FORMAT = 1
MAX_CATALOG_BYTES = 4 << 20
MAX_NUMBER = 2**53 - 1
MAX_TEXT = 1000
MAX_DELTAS = 3
_KEY = re.compile(r"[0-9a-f]{64}")
_DATE = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class Measure:
    """What a file measures: its length and the SHA-256 of its bytes."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeFile:
    """One file of a tree: where it stands, how long it is, the SHA-256 of its bytes."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinFile:
    """A file that stands in the tree twice: plain, and compressed by zstd (what a road carries)."""

    plain: TreeFile
    zst: TreeFile


@dataclass(frozen=True, slots=True, kw_only=True)
class LineDelta:
    """What makes a bundle's manifest, its transport file or both of those of an older version, `source`.

    Both are blobs of the tree; a file that a delta would not make much cheaper has none.
    """

    source: int
    manifest: TreeFile | None = None
    transport: TreeFile | None = None

    def files(self) -> tuple[TreeFile, ...]:
        """Return the blobs of this delta."""
        return tuple(file for file in (self.manifest, self.transport) if file is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleHead:
    """A bundle's state in one release: its manifest, and how its bytes may travel; `deltas` newest source first."""

    id: str
    version: int
    title: str
    publisher: str
    manifest: TwinFile
    transport: TwinFile
    deltas: tuple[LineDelta, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A numbered state of all bundles. `box_key` is the Ed25519 public key (hex) that signs the boxes' files."""

    number: int
    date: datetime
    publisher: str
    box_key: str
    bundles: tuple[BundleHead, ...] = ()

    def bundle(self, bundle_id: str) -> BundleHead | None:
        """Return the bundle `bundle_id` of this release, if it has it."""
        return next((bundle for bundle in self.bundles if bundle.id == bundle_id), None)

    def files(self) -> tuple[TreeFile, ...]:
        """Return every file under `targets/bundles/` that this release names."""
        twins = [twin for bundle in self.bundles for twin in (bundle.manifest, bundle.transport)]
        return tuple(file for twin in twins for file in (twin.plain, twin.zst))

    def deltas(self) -> tuple[TreeFile, ...]:
        """Return the blobs by which manifests and transport files are made of older ones; no content is among them."""
        return tuple(file for bundle in self.bundles for delta in bundle.deltas for file in delta.files())

    def same_state(self, other: Release) -> bool:
        """Return whether `other` says the same but for its number and date."""
        return replace(self, number=other.number, date=other.date) == other

    def to_bytes(self) -> bytes:
        """Return `catalog.json`: canonical JSON, bundles sorted by id."""
        return canonical_json(
            {
                "format": FORMAT,
                "release": self.number,
                "date": self.date.astimezone(UTC).strftime(_DATE),
                "publisher": self.publisher,
                "box_key": self.box_key,
                "bundles": [_bundle_json(bundle) for bundle in sorted(self.bundles, key=lambda one: one.id)],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, where: object = tree.CATALOG_TARGET) -> Release:
        """Return the release in `data`; raise `ContentError` E-CATALOG, or E-VERSION for a newer format.

        Fields that this version does not know are ignored, so that an older box reads a newer catalogue.
        """
        if len(data) > MAX_CATALOG_BYTES:
            raise ContentError(
                "E-CATALOG", where=where, expected=f"<= {MAX_CATALOG_BYTES} B", found=len(data)
            )
        try:
            fields = json.loads(data.decode(), object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise ContentError("E-CATALOG", where=where, expected="JSON", found=repr(data[:40])) from error
        reader = _Reader(fields, where)
        found = reader.number("format")
        if found > FORMAT:
            raise ContentError("E-VERSION", where=where, expected=f"<= {FORMAT}", found=found)
        bundles = tuple(_read_bundle(_Reader(part, where)) for part in reader.items("bundles"))
        if any(one.id >= two.id for one, two in pairwise(bundles)):
            raise ContentError("E-CATALOG", where=where, expected="bundles sorted by id", found="other order")
        return cls(
            number=reader.number("release"),
            date=reader.date("date"),
            publisher=reader.text("publisher"),
            box_key=reader.matched("box_key", _KEY),
            bundles=bundles,
        )


def manifest_twin(bundle_id: str, plain: Measure, zst: Measure) -> TwinFile:
    """Return the manifest of `bundle_id` in both forms, at the paths that their hashes give."""
    path, packed_path = (
        tree.manifest_path(plain.sha256, bundle_id, compressed=form) for form in (False, True)
    )
    return _twin(path, plain, packed_path, zst)


def transport_twin(bundle_id: str, plain: Measure, zst: Measure) -> TwinFile:
    """Return the transport file of `bundle_id` in both forms, at the paths that their hashes give."""
    path, packed_path = (
        tree.transport_path(plain.sha256, bundle_id, compressed=form) for form in (False, True)
    )
    return _twin(path, plain, packed_path, zst)


def delta_blob(measure: Measure) -> TreeFile:
    """Return a delta as the tree's blob that it is."""
    return TreeFile(path=tree.blob_path(measure.sha256), size_bytes=measure.size_bytes, sha256=measure.sha256)


def _twin(path: str, plain: Measure, packed_path: str, zst: Measure) -> TwinFile:
    return TwinFile(
        plain=TreeFile(path=path, size_bytes=plain.size_bytes, sha256=plain.sha256),
        zst=TreeFile(path=packed_path, size_bytes=zst.size_bytes, sha256=zst.sha256),
    )


class _Reader:
    """Typed access to one JSON object; every surprise is E-CATALOG."""

    def __init__(self, fields: object, where: object) -> None:
        if not isinstance(fields, dict):
            raise ContentError("E-CATALOG", where=where, expected="object", found=type(fields).__name__)
        self._fields: dict[str, Any] = fields
        self.where = where

    def refuse(self, name: str, expected: str) -> ContentError:
        found = repr(self._fields.get(name))[:80]
        return ContentError("E-CATALOG", where=f"{self.where}: {name}", expected=expected, found=found)

    def has(self, name: str) -> bool:
        return name in self._fields

    def number(self, name: str) -> int:
        value = self._fields.get(name)
        if type(value) is not int or not 1 <= value <= MAX_NUMBER:
            raise self.refuse(name, f"1..{MAX_NUMBER}")
        return value

    def text(self, name: str) -> str:
        value = self._fields.get(name)
        if (
            not isinstance(value, str)
            or len(value) > MAX_TEXT
            or any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in value)
        ):
            raise self.refuse(name, f"text <= {MAX_TEXT}")
        return value

    def matched(self, name: str, pattern: re.Pattern[str]) -> str:
        value = self._fields.get(name)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.refuse(name, pattern.pattern)
        return value

    def date(self, name: str) -> datetime:
        try:
            value = datetime.strptime(self.text(name), _DATE).replace(tzinfo=UTC)
        except ValueError as error:
            raise self.refuse(name, "YYYY-MM-DDThh:mm:ssZ") from error
        return value

    def items(self, name: str) -> list[object]:
        value = self._fields.get(name)
        if not isinstance(value, list):
            raise self.refuse(name, "list")
        return value

    def inner(self, name: str) -> _Reader:
        return _Reader(self._fields.get(name), f"{self.where}: {name}")

    def measure(self) -> Measure:
        if not is_sha256(self._fields.get("sha256")):
            raise self.refuse("sha256", "64 hex digits")
        return Measure(self.number("size"), self._fields["sha256"])


def _read_bundle(reader: _Reader) -> BundleHead:
    bundle_id = reader.text("id")
    if not is_bundle_id(bundle_id):
        raise reader.refuse("id", "[0-9a-z][0-9a-z._-]{0,63}")
    reader.where = f"{reader.where}: {bundle_id}"
    version = reader.number("version")
    return BundleHead(
        id=bundle_id,
        version=version,
        title=reader.text("title"),
        publisher=reader.text("publisher"),
        manifest=_read_twin(reader, bundle_id, "manifest", manifest_twin),
        transport=_read_twin(reader, bundle_id, "transport", transport_twin),
        deltas=_read_deltas(reader, version),
    )


def _read_deltas(reader: _Reader, version: int) -> tuple[LineDelta, ...]:
    if not reader.has("deltas"):
        return ()
    parts = [_Reader(part, f"{reader.where}: deltas") for part in reader.items("deltas")]
    if not 1 <= len(parts) <= MAX_DELTAS:
        raise reader.refuse("deltas", f"1..{MAX_DELTAS}")
    found = []
    for part in parts:
        source = part.number("from")
        if source >= version:
            raise part.refuse("from", f"< {version}, newest first")
        version = source
        blobs = {
            name: delta_blob(part.inner(name).measure())
            for name in ("manifest", "transport")
            if part.has(name)
        }
        if not blobs:
            raise part.refuse("manifest", "manifest or transport")
        found.append(LineDelta(source=source, **blobs))
    return tuple(found)


def _read_twin(
    reader: _Reader, bundle_id: str, name: str, twin: Callable[[str, Measure, Measure], TwinFile]
) -> TwinFile:
    plain = reader.inner(name)
    zst = plain.inner("zst")
    made = twin(bundle_id, plain.measure(), zst.measure())
    for form, file in ((plain, made.plain), (zst, made.zst)):
        if form.text("path") != file.path:
            raise form.refuse("path", file.path)
    return made


def _bundle_json(bundle: BundleHead) -> dict[str, Any]:
    fields = {
        "id": bundle.id,
        "version": bundle.version,
        "title": bundle.title,
        "publisher": bundle.publisher,
        "manifest": _twin_json(bundle.manifest),
        "transport": _twin_json(bundle.transport),
    }
    if bundle.deltas:
        fields["deltas"] = [_delta_json(delta) for delta in bundle.deltas]
    return fields


def _delta_json(delta: LineDelta) -> dict[str, Any]:
    fields: dict[str, Any] = {"from": delta.source}
    for name, file in (("manifest", delta.manifest), ("transport", delta.transport)):
        if file is not None:
            fields[name] = {"size": file.size_bytes, "sha256": file.sha256}
    return fields


def _twin_json(both: TwinFile) -> dict[str, Any]:
    return {**_file_json(both.plain), "zst": _file_json(both.zst)}


def _file_json(file: TreeFile) -> dict[str, Any]:
    return {"path": file.path, "size": file.size_bytes, "sha256": file.sha256}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands twice")
    return fields
