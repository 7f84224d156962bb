"""A box's run: accept the publisher's head, show its catalogue, fetch the content, turn to it.

Steps, each of which a kill or a cut may end, and what the next run finds:
1. head: read over the first source that has a newer one; nothing of ours is changed. The box's own file comes with it:
   one write to `local.db`.
2. manifests into `trust/targets/bundles/`: files that no head names yet; they are not fetched again.
3. rows, index and release number in one SQLite commit: the new catalogue is visible, older content still serves.
4. version floors to `local.db`, then the head to `trust/`: between 3 and 4 the next run accepts the same head again.
5. content (`sync.updating.filling`): blobs through the one door, in the order of the plan; a resource turns when all its wanted
   files are here. Transport files only offer ways: without them all the rest goes on.
6. what nobody needs is deleted, rows first.
The caller holds `STATE/lock`. A refusal after step 3 is in the result, since the new catalogue stays.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from catalog import durable
from catalog.blobs import BlobStore
from catalog.errors import ContentError, RoadError, ShuxiangError
from catalog.library import Library
from catalog.local import Local
from catalog.progress import OnProgress, Progress, silent
from sync import boxfile, tree
from sync.formats.release import BundleHead, TreeFile
from sync.roads.directory import DirectoryRoad
from sync.roads.http import SmallFile
from sync.roads.road import Missed, Road
from sync.roads.staging import Staging
from sync.trust.accept import AcceptedHead, fetch_head, publish_head, read_head, release_of
from sync.trust.floors import Floors
from sync.trust.polling import Polling
from sync.updating import catalogue
from sync.updating.carry import MAX_HINT_BYTES, Carrier, Source, worst
from sync.updating.filling import Filling
from sync.updating.manifest_door import ManifestChange, ManifestDoor
from sync.updating.manifests import manifest_lines
from sync.updating.plan import BundleDelta, Plan
from sync.updating.run import UpdateResult, UpdateSettings

__all__ = ["Update", "UpdateResult", "UpdateSettings"]

FLOORS, NEWEST_SIGNED, MANIFESTS = "floors", "newest_signed", "manifests"
"""Settings of `local.db` that a run keeps."""


class Update:
    """One run over the state directory `state` of a box."""

    def __init__(
        self,
        state: Path,
        *,
        library: Library,
        blobs: BlobStore,
        local: Local,
        settings: UpdateSettings,
        progress: OnProgress = silent,
    ) -> None:
        self._trust = state / "trust"
        self._index = state / "index"
        self._library = library
        self._blobs = blobs
        self._local = local
        self._settings = settings
        self._progress = progress
        self._filling = Filling(library, blobs, local, self._trust, settings, progress)
        self._warnings: list[ShuxiangError] = []
        self._behind: ContentError | None = None
        self._manifest_changes: dict[str, ManifestChange] = {}

    def run(self, now: datetime) -> UpdateResult:
        """Bring the box to the newest state that its sources have; `now` is the trusted time.

        Raises `ContentError`, `RoadError` or `StorageError` where no head was accepted and nothing changed.
        """
        started = time.monotonic()
        before = self._library.generation()
        with (
            Staging(self._blobs.staging) as staging,
            closing(self._carrier(staging)) as carrier,
            closing(self._filling.company) as company,
        ):
            catalogue.clear_old_indexes(self._library, self._index)
            head = self._accept(carrier, now)
            # A new signature of the release that is shown brings nothing that others could have.
            if head.release.number != self._library.generation().release and carrier.is_long():
                company.approach()
            self._take_own_file(carrier, head, now)
            changed = self._show_catalogue(carrier, head)
            failure = self._filling.fill(carrier, staging, head.release, changed)
            if failure is None and head.expired:
                failure = ContentError("E-EXPIRED", where=head.release.number, found=head.expires.isoformat())
            failure = worst(filter(None, (failure, self._behind)))
            roads = dict(self._filling.received + Counter(carrier.received()))
        after = self._library.generation()
        arrivals = self._filling.arrivals
        return UpdateResult(
            release=after.release,
            content_release=after.content_release,
            fetched_bytes=sum(roads.values()),
            fetched_blobs=arrivals.blobs,
            reused_bytes=self._filling.reused_bytes,
            roads=roads,
            seconds=round(time.monotonic() - started, 3),
            activated=after != before,
            ways=dict(arrivals.bytes_by),
            saved=dict(arrivals.saved),
            failure=failure,
            warnings=(*self._warnings, *self._filling.warnings, *arrivals.warnings),
        )

    def preview(self, now: datetime) -> Plan:
        """Return what a run would do. Only manifests are fetched; nothing that is shown or served changes."""
        with Staging(self._blobs.staging) as staging, closing(self._carrier(staging)) as carrier:
            head = self._accept(carrier, now)
            self._take_own_file(carrier, head, now)
            self._bring_manifests(carrier, head)
            changes, gone = self._compare(head)
            sources = tuple(source.address for source in carrier.sources if source.name)
            return self._filling.preview(carrier, staging, head.release, changes, gone, sources)

    # -- head ------------------------------------------------------------------------------------------------------

    def _carrier(self, staging: Staging) -> Carrier:
        settings = self._settings
        return Carrier(settings.sources, staging, settings.road, self._local, hints=settings.hints)

    def _accept(self, carrier: Carrier, now: datetime) -> AcceptedHead:
        """Return the first newer head that a source has, else the one we hold; raise where no source gave either.

        Where all that a source lacks is what came after it, ours holds and the source serves its bytes.
        """
        held: AcceptedHead | None = None
        for source in carrier.sources:
            self._progress(Progress(phase="metadata", item=source.address))
            try:
                head = self._head_of(source, now)
            except (ContentError, RoadError) as error:
                source.failure = error
                continue
            if held is None or head.floors.timestamp > held.floors.timestamp:
                held = head
            if head.changed:
                break
        older = [source for source in carrier.sources if _is_behind(source)]
        if held is None and older:
            held = self._held_beside(older, now)
        if held is not None:
            for source in older:
                # An older state is no reason against the bytes that such a source has.
                source.failure = None
            return held
        failures = [source.failure for source in carrier.sources if source.failure is not None]
        raise worst(failures) or RoadError("E-ROAD", expected="source")

    def _held_beside(self, older: list[Source], now: datetime) -> AcceptedHead | None:
        """Return the head that we hold, if it and theirs are whole; keep the refusal of an older release for the end.

        A source of the same release, only signed before ours, is not refused at all.
        """
        fingerprint, staging = self._settings.fingerprint, self._blobs.staging
        head = read_head(self._trust, fingerprint=fingerprint, staging_dir=staging)
        shown, floors = self._library.generation().release, Floors.from_json(self._local.get(FLOORS))
        if head is None or head.release.number != shown or head.floors.raised_to(floors) != head.floors:
            return None
        for source in older:
            try:
                road = source.road().read
                release = release_of(
                    road, fingerprint=fingerprint, trust_dir=self._trust, staging_dir=staging
                )
            except (ContentError, RoadError):
                return None
            if release < shown:
                self._behind = ContentError("E-ROLLBACK", where=source.address, expected=shown, found=release)
        return replace(head, expired=head.expires <= now)

    def _head_of(self, source: Source, now: datetime) -> AcceptedHead:
        floors = Floors.from_json(self._local.get(FLOORS))
        shown = self._library.generation().release
        for attempt in (1, 2):
            road = source.road() if attempt == 1 else source.look_again()
            try:
                head = fetch_head(
                    self._polling(road),
                    fingerprint=self._settings.fingerprint,
                    trust_dir=self._trust,
                    staging_dir=self._blobs.staging,
                    now=now,
                    floors=floors,
                )
            except RoadError as error:
                if error.code != "E-NO-TREE" or attempt == 2:
                    raise
                continue
            except ContentError as error:
                if error.code == "E-SIGNATURE" and isinstance(road, DirectoryRoad):
                    road.check_owner(self._settings.fingerprint)
                raise
            if head.release.number < shown:
                raise ContentError(
                    "E-ROLLBACK", where=source.address, expected=shown, found=head.release.number
                )
            return head
        raise AssertionError("two attempts end above")

    def _polling(self, road: Road) -> Polling:
        """Return how the head is asked for over `road`: in as few round trips as can be."""
        box_id = self._settings.box_id
        own = [boxfile.asked_of(road.address, self._local, box_id)] if box_id else []
        hints = [SmallFile(tree.ROADS, MAX_HINT_BYTES)] if self._settings.hints else []
        return Polling(road, self._trust, self._local, beside=own, after=hints, on_news=catalogue.load_ahead)

    def _take_own_file(self, carrier: Carrier, head: AcceptedHead, now: datetime) -> None:
        """Take what the hub assigns to this box, and to those that sync from it, from the sources that are open; a refusal
        is a warning."""
        box_id = self._settings.box_id
        for source in carrier.sources:
            if not box_id or source.opened is None or source.failure is not None:
                continue
            try:
                refused = boxfile.take(
                    source.opened, self._local, box_id=box_id, box_key=head.release.box_key, now=now
                )
                self._warnings += boxfile.pass_on(
                    source.opened, self._local, self._trust, box_key=head.release.box_key
                )
            except RoadError as error:
                refused = error
            if refused is not None:
                self._warnings.append(refused)

    # -- catalogue -------------------------------------------------------------------------------------------------

    def _show_catalogue(self, carrier: Carrier, head: AcceptedHead) -> tuple[int, ...]:
        """Make the catalogue of `head` visible; return the numbers of the resources that are new or changed."""
        self._keep(NEWEST_SIGNED, head.signed_at.isoformat())
        changed: tuple[int, ...] = ()
        whole = catalogue.has_index(self._library, self._index)
        if head.changed or head.release.number != self._library.generation().release or not whole:
            self._bring_manifests(carrier, head)
            changes, gone = self._compare(head)
            if changes or gone or not whole or head.release.number != self._library.generation().release:
                done = durable.storage(
                    lambda: catalogue.apply_release(
                        self._library, self._index, head.release, changes, gone, self._progress
                    ),
                    self._index,
                )
                changed = done.changed
            self._keep(
                MANIFESTS, {bundle.id: bundle.manifest.plain.sha256 for bundle in head.release.bundles}
            )
        floors = Floors.from_json(self._local.get(FLOORS)).raised_to(head.floors)
        self._keep(FLOORS, floors.to_json())
        if head.changed:
            publish_head(head, self._trust)
        return changed

    def _bring_manifests(self, carrier: Carrier, head: AcceptedHead) -> None:
        door = ManifestDoor(head.release, self._trust, self._blobs.staging)
        door.run(lambda files, door: self._bring(carrier, files, door, "manifest"))
        self._warnings += door.warnings
        self._manifest_changes = door.changes

    def _compare(self, head: AcceptedHead) -> tuple[list[catalogue.BundleChange], list[BundleDelta]]:
        applied = self._local.get(MANIFESTS, {})

        def known(bundle: BundleHead) -> bool:
            return bool(applied.get(bundle.id) == bundle.manifest.plain.sha256)

        made = {
            bundle_id: change
            for bundle_id, change in self._manifest_changes.items()
            if applied.get(bundle_id) == change.sha256
        }
        return durable.storage(
            lambda: catalogue.compare_release(
                self._library,
                head.release,
                lambda bundle: manifest_lines(self._trust, bundle),
                self._blobs.staging,
                known=known,
                made=made,
            ),
            self._blobs.staging,
        )

    def _keep(self, name: str, value: object) -> None:
        # An unchanged poll must not cost the card a write.
        if self._local.get(name) != value:
            self._local.put(name, value)

    def _bring(
        self, carrier: Carrier, files: Iterable[TreeFile], door: ManifestDoor, phase: str
    ) -> list[Missed]:
        files = list(files)
        if not files:
            return []
        total = sum(file.size_bytes for file in files)
        done = 0

        def received(count: int) -> None:
            nonlocal done
            done += count
            self._progress(
                Progress(
                    phase=phase,
                    total=len(files),
                    done_bytes=min(total, done),
                    total_bytes=total,
                    road=carrier.at,
                )
            )

        received(0)
        return carrier.bring(files, door, received).missed


def _is_behind(source: Source) -> bool:
    return source.failure is not None and source.failure.code == "E-ROLLBACK"
