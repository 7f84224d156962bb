"""What a bundle's next release offers beside plain blobs: its transport file, and the packs, patches and torrents it
names, made in staging.

Invariants: what the last transport file offers is carried over line by line while it is of use, so that a torrent is
made once per blob, ever, and the work grows with what changed; equal input makes equal bytes. A pack is offered only
while all that is in it is: so nothing that was taken back travels on inside of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from heapq import merge
from pathlib import Path
from typing import BinaryIO

from catalog.blobs import Blob, BlobStore
from catalog.durable import storage
from catalog.errors import StorageError
from catalog.progress import OnProgress, Progress
from sync import tree
from sync.formats.torrentfile import LEAST_BYTES
from sync.formats.transport import (
    Offer,
    Pack,
    Patch,
    TransportHead,
    head_line,
    line_id,
    offer_line,
    read_offer,
)
from sync.parcels import packs, patches
from sync.parcels.packs import Packable
from sync.parcels.patches import MadePatch
from sync.publishing.survey import BundleSurvey, FileEdit
from sync.publishing.torrents import TorrentMaker

OFFERED_RELEASES = 4
"""A patch from a source, or a pack, that is older than this many releases is offered no more."""
_TORRENT = "torrent/"
_PATCH = "patch/"
_MAKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Where and of what the ways of one release are made.

    `release` is its number, `public` the tree, `work` a folder for what is made. `files` collects what is made: path
    in the tree -> staged file.
    """

    blobs: BlobStore
    public: Path
    work: Path
    release: int
    torrents: TorrentMaker
    progress: OnProgress
    files: dict[str, Path] = field(default_factory=dict)
    tried: dict[tuple[str, str], MadePatch | None] = field(default_factory=dict)

    def stored(self, blob: Blob) -> Path:
        """Return where the bytes of a blob of this release lie; raise `StorageError` E-DAMAGED where they do not."""
        path = self.blobs.path(blob.sha256)
        found = storage(lambda: path.stat().st_size if path.exists() else "nothing", path)
        if found != blob.size_bytes:
            raise StorageError("E-DAMAGED", where=blob.sha256, expected=blob.size_bytes, found=found)
        return path

    def has(self, blob: Blob) -> bool:
        """Return whether the store has as many bytes of a blob as it should."""
        path = self.blobs.path(blob.sha256)
        return path.exists() and path.stat().st_size == blob.size_bytes

    def older(self, sha256: str) -> Path | None:
        """Return where the bytes of a blob of an older release lie, if the hub still has them."""
        places = (self.blobs.path(sha256), self.public / tree.blob_path(sha256))
        return next((path for path in places if path.exists()), None)


def transport_head(survey: BundleSurvey) -> TransportHead:
    """Return what the first line of the bundle's transport file says."""
    bundle = survey.bundle
    return TransportHead(bundle=bundle.id, version=bundle.version, manifest=survey.measure.sha256)


def write_transport(survey: BundleSurvey, previous: Path | None, shop: Workshop, out: BinaryIO) -> None:
    """Write the bundle's next transport file to `out`; `previous` is the plain one of the last release.

    Raises `StorageError` E-DAMAGED where a blob of the bundle is not whole in the store.
    """
    carried = _carry(survey, previous, shop.release)
    made_patches = _make_patches(survey, carried, shop)
    big = [
        blob
        for blob in survey.blobs
        if blob.size_bytes >= LEAST_BYTES and blob.sha256 not in carried.torrents
    ]
    torrents = shop.torrents.make([(blob, shop.stored(blob)) for blob in big], shop.progress)
    members = [_packable(made.patch.file.sha256, made.path) for made in made_patches]
    members += [_packable(one.torrent.file.sha256, one.path) for one in torrents]
    made_packs = _make_packs(survey, members, {made.patch.target for made in made_patches}, shop)
    ways = [(made.patch.file, made.path) for made in made_patches]
    ways += [(made.pack.file, made.path) for made in made_packs]
    large = [
        (Blob(sha256=file.sha256, size_bytes=file.size_bytes), path)
        for file, path in ways
        if file.size_bytes >= LEAST_BYTES
    ]
    torrents += shop.torrents.make(large, shop.progress)
    ways += [(one.torrent.file, one.path) for one in torrents]
    shop.files.update((file.path, path) for file, path in ways)
    made: list[Offer] = [one.patch for one in made_patches]
    made += [one.pack for one in made_packs]
    made += [one.torrent for one in torrents]
    new = sorted(map(offer_line, made), key=line_id)
    out.write(head_line(transport_head(survey)))
    out.writelines(merge(carried.ways, new, _kept_torrents(previous, survey, carried), key=line_id))


def transport_lines(path: Path | None) -> Iterator[bytes]:
    """Stream the lines after the first of our own plain transport file at `path`; none where it is not there."""
    if path is None or not path.exists():
        return
    with path.open("rb") as stream:
        next(stream, None)
        yield from stream


@dataclass(slots=True)
class _Carried:
    """What goes on being offered. `ways` are lines of packs and patches by id; `torrents` the blobs that have one;
    `blobs` the packs and patches; `chains`: target that is gone -> the patches that led to it."""

    ways: list[bytes] = field(default_factory=list)
    torrents: set[str] = field(default_factory=set)
    blobs: set[str] = field(default_factory=set)
    chains: dict[str, list[Patch]] = field(default_factory=dict)


def _carry(survey: BundleSurvey, previous: Path | None, release: int) -> _Carried:
    carried = _Carried()
    before: list[tuple[Pack, bytes]] = []
    inside: set[str] = set()
    of_use: set[str] = set()
    asked = {blob.sha256 for blob in survey.blobs if blob.size_bytes >= LEAST_BYTES}
    for line in transport_lines(previous):
        name = line_id(line)
        if name.startswith(_TORRENT):
            blob = name.removeprefix(_TORRENT)
            if blob in asked:
                carried.torrents.add(blob)
            if inside and survey.names(blob):
                of_use.update(inside & {_torrent_file(line)})
            continue
        offer = read_offer(line, where=previous)
        if isinstance(offer, Pack) and offer.release > release - OFFERED_RELEASES:
            before.append((offer, line))
            inside.update(member.sha256 for member in offer.members if not survey.names(member.sha256))
        elif isinstance(offer, Patch) and offer.release >= release - OFFERED_RELEASES:
            if survey.names(offer.target):
                carried.ways.append(line)
                carried.blobs.add(offer.file.sha256)
            else:
                carried.chains.setdefault(offer.target, []).append(offer)
    of_use |= carried.blobs
    kept = [
        (pack, line)
        for pack, line in before
        if all(survey.names(member.sha256) or member.sha256 in of_use for member in pack.members)
    ]
    carried.blobs.update(pack.file.sha256 for pack, _ in kept)
    carried.ways[:0] = [line for _, line in kept]
    return carried


def _kept_torrents(previous: Path | None, survey: BundleSurvey, carried: _Carried) -> Iterator[bytes]:
    """Stream the torrents of what is still offered; they are many, so they are read again instead of kept."""
    for line in transport_lines(previous):
        name = line_id(line)
        if name.startswith(_TORRENT):
            blob = name.removeprefix(_TORRENT)
            if survey.names(blob) or blob in carried.blobs:
                yield line


def _torrent_file(line: bytes) -> str:
    """Return the hash of the `.torrent` file that a torrent's line names, without parsing the line."""
    mark = b'"torrent":{"sha256":"'
    start = line.index(mark) + len(mark)
    return line[start : start + 64].decode()


def _make_patches(survey: BundleSurvey, carried: _Carried, shop: Workshop) -> list[MadePatch]:
    """Make the patches to edited files: from what each was in the last release, and in the releases before that."""
    have = {line_id(line) for line in carried.ways}
    jobs: dict[tuple[str, str], tuple[str, Blob, int]] = {}
    for edit in survey.edits:
        for source, release in _sources(edit, carried, shop.release):
            if source != edit.target.sha256 and f"{_PATCH}{edit.target.sha256}/{source}" not in have:
                jobs.setdefault((edit.target.sha256, source), (source, edit.target, release))
    done = 0

    def make(job: tuple[str, Blob, int]) -> MadePatch | None:
        nonlocal done
        made = _make_patch(*job, shop)
        done += 1
        shop.progress(Progress(phase="patch", done=done, total=len(jobs)))
        return made

    with ThreadPoolExecutor(_MAKERS, "patch") as makers:
        return [made for made in makers.map(make, jobs.values()) if made is not None]


def _sources(edit: FileEdit, carried: _Carried, release: int) -> Iterator[tuple[str, int]]:
    yield edit.source.sha256, release - 1
    for older in carried.chains.get(edit.source.sha256, ()):
        yield older.source, older.release


def _make_patch(source: str, target: Blob, release: int, shop: Workshop) -> MadePatch | None:
    key = (source, target.sha256)
    if key not in shop.tried:
        path = shop.older(source)
        before = Blob(sha256=source, size_bytes=path.stat().st_size) if path else None
        shop.tried[key] = (
            patches.make(before, path, target, shop.stored(target), shop.work, release=release)
            if before and path
            else None
        )
    return shop.tried[key]


def _make_packs(
    survey: BundleSurvey, ways: Iterable[Packable], patched: set[str], shop: Workshop
) -> list[packs.MadePack]:
    """Pack what a box that is up to date wants; apart from it the edited files, which only other boxes want whole."""
    members: list[Packable] = [way for way in ways if way.blob.size_bytes <= packs.SMALL_BYTES]
    made: list[packs.MadePack] = []
    chosen = packs.choose(survey.fresh)
    groups = (
        members
        + [Packable(blob=blob, path=shop.stored(blob)) for blob in chosen if blob.sha256 not in patched],
        [Packable(blob=blob, path=shop.stored(blob)) for blob in chosen if blob.sha256 in patched],
    )
    for group in groups:
        shop.progress(Progress(phase="pack", done=len(made), item=survey.bundle.id))
        made += packs.make(group, shop.work, release=shop.release)
    return made


def _packable(sha256: str, path: Path) -> Packable:
    return Packable(blob=Blob(sha256=sha256, size_bytes=path.stat().st_size), path=path)
