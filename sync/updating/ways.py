"""Carrying a haul out: loads come over the roads and the swarm, and what they are for goes through the one door.

A patch or a pack that came is used at once: what it makes goes to staging and through the door like any other file.
Where a way fails (a patch that does not fit, a pack that nobody has, a swarm that stands still), the next one is
taken in the same run: instead of a pack its files by themselves, instead of a patch the whole blob.
Invariants: a blob is believed by its own hash alone, whatever it came out of. A patch or pack stays in staging until
all that it gives is through the door, and all that one pack gives goes in one batch: so a cut finds either the whole
pack still of use or nothing more wanted of it, and nothing is fetched twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from catalog import durable
from catalog.blobs import Blob, BlobStore, Refusal, Staged, hash_file
from catalog.errors import ContentError, RoadError, ShuxiangError
from catalog.library import Library
from catalog.progress import OnProgress, Progress, Speed
from sync.formats.release import TreeFile
from sync.formats.torrentfile import read_torrent
from sync.formats.transport import Pack, Patch, Torrent
from sync.parcels import packs, patches
from sync.parcels.kept import KeptParcels
from sync.roads.road import BATCH_MOST_FILES, Missed, blob_file, staged_file
from sync.roads.staging import Staging
from sync.updating.carry import Carrier
from sync.updating.loads import REQUEST_BYTES, Load
from sync.updating.neighbours import LAN, Company
from sync.updating.plan import DIFFERENCES, PACK, PATCH, SWARM, WHOLE, Haul

HERE = "here"
"""The way of a blob that an earlier run had brought, and that only the door was still to let in."""


@dataclass(slots=True)
class Arrivals:
    """What came through the door. `bytes_by`: way -> bytes of blobs; `saved`: way -> bytes that the line was spared."""

    blobs: int = 0
    bytes_by: Counter[str] = field(default_factory=Counter)
    saved: Counter[str] = field(default_factory=Counter)
    warnings: list[ShuxiangError] = field(default_factory=list)


@dataclass(slots=True)
class _Made:
    """What a batch gives beside its own blobs: blobs in staging with their way, torrents of blobs, files used up."""

    blobs: dict[str, tuple[Staged, str]] = field(default_factory=dict)
    torrents: dict[str, bytes] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)


class Delivery:
    """One haul on its way. Call `admit_here` before the haul is planned, then `run`; close it."""

    def __init__(
        self,
        carrier: Carrier,
        staging: Staging,
        library: Library,
        blobs: BlobStore,
        progress: OnProgress,
        company: Company,
        kept: KeptParcels | None = None,
    ) -> None:
        self.arrivals = Arrivals()
        self._kept = kept
        self._used: set[str] = set()
        self._carrier = carrier
        self._staging = staging
        self._library = library
        self._blobs = blobs
        self._progress = progress
        self._company = company
        self._for_swarm: set[str] = set()
        self._road = ""
        self._shared: set[str] = set()
        self._compared: set[str] = set()
        self._speed = Speed()
        self._offers: dict[str, Load] = {}
        self._sizes: dict[str, int] = {}
        self._places: dict[str, int] = {}
        self._fallen: list[Load] = []
        self._total_bytes = self._done_bytes = 0

    def admit_here(self, wanted: Mapping[str, int]) -> int:
        """Let in those of `wanted` (hash -> length) that lie whole in staging or, without a row, in the store; return their bytes."""
        found = [
            staged for sha256, size_bytes in wanted.items() if (staged := self._left(sha256, size_bytes))
        ]
        count = 0
        for start in range(0, len(found), BATCH_MOST_FILES):
            batch = found[start : start + BATCH_MOST_FILES]
            refused = {one.staged.blob.sha256 for one in self._admit(batch)}
            here = [one.blob for one in batch if one.blob.sha256 not in refused]
            self._staging.settle(blob.sha256 for blob in here)
            count += sum(blob.size_bytes for blob in here)
        if count:
            self.arrivals.bytes_by[HERE] += count
        return count

    def _left(self, sha256: str, size_bytes: int) -> Staged | None:
        """Return the blob as an earlier run left it: in the store without its row, or whole in staging."""
        stray = self._blobs.path(sha256)
        if stray.exists():
            return Staged(path=stray, blob=Blob(sha256=sha256, size_bytes=size_bytes))
        file = blob_file(sha256, size_bytes)
        whole = self._staging.length(file) == size_bytes and self._staging.complete(file)
        return staged_file(file, self._staging) if whole else None

    def run(self, haul: Haul) -> list[Missed]:
        """Bring all of `haul`; return the blobs that no way brought.

        Raises `StorageError` where our own disk fails.
        """
        self._sizes = {step.file.sha256: step.file.size_bytes for step in haul.steps}
        self._places = {step.file.sha256: step.place for step in haul.steps}
        self._total_bytes = haul.line_bytes
        missed: list[Missed] = []
        self._tell(0)
        self._for_swarm = {load.file.sha256 for load in haul.loads if load.torrent is not None}
        try:
            for group in haul.groups():
                waiting: Sequence[Load] = group.loads
                while waiting:
                    waiting = self._instead(self._carry(waiting), missed)
        except BaseException:
            self._company.break_off()
            raise
        return missed

    def received(self) -> dict[str, int]:
        """Return the bytes that came by the swarm, by kind."""
        return dict(self._company.received)

    def close(self) -> None:
        """Leave the swarm, and drop what was kept only to be shared."""
        self._company.close()
        if lan_bytes := self._company.received[LAN]:
            self.arrivals.saved[LAN] = lan_bytes
        for sha256 in self._shared:
            self._let_go(sha256)

    # -- the ways --------------------------------------------------------------------------------------------------

    def _carry(self, loads: Sequence[Load]) -> list[tuple[Load, ShuxiangError]]:
        """Bring `loads`; return those that did not come, and why."""
        by_file = {load.file.sha256: load for load in loads}
        self._offers.update(
            (one.file.sha256, one) for load in loads for one in (load, *load.inside) if one.offer is not None
        )
        waiting = {sha256: load.file for sha256, load in by_file.items()}
        if all(load.base for load in loads):
            return self._carry_differences(by_file)
        by_swarm = [load for load in loads if load.torrent is not None]
        self._for_swarm -= waiting.keys()
        if by_swarm and self._company.join(self.arrivals.warnings):
            self._carry_by_swarm(by_swarm, waiting)
        brought = self._carrier.bring(waiting.values(), self._door, self._tell)
        return [(by_file[one.file.sha256], one.error) for one in brought.missed]

    def _is_sooner_by_road(self, loads: Sequence[Load]) -> bool:
        """Return whether a road, which has its first round trips behind it, brings `loads` before a swarm of one."""
        begun = self._staging.scattered()
        if not self._carrier.is_long() or any(load.file.sha256 in begun for load in loads):
            return False
        return self._company.is_idle_for(sum(load.cost_bytes for load in loads))

    def _carry_differences(self, loads: Mapping[str, Load]) -> list[tuple[Load, ShuxiangError]]:
        """Bring `loads` as what differs from their older editions; return those that did not come so."""
        self._compared |= loads.keys()
        before = self._carrier.received().get("rsync", 0)
        brought = self._carrier.bring_differences(
            (load.file for load in loads.values()), self._door, self._tell
        )
        missed = [(loads[one.file.sha256], one.error) for one in brought.missed]
        refused = {(error.code, error.where): error for _, error in missed if error.code != "E-ROAD-MISSING"}
        self.arrivals.warnings += refused.values()
        came = sum(load.file.size_bytes for load in loads.values())
        came -= sum(load.file.size_bytes for load, _ in missed)
        received = self._carrier.received().get("rsync", 0) - before
        self.arrivals.saved[DIFFERENCES] += max(0, came - received)
        self._compared -= loads.keys()
        return missed

    def _carry_by_swarm(self, loads: Sequence[Load], waiting: dict[str, TreeFile]) -> None:
        """Bring `loads` by the swarm, and take out of `waiting` what came; the roads go on inside the rest."""
        if self._is_sooner_by_road(loads):
            if not self._for_swarm:
                self._company.depart()
            return
        self._carrier.admit_leftovers(waiting, self._door)
        self._shared |= {load.file.sha256 for load in loads if load.offer is not None}

        def done(batch: list[Staged]) -> None:
            refused = {one.staged.blob.sha256 for one in self._door(batch)}
            for item in batch:
                if item.blob.sha256 not in refused:
                    del waiting[item.blob.sha256]
            self._staging.settle(item.blob.sha256 for item in batch)

        self._road = SWARM
        asked: set[str] = set()
        try:
            # A pack that the swarm itself brings may hold the `.torrent` files of what else is in this group.
            while files := self._company.known(
                load.file for load in loads if load.file.sha256 in waiting and load.file.sha256 not in asked
            ):
                asked.update(file.sha256 for file in files)
                trees = self._carrier.http_trees()
                self._company.fetch(
                    files, self._staging, done, self._tell, web_seeds=trees, kept_at=self._kept_at
                )
        except RoadError as error:
            # Paused: the roads say so too.
            self.arrivals.warnings.append(error)
        self._road = ""

    def _kept_at(self, sha256: str) -> Path:
        return self._staging.path(sha256) if sha256 in self._shared else self._blobs.path(sha256)

    def _instead(self, lost: Iterable[tuple[Load, ShuxiangError]], missed: list[Missed]) -> list[Load]:
        """Return what to bring instead of `lost` and of what turned out to be of no use; note what nothing brings."""
        found = self._fallen
        self._fallen = []
        for load, error in lost:
            if load.base:
                # The road that compares is closed to us, or has not the file: it comes as if nothing like it were here.
                found.append(replace(self._whole(load.file.sha256), place=load.place))
                continue
            match load.offer:
                case None:
                    missed.append(Missed(file=load.file, error=error))
                case Pack():
                    found += [replace(one, cost_bytes=one.file.size_bytes) for one in load.inside]
                case Patch():
                    found.append(self._whole(load.offer.target))
                case Torrent():
                    # Nothing is lost: what it is for takes another road.
                    pass
        self._total_bytes += sum(load.cost_bytes for load in found)
        return found

    def _whole(self, sha256: str) -> Load:
        return Load(
            file=(file := blob_file(sha256, self._sizes[sha256])),
            offer=None,
            place=self._places[sha256],
            cost_bytes=file.size_bytes - self._staging.length(file),
        )

    def _tell(self, count: int) -> None:
        self._done_bytes += count
        self._speed.add(count)
        rest = max(0, self._total_bytes - self._done_bytes)
        self._progress(
            Progress(
                phase="content",
                done=self.arrivals.blobs,
                total=len(self._sizes),
                done_bytes=min(self._done_bytes, self._total_bytes),
                total_bytes=self._total_bytes,
                bytes_per_second=self._speed.bytes_per_second,
                seconds_left=self._speed.seconds_for(rest),
                road=self._road or self._carrier.at,
            )
        )

    # -- what came -------------------------------------------------------------------------------------------------

    def _door(self, batch: list[Staged]) -> list[Refusal]:
        """Let blobs in, and what patches and packs make; return those of `batch` that were not what they should be."""
        refused: list[Refusal] = []
        direct: list[Staged] = []
        made = _Made()
        for item in batch:
            load = self._offers.get(item.blob.sha256)
            if load is None:
                direct.append(item)
            elif (error := self._wrong(item)) is not None:
                refused.append(Refusal(staged=item, error=error))
            else:
                self._use(load, made)
        wrong = {
            one.staged.blob.sha256: one
            for one in self._admit([*direct, *(one for one, _ in made.blobs.values())])
        }
        for item in direct:
            if item.blob.sha256 in wrong:
                refused.append(wrong[item.blob.sha256])
            else:
                self._arrived(item.blob, DIFFERENCES if item.blob.sha256 in self._compared else WHOLE)
        for sha256, (item, way) in made.blobs.items():
            if sha256 in wrong:
                self._fall(sha256, wrong[sha256].error)
            else:
                self._arrived(item.blob, way)
        self._staging.settle(made.blobs)
        self._keep_torrents(made.torrents)
        self._used.update(made.used)
        for sha256 in made.used:
            if sha256 not in self._shared:
                self._let_go(sha256)
        self._tell(0)
        return refused

    def _wrong(self, item: Staged) -> ShuxiangError | None:
        """Check a patch or pack as the door checks a blob; wrong bytes are thrown away."""
        found = durable.storage(lambda: hash_file(item.path), item.path)
        if found == item.blob.sha256:
            return None
        item.path.unlink(missing_ok=True)
        return ContentError("E-HASH", where=item.path.name, expected=item.blob.sha256, found=found)

    def _use(self, load: Load, made: _Made) -> None:
        """Make of a patch, pack or `.torrent` file that lies in staging what it is for."""
        match load.offer:
            case Patch():
                self._apply(load.offer, made)
            case Torrent():
                self._read_torrent(load.offer, made)
            case Pack():
                self._unpack(load.offer, load.inside, made)
        made.used.append(load.file.sha256)

    def _apply(self, patch: Patch, made: _Made) -> None:
        source = self._blobs.path(patch.source)
        target = blob_file(patch.target, patch.target_bytes)
        try:
            if not source.exists():
                raise ContentError("E-PATCH", where=patch.target, expected=patch.source, found="")
            patches.apply(
                patch, source, self._staging.path(patch.file.sha256), self._staging.path(patch.target)
            )
        except ContentError as error:
            self._fall(patch.target, error)
            return
        made.blobs[patch.target] = (staged_file(target, self._staging), PATCH)
        self.arrivals.saved[PATCH] += patch.target_bytes - patch.file.size_bytes

    def _unpack(self, pack: Pack, inside: Sequence[Load], made: _Made) -> None:
        loads = {load.file.sha256: load for load in inside}
        out = packs.unpack(pack, self._staging.path(pack.file.sha256), loads.__contains__, self._staging)
        for item in out:
            load = loads.pop(item.blob.sha256)
            if load.offer is None:
                made.blobs[item.blob.sha256] = (item, PACK)
            elif (error := self._wrong(item)) is None:
                self._use(load, made)
            else:
                self.arrivals.warnings.append(error)
                self._fallen.append(replace(load, cost_bytes=load.file.size_bytes))
        own = sum(load.file.size_bytes + REQUEST_BYTES for load in inside)
        self.arrivals.saved[PACK] += max(0, own - pack.file.size_bytes - REQUEST_BYTES)

    def _read_torrent(self, torrent: Torrent, made: _Made) -> None:
        path = self._staging.path(torrent.file.sha256)
        data = durable.storage(path.read_bytes, path)
        try:
            read_torrent(data, sha256=torrent.blob, size_bytes=torrent.size_bytes)
        except ContentError as error:
            self.arrivals.warnings.append(error)
        else:
            made.torrents[torrent.blob] = data

    def _keep_torrents(self, torrents: Mapping[str, bytes]) -> None:
        if torrents:
            with self._library.writing() as writer:
                for sha256, data in torrents.items():
                    writer.put_torrent(sha256, data)

    def _let_go(self, sha256: str) -> None:
        """Take out of staging what was used up, or shared; others who sync from this box may want it still."""
        path = self._staging.path(sha256)
        if self._kept is not None and sha256 in self._used and path.exists():
            kept = self._kept
            durable.storage(lambda: kept.keep(path), path)
        self._staging.forget(sha256)

    def _fall(self, sha256: str, error: ShuxiangError) -> None:
        self.arrivals.warnings.append(error)
        self._fallen.append(self._whole(sha256))

    def _arrived(self, blob: Blob, way: str) -> None:
        self.arrivals.blobs += 1
        self.arrivals.bytes_by[way] += blob.size_bytes

    def _admit(self, batch: list[Staged]) -> list[Refusal]:
        refused = self._blobs.admit(batch)
        for refusal in refused:
            if refusal.error.exit_code in range(20, 30):
                raise refusal.error
        return refused
