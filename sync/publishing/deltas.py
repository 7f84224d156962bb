"""The hub's deltas: what makes the manifests and transport files of a release of those of the releases before it.

Invariants: a delta is a blob of the tree that only `catalog.json` names, and stands in `public/blobs` alone; one that
saves less than half of the compressed file is not made; an unchanged bundle keeps the deltas that lead to it. They
get their names after the catalogue has its own, so that each leads the sweep to them, and before it is signed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from catalog.durable import move, sync_filesystem
from catalog.errors import ContentError
from sync import tree
from sync.formats.linedelta import DeltaHead, write_delta
from sync.formats.release import MAX_DELTAS, BundleHead, LineDelta, Release, TreeFile, TwinFile, delta_blob
from sync.publishing.blob_links import public_directory
from sync.publishing.bundle_files import ZSTD_LEVEL, StagedBundle, measure
from sync.trust.heads import Head

# Below this the delta would save a box less than its entry in the catalogue costs every box.
_LEAST_WHOLE_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedDeltas:
    """The bundles of the next release with their deltas in their heads, and the deltas: path in the tree -> file."""

    bundles: list[StagedBundle]
    files: Mapping[str, Path]


def stage_deltas(
    bundles: Iterable[StagedBundle], before: Sequence[Head], *, public: Path, work: Path
) -> StagedDeltas:
    """Write below `work` the deltas to the changed ones of `bundles`.

    `before` are the heads of the tree `public` that are kept, newest first.
    """
    staged = []
    files: dict[str, Path] = {}
    for one in bundles:
        if one.relisted:
            deltas = tuple(_deltas(one, _sources(one.head, before), public, work, files))
            one = replace(one, head=replace(one.head, deltas=deltas))
        staged.append(one)
    return StagedDeltas(bundles=staged, files=files)


def update_bytes(head: BundleHead) -> int:
    """Return what a box that holds the version before must fetch to hold the bundle's lists."""
    newest = head.deltas[0] if head.deltas else LineDelta(source=head.version)
    files = (newest.manifest or head.manifest.zst, newest.transport or head.transport.zst)
    return sum(file.size_bytes for file in files)


def put_deltas(public: Path, files: Mapping[str, Path]) -> None:
    """Give staged deltas their names in the tree `public`, durably; raises `OSError`."""
    for path, file in files.items():
        file.chmod(0o644)
        public_directory((public / path).parent)
        move(file, public / path)
    if files:
        sync_filesystem(public)


def outdated_deltas(public: Path, keep: Collection[Head]) -> set[str]:
    """Return the hashes of the deltas that only catalogues beyond `keep` name; they go before these catalogues."""
    kept = {head.catalog_sha256 for head in keep}
    outdated: set[str] = set()
    for path in (public / "targets").iterdir() if (public / "targets").is_dir() else ():
        name = tree.parse(f"targets/{path.name}")
        if name is None or name.kind != "catalog" or name.sha256 in kept:
            continue
        try:
            outdated |= _hashes((Release.from_bytes(path.read_bytes(), where=path),))
        except ContentError:
            # A catalogue that a cut left in parts was never followed by its deltas.
            continue
    return outdated - _hashes(head.release for head in keep)


def _hashes(releases: Iterable[Release]) -> set[str]:
    return {file.sha256 for release in releases for file in release.deltas()}


def _sources(head: BundleHead, before: Iterable[Head]) -> list[BundleHead]:
    """Return the bundle's newest older states, newest first."""
    sources: list[BundleHead] = []
    version = head.version
    for one in before:
        bundle = one.release.bundle(head.id)
        # A bundle that was dropped and made again counts from 1.
        if bundle is not None and bundle.version < version and len(sources) < MAX_DELTAS:
            sources.append(bundle)
            version = bundle.version
    return sources


def _deltas(
    one: StagedBundle, sources: Iterable[BundleHead], public: Path, work: Path, files: dict[str, Path]
) -> Iterator[LineDelta]:
    head = one.head
    for source in sources:
        made = {}
        for role, old, new in (
            ("manifest", source.manifest, head.manifest),
            ("transport", source.transport, head.transport),
        ):
            out = work / f"{head.id}.{source.version}.{role}.delta"
            file = _make(public / old.plain.path, one.files[new.plain.path], old, new, out)
            if file is not None:
                made[role] = file
                files[file.path] = out
        if made:
            yield LineDelta(source=source.version, **made)


def _make(old_path: Path, new_path: Path, old: TwinFile, new: TwinFile, out: Path) -> TreeFile | None:
    """Write one delta to `out`; None where it is not worth its name, or the old file is gone."""
    if new.zst.size_bytes < _LEAST_WHOLE_BYTES or old == new or not old_path.exists():
        return None
    head = DeltaHead(source=old.plain.sha256, target=new.plain.sha256, level=ZSTD_LEVEL)
    most_bytes = new.zst.size_bytes // 2
    with old_path.open("rb") as olds, new_path.open("rb") as news, out.open("wb") as stream:
        worth = write_delta(head, olds, news, stream, most_bytes=most_bytes)
    if not worth:
        out.unlink()
        return None
    return delta_blob(measure(out))
