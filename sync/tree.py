"""Names in a published tree: where each file of a release stands, and what a name means (pure).

Invariant: `parse(path)` answers a name for exactly the paths that the functions here make; anything else (another
folder, `..`, an upper-case digest, a backslash) is None, so a server that asks `parse` first serves nothing else.
The tree is described in `docs/formats.md`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

TIMESTAMP = "metadata/timestamp.json"
PINNED_ROOT = "metadata/1.root.json"
ROADS = "roads.json"
CATALOG_TARGET = "catalog.json"
"""The only TUF target; its file stands at `catalog_path(sha256)`."""
ZST_SUFFIX = ".zst"
EXPORTING = "exporting.txt"
"""Stands at the root of a stick while it is being written; found there later: the writing was cut."""
PACKS = "packs"
"""The folder of a stick's packs."""

_NUMBER = r"[1-9][0-9]{0,9}"
_DIGEST = r"[0-9a-f]{64}"
_BUNDLE = r"[0-9a-z][0-9a-z._-]{0,63}"
_PATTERNS = {
    "root": rf"metadata/(?P<version>{_NUMBER})\.root\.json",
    "timestamp": r"metadata/timestamp\.json",
    "snapshot": rf"metadata/(?P<version>{_NUMBER})\.snapshot\.json",
    "targets": rf"metadata/(?P<version>{_NUMBER})\.targets\.json",
    "catalog": rf"targets/(?P<sha256>{_DIGEST})\.catalog\.json",
    "transport": rf"targets/bundles/(?P<sha256>{_DIGEST})\.(?P<id>{_BUNDLE})\.transport\.jsonl(?P<zst>\.zst)?",
    "manifest": rf"targets/bundles/(?P<sha256>{_DIGEST})\.(?P<id>{_BUNDLE})\.jsonl(?P<zst>\.zst)?",
    "box": r"boxes/(?P<id>[0-9a-f]{32})\.json",
    "roads": r"roads\.json",
    "pack": rf"packs/(?P<sha256>{_DIGEST})\.pack",
}
_NAMES = {kind: re.compile(pattern) for kind, pattern in _PATTERNS.items()}
_BLOB = re.compile(rf"blobs/(?P<fan>[0-9a-f]{{2}})/(?P<sha256>{_DIGEST})(?P<part>\.[1-9][0-9]{{0,3}})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeName:
    """What a path in a tree names: `kind` is root, timestamp, snapshot, targets, catalog, manifest, transport, box,
    roads, blob, and on a stick part or pack; `version` (of a part: its number), `sha256` and `id` (of a bundle or box)
    are set where the path carries them."""

    kind: str
    version: int | None = None
    sha256: str | None = None
    id: str | None = None
    compressed: bool = False


def root_path(version: int) -> str:
    """Return the path of the TUF root metadata `version`."""
    return f"metadata/{version}.root.json"


def snapshot_path(version: int) -> str:
    """Return the path of the TUF snapshot metadata `version`."""
    return f"metadata/{version}.snapshot.json"


def targets_path(version: int) -> str:
    """Return the path of the TUF targets metadata `version`."""
    return f"metadata/{version}.targets.json"


def catalog_path(sha256: str) -> str:
    """Return the path of the catalogue of a release whose bytes have the hash `sha256`."""
    return f"targets/{sha256}.{CATALOG_TARGET}"


def manifest_path(sha256: str, bundle_id: str, *, compressed: bool = False) -> str:
    """Return the path of the manifest of `bundle_id` whose plain bytes have the hash `sha256`."""
    return f"targets/bundles/{sha256}.{bundle_id}.jsonl{ZST_SUFFIX if compressed else ''}"


def transport_path(sha256: str, bundle_id: str, *, compressed: bool = False) -> str:
    """Return the path of the transport file of `bundle_id` whose plain bytes have the hash `sha256`."""
    return f"targets/bundles/{sha256}.{bundle_id}.transport.jsonl{ZST_SUFFIX if compressed else ''}"


def blob_path(sha256: str) -> str:
    """Return the path of the blob `sha256`: 256 folders by its first two digits."""
    return f"blobs/{sha256[:2]}/{sha256}"


def part_path(sha256: str, number: int) -> str:
    """Return the path of part `number` (from 1) of a blob that is too long for one file of a stick."""
    return f"{blob_path(sha256)}.{number}"


def pack_path(sha256: str) -> str:
    """Return the path of the stick's pack whose index has the hash `sha256`."""
    return f"{PACKS}/{sha256}.pack"


def box_path(box_id: str) -> str:
    """Return the path of the file that carries the settings of the box `box_id`."""
    return f"boxes/{box_id}.json"


def parse(path: str) -> TreeName | None:
    """Return what `path` (relative, with `/`) names in a tree, or None where a tree has no such name."""
    if match := _BLOB.fullmatch(path):
        sha256, part = match["sha256"], match["part"]
        if not sha256.startswith(match["fan"]):
            return None
        if part:
            return TreeName(kind="part", sha256=sha256, version=int(part[1:]))
        return TreeName(kind="blob", sha256=sha256)
    for kind, pattern in _NAMES.items():
        if match := pattern.fullmatch(path):
            parts = match.groupdict()
            version = parts.get("version")
            return TreeName(
                kind=kind,
                version=int(version) if version else None,
                sha256=parts.get("sha256"),
                id=parts.get("id"),
                compressed=parts.get("zst") is not None,
            )
    return None
