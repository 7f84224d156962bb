"""What a bundle would say if it were published now, and how that differs from the last release.

Invariant: only lines that may be published pass (state published, a known licence, not past its end); a bundle whose
lines, title and publisher are what they were keeps its version, its bytes and so its hash. Memory grows with what
changed and by 16 bytes a record, not with the catalogue's text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO

from catalog.blobs import Blob
from catalog.clock import CHINA
from catalog.library import BundleState, Reader
from catalog.manifest import Bundle, bundle_line, write_manifest
from sync.formats.release import BundleHead, Measure

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A resource as a person knows it."""

    id: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEdit:
    """A resource's file got other bytes: what it was in the last release, and what it is."""

    source: Blob
    target: Blob


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleSurvey:
    """One bundle's next state. `bundle.version` and `measure` are the last release's where nothing changed.

    `blobs` are those of new and changed records: what the tree may still lack; `fresh` those of them that the records
    did not have before; `edits` what they were. `size_bytes` is all of its content; `names(sha256)` says whether a blob is
    of it.
    """

    bundle: Bundle
    previous: BundleHead | None
    changed: bool
    measure: Measure
    resources: int
    size_bytes: int
    added: tuple[Named, ...]
    edited: tuple[Named, ...]
    gone: tuple[Named, ...]
    blobs: tuple[Blob, ...]
    fresh: tuple[Blob, ...]
    edits: tuple[FileEdit, ...]
    names: Callable[[str], bool]


def publishable(record: dict[str, Any], today: date) -> bool:
    """Return whether a record (as plain JSON values) may stand in a manifest on `today`."""
    valid_to = record.get("valid_to")
    return (
        record.get("state", "published") == "published"
        and record.get("licence") not in (None, "unknown")
        and (not valid_to or str(valid_to) >= today.isoformat())
    )


def local_date(now: datetime) -> date:
    """Return the date in China at `now`: licences end at midnight there."""
    return now.astimezone(CHINA).date()


def survey_bundle(
    reader: Reader,
    state: BundleState,
    *,
    previous: BundleHead | None,
    previous_manifest: Path | None,
    today: date,
    out: BinaryIO,
) -> BundleSurvey:
    """Write the bundle's next manifest to `out` (open to be read too) and return what it says and what changed.

    Where the bundle is unchanged, what was written to `out` (with the next version number) is of no use.
    """
    version = previous.version if previous else 0
    bundle = Bundle(id=state.id, version=version + 1, title=state.title, publisher=state.publisher)
    collector = _Collector(
        bundle_line(replace(bundle, version=version)), today, previous_manifest, out, len(bundle_line(bundle))
    )
    digest = write_manifest(bundle, collector.lines(reader.lines(state.id)), out)
    measure = Measure(digest.size_bytes, digest.sha256)
    changed = previous is None or collector.sha256() != previous.manifest.plain.sha256
    if previous is not None and not changed:
        bundle, measure = replace(bundle, version=version), _measure(previous)
    collector.compare()
    added, edited, gone = collector.changes()
    return BundleSurvey(
        bundle=bundle,
        previous=previous,
        changed=changed,
        measure=measure,
        resources=digest.resources,
        size_bytes=collector.size_bytes,
        added=added,
        edited=edited,
        gone=gone,
        blobs=collector.blobs(),
        fresh=collector.fresh(),
        edits=tuple(collector.edits),
        names=collector.names,
    )


def manifest_lines(path: Path | None) -> Iterator[bytes]:
    """Stream the resource lines of our own plain manifest at `path`; none where it is not there."""
    if path is None or not path.exists():
        return
    with path.open("rb") as stream:
        next(stream, None)
        yield from stream


def manifest_names(path: Path) -> Iterator[Named]:
    """Stream the resources that our own plain manifest at `path` lists."""
    for line in manifest_lines(path):
        record = json.loads(line)
        yield Named(id=record["id"], title=record["title"])


def line_key(line: bytes) -> bytes:
    """Return the digest by which lines of two manifests are compared."""
    return hashlib.blake2b(line, digest_size=DIGEST_BYTES).digest()


def manifest_digests(path: Path | None) -> set[bytes]:
    """Return the digests of the resource lines of our own plain manifest at `path`."""
    return set(map(line_key, manifest_lines(path)))


class _Collector:
    """Lets publishable lines through, notes those that the last manifest did not have, and hashes them all after
    `head`: the line of the last version, so that the hash tells whether anything changed. The lines are written to
    `out` from `offset` on, and edited ones are read there again: so only their places are kept in memory."""

    def __init__(self, head: bytes, today: date, previous: Path | None, out: BinaryIO, offset: int) -> None:
        self._hash = hashlib.sha256(head)
        self._today = today
        self._previous = previous
        self._out = out
        self._offset = offset
        self._left = manifest_digests(previous)
        self._touched: dict[str, tuple[str, int]] = {}
        self._edited: set[str] = set()
        self._blobs: dict[str, int] = {}
        self._before: set[str] = set()
        self._counted: set[int] = set()
        self.edits: list[FileEdit] = []
        self._gone: list[Named] = []
        self.size_bytes = 0

    def lines(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        for line in lines:
            record = json.loads(line)
            if not publishable(record, self._today):
                continue
            key = line_key(line)
            if key in self._left:
                self._left.discard(key)
            else:
                self._touched[record["id"]] = (record["title"], self._offset)
                self._blobs.update((file["sha256"], file["size_bytes"]) for file in record.get("files", ()))
            for file in record.get("files", ()):
                name = _short(file["sha256"])
                if name not in self._counted:
                    self._counted.add(name)
                    self.size_bytes += file["size_bytes"]
            self._hash.update(line)
            self._offset += len(line)
            yield line

    def compare(self) -> None:
        """Read what the last manifest said of the records that changed or went, once all lines have passed."""
        for line in manifest_lines(self._previous) if self._left else ():
            if line_key(line) not in self._left:
                continue
            record = json.loads(line)
            files = record.get("files", ())
            self._before.update(file["sha256"] for file in files)
            if (touched := self._touched.get(record["id"])) is not None:
                self._edited.add(record["id"])
                self._out.seek(touched[1])
                self.edits.extend(_file_edits(files, json.loads(self._out.readline()).get("files", ())))
            else:
                self._gone.append(Named(id=record["id"], title=record["title"]))

    def sha256(self) -> str:
        """Return the hash of the manifest as it would be with `head`."""
        return self._hash.hexdigest()

    def names(self, sha256: str) -> bool:
        """Return whether a line names the blob."""
        return _short(sha256) in self._counted

    def blobs(self) -> tuple[Blob, ...]:
        """Return the blobs of the records that are new or changed."""
        return tuple(Blob(sha256=sha256, size_bytes=size) for sha256, size in self._blobs.items())

    def fresh(self) -> tuple[Blob, ...]:
        """Return those of them that no changed record had before."""
        return tuple(blob for blob in self.blobs() if blob.sha256 not in self._before)

    def changes(self) -> tuple[tuple[Named, ...], tuple[Named, ...], tuple[Named, ...]]:
        """Return what is added, edited and gone."""
        touched = [Named(id=key, title=title) for key, (title, _) in self._touched.items()]
        return (
            tuple(one for one in touched if one.id not in self._edited),
            tuple(one for one in touched if one.id in self._edited),
            tuple(self._gone),
        )


def _short(sha256: str) -> int:
    """Return 60 bits of the hash: enough to tell blobs apart, and a tenth of its text."""
    return int(sha256[:15], 16)


def _file_edits(before: Iterable[dict[str, Any]], after: Iterable[dict[str, Any]]) -> Iterator[FileEdit]:
    """Pair a record's files by role and path or name; what is left, where a role has one on either side."""
    old = {_place(file): file for file in before}
    new = {_place(file): file for file in after}
    for place in sorted(old.keys() & new.keys()):
        yield from _file_edit(old.pop(place), new.pop(place))
    for role in sorted({role for role, _ in new}):
        olds, news = ([file for file in side.values() if file["role"] == role] for side in (old, new))
        if len(olds) == len(news) == 1:
            yield from _file_edit(olds[0], news[0])


def _place(file: dict[str, Any]) -> tuple[str, str]:
    return (file["role"], file.get("path") or file["name"])


def _file_edit(before: dict[str, Any], after: dict[str, Any]) -> Iterator[FileEdit]:
    if before["sha256"] != after["sha256"]:
        source, target = (
            Blob(sha256=file["sha256"], size_bytes=file["size_bytes"]) for file in (before, after)
        )
        yield FileEdit(source=source, target=target)


def _measure(head: BundleHead) -> Measure:
    return Measure(head.manifest.plain.size_bytes, head.manifest.plain.sha256)
