"""What a stick is written from: the accepted or published head of this machine, and the content that is here.

Invariant: what is offered is named by the head that goes with it; a blob that is not here is simply not offered, since
a box may hold less than it lists.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from catalog.blobs import Blob, BlobStore
from catalog.errors import ConfigError, RoadError
from catalog.library import Reader
from sync import tree
from sync.formats.release import Release
from sync.formats.transport import read_offers
from sync.trust.heads import CurrentHead, current_head
from sync.updating.manifests import manifest_lines, transport_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A blob that goes onto a stick, and the file or the bytes that it is."""

    blob: Blob
    path: Path
    data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """What a stick is written from.

    `tree`: where metadata, catalogue and manifests stand. `items`: the content that is wanted on the stick, each once,
    in the order in which it is written; `torrents` of it, so that who gets it can repair it and share it on. `named`: whether the head's catalogue names a blob. `source` finds an item again.
    """

    tree: Path
    head: CurrentHead
    items: list[Item]
    torrents: list[Item]
    named: Callable[[str], bool]
    source: Callable[[Blob], Item | None]

    @property
    def release(self) -> Release:
        return self.head.release


def stock_of_box(reader: Reader, blobs: BlobStore, trust: Path, bundles: frozenset[str] | None) -> Stock:
    """Return what a box can give of `bundles` (None: of all); raise `RoadError` E-NO-TREE, `ConfigError` E-BUNDLE."""
    head = _head(trust, bundles)
    if bundles is None:
        found = (blob for blob in reader.blobs() if reader.file(blob.sha256) is not None)
    else:
        found = (
            Blob(sha256=file.sha256, size_bytes=file.size_bytes)
            for _, resource in reader.wanted(sorted(reader.members(bundles)))
            for file in resource.files
            if reader.has(file.sha256)
        )
    items = {blob.sha256: _item(blobs, blob) for blob in found}
    made = [(owner, _torrent(data)) for owner, data in reader.torrents()]
    torrents = {item.blob.sha256: item for _, item in made}

    def source(blob: Blob) -> Item | None:
        return torrents.get(blob.sha256) or (_item(blobs, blob) if reader.has(blob.sha256) else None)

    return Stock(
        tree=trust,
        head=head,
        items=list(items.values()),
        torrents=[item for owner, item in made if owner in items],
        named=lambda sha256: sha256 in torrents or reader.file(sha256) is not None,
        source=source,
    )


def stock_of_hub(reader: Reader, blobs: BlobStore, public: Path, bundles: frozenset[str] | None) -> Stock:
    """Return what a hub has published of `bundles` (None: of all); raises as `stock_of_box`."""
    head = _head(public, bundles)
    named: set[bytes] = set()
    items: dict[str, Item] = {}
    torrents: dict[str, Item] = {}
    along: dict[str, Item] = {}
    for bundle in head.release.bundles:
        wanted = bundles is None or bundle.id in bundles
        for blob in _files(manifest_lines(public, bundle)):
            named.add(bytes.fromhex(blob.sha256))
            if wanted and blob.sha256 not in items and reader.has(blob.sha256):
                items[blob.sha256] = _item(blobs, blob)
        lines = transport_lines(public, bundle)
        offers = read_offers(
            lines, where=bundle.transport.plain.path, wanted=lambda _: True, has=lambda _: False
        )
        for owner, torrent in offers.torrents.items():
            named.add(bytes.fromhex(torrent.file.sha256))
            place = public / tree.blob_path(torrent.file.sha256)
            if place.exists():
                blob = Blob(sha256=torrent.file.sha256, size_bytes=torrent.file.size_bytes)
                torrents[blob.sha256] = Item(blob=blob, path=place)
                if wanted and owner in items:
                    along[blob.sha256] = torrents[blob.sha256]

    def source(blob: Blob) -> Item | None:
        return torrents.get(blob.sha256) or (_item(blobs, blob) if reader.has(blob.sha256) else None)

    return Stock(
        tree=public,
        head=head,
        items=list(items.values()),
        torrents=list(along.values()),
        named=lambda sha256: bytes.fromhex(sha256) in named,
        source=source,
    )


def _head(directory: Path, bundles: frozenset[str] | None) -> CurrentHead:
    head = current_head(directory)
    if head is None:
        raise RoadError("E-NO-TREE", where=directory)
    known = {bundle.id for bundle in head.release.bundles}
    if bundles is not None and (unknown := sorted(bundles - known)):
        raise ConfigError("E-BUNDLE", where=unknown[0], expected=", ".join(sorted(known)))
    return head


def _files(lines: Iterator[bytes]) -> Iterator[Blob]:
    """Stream the files that the lines of a manifest name, which was written and checked by this machine."""
    next(lines, b"")
    for line in lines:
        for file in json.loads(line).get("files", ()):
            yield Blob(sha256=file["sha256"], size_bytes=file["size_bytes"])


def _item(blobs: BlobStore, blob: Blob) -> Item:
    return Item(blob=blob, path=blobs.path(blob.sha256))


def _torrent(data: bytes) -> Item:
    sha256 = hashlib.sha256(data).hexdigest()
    return Item(blob=Blob(sha256=sha256, size_bytes=len(data)), path=Path(sha256), data=data)
