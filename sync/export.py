"""What a box holds or a hub has published, written as a tree for others: a stick, a disk, a folder.

Invariant: what is written carries the publisher's signatures as they are; this machine signs nothing. See
`sync.exporting.run` for the order of writing and `docs/formats.md` for what stands on a stick.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from catalog.blobs import BlobStore
from catalog.durable import storage
from catalog.errors import ConfigError, ContentError
from catalog.library import Library
from catalog.progress import OnProgress, silent
from sync import boxfile, tree
from sync.exporting.room import Room
from sync.exporting.run import Export, ExportResult
from sync.exporting.stock import stock_of_box, stock_of_hub
from sync.roads.stick import read_bounded
from sync.trust.heads import current_head
from sync.trust.keys import HubKeys

__all__ = ["MARKER", "ExportResult", "Room", "export", "export_published", "room_for_published"]

MARKER = tree.EXPORTING

_Chosen = tuple[frozenset[str] | None, tuple[str, ...]]
"""The bundles that go onto the stick (None: all), and those that would if they were published."""


def export(
    library: Library,
    blobs: BlobStore,
    trust: Path,
    directory: Path,
    progress: OnProgress = silent,
    *,
    bundles: Iterable[str] = (),
    box_id: str | None = None,
) -> ExportResult:
    """Write what a box holds into `directory` (made where missing); running it again adds what is new.

    `bundles`: only these. `box_id`: what the stick says that this box is assigned (a hub put its file there): `bundles`,
    else all, where nothing is said. Of what is assigned, what the release has goes. Raises `RoadError` E-NO-TREE where
    this box has accepted nothing yet, E-PULLED, `ConfigError` E-BUNDLE where the release lacks one of `bundles`,
    `ContentError` E-STICK-OTHER, E-STICK-NEWER, `StorageError` E-DISK-FULL before anything is written where it does not
    fit, E-DAMAGED where a file of ours, E-STICK-BAD where what the stick gives back is not whole.
    """
    asked = frozenset(bundles)
    assigned = _assigned_on(directory, trust, box_id) if box_id is not None else None
    wanted: _Chosen = (asked or None, ()) if assigned is None else _chosen(trust, asked, [assigned])
    chosen, unpublished = wanted
    with library.reading() as reader:
        stock = stock_of_box(reader, blobs, trust, chosen)
        return replace(Export(stock, directory, progress).run(), unpublished=unpublished)


def export_published(
    library: Library,
    blobs: BlobStore,
    public: Path,
    keys: HubKeys,
    directory: Path,
    progress: OnProgress = silent,
    *,
    bundles: Iterable[str] = (),
    boxes: Iterable[str] = (),
) -> ExportResult:
    """Write what a hub has published into `directory`; running it again adds what is new.

    `bundles`, and of what each of `boxes` is assigned what is published; the boxes' own files go along. Everything where
    neither is given, or where a box is assigned everything. Raises as `export`, and `ConfigError` E-BOX where a box has
    no file of its own.
    """
    boxes = tuple(boxes)
    chosen, unpublished = _chosen_of_hub(public, keys, bundles, boxes)
    with library.reading() as reader:
        stock = stock_of_hub(reader, blobs, public, chosen)
        return replace(Export(stock, directory, progress, boxes=boxes).run(), unpublished=unpublished)


def room_for_published(
    library: Library,
    blobs: BlobStore,
    public: Path,
    keys: HubKeys,
    directory: Path,
    *,
    bundles: Iterable[str] = (),
    boxes: Iterable[str] = (),
) -> Room:
    """Return what `export_published` would need of `directory`, which may be mounted read-only, and what there is.

    Raises as `export_published` does before it writes, but where it does not fit.
    """
    boxes = tuple(boxes)
    chosen, unpublished = _chosen_of_hub(public, keys, bundles, boxes)
    with library.reading() as reader:
        stock = stock_of_hub(reader, blobs, public, chosen)
        return replace(Export(stock, directory, silent, boxes=boxes).measure(), unpublished=unpublished)


def _chosen_of_hub(public: Path, keys: HubKeys, bundles: Iterable[str], boxes: tuple[str, ...]) -> _Chosen:
    assignments = []
    for box_id in boxes:
        assigned = boxfile.assigned(public, box_id, keys)
        if assigned is None:
            raise ConfigError("E-BOX", where=box_id)
        assignments.append(assigned)
    asked = frozenset(bundles)
    return _chosen(public, asked, assignments) if asked or boxes else (None, ())


def _chosen(directory: Path, asked: frozenset[str], assignments: Iterable[boxfile.Assignment]) -> _Chosen:
    """Return what is `asked` for, with what is assigned and stands in the release in `directory`; and what does not.

    A hub may assign a bundle before it is first published: that is no reason to leave a box without the others.
    """
    assigned: set[str] = set()
    for assignment in assignments:
        if assignment.bundles is None:
            return None, ()
        assigned |= assignment.bundles
    head = current_head(directory)
    published = {bundle.id for bundle in head.release.bundles} if head is not None else set()
    return asked | (assigned & published), tuple(sorted(assigned - published - asked))


def _assigned_on(directory: Path, trust: Path, box_id: str) -> boxfile.Assignment | None:
    """Return what the box's own file on the stick assigns; None where there is none of use."""
    path = directory / tree.box_path(box_id)
    head = current_head(trust)
    data = storage(lambda: read_bounded(path, boxfile.MAX_BYTES), path)
    if head is None or data is None:
        return None
    try:
        return boxfile.verify(data, box_key=head.release.box_key, box_id=box_id, where=path)
    except ContentError:
        return None
