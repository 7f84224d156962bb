"""The heads that stand in a tree on our own disk: which release each is, which files it names, which may go.

A head is the chain timestamp -> snapshot -> targets -> catalogue. `timestamp.json` names the current one; older chains
stay beside it for readers who are under way. Invariant: this module believes what it reads, so it reads only trees
that this machine wrote after checking (`sync.publishing.publish` its own, `sync.trust.accept` the accepted one), never a road. Of a
stick `prune` sees names alone, after `sync.exporting.ground` has looked where they lead; the head of a stick is read there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catalog.durable import sync_directory
from catalog.errors import ContentError
from sync import tree
from sync.formats.release import Release

SIGNED_AT = "x-signed-at"
"""Our field in the signed part of `timestamp.json`: when it was signed. TUF itself tells only when a file ends."""
TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One chain in a tree, down to the release it names."""

    snapshot: int
    targets: int
    catalog_sha256: str
    release: Release

    def paths(self) -> set[str]:
        """Return every path that this chain names, metadata included (but roots and the timestamp)."""
        own = {
            tree.snapshot_path(self.snapshot),
            tree.targets_path(self.targets),
            tree.catalog_path(self.catalog_sha256),
        }
        return own | {file.path for file in self.release.files()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentHead:
    """The head that `timestamp.json` names, and the timestamp's own version and times."""

    head: Head
    timestamp: int
    signed_at: datetime
    expires: datetime

    @property
    def release(self) -> Release:
        return self.head.release


def current_head(directory: Path) -> CurrentHead | None:
    """Return the head that the tree in `directory` stands at, None before its first release.

    Raises `ContentError` E-CATALOG where the chain is broken (it never is after a crash; a disk may have lost it).
    """
    try:
        data = (directory / tree.TIMESTAMP).read_bytes()
    except FileNotFoundError:
        return None
    signed = signed_part(data, tree.TIMESTAMP)
    try:
        return CurrentHead(
            head=_head(directory, int(signed["meta"]["snapshot.json"]["version"])),
            timestamp=int(signed["version"]),
            signed_at=read_time(signed[SIGNED_AT]),
            expires=read_time(signed["expires"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(tree.TIMESTAMP, error) from error
    except FileNotFoundError as error:
        raise ContentError("E-CATALOG", where=error.filename, expected="file", found="nothing") from error


def heads(directory: Path) -> list[Head]:
    """Return every whole chain in the tree in `directory`, newest snapshot first; broken ones are left out."""
    found = []
    for number in sorted(versions(directory, "snapshot"), reverse=True):
        try:
            found.append(_head(directory, number))
        except (FileNotFoundError, ContentError):
            continue
    return found


def kept_heads(directory: Path, releases: int) -> list[Head]:
    """Return the current head and the chains before it, as far back as the newest `releases` releases go.

    A chain beyond the current one was never committed: a cut left it.
    """
    current = current_head(directory)
    if current is None:
        return []
    found = [head for head in heads(directory) if head.snapshot <= current.head.snapshot]
    numbers = sorted({head.release.number for head in found}, reverse=True)[:releases]
    return [head for head in found if head.release.number in numbers]


def versions(directory: Path, role: str) -> set[int]:
    """Return the version numbers of `role` (root, snapshot, targets) that have a file in the tree in `directory`."""
    names = (tree.parse(f"metadata/{path.name}") for path in _listed(directory / "metadata"))
    return {name.version for name in names if name and name.kind == role and name.version}


def prune(directory: Path, keep: Iterable[Head]) -> None:
    """Remove the metadata and target files that no head of `keep` names; roots and the timestamp always stay.

    A cut leaves some of them: the next run removes them. Names of other kinds are not touched.
    """
    named = {path for head in keep for path in head.paths()}
    for folder in ("metadata", "targets", "targets/bundles"):
        removed = False
        for path in _listed(directory / folder):
            name = tree.parse(f"{folder}/{path.name}")
            droppable = name is not None and name.kind in (
                "snapshot",
                "targets",
                "catalog",
                "manifest",
                "transport",
            )
            if droppable and f"{folder}/{path.name}" not in named:
                path.unlink()
                removed = True
        if removed:
            sync_directory(directory / folder)


def signed_part(data: bytes, where: object) -> Mapping[str, Any]:
    """Return the `signed` object of TUF metadata; raise `ContentError` E-CATALOG where there is none."""
    try:
        signed = json.loads(data)["signed"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _broken(where, error) from error
    if not isinstance(signed, dict):
        raise _broken(where, "no object")
    return signed


def write_time(moment: datetime) -> str:
    """Return `moment` as TUF writes times: UTC, to the second."""
    return moment.astimezone(UTC).strftime(TIME_FORMAT)


def read_time(text: object) -> datetime:
    """Return the UTC time in `text` as TUF writes it; raise `ValueError` where it is none."""
    return datetime.strptime(str(text), TIME_FORMAT).replace(tzinfo=UTC)


def _head(directory: Path, snapshot: int) -> Head:
    place = tree.snapshot_path(snapshot)
    try:
        targets = int(_signed(directory, place)["meta"]["targets.json"]["version"])
        place = tree.targets_path(targets)
        sha256 = str(_signed(directory, place)["targets"][tree.CATALOG_TARGET]["hashes"]["sha256"])
    except (KeyError, TypeError, ValueError) as error:
        raise _broken(place, error) from error
    release = Release.from_bytes((directory / tree.catalog_path(sha256)).read_bytes())
    return Head(snapshot=snapshot, targets=targets, catalog_sha256=sha256, release=release)


def _signed(directory: Path, path: str) -> Mapping[str, Any]:
    return signed_part((directory / path).read_bytes(), path)


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _broken(where: object, found: object) -> ContentError:
    return ContentError("E-CATALOG", where=where, expected="TUF metadata", found=repr(found)[:80])
