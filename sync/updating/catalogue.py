"""A new release's catalogue becomes the library's: compared with it, then written in one step with its index.

Invariant: rows, index and release number change in one SQLite transaction. The index is written durably into a
directory of its own before that commit names it; a cut before the commit leaves the old state and a directory that
the next run clears away. Changed lines go through a spool file, so memory does not grow with the catalogue.
"""

from __future__ import annotations

import importlib
import json
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import ContentError
from catalog.library import Library, Reader, Writer
from catalog.library.rows import line_digest
from catalog.manifest import Bundle, Line, read_bundle_line, read_manifest
from catalog.progress import OnProgress, Progress, silent
from catalog.resource import Resource
from sync.formats.release import BundleHead, Release
from sync.updating.manifest_door import ManifestChange
from sync.updating.plan import BundleDelta

# Beyond this share of changed resources a new index costs less than an update.
_REBUILD_SHARE = 0.3

Lines = Callable[[BundleHead], Iterable[bytes]]
"""Gives the lines of a bundle's manifest, verified at their end."""


# What an index is written with: a third of a second that a poll without news need not pay, nor a run while it waits.
_INDEXING = ("catalog.search.index", "catalog.search.record", "catalog.search.pinyin")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleChange:
    """How one bundle's manifest differs from the library; `spool` holds the added and changed lines."""

    bundle: Bundle
    spool: Path
    delta: BundleDelta
    removed: tuple[str, ...]

    def resources(self) -> Iterator[tuple[Resource, bytes]]:
        """Stream the added and changed records with their lines; raise `ContentError` E-RECORD or E-NAME."""
        with self.spool.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                data = line.rstrip(b"\n")
                yield Line("", data, f"{self.bundle.id}:{number}").resource(), data


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueChange:
    """What `apply_release` did: numbers of the resources whose record is new, and how each bundle changed."""

    changed: tuple[int, ...]
    gone: tuple[int, ...]
    deltas: tuple[BundleDelta, ...]


def compare_release(
    library: Library,
    release: Release,
    lines: Lines,
    work: Path,
    *,
    known: Callable[[BundleHead], bool],
    made: Mapping[str, ManifestChange],
) -> tuple[list[BundleChange], list[BundleDelta]]:
    """Compare each bundle of `release` with the library; return what changed, and the bundles that are gone.

    `known` tells that a bundle is the one whose manifest was applied before. `made`: what a delta changed in the one
    that was applied last, so that the rest need not be read. Spools are written into `work`.
    """
    changes = []
    with library.reading() as reader:
        versions = {bundle.id: bundle for bundle in reader.bundles()}
        for head in release.bundles:
            held = versions.get(head.id)
            if held is None or held.version != head.version or not known(head):
                change = made.get(head.id)
                found = (
                    _take_over(reader, head, change)
                    if held is not None and change is not None and change.version == held.version
                    else None
                )
                changes.append(found or _compare(reader, head, lines(head), work))
        gone = [
            BundleDelta(id=held.id, version=0, added=0, changed=0, removed=held.resources)
            for held in versions.values()
            if release.bundle(held.id) is None
        ]
    return changes, gone


def apply_release(
    library: Library,
    index_root: Path,
    release: Release,
    changes: Sequence[BundleChange],
    gone: Sequence[BundleDelta],
    progress: OnProgress = silent,
) -> CatalogueChange:
    """Write the catalogue of `release` with its index, and make both visible in one commit."""
    total = sum(change.delta.added + change.delta.changed for change in changes)
    numbers: dict[int, None] = {}
    removed: list[int] = []
    with library.writing() as writer:
        for change in changes:
            writer.put_bundle(change.bundle)
            for resource, line in change.resources():
                numbers[writer.put_resource(resource, change.bundle.id, line=line)] = None
                if len(numbers) % 1000 == 0:
                    progress(Progress(phase="catalogue", done=len(numbers), total=total))
        # Removals last: a resource that moved to another bundle keeps its number and its content.
        for change in changes:
            removed += writer.remove_resources(change.bundle.id, change.removed)
        for bundle in gone:
            ids = [resource_id for resource_id, _ in writer.reader().digests(bundle.id)]
            removed += writer.remove_resources(bundle.id, ids)
            writer.drop_bundle(bundle.id)
        for number in removed:
            numbers.pop(number, None)
        progress(Progress(phase="index", total=total))
        _write_index(writer, index_root, list(numbers), removed)
        writer.set_release(release.number, release.date.isoformat())
    progress(Progress(phase="catalogue", done=total, total=total))
    return CatalogueChange(
        changed=tuple(numbers), gone=tuple(removed), deltas=(*(c.delta for c in changes), *gone)
    )


def reindex(library: Library, index_root: Path) -> int:
    """Build the index anew from the library and turn to it; return the number of resources in the catalogue."""
    from catalog.search import index
    from catalog.search.record import records_of

    with library.writing() as writer:
        number = _next_directory(writer.reader(), index_root)
        index.build(index_root / str(number), records_of(writer.reader().stored()))
        writer.set_index(number)
        return writer.reader().counts().resources


def load_ahead() -> None:
    """Begin to load what a new catalogue will need, while the line is waited for."""
    threading.Thread(
        target=lambda: [importlib.import_module(name) for name in _INDEXING], name="load-ahead", daemon=True
    ).start()


def has_index(library: Library, index_root: Path) -> bool:
    """Return whether the index that the library names is here."""
    number = library.generation().index
    return number > 0 and (index_root / str(number)).is_dir()


def clear_old_indexes(library: Library, index_root: Path) -> None:
    """Remove every index directory but the one in use: older ones, and what a cut left of a new one."""
    current = str(library.generation().index)
    for directory in index_root.iterdir() if index_root.is_dir() else ():
        if directory.is_dir() and directory.name != current:
            shutil.rmtree(directory)


def _write_index(writer: Writer, index_root: Path, changed: Sequence[int], removed: Sequence[int]) -> None:
    from catalog.search import index
    from catalog.search.record import records_of

    reader = writer.reader()
    current = reader.generation().index
    previous = index_root / str(current)
    if not changed and not removed and current and previous.is_dir():
        return
    directory = index_root / str(_next_directory(reader, index_root))
    resources = reader.counts().resources
    if not current or not previous.is_dir() or len(changed) > resources * _REBUILD_SHARE:
        index.build(directory, records_of(reader.stored()))
    else:
        index.update(previous, directory, {*removed, *changed}, records_of(reader.wanted(changed)))
    writer.set_index(int(directory.name))


def _next_directory(reader: Reader, index_root: Path) -> int:
    """Return a number that no directory has: a reader may still have a leftover open."""
    used = (
        [int(path.name) for path in index_root.iterdir() if path.name.isdigit()]
        if index_root.is_dir()
        else []
    )
    return max([reader.generation().index, *used]) + 1


def _take_over(reader: Reader, head: BundleHead, change: ManifestChange) -> BundleChange | None:
    """Return what a delta changed as the change to the library; None where the library is not what it started from."""
    held = reader.digests_of(head.id, change.gone)
    if held != change.gone:
        return None
    with change.spool.open("rb") as lines:
        come = {str(json.loads(line)["id"]) for line in lines}
    added = come - change.gone.keys()
    if reader.digests_of(head.id, added):
        # An id that stands twice in the manifest: the comparison says where.
        return None
    bundle = read_bundle_line(change.first_line, head.manifest.plain.path)
    _check_bundle(bundle, head)
    removed = tuple(resource_id for resource_id in change.gone if resource_id not in come)
    delta = BundleDelta(
        id=bundle.id,
        version=bundle.version,
        added=len(added),
        changed=len(come) - len(added),
        removed=len(removed),
    )
    return BundleChange(bundle=bundle, spool=change.spool, delta=delta, removed=removed)


def _check_bundle(bundle: Bundle, head: BundleHead) -> None:
    if (bundle.id, bundle.version) != (head.id, head.version):
        raise ContentError(
            "E-MANIFEST",
            where=head.manifest.plain.path,
            expected=f"{head.id} {head.version}",
            found=f"{bundle.id} {bundle.version}",
        )


def _compare(reader: Reader, head: BundleHead, lines: Iterable[bytes], work: Path) -> BundleChange:
    bundle, stream = read_manifest(lines, head.manifest.plain.path)
    _check_bundle(bundle, head)
    spool = work / f"{head.id}.changed.jsonl"
    held = reader.digests(head.id)
    mine = next(held, None)
    added = changed = 0
    removed: list[str] = []
    with spool.open("wb") as out:
        for line in stream:
            while mine is not None and mine[0] < line.id:
                removed.append(mine[0])
                mine = next(held, None)
            if mine is not None and mine[0] == line.id:
                same = mine[1] == line_digest(line.data)
                mine = next(held, None)
                if same:
                    continue
                changed += 1
            else:
                added += 1
            out.write(line.data + b"\n")
        while mine is not None:
            removed.append(mine[0])
            mine = next(held, None)
    delta = BundleDelta(
        id=bundle.id, version=bundle.version, added=added, changed=changed, removed=len(removed)
    )
    return BundleChange(bundle=bundle, spool=spool, delta=delta, removed=tuple(removed))
