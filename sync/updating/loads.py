"""What travels for the blobs that are wanted, and by which way: pure.

A blob comes by a patch where its source is here and that is shorter than the rest of the blob; else, where its older
edition is here and a source has a road that sends differences (rsync), by that if what it is reckoned to cost is less;
else whole. What then travels (blobs, patches, `.torrent` files) comes out of a pack where three or more of it lie there
and the pack is cheaper than each by itself. What has a torrent goes by the swarm where one may run, all else by the
first road.
Invariant: no file stands twice among the loads, and no choice costs the line more than whole files would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from catalog.resource import File
from sync.formats.release import TreeFile
from sync.formats.transport import USEFUL_MEMBERS, Pack, Patch, Torrent
from sync.parcels.patches import beside_bytes
from sync.roads.road import blob_file

REQUEST_BYTES = 500
"""What asking for one more file costs a line, beside its bytes."""


# What rsync sends of an edited document: in `tests/bench/bench_behind.py` 1.2 of 57 MB. Reckoned with much more, since
# a document may be another one altogether: so what is about as good by a pack or the swarm is left to them.
DIFFERENT_SHARE = 8
LEAST_DIFFERING_BYTES = 32 << 10
# A checksum of each block, whose length is the root of the file's (rsync's own rule), goes up the line.
_CHECKSUM_BYTES = 8
# Another cut of a film or another scan has nothing of the bytes of the one before.
_ALL_DIFFERENT = ("video/", "audio/", "image/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Roads:
    """What files can travel by: the kind of the first road, whether a swarm may run, and whether differences can come.

    A directory gives a whole file sooner than a patch can be applied, and a stick has neither patches nor packs.
    """

    first: str = "http"
    swarm: bool = False
    differences: bool = False

    @property
    def is_line(self) -> bool:
        """Whether bytes cost something: everything but a disk that is here."""
        return self.first != "directory"


def _nothing(_: str) -> int:
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is here, by hash: blobs, torrents of blobs, and how many bytes of a file an earlier run left in staging.

    `base`: the blob here that is the older edition of a wanted one ("": none). `size_of`: the length of a blob here.
    `spare_bytes`: the room that the disk has beside all that is wanted; None where there is plenty.
    """

    has: Callable[[str], bool]
    base: Callable[[str], str] = lambda _: ""
    has_torrent: Callable[[str], bool] = lambda _: False
    staged_bytes: Callable[[str], int] = _nothing
    size_of: Callable[[str], int] = _nothing
    spare_bytes: int | None = None

    def has_room_for(self, patch: Patch) -> bool:
        """Return whether the disk has room for what `patch` takes while it is applied."""
        return self.spare_bytes is None or beside_bytes(patch, self.size_of(patch.source)) <= self.spare_bytes

    def rest_of(self, file: TreeFile) -> int:
        """Return how many bytes of `file` have not come yet."""
        return max(0, file.size_bytes - self.staged_bytes(file.sha256))


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One file that travels; `offer` says what it is for (None: it is a wanted blob itself).

    `place`: the class of what needs it first. `cost_bytes`: what has not come of it yet. `torrent`: the swarm may
    carry it. `inside`: of a pack, what is taken out of it. `base`: it comes as differences from that blob.
    """

    file: TreeFile
    offer: Pack | Patch | Torrent | None
    place: int
    cost_bytes: int
    torrent: Torrent | None = None
    inside: tuple[Load, ...] = ()
    base: str = ""


def choose_patches(
    targets: Mapping[str, int], offered: Mapping[str, Sequence[Patch]], held: Held
) -> dict[str, Patch]:
    """Return target -> its cheapest patch whose source is here, where that is shorter than the rest of the target.

    One that the disk has no room to apply is left alone. `targets` gives the length of each wanted blob; a patch that claims another length is left alone.
    """
    chosen: dict[str, Patch] = {}
    used: set[str] = set()
    for target in sorted(targets.keys() & offered.keys()):
        usable = [
            patch
            for patch in offered[target]
            if patch.target_bytes == targets[target]
            and patch.file.sha256 not in targets
            and patch.file.sha256 not in used
            and held.has(patch.source)
            and held.has_room_for(patch)
        ]
        best = min(usable, key=lambda one: (held.rest_of(one.file), one.source), default=None)
        if best and held.rest_of(best.file) < held.rest_of(blob_file(target, targets[target])):
            chosen[target] = best
            used.add(best.file.sha256)
    return chosen


def choose_differences(targets: Iterable[File], held: Held) -> dict[str, int]:
    """Return target -> what it is reckoned to cost as differences from its older edition, where that is less."""
    chosen: dict[str, int] = {}
    for file in targets:
        size_bytes = file.size_bytes
        if size_bytes < LEAST_DIFFERING_BYTES or file.media_type.startswith(_ALL_DIFFERENT):
            continue
        checksums = _CHECKSUM_BYTES * math.isqrt(size_bytes)
        reckoned = min(size_bytes // DIFFERENT_SHARE + checksums, size_bytes)
        if reckoned < held.rest_of(blob_file(file.sha256, size_bytes)) and held.base(file.sha256):
            chosen[file.sha256] = reckoned
    return chosen


def choose_packs(
    packs: Iterable[Pack], needs: Mapping[str, Load], held: Held
) -> list[tuple[Pack, tuple[Load, ...]]]:
    """Return the packs worth their bytes with what is taken out of each, those first that save most.

    `needs` are the loads as they would travel by themselves, by hash; each comes out of one pack at most.
    """
    taken: set[str] = set()

    def inside(pack: Pack) -> tuple[Load, ...]:
        return tuple(
            load
            for member in pack.members
            if (load := needs.get(member.sha256)) is not None
            and load.file.size_bytes == member.size_bytes
            and load.torrent is None
            and member.sha256 not in taken
        )

    def saving(pack: Pack, loads: Sequence[Load]) -> int:
        own = sum(load.cost_bytes + REQUEST_BYTES for load in loads if load.cost_bytes)
        rest = held.rest_of(pack.file)
        # One that an earlier run brought whole costs nothing more, however little is still wanted of it.
        if len(loads) < USEFUL_MEMBERS and rest:
            return 0
        return own - rest - (REQUEST_BYTES if rest else 0)

    found = [(saving(pack, inside(pack)), pack) for pack in packs if pack.file.sha256 not in needs]
    chosen: dict[str, tuple[Pack, tuple[Load, ...]]] = {}
    for first_saving, pack in sorted(found, key=lambda one: (-one[0], one[1].file.sha256)):
        if first_saving > 0 and pack.file.sha256 not in chosen and saving(pack, loads := inside(pack)) > 0:
            chosen[pack.file.sha256] = (pack, loads)
            taken.update(load.file.sha256 for load in loads)
    return list(chosen.values())


def shares(cost_bytes: int, loads: Sequence[Load]) -> dict[str, int]:
    """Return hash -> its part of `cost_bytes`, by length; the parts are `cost_bytes` in all."""
    total = sum(load.file.size_bytes for load in loads)
    found: dict[str, int] = {}
    passed = given = 0
    for load in loads:
        passed += load.file.size_bytes
        found[load.file.sha256] = cost_bytes * passed // total - given
        given += found[load.file.sha256]
    return found
