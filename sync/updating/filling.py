"""The content half of a run: what is missing is planned, room is made for it, it is brought, and the box turns to it.

A kill or a cut may end it anywhere: what came is through the door or lies in staging, and the next run plans anew from
both. Nothing is deleted that pages use; what nobody needs goes at the end, rows first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from catalog import durable
from catalog.blobs import BlobStore
from catalog.errors import ContentError, ShuxiangError
from catalog.fit import Fit, Want
from catalog.library import Library, Reader
from catalog.local import Local
from catalog.progress import OnProgress
from sync import boxfile
from sync.formats.release import Release
from sync.formats.transport import Offers
from sync.line.network import address_parts
from sync.parcels.kept import FOLDER, MOST_BYTES, SHARE_OF_FREE, KeptParcels
from sync.roads.staging import Staging
from sync.updating import content
from sync.updating.carry import Carrier, worst
from sync.updating.catalogue import BundleChange
from sync.updating.content import ContentWishes
from sync.updating.lessons import lessons_of_these_days
from sync.updating.loads import Roads
from sync.updating.manifests import transport_lines
from sync.updating.neighbours import Company
from sync.updating.plan import BundleDelta, Haul, Plan, missing_files
from sync.updating.run import SCOPE, SUBSCRIPTIONS, UpdateSettings
from sync.updating.ways import Arrivals, Delivery

SETTLED = "settled"
"""Setting of `local.db`: the wishes and the state for which the last plan was carried out whole."""


class Filling:
    """The content half of one run; its counts are true after `fill`, however that ended."""

    def __init__(
        self,
        library: Library,
        blobs: BlobStore,
        local: Local,
        trust: Path,
        settings: UpdateSettings,
        progress: OnProgress,
    ) -> None:
        self.arrivals = Arrivals()
        self.company = Company(settings.neighbours, library)
        self.reused_bytes = 0
        self.received: Counter[str] = Counter()
        """Bytes that came by the swarm, by kind."""
        self.warnings: list[ShuxiangError] = []
        self._bases: dict[str, str] = {}
        self._library = library
        self._blobs = blobs
        self._local = local
        self._trust = trust
        self._kept = KeptParcels(
            trust.parent / FOLDER, min(MOST_BYTES, max(0, blobs.free_bytes()) // SHARE_OF_FREE)
        )
        self._settings = settings
        self._progress = progress

    def fill(
        self, carrier: Carrier, staging: Staging, release: Release, changed: Sequence[int]
    ) -> ShuxiangError | None:
        """Bring what `release` wants here; return what kept it from its end. `changed`: resources that are new."""
        wishes = self._wishes()
        number = release.number
        if self._local.get(SETTLED) == wishes.key(self._library.generation(), number):
            return None
        with self._library.reading() as reader:
            wants = content.wants(reader, self._with_lessons(reader, wishes))
            fitted = content.fit_disk(reader, self._blobs, wants, self._settings.keep_free_bytes)
            missing = missing_files(wants, fitted, reader.has)
            self.reused_bytes += content.held_bytes(reader, wants, set(changed))
            self._bases = reader.predecessors()
            staging.bases = {new: self._blobs.path(old) for new, old in self._bases.items()}
        content.set_left_out(self._library, wants, fitted)
        delivery = Delivery(
            carrier,
            staging,
            self._library,
            self._blobs,
            self._progress,
            self.company,
            self._kept,
        )
        self.arrivals = delivery.arrivals
        try:
            self.reused_bytes += delivery.admit_here(missing)
            haul = self._plan_haul(carrier, staging, release, wants, fitted)
            self.reused_bytes += haul.begun_bytes
            missed = delivery.run(haul)
        except ShuxiangError as error:
            return error
        finally:
            delivery.close()
            self.received += Counter(delivery.received())
        content.collect(self._library, self._blobs, fitted, 0, haul if missed else None)
        if missed:
            return worst(one.error for one in missed)
        self._tidy(staging, haul, release)
        if self._library.generation().content_release != number:
            with self._library.writing() as writer:
                writer.set_content_release(number)
        # What does not fit today may fit on another disk tomorrow: only a whole plan is settled.
        settled = wishes.key(self._library.generation(), number) if fitted.whole else None
        self._local.put(SETTLED, settled)
        return None

    def _tidy(self, staging: Staging, haul: Haul, release: Release) -> None:
        """Drop what is left of ways that were of no use or are offered no more, and the torrents of packs and patches."""
        durable.storage(lambda: staging.prune(lambda _: False), staging.directory)
        durable.storage(lambda: self._kept.prune(self._transport_of(release)), staging.directory)
        if haul.loads:
            with self._library.writing() as writer:
                writer.drop_stray_torrents()

    def _transport_of(self, release: Release) -> Iterator[bytes]:
        for bundle in release.bundles:
            # Without its transport file a bundle offers nothing.
            with suppress(FileNotFoundError, ContentError):
                yield from transport_lines(self._trust, bundle)

    def preview(
        self,
        carrier: Carrier,
        staging: Staging,
        release: Release,
        changes: Sequence[BundleChange],
        gone: Sequence[BundleDelta],
        sources: tuple[str, ...],
    ) -> Plan:
        """Return what a run would do once the catalogue's `changes` were applied."""
        with self._library.reading() as reader:
            wishes = self._with_lessons(reader, self._wishes())
            wants = content.wants_after(reader, wishes, changes, gone)
            fitted = content.fit_disk(reader, self._blobs, wants, self._settings.keep_free_bytes)
            self._bases = content.bases_after(reader, changes)
            missing = missing_files(wants, fitted, reader.has)
            return content.plan_of(
                release.number,
                reader,
                wants,
                fitted,
                staging,
                offers=self._offers(release, reader, missing),
                roads=self._roads(carrier),
                bases=self._bases,
                spare_bytes=self._spare_bytes(missing),
                deltas=(*(change.delta for change in changes), *gone),
                sources=sources,
            )

    def _wishes(self) -> ContentWishes:
        subscriptions, scope, leaves = (
            self._settings.subscriptions,
            self._settings.scope,
            self._settings.leaves,
        )
        if leaves and (assigned := boxfile.held(self._local)) is not None:
            if SUBSCRIPTIONS in leaves and assigned.subscriptions is not None:
                subscriptions = assigned.bundles
            if SCOPE in leaves and assigned.scope is not None:
                scope = assigned.scope
        return ContentWishes(
            subscriptions=subscriptions,
            requests=tuple(request.resource_id for request in self._local.requests()),
            scope=scope,
            term=self._settings.term,
        )

    def _with_lessons(self, reader: Reader, wishes: ContentWishes) -> ContentWishes:
        """Return `wishes` with what the lessons of these days need: asked only where a plan is made."""
        return replace(wishes, lessons=lessons_of_these_days(reader, self._local.usage()))

    def _offers(self, release: Release, reader: Reader, missing: Mapping[str, int]) -> Offers:
        if not missing:
            return Offers()
        offers, refused = content.offers_of(release, self._trust, missing, reader.has)
        self.warnings += refused
        return offers

    def _roads(self, carrier: Carrier) -> Roads:
        """Return what this run can travel by. A source in the LAN is as near as anyone in a swarm could be."""
        road = carrier.first_open()
        if road is None:
            return Roads()
        host = address_parts(road.address).hostname or ""
        far = road.name != "directory" and self._settings.road.governor.governs(host)
        # A source that is a neighbour gives whole files for nothing; what differs would come over the line.
        differences = (far or road.name == "rsync") and bool(self._bases) and carrier.compares()
        return Roads(
            first=road.name, swarm=far and self._settings.neighbours is not None, differences=differences
        )

    def _spare_bytes(self, missing: Mapping[str, int]) -> int:
        """Return the room beside what is missing: what is kept free, or more."""
        free_bytes = self._blobs.free_bytes() - sum(missing.values())
        return max(free_bytes, self._settings.keep_free_bytes)

    def _plan_haul(
        self, carrier: Carrier, staging: Staging, release: Release, wants: Sequence[Want], fitted: Fit
    ) -> Haul:
        """Plan, make room for it, and drop from staging what it does not need."""
        with self._library.reading() as reader:
            missing = missing_files(wants, fitted, reader.has)
            offers = self._offers(release, reader, missing)
        for _ in range(3):
            with self._library.reading() as reader:
                plan = content.plan_of(
                    release.number,
                    reader,
                    wants,
                    fitted,
                    staging,
                    offers=offers,
                    roads=self._roads(carrier),
                    bases=self._bases,
                    spare_bytes=self._spare_bytes(missing),
                )
            room_bytes = plan.fetch_bytes + self._settings.keep_free_bytes
            if self._blobs.free_bytes() < room_bytes:
                durable.storage(self._kept.clear, self._trust)
            content.collect(self._library, self._blobs, fitted, room_bytes, plan.haul)
            if self._blobs.free_bytes() < plan.fetch_bytes + plan.haul.aside_bytes:
                # What patches and packs need beside the blobs has no room: all comes whole.
                offers = Offers()
                continue
            with self._library.reading() as reader:
                if all(map(reader.has, plan.haul.sources())):
                    break
        durable.storage(lambda: staging.prune(plan.haul.needs().__contains__), staging.directory)
        self._settings.on_plan(plan)
        return plan.haul
