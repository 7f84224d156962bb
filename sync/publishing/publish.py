"""The hub publishes: library and blobs become one signed, numbered state of a static tree.

Invariant: `timestamp.json`, replaced last, is the sole commit point. Order: manifests and transport files, blobs (hard
links; packs, patches and torrents, which stand in the tree alone), one flush of the filesystem, catalogue, deltas,
targets, snapshot, timestamp; then what no release needs any more is swept away. A cut before the timestamp leaves the
last release as it was, and files that no head names; the next run finishes or sweeps them. A cut after it leaves the
new release, and the sweep to the next run. The caller holds `STATE/lock`.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from catalog.blobs import BlobStore
from catalog.durable import move, storage, storage_error, sync_filesystem, write_file
from catalog.errors import StorageError
from catalog.library import Library, Reader
from catalog.progress import OnProgress, Progress, silent
from catalog.resource import canonical_json
from sync import tree
from sync.formats.release import Release
from sync.publishing.blob_links import link_blobs, public_directory, put_blobs, stands
from sync.publishing.bundle_files import StagedBundle, remember_transport, stage_bundle
from sync.publishing.deltas import StagedDeltas, put_deltas, stage_deltas, update_bytes
from sync.publishing.offering import Workshop
from sync.publishing.survey import BundleSurvey, Named, local_date, manifest_names, publishable
from sync.publishing.sweep import KEPT_RELEASES, sweep
from sync.publishing.torrents import TorrentMaker
from sync.trust.heads import CurrentHead, current_head, kept_heads
from sync.trust.keys import HubKeys
from sync.trust.signing import renew, sign_head, signing_time


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishResult:
    """What a publish did. Counts are resources but for `bundles`; `published` is False where nothing had changed.

    `bytes_new`: what a box that held everything must fetch: new blobs, deltas or compressed manifests, the catalogue.
    """

    release: int
    date: datetime
    published: bool
    bundles: int
    added: int
    changed: int
    recalled: int
    bytes_new: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BundlePreview:
    """How a bundle would differ from the last release. `version` is the one it would have; 0: it would be dropped."""

    id: str
    title: str
    version: int
    resources: int
    added: tuple[Named, ...]
    changed: tuple[Named, ...]
    gone: tuple[Named, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What publishing now would do: `release` is the number it would have, or has where nothing `changed`.

    `bytes_new`: blobs that the tree lacks; `bytes_total`: all content of all bundles (shared files count in each).
    """

    release: int
    changed: bool
    bundles: tuple[BundlePreview, ...]
    bytes_new: int
    bytes_total: int


def publish(
    library: Library,
    blobs: BlobStore,
    state: Path,
    keys: HubKeys,
    *,
    publisher: str,
    now: datetime,
    roads: Sequence[str] = (),
    progress: OnProgress = silent,
) -> PublishResult:
    """Publish the library as the next release in `state/public`; where nothing changed, only keep signatures fresh.

    `publisher` is the hub's name; `roads` are addresses of other roads for `roads.json` (`{host}` = the host asked).
    Raises `ConfigError` E-CLOCK; `StorageError` E-DAMAGED where a published record's blob is not in the store.
    """
    public = state / "public"
    head = _last_head(library, public)
    now = signing_time(now, head)
    today = local_date(now)
    with library.reading() as reader, _work(state) as work:
        torrents = TorrentMaker(reader, public, folder=state / "staging" / "torrents", work=work)
        shop = Workshop(
            blobs=blobs,
            public=public,
            work=work,
            release=head.release.number + 1 if head else 1,
            torrents=torrents,
            progress=progress,
        )
        staged = _stage(reader, head, public, work, now, progress, shop)
        deltas = stage_deltas(staged, kept_heads(public, KEPT_RELEASES), public=public, work=work)
        release = _next_release(head, deltas.bundles, publisher, keys, now)
        added, changed, recalled = _counts(reader, staged, _dropped(reader, head, public), today)
        write_roads(public, roads)
        published = head is None or not release.same_state(head.release)
        bytes_new = _put(shop, keys, head, release, deltas, now) if published else 0
        if not published:
            renew(public, keys, now)
        storage(lambda: sweep(public, lambda resource_id: _withdrawn(reader, resource_id, today)), public)
    torrents.remember(library)
    remember_transport(library, release.bundles)
    if library.generation().release != release.number:
        with library.writing() as writer:
            writer.set_release(release.number, release.date.isoformat())
            writer.set_content_release(release.number)
            for bundle in release.bundles:
                writer.set_bundle_version(bundle.id, bundle.version)
    return PublishResult(
        release=release.number,
        date=release.date,
        published=published,
        bundles=len(release.bundles),
        added=added,
        changed=changed,
        recalled=recalled,
        bytes_new=bytes_new,
    )


def preview(
    library: Library,
    state: Path,
    *,
    publisher: str,
    keys: HubKeys,
    now: datetime,
    progress: OnProgress = silent,
) -> Preview:
    """Return what `publish` would do now; write nothing but in staging."""
    public = state / "public"
    head = current_head(public)
    with library.reading() as reader, _work(state) as work:
        staged = _stage(reader, head, public, work, now, progress, None)
        dropped = _dropped(reader, head, public)
    release = _next_release(head, staged, publisher, keys, now)
    missing = {blob for one in staged for blob in one.survey.blobs if not stands(public, blob)}
    return Preview(
        release=release.number,
        changed=head is None or not release.same_state(head.release),
        bundles=tuple(_preview(one.survey) for one in staged) + tuple(dropped),
        bytes_new=sum(blob.size_bytes for blob in missing),
        bytes_total=sum(one.survey.size_bytes for one in staged),
    )


def _last_head(library: Library, public: Path) -> CurrentHead | None:
    """Return the head to count on from. A tree that was lost is not begun anew: boxes would refuse its numbers."""
    head = current_head(public)
    published = library.generation().release
    if head is None and published:
        raise StorageError("E-DAMAGED", where=public / tree.TIMESTAMP, expected=published, found="nothing")
    return head


def _stage(
    reader: Reader,
    head: CurrentHead | None,
    public: Path,
    work: Path,
    now: datetime,
    progress: OnProgress,
    shop: Workshop | None,
) -> list[StagedBundle]:
    states = sorted(reader.bundles(), key=lambda state: state.id)
    last = head.release if head else None
    staged = []
    for number, state in enumerate(states):
        progress(Progress(phase="manifest", done=number, total=len(states), item=state.id))
        staged.append(
            stage_bundle(reader, state, last=last, public=public, work=work, today=local_date(now), shop=shop)
        )
    progress(Progress(phase="manifest", done=len(states), total=len(states)))
    return staged


def _next_release(
    head: CurrentHead | None, staged: Iterable[StagedBundle], publisher: str, keys: HubKeys, now: datetime
) -> Release:
    """Return the release that the staged bundles make: the last one again where they say the same."""
    release = Release(
        number=head.release.number + 1 if head else 1,
        date=now.replace(microsecond=0),
        publisher=publisher,
        box_key=keys.box_key,
        bundles=tuple(one.head for one in staged),
    )
    return head.release if head and release.same_state(head.release) else release


def _put(
    shop: Workshop,
    keys: HubKeys,
    head: CurrentHead | None,
    release: Release,
    deltas: StagedDeltas,
    now: datetime,
) -> int:
    """Put the files of `release` into the tree and commit it; return the bytes that are new in it."""
    public, staged = shop.public, deltas.bundles
    catalog = release.to_bytes()
    catalog_path = tree.catalog_path(hashlib.sha256(catalog).hexdigest())
    wanted = {blob.sha256: blob for one in staged for blob in one.survey.blobs}
    try:
        public_directory(public / "targets" / "bundles")
        for one in staged:
            for path, file in one.files.items():
                file.chmod(0o644)
                move(file, public / path)
        # These first: a cut below leaves blobs that a manifest or transport file leads the sweep to.
        sync_filesystem(public)
        bytes_new = link_blobs(public, shop.blobs, list(wanted.values()), shop.progress)
        put_blobs(public, shop.files)
        sync_filesystem(public)
        write_file(public / catalog_path, catalog)
        put_deltas(public, deltas.files)
    except OSError as error:
        raise storage_error(error, error.filename or public) from error
    sign_head(public, keys, head, now, catalog=catalog)
    lists = sum(
        update_bytes(one.head) if one.relisted else one.head.transport.zst.size_bytes
        for one in staged
        if one.files
    )
    return bytes_new + len(catalog) + lists


def _dropped(reader: Reader, head: CurrentHead | None, public: Path) -> list[BundlePreview]:
    """Return the bundles of the last release that are no longer in the library, with what went with them."""
    present = {state.id for state in reader.bundles()}
    return [
        BundlePreview(
            id=bundle.id,
            title=bundle.title,
            version=0,
            resources=0,
            added=(),
            changed=(),
            gone=tuple(manifest_names(public / bundle.manifest.plain.path)),
        )
        for bundle in (head.release.bundles if head else ())
        if bundle.id not in present
    ]


def _counts(
    reader: Reader, staged: Iterable[StagedBundle], dropped: Iterable[BundlePreview], today: date
) -> tuple[int, int, int]:
    """Return how many resources are added, changed and recalled; one that moved between bundles is changed."""
    added: set[str] = set()
    edited: set[str] = set()
    gone = {one.id for bundle in dropped for one in bundle.gone}
    for one in staged:
        added.update(named.id for named in one.survey.added)
        edited.update(named.id for named in one.survey.edited)
        gone.update(named.id for named in one.survey.gone)
    moved = added & gone
    recalled = sum(not _listed(reader, resource_id, today) for resource_id in gone - moved)
    return len(added - moved - edited), len(edited | moved), recalled


def _listed(reader: Reader, resource_id: str, today: date) -> bool:
    """Return whether some bundle of the library still publishes the resource."""
    entry = reader.resource(resource_id)
    return (
        entry is not None
        and publishable(entry.resource.to_json(), today)
        and bool(reader.bundles_of(entry.number))
    )


def _withdrawn(reader: Reader, resource_id: str, today: date) -> bool:
    """Return whether the library knows the resource and may not publish it any more."""
    entry = reader.resource(resource_id)
    return entry is not None and not publishable(entry.resource.to_json(), today)


def _preview(survey: BundleSurvey) -> BundlePreview:
    return BundlePreview(
        id=survey.bundle.id,
        title=survey.bundle.title,
        version=survey.bundle.version,
        resources=survey.resources,
        added=survey.added,
        changed=survey.edited,
        gone=survey.gone,
    )


def write_roads(public: Path, roads: Sequence[str]) -> None:
    """Write the hint of other roads, or remove it where there are none."""
    path = public / tree.ROADS
    if not roads:
        storage(lambda: path.unlink(missing_ok=True), path)
        return
    data = canonical_json({"format": 1, "roads": list(roads)})
    if not path.exists() or path.read_bytes() != data:
        storage(lambda: write_file(path, data), path)


@contextmanager
def _work(state: Path) -> Iterator[Path]:
    """Give an empty folder in staging; what a cut left of the last one is thrown away."""
    work = state / "staging" / "publish"
    shutil.rmtree(work, ignore_errors=True)
    storage(lambda: work.mkdir(parents=True), work)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
