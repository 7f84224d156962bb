"""What to bring, in which order, by which way, and why: pure.

Order (rule 4): the lessons of these days, then what was asked for, then this term's books of the school, then its
others, then the rest. Inside each class small loads come before what the swarm carries, and first the resource that
needs the fewest bytes of the line; of a resource what a lesson starts with: the playable file of a video, the original
of courseware before its page images. The originals of videos come last of all. A pack stands in the class of its most
urgent member. Which way a blob comes is chosen in `sync.updating.loads`.
Invariant: a blob is brought once, at the place of the first resource that needs it, and never one that is here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from catalog.fit import Fit, Want, spare_roles
from catalog.resource import File
from sync.formats.release import TreeFile
from sync.formats.transport import Offers, Pack, Patch, Torrent
from sync.roads.road import blob_file
from sync.updating.loads import Held, Load, Roads, choose_differences, choose_packs, choose_patches, shares

LESSONS, REQUESTED, OWN_NOW, OWN, THIS_TERM, OTHER, SPARE = range(-1, 6)
"""Classes: the first number of a want's rank, and `SPARE` for what a lesson can do without."""
PATCH, PACK, DIFFERENCES, SWARM, WHOLE = WAYS = ("patch", "pack", "differences", "swarm", "whole")
_ROLE_ORDER = {
    role: place
    for place, role in enumerate(
        ("play", "subtitle", "source", "package", "preview", "thumb", "text", "page")
    )
}
# One fetch of a road: long enough that starting it costs nothing, short enough that the order is kept.
GROUP_FILES = 5000
GROUP_BYTES = 1 << 30
_Key = tuple[int, int, int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a blob comes. `cost_bytes`: its share of what is carried. `file`: the patch or pack that it comes out of;
    `source`: the blob here that is patched or compared with; `road`: what carries it (`http`, `rsync`, `directory`, `swarm`)."""

    kind: str
    cost_bytes: int
    road: str
    file: TreeFile | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One blob to bring; `place` is the class that puts it there, `number` the resource that needs it first."""

    file: TreeFile
    place: int
    number: int
    way: Way


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Loads of one class that one fetch brings: by the swarm, as differences, or by the roads."""

    place: int
    road: str
    loads: tuple[Load, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Haul:
    """The content of a plan: every blob as a step, in order, and the loads that bring them, in order."""

    steps: tuple[Step, ...] = ()
    loads: tuple[Load, ...] = ()

    @property
    def line_bytes(self) -> int:
        """What is still to be carried."""
        return sum(load.cost_bytes for load in self.loads)

    @property
    def begun_bytes(self) -> int:
        """The bytes of wanted blobs that an earlier run left in staging and that are built upon."""
        whole = (load for load in self.loads if load.offer is None and not load.base)
        return sum(load.file.size_bytes - load.cost_bytes for load in whole)

    @property
    def aside_bytes(self) -> int:
        """The room that the largest patch or pack takes beside what comes out of it."""
        return max((load.file.size_bytes for load in self.loads if load.offer is not None), default=0)

    def needs(self) -> set[str]:
        """Return the hashes of all that this haul puts into staging: blobs, and what they come out of."""
        travelling = {one.file.sha256 for load in self.loads for one in (load, *load.inside)}
        return travelling | {step.file.sha256 for step in self.steps}

    def sources(self) -> set[str]:
        """Return the hashes of the blobs that others are made of: they must stay until then."""
        return {step.way.source for step in self.steps if step.way.source}

    def swarming(self) -> set[str]:
        """Return the hashes of the loads that a swarm may carry: their torrents must stay until then."""
        return {load.file.sha256 for load in self.loads if load.torrent is not None}

    def groups(self) -> Iterator[Group]:
        """Yield the loads in order, in runs of one class that one fetch brings."""
        group: list[Load] = []
        size_bytes = 0
        for load in self.loads:
            if group and (
                (load.place, _road_of(load)) != (group[0].place, _road_of(group[0]))
                or len(group) >= GROUP_FILES
                or size_bytes + load.cost_bytes > GROUP_BYTES
            ):
                yield _group(group)
                group, size_bytes = [], 0
            group.append(load)
            size_bytes += load.cost_bytes
        if group:
            yield _group(group)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleDelta:
    """How a bundle's catalogue differs from the one here; `version` 0: the bundle is gone."""

    id: str
    version: int
    added: int
    changed: int
    removed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run does: catalogue changes, then the content in order. `left_out` is what does not fit."""

    release: int
    bundles: tuple[BundleDelta, ...] = ()
    haul: Haul = Haul()
    left_out: int = 0
    left_out_bytes: int = 0
    sources: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.haul.steps

    @property
    def fetch_bytes(self) -> int:
        """The bytes of the blobs that will be here afterwards and are not now."""
        return sum(step.file.size_bytes for step in self.steps)


def missing_files(wants: Iterable[Want], fitted: Fit, has: Callable[[str], bool]) -> dict[str, int]:
    """Return hash -> length of the blobs that are wanted, fit and are not here."""
    return {file.sha256: file.size_bytes for want in wants for file in _missing(want, fitted, has)}


def plan_content(
    wants: Iterable[Want], fitted: Fit, held: Held, offers: Offers | None = None, roads: Roads | None = None
) -> Haul:
    """Return the blobs to bring, in order, and how: those of `fitted.keep` that are not here."""
    offers, roads = offers or Offers(), roads or Roads()
    lacking = [(want, files) for want in wants if (files := _missing(want, fitted, held.has))]
    targets = {file.sha256: file.size_bytes for _, files in lacking for file in files}
    patches = choose_patches(targets, offers.patches, held) if roads.is_line else {}
    rest = {file.sha256: file for _, files in lacking for file in files if file.sha256 not in patches}
    differing = choose_differences(rest.values(), held) if roads.differences else {}
    carriers = {
        sha256: patches[sha256].file if sha256 in patches else blob_file(sha256, size_bytes)
        for sha256, size_bytes in targets.items()
    }
    costs = {sha256: held.rest_of(file) for sha256, file in carriers.items()} | differing
    order = _in_order(lacking, costs)
    return _Hauling(order, targets, patches, differing, carriers, offers, held, roads).haul()


class _Hauling:
    """One haul being made. A key is the place of a blob in the order: class, bytes, resource, role, position, size."""

    def __init__(
        self,
        order: Mapping[str, _Key],
        targets: Mapping[str, int],
        patches: Mapping[str, Patch],
        differing: Mapping[str, int],
        carriers: Mapping[str, TreeFile],
        offers: Offers,
        held: Held,
        roads: Roads,
    ) -> None:
        self._order = order
        self._targets = targets
        self._patches = patches
        self._differing = differing
        self._carriers = carriers
        self._offers = offers
        self._held = held
        self._roads = roads
        # What travels were there no packs, by hash, and the key of what needs it first.
        self._needs: dict[str, Load] = {}
        self._keys: dict[str, _Key] = {}
        for sha256, key in order.items():
            for load in self._loads_for(sha256, key[0]):
                self._needs.setdefault(load.file.sha256, load)
                self._keys.setdefault(load.file.sha256, key)

    def haul(self) -> Haul:
        """Put loads into packs where that is cheaper, and all in order."""
        keyed: list[tuple[tuple[int, ...], Load]] = []
        costs: dict[str, int] = {}
        packed: dict[str, Load] = {}
        for pack, inside in choose_packs(
            self._offers.packs if self._roads.is_line else (), self._needs, self._held
        ):
            # Only a swarm waits for `.torrent` files: they make no pack urgent without one.
            urgent = [one for one in inside if self._roads.swarm or not isinstance(one.offer, Torrent)]
            key = min(self._keys[load.file.sha256] for load in urgent or inside)
            load = self._load(pack.file, pack, key[0])
            load = replace(load, inside=tuple(replace(one, place=key[0], cost_bytes=0) for one in inside))
            extra = [] if load.torrent is None else self._torrents_of(load.file.sha256, key[0])
            keyed += [((key[0], 0, 0, *key[2:]), one) for one in extra]
            keyed.append(((key[0], _later(load), load.cost_bytes, *key[2:]), load))
            costs |= shares(load.cost_bytes + sum(one.cost_bytes for one in extra), inside)
            packed |= {one.file.sha256: load for one in inside}
        for sha256, load in self._needs.items():
            if sha256 not in packed:
                place, weight, *rest = self._keys[sha256]
                weight = 0 if isinstance(load.offer, Torrent) else weight
                keyed.append(((place, _later(load), weight, *rest), load))
                costs[sha256] = load.cost_bytes
        keyed.sort(key=lambda one: one[0])
        return Haul(
            steps=tuple(self._step(sha256, key, costs, packed) for sha256, key in self._order.items()),
            loads=tuple(load for _, load in keyed),
        )

    def _step(self, sha256: str, key: _Key, costs: Mapping[str, int], packed: Mapping[str, Load]) -> Step:
        carrier = self._carriers[sha256]
        patch = self._patches.get(sha256)
        pack = packed.get(carrier.sha256)
        travels = pack or self._needs[carrier.sha256]
        kind = PATCH if patch else PACK if pack else _road_of(travels)
        road = {SWARM: "swarm", DIFFERENCES: "rsync"}.get(_road_of(travels), self._roads.first)
        own = [load.file.sha256 for load in self._loads_for(sha256, key[0])]
        return Step(
            file=blob_file(sha256, self._targets[sha256]),
            place=key[0],
            number=key[2],
            way=Way(
                kind=kind,
                cost_bytes=sum(costs[one] for one in own),
                road=road,
                file=patch.file if patch else pack.file if pack else None,
                source=patch.source if patch else travels.base,
            ),
        )

    def _loads_for(self, sha256: str, place: int) -> Iterator[Load]:
        """Yield what travels for one blob: it or its patch, and the `.torrent` files of both."""
        carrier = self._carriers[sha256]
        load = self._load(carrier, self._patches.get(sha256), place)
        yield load
        yield from self._torrents_of(sha256, place)
        if load.torrent is not None and carrier.sha256 != sha256:
            yield from self._torrents_of(carrier.sha256, place)

    def _torrents_of(self, sha256: str, place: int) -> list[Load]:
        torrent = self._offers.torrents.get(sha256)
        if torrent is None or torrent.file.sha256 in self._targets or self._held.has_torrent(sha256):
            return []
        return [self._load(torrent.file, torrent, place)]

    def _load(self, file: TreeFile, offer: Pack | Patch | Torrent | None, place: int) -> Load:
        torrent = self._offers.torrents.get(file.sha256) if self._roads.swarm else None
        if offer is None and file.sha256 in self._differing:
            return Load(
                file=file,
                offer=None,
                place=place,
                cost_bytes=self._differing[file.sha256],
                base=self._held.base(file.sha256),
            )
        return Load(
            file=file,
            offer=offer,
            place=place,
            cost_bytes=self._held.rest_of(file),
            torrent=torrent if torrent and torrent.size_bytes == file.size_bytes else None,
        )


def _in_order(lacking: Iterable[tuple[Want, Sequence[File]]], costs: Mapping[str, int]) -> dict[str, _Key]:
    """Return the blobs in order, each with its key at its first place."""
    found: list[tuple[_Key, str]] = []
    for want, files in lacking:
        spare = spare_roles(want.files)
        needed = {file.sha256 for file in files if file.role not in spare}
        needed_bytes = sum(costs[sha256] for sha256 in needed)
        for position, file in enumerate(files):
            role = _ROLE_ORDER.get(file.role, len(_ROLE_ORDER))
            place, weight = int(want.rank[0]) if want.rank else OTHER, needed_bytes
            if file.role in spare:
                place, weight = SPARE, costs[file.sha256]
            found.append(((place, weight, want.number, role, position, file.size_bytes), file.sha256))
    order: dict[str, _Key] = {}
    for key, sha256 in sorted(found):
        order.setdefault(sha256, key)
    return order


def _missing(want: Want, fitted: Fit, has: Callable[[str], bool]) -> list[File]:
    left_out = fitted.left_out.get(want.number, frozenset())
    return [
        file
        for file in want.files
        if file.role not in left_out and file.sha256 in fitted.keep and not has(file.sha256)
    ]


def _group(loads: Sequence[Load]) -> Group:
    return Group(place=loads[0].place, road=_road_of(loads[0]), loads=tuple(loads))


def _road_of(load: Load) -> str:
    return SWARM if load.torrent is not None else DIFFERENCES if load.base else WHOLE


def _later(load: Load) -> int:
    """Return the place of a load's road in its class: what the first road brings comes before the rest."""
    return (WHOLE, DIFFERENCES, SWARM).index(_road_of(load))
