"""What a timestamp leads to, told by the timestamp itself, so that a box need not wait for one file to ask for the next.

A chain of four files costs four round trips where each names the next; on a satellite line these are seconds. Our
field in the signed part of `timestamp.json` names the last two (its own part names the first). Invariant: a hint and
no more. What comes is judged by TUF's own rules as if it had been asked for in turn; a wrong hint costs small answers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from catalog.resource import is_sha256
from sync import tree

AHEAD = "x-ahead"
_MOST_VERSION = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """The version of the targets metadata and the hash of the catalogue below a timestamp."""

    targets: int
    catalog_sha256: str

    def to_json(self) -> dict[str, Any]:
        """Return the value that stands in the timestamp."""
        return {"targets": self.targets, "catalog": self.catalog_sha256}


def paths_ahead(timestamp: bytes) -> list[str]:
    """Return the paths of the tree that `timestamp` leads to, in the order of the chain; none where it says nothing."""
    try:
        signed = json.loads(timestamp)["signed"]
        snapshot = signed["meta"]["snapshot.json"]["version"]
        ahead = signed.get(AHEAD, {})
        targets, catalog = ahead.get("targets"), ahead.get("catalog")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
    found = []
    if _is_version(snapshot):
        found.append(tree.snapshot_path(snapshot))
    if _is_version(targets):
        found.append(tree.targets_path(targets))
    if isinstance(catalog, str) and is_sha256(catalog):
        found.append(tree.catalog_path(catalog))
    return found


def _is_version(value: object) -> bool:
    return type(value) is int and 0 < value <= _MOST_VERSION
