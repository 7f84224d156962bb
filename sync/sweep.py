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
from sync.deltas import outdated_deltas
from sync.heads import Head, kept_heads, prune
from sync.survey import line_key, manifest_digests, manifest_lines

KEPT_RELEASES = 4
# In canonical JSON a quote inside a text is escaped, so this matches members of objects only.
BLOB_NAME = re.compile(rb'"sha256":"([0-9a-f]{64})"')


def sweep(public: Path, withdrawn: Callable[[str], bool]) -> int:
    """Remove from the tree `public` what no kept release needs, and return the number of blobs removed.

    `withdrawn(id)` says whether a resource that is no longer published was taken back (recalled, its licence ended):
    its blobs go at once, although older releases that are still kept name them.
    """
    keep = kept_heads(public, KEPT_RELEASES)
    if not keep:
        return 0
    outdated = {bytes.fromhex(sha256) for sha256 in outdated_deltas(public, keep)}
    removed = _remove_blobs(public, _candidates(public, keep, withdrawn) | outdated)
    prune(public, keep)
    return removed


def _candidates(public: Path, keep: Collection[Head], withdrawn: Callable[[str], bool]) -> set[bytes]:
    """Return the blobs (raw digests) that only outdated lines name, and no line that stays."""
    current = next(iter(keep)).release
    current_paths = {bundle.manifest.plain.path for bundle in current.bundles}
    kept_paths = {bundle.manifest.plain.path for head in keep for bundle in head.release.bundles}
    outdated: dict[str, list[str]] = {}
    for path, bundle_id in _manifests(public):
        if path not in current_paths:
            outdated.setdefault(bundle_id, []).append(path)
    droppable: set[bytes] = set()
    staying: set[bytes] = set()
    for bundle_id, paths in outdated.items():
        head = current.bundle(bundle_id)
        known = manifest_digests(public / head.manifest.plain.path if head else None)
        for path in paths:
            for line in manifest_lines(public / path):
                if line_key(line) in known:
                    continue
                blobs = _blobs_of(line)
                stays = path in kept_paths and not withdrawn(json.loads(line)["id"])
                (staying if stays else droppable).update(blobs)
    droppable -= staying
    for path in current_paths if droppable else ():
        for line in manifest_lines(public / path):
            droppable.difference_update(_blobs_of(line))
    return droppable


def _manifests(public: Path) -> Iterator[tuple[str, str]]:
    folder = "targets/bundles"
    names = (public / folder).iterdir() if (public / folder).is_dir() else ()
    for file in names:
        name = tree.parse(f"{folder}/{file.name}")
        if name is not None and name.kind == "manifest" and not name.compressed and name.id:
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
