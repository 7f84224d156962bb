"""What a published tree no longer needs: files of releases beyond the window, and withdrawn content at once.

Invariants: a blob that the current release names is never removed; blobs go before the manifests that led to them,
so a sweep that is cut is finished by the next one; the work grows with what left the catalogue.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from catalog.durable import sync_filesystem
from sync import tree
from sync.formats.transport import Pack, Patch, read_offer
from sync.publishing.deltas import outdated_deltas
from sync.publishing.offering import transport_lines
from sync.publishing.survey import line_key, manifest_digests, manifest_lines
from sync.trust.heads import Head, kept_heads, prune

KEPT_RELEASES = 4
# In canonical JSON a quote inside a text is escaped, so this matches members of objects only.
BLOB_NAME = re.compile(rb'"sha256":"([0-9a-f]{64})"')
OFFERED_BLOB = re.compile(rb'"(?:pack|patch|torrent)":\{"sha256":"([0-9a-f]{64})"')


def sweep(public: Path, withdrawn: Callable[[str], bool]) -> int:
    """Remove from the tree `public` what no kept release needs, and return the number of blobs removed.

    `withdrawn(id)` says whether a resource that is no longer published was taken back (recalled, its licence ended):
    its blobs go at once, although older releases that are still kept name them.
    """
    keep = kept_heads(public, KEPT_RELEASES)
    if not keep:
        return 0
    content, taken_back = _candidates(public, keep, withdrawn)
    deltas = {bytes.fromhex(sha256) for sha256 in outdated_deltas(public, keep)}
    droppable = content | deltas | _outdated_offers(public, keep, taken_back)
    removed = _remove_blobs(public, droppable - _current(public, keep, droppable))
    prune(public, keep)
    return removed


def _candidates(
    public: Path, keep: Collection[Head], withdrawn: Callable[[str], bool]
) -> tuple[set[bytes], set[bytes]]:
    """Return the blobs (raw digests) that outdated lines name and no line of a kept older release; and those of them
    that were taken back though such a line names them."""
    current = next(iter(keep)).release
    current_paths = {bundle.manifest.plain.path for bundle in current.bundles}
    kept_paths = {bundle.manifest.plain.path for head in keep for bundle in head.release.bundles}
    outdated: dict[str, list[str]] = {}
    for path, bundle_id in _lists(public, "manifest"):
        if path not in current_paths:
            outdated.setdefault(bundle_id, []).append(path)
    droppable: set[bytes] = set()
    staying: set[bytes] = set()
    taken_back: set[bytes] = set()
    for bundle_id, paths in outdated.items():
        head = current.bundle(bundle_id)
        known = manifest_digests(public / head.manifest.plain.path if head else None)
        for path in paths:
            for line in manifest_lines(public / path):
                if line_key(line) in known:
                    continue
                blobs = _blobs_of(line)
                if path not in kept_paths:
                    droppable.update(blobs)
                elif withdrawn(json.loads(line)["id"]):
                    taken_back.update(blobs)
                else:
                    staying.update(blobs)
    return (droppable | taken_back) - staying, taken_back - staying


def _outdated_offers(public: Path, keep: Collection[Head], taken_back: set[bytes]) -> set[bytes]:
    """Return the packs, patches and `.torrent` files that no kept transport file names, and at once those that a kept
    one names but that have bytes of what was taken back."""
    current = {bundle.transport.plain.path for bundle in next(iter(keep)).release.bundles}
    kept = {bundle.transport.plain.path for head in keep for bundle in head.release.bundles}
    droppable: set[bytes] = set()
    staying: set[bytes] = set()
    for path, _ in _lists(public, "transport"):
        if path in current:
            continue
        spoilt = _spoilt(public / path, taken_back) if path in kept and taken_back else set()
        droppable |= spoilt
        for line in transport_lines(public / path):
            blobs = _offered(line)
            (staying if path in kept and not blobs & spoilt else droppable).update(blobs)
    return droppable - staying


def _current(public: Path, keep: Collection[Head], droppable: set[bytes]) -> set[bytes]:
    """Return those of the blobs that the current release names or offers."""
    found: set[bytes] = set()
    for bundle in next(iter(keep)).release.bundles if droppable else ():
        for line in manifest_lines(public / bundle.manifest.plain.path):
            found |= _blobs_of(line) & droppable
        for line in transport_lines(public / bundle.transport.plain.path):
            found |= _offered(line) & droppable
    return found


def _spoilt(path: Path, taken_back: set[bytes]) -> set[bytes]:
    """Return the patches and packs of a transport file in which there are bytes of what was taken back."""
    spoilt: set[bytes] = set()
    packs = []
    for line in transport_lines(path):
        match read_offer(line, where=path):
            case Pack() as pack:
                packs.append(pack)
            case Patch() as patch if bytes.fromhex(patch.target) in taken_back:
                spoilt.add(bytes.fromhex(patch.file.sha256))
    bad = taken_back | spoilt
    for pack in packs:
        if any(bytes.fromhex(member.sha256) in bad for member in pack.members):
            spoilt.add(bytes.fromhex(pack.file.sha256))
    return spoilt


def _offered(line: bytes) -> set[bytes]:
    """Return the blob that a line of a transport file offers."""
    return {bytes.fromhex(found.decode()) for found in OFFERED_BLOB.findall(line)}


def _lists(public: Path, kind: str) -> Iterator[tuple[str, str]]:
    """Stream the plain manifests or transport files that stand in the tree, with their bundle's id."""
    folder = "targets/bundles"
    names = (public / folder).iterdir() if (public / folder).is_dir() else ()
    for file in names:
        name = tree.parse(f"{folder}/{file.name}")
        if name is not None and name.kind == kind and not name.compressed and name.id:
            yield f"{folder}/{file.name}", name.id


def _blobs_of(line: bytes) -> set[bytes]:
    return {bytes.fromhex(found.decode()) for found in BLOB_NAME.findall(line)}


def _remove_blobs(public: Path, blobs: Iterable[bytes]) -> int:
    removed = 0
    for blob in blobs:
        path = public / tree.blob_path(blob.hex())
        if path.exists():
            path.unlink()
            removed += 1
    if removed:
        sync_filesystem(public)
    return removed
