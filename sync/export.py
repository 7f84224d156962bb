"""What a box holds or a hub has published, written as a tree for others: a stick, a disk, a folder.

Invariant: what is written carries the publisher's signatures as they are; this machine signs nothing. See
`sync.exporting.run` for the order of writing and `docs/formats.md` for what stands on a stick.
"""

from __future__ import annotations

from collections.abc import Iterable
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
    else all, where nothing is said. Raises `RoadError` E-NO-TREE where this box has accepted nothing yet, E-PULLED, `ConfigError`
    E-BUNDLE, `ContentError` E-STICK-OTHER, E-STICK-NEWER, `StorageError` E-DISK-FULL before anything is written where
    it does not fit, E-DAMAGED where a file of ours, E-STICK-BAD where what the stick gives back is not whole.
    """
    chosen = frozenset(bundles) or None
    if box_id is not None:
        assigned = _assigned_on(directory, trust, box_id)
        if assigned is not None:
            chosen = None if assigned.bundles is None else assigned.bundles | (chosen or frozenset())
    with library.reading() as reader:
        stock = stock_of_box(reader, blobs, trust, chosen)
        return Export(stock, directory, progress).run()


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

    `bundles` and what each of `boxes` is assigned, whose own files go along; everything where neither is given, or
    where a box is assigned everything. Raises as `export`, and `ConfigError` E-BOX where a box has no file of its own.
    """
    boxes = tuple(boxes)
    chosen = _chosen(public, keys, bundles, boxes)
    with library.reading() as reader:
        stock = stock_of_hub(reader, blobs, public, chosen)
        return Export(stock, directory, progress, boxes=boxes).run()


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
    chosen = _chosen(public, keys, bundles, boxes)
    with library.reading() as reader:
        stock = stock_of_hub(reader, blobs, public, chosen)
        return Export(stock, directory, silent, boxes=boxes).measure()


def _chosen(
    public: Path, keys: HubKeys, bundles: Iterable[str], boxes: tuple[str, ...]
) -> frozenset[str] | None:
    """Return the bundles that are asked for, with those that the boxes are assigned; None: all."""
    chosen: set[str] | None = set(bundles)
    for box_id in boxes:
        assigned = boxfile.assigned(public, box_id, keys)
        if assigned is None:
            raise ConfigError("E-BOX", where=box_id)
        if chosen is not None:
            chosen = None if assigned.bundles is None else chosen | assigned.bundles
    return None if chosen is None or not (boxes or chosen) else frozenset(chosen)


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
