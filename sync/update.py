"""A box's run: accept the publisher's head, show its catalogue, fetch the content, turn to it.

Steps, each of which a kill or a cut may end, and what the next run finds:
1. head: read over the first source that has a newer one; nothing of ours is changed.
2. manifests into `trust/targets/bundles/`: files that no head names yet; they are not fetched again.
3. rows, index and release number in one SQLite commit: the new catalogue is visible, older content still serves.
4. version floors to `local.db`, then the head to `trust/`: between 3 and 4 the next run accepts the same head again.
5. blobs through the one door, in the order of the plan; a resource turns when all its wanted files are here.
6. what nobody needs is deleted, rows first.
The caller holds `STATE/lock`. A refusal after step 3 is in the result, since the new catalogue stays.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from catalog import durable
from catalog.blobs import Blob, BlobStore, Refusal, Staged
from catalog.errors import ContentError, RoadError, ShuxiangError
from catalog.library import Library
from catalog.local import Local
from catalog.progress import OnProgress, Progress, silent
from catalog.scope import EVERYTHING, Scope
from sync import catalogue, content
from sync.accept import AcceptedHead, Floors, fetch_head, publish_head
from sync.carry import Carrier, Source, worst
from sync.content import ContentWishes
from sync.manifests import ManifestDoor, files_to_bring, manifest_lines
from sync.plan import BundleDelta, Plan
from sync.release import BundleHead, TreeFile
from sync.roads import RoadSettings
from sync.roads.road import Missed
from sync.roads.staging import Staging

FLOORS, NEWEST_SIGNED, MANIFESTS, SETTLED = "floors", "newest_signed", "manifests", "settled"
"""Settings of `local.db` that a run keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSettings:
    """What a run is told. `sources` are asked in order (parents before the hub); `subscriptions` None means all.

    `keep_free_bytes` of the disk are not filled. `hints`: whether `roads.json` of a source is read for more roads.
    """

    sources: tuple[str, ...]
    fingerprint: str
    subscriptions: frozenset[str] | None = None
    scope: Scope = EVERYTHING
    term: str = "a"
    keep_free_bytes: int = 64 << 20
    hints: bool = True
    road: RoadSettings = field(default_factory=RoadSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateResult:
    """What a run did. `roads`: bytes received by kind of road, metadata included; `fetched_bytes` is their sum.

    `reused_bytes`: bytes of new files that were here already, whole or in part. `activated`: readers see a new state.
    `failure` is what kept the run from its end; `release` is shown all the same.
    """

    release: int
    content_release: int
    fetched_bytes: int
    fetched_blobs: int
    reused_bytes: int
    roads: dict[str, int]
    seconds: float
    activated: bool
    failure: ShuxiangError | None = None

    def raise_for_failure(self) -> None:
        """Raise the refusal that the run ended with, if any."""
        if self.failure is not None:
            raise self.failure


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
        self._fetched_blobs = 0
        self._reused_bytes = 0
        self._carried_bytes = 0
        self._admitted = 0

    def run(self, now: datetime) -> UpdateResult:
        """Bring the box to the newest state that its sources have; `now` is the trusted time.

        Raises `ContentError`, `RoadError` or `StorageError` where no head was accepted and nothing changed.
        """
        started = time.monotonic()
        before = self._library.generation()
        with Staging(self._blobs.staging) as staging, closing(self._carrier(staging)) as carrier:
            catalogue.clear_old_indexes(self._library, self._index)
            head = self._accept(carrier, now)
            changed = self._show_catalogue(carrier, head)
            failure = self._fetch_content(carrier, staging, head, changed)
            if failure is None and head.expired:
                failure = ContentError("E-EXPIRED", where=head.release.number, found=head.expires.isoformat())
            roads = carrier.received()
        after = self._library.generation()
        return UpdateResult(
            release=after.release,
            content_release=after.content_release,
            fetched_bytes=sum(roads.values()),
            fetched_blobs=self._fetched_blobs,
            reused_bytes=self._reused_bytes,
            roads=roads,
            seconds=round(time.monotonic() - started, 3),
            activated=after != before,
            failure=failure,
        )

    def preview(self, now: datetime) -> Plan:
        """Return what a run would do. Only manifests are fetched; nothing that is shown or served changes."""
        with Staging(self._blobs.staging) as staging, closing(self._carrier(staging)) as carrier:
            head = self._accept(carrier, now)
            self._bring_manifests(carrier, head)
            changes, gone = self._compare(head)
            wishes = self._wishes()
            with self._library.reading() as reader:
                wants = content.wants_after(reader, wishes, changes, gone)
                fitted = content.fit_disk(reader, self._blobs, wants, self._settings.keep_free_bytes)
                return content.plan_of(
                    head.release.number,
                    reader,
                    wants,
                    fitted,
                    deltas=(*(change.delta for change in changes), *gone),
                    sources=tuple(source.address for source in carrier.sources if source.name),
                )

    # -- head ------------------------------------------------------------------------------------------------------

    def _carrier(self, staging: Staging) -> Carrier:
        settings = self._settings
        return Carrier(settings.sources, staging, settings.road, self._local, hints=settings.hints)

    def _accept(self, carrier: Carrier, now: datetime) -> AcceptedHead:
        """Return the first newer head that a source has, else the one we hold; raise where no source gave either."""
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
        if held is not None:
            for source in carrier.sources:
                # An older state is no reason against the bytes that such a source has.
                if source.failure is not None and source.failure.code == "E-ROLLBACK":
                    source.failure = None
            return held
        failures = [source.failure for source in carrier.sources if source.failure is not None]
        raise worst(failures) or RoadError("E-ROAD", expected="source")

    def _head_of(self, source: Source, now: datetime) -> AcceptedHead:
        floors = Floors.from_json(self._local.get(FLOORS))
        shown = self._library.generation().release
        for attempt in (1, 2):
            road = source.road() if attempt == 1 else source.look_again()
            try:
                head = fetch_head(
                    road.read,
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
            if head.release.number < shown:
                raise ContentError(
                    "E-ROLLBACK", where=source.address, expected=shown, found=head.release.number
                )
            return head
        raise AssertionError("two attempts end above")

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
        files = files_to_bring(head.release, self._trust)
        missed = self._bring(carrier, files, ManifestDoor(head.release, self._trust), "manifest")
        if failure := worst(one.error for one in missed):
            raise failure

    def _compare(self, head: AcceptedHead) -> tuple[list[catalogue.BundleChange], list[BundleDelta]]:
        applied = self._local.get(MANIFESTS, {})

        def known(bundle: BundleHead) -> bool:
            return bool(applied.get(bundle.id) == bundle.manifest.plain.sha256)

        return durable.storage(
            lambda: catalogue.compare_release(
                self._library,
                head.release,
                lambda bundle: manifest_lines(self._trust, bundle),
                self._blobs.staging,
                known=known,
            ),
            self._blobs.staging,
        )

    def _keep(self, name: str, value: object) -> None:
        # An unchanged poll must not cost the card a write.
        if self._local.get(name) != value:
            self._local.put(name, value)

    # -- content ---------------------------------------------------------------------------------------------------

    def _wishes(self) -> ContentWishes:
        return ContentWishes(
            subscriptions=self._settings.subscriptions,
            requests=tuple(request.resource_id for request in self._local.requests()),
            scope=self._settings.scope,
            term=self._settings.term,
        )

    def _fetch_content(
        self, carrier: Carrier, staging: Staging, head: AcceptedHead, changed: tuple[int, ...]
    ) -> ShuxiangError | None:
        """Bring what the plan wants; return what kept it from its end."""
        wishes = self._wishes()
        number = head.release.number
        if self._local.get(SETTLED) == wishes.key(self._library.generation(), number):
            return None
        with self._library.reading() as reader:
            wants = content.wants(reader, wishes)
            fitted = content.fit_disk(reader, self._blobs, wants, self._settings.keep_free_bytes)
            plan = content.plan_of(number, reader, wants, fitted)
            self._reused_bytes += content.held_bytes(reader, wants, set(changed))
            staging.bases = {new: self._blobs.path(old) for new, old in reader.predecessors().items()}
        content.set_left_out(self._library, wants, fitted)
        content.collect(self._library, self._blobs, fitted, plan.fetch_bytes + self._settings.keep_free_bytes)
        wanted = {step.file.sha256 for step in plan.steps}
        durable.storage(lambda: staging.prune(wanted.__contains__), staging.directory)
        missed: list[Missed] = []
        self._carried_bytes = 0
        try:
            for group in plan.groups():
                group = self._admit_strays(group)
                missed += self._bring(carrier, group, self._door, "content", plan)
        except ShuxiangError as error:
            return error
        content.collect(self._library, self._blobs, fitted, 0)
        if missed:
            return worst(one.error for one in missed)
        if self._library.generation().content_release != number:
            with self._library.writing() as writer:
                writer.set_content_release(number)
        # What does not fit today may fit on another disk tomorrow: only a whole plan is settled.
        settled = wishes.key(self._library.generation(), number) if fitted.whole else None
        self._local.put(SETTLED, settled)
        return None

    def _admit_strays(self, files: Sequence[TreeFile]) -> list[TreeFile]:
        """Let in what a cut left in the store without its row; return the files that are not here."""
        stray = [
            Staged(path=path, blob=Blob(sha256=file.sha256, size_bytes=file.size_bytes))
            for file in files
            if (path := self._blobs.path(file.sha256)).exists()
        ]
        refused = {item.staged.blob.sha256 for item in self._blobs.admit(stray)}
        here = {item.blob.sha256 for item in stray} - refused
        self._reused_bytes += sum(item.blob.size_bytes for item in stray if item.blob.sha256 in here)
        return [file for file in files if file.sha256 not in here]

    def _door(self, batch: list[Staged]) -> list[Refusal]:
        refused = self._blobs.admit(batch)
        for refusal in refused:
            if refusal.error.exit_code in range(20, 30):
                raise refusal.error
        self._admitted += len(batch) - len(refused)
        return refused

    def _bring(
        self,
        carrier: Carrier,
        files: Iterable[TreeFile],
        door: ManifestDoor | content.Door,
        phase: str,
        plan: Plan | None = None,
    ) -> list[Missed]:
        files = list(files)
        if not files:
            return []
        total = plan.fetch_bytes if plan else sum(file.size_bytes for file in files)
        done = 0

        def received(count: int) -> None:
            nonlocal done
            done += count
            self._progress(
                Progress(
                    phase=phase,
                    done=self._admitted,
                    total=len(plan.steps) if plan else len(files),
                    done_bytes=min(total, self._carried_bytes + done),
                    total_bytes=total,
                )
            )

        received(0)
        brought = carrier.bring(files, door, received)
        self._carried_bytes += done + brought.reused_bytes
        if plan is not None:
            self._reused_bytes += brought.reused_bytes
            self._fetched_blobs += brought.came
        return brought.missed
