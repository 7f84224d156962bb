"""The content a box wants, what its disk can hold of it, and what may go.

Reads the library and gives values to the pure `catalog.fit` and `sync.updating.plan`. A blob that is still named by the
catalogue is deleted only when its room is needed; one that nothing names any more goes at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.blobs import BlobStore, Refusal, Staged
from catalog.collect import delete_blobs
from catalog.errors import ContentError
from catalog.fit import Fit, Want, fit, rank
from catalog.library import Generation, Library, Reader, Shelf
from catalog.library.reader import older_edition
from catalog.library.rows import places_of
from catalog.resource import Resource, canonical_json
from catalog.scope import Scope
from sync.formats.release import Release
from sync.formats.transport import Offers, Pack, Patch, Torrent, read_offers
from sync.parcels.patches import usable_methods
from sync.roads.staging import Staging
from sync.updating.catalogue import BundleChange
from sync.updating.loads import Held, Roads
from sync.updating.manifests import transport_lines
from sync.updating.plan import LESSONS, BundleDelta, Haul, Plan, plan_content

Door = Callable[[list[Staged]], list[Refusal]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentWishes:
    """Whose content is kept: the subscribed bundles (None: all) and single requests; scope and term rank it.

    `lessons`: ids of the resources that the lessons of these days need; of what is wanted they come first.
    """

    subscriptions: frozenset[str] | None
    requests: tuple[str, ...]
    scope: Scope
    term: str
    lessons: frozenset[str] = frozenset()

    def key(self, generation: Generation, release: int) -> str:
        """Return a digest that stays the same as long as a new plan would come to nothing new."""
        value: list[Any] = [
            release,
            generation.library,
            generation.content,
            None if self.subscriptions is None else sorted(self.subscriptions),
            sorted(self.requests),
            self.scope.to_json(),
            self.term,
        ]
        return hashlib.sha256(canonical_json(value)).hexdigest()


def wants(reader: Reader, wishes: ContentWishes) -> list[Want]:
    """Return what the box should hold, by the library as it is."""
    asked = set(reader.numbers_of(wishes.requests).values())
    numbers = _subscribed(reader, wishes) | asked
    return [
        _want(number, resource, wishes, requested=number in asked)
        for number, resource in reader.wanted(sorted(numbers))
        if resource.files and resource.state == "published"
    ]


def wants_after(
    reader: Reader, wishes: ContentWishes, changes: Sequence[BundleChange], gone: Sequence[BundleDelta]
) -> list[Want]:
    """Return what the box would hold after `changes`; new resources get negative numbers."""
    dropped = {delta.id for delta in gone}
    changed: dict[str, tuple[Resource, bool]] = {}
    removed: set[str] = set()
    for change in changes:
        subscribed = wishes.subscriptions is None or change.bundle.id in wishes.subscriptions
        removed.update(change.removed)
        for resource, _ in change.resources():
            before = changed.get(resource.id)
            changed[resource.id] = (resource, subscribed or (before is not None and before[1]))
    numbers = reader.numbers_of([*changed, *removed])
    skip = set(numbers.values())
    found = [want for want in wants(reader, wishes) if want.number not in skip]
    if dropped:
        kept = _subscribed(reader, wishes) - reader.members(dropped)
        asked = set(reader.numbers_of(wishes.requests).values())
        found = [want for want in found if want.number in kept or want.number in asked]
    for position, (resource, subscribed) in enumerate(changed.values(), start=1):
        requested = resource.id in wishes.requests
        if (subscribed or requested) and resource.files:
            number = numbers.get(resource.id, -position)
            found.append(_want(number, resource, wishes, requested=requested))
    return found


def bases_after(reader: Reader, changes: Sequence[BundleChange]) -> dict[str, str]:
    """Return new hash -> hash of its older edition here, as `Reader.predecessors` would tell after `changes`."""
    found = reader.predecessors()
    for change in changes:
        for resource, _ in change.resources():
            entry = reader.resource(resource.id)
            old = [] if entry is None else list(entry.serving or entry.resource.files)
            for file in resource.files:
                before = older_edition(file, old, resource.files)
                if before is not None and before.sha256 != file.sha256 and reader.has(before.sha256):
                    found.setdefault(file.sha256, before.sha256)
    return found


def fit_disk(reader: Reader, blobs: BlobStore, wanted: Sequence[Want], keep_free_bytes: int) -> Fit:
    """Decide what of `wanted` the disk holds, all that is here and all that is free counted as room."""
    held = sum(blob.size_bytes for blob in reader.blobs())
    return fit(wanted, max(0, held + blobs.free_bytes() - keep_free_bytes))


def offers_of(
    release: Release, trust: Path, wanted: Mapping[str, int], has: Callable[[str], bool]
) -> tuple[Offers, list[ContentError]]:
    """Return what the transport files of `release` offer to a box that wants `wanted`, and which were refused.

    A file that is missing or refused costs the ways it offers, never the run.
    """
    packs: dict[str, Pack] = {}
    patches: dict[str, tuple[Patch, ...]] = {}
    torrents: dict[str, Torrent] = {}
    refused: list[ContentError] = []
    for bundle in release.bundles:
        try:
            found = read_offers(
                transport_lines(trust, bundle),
                where=bundle.transport.plain.path,
                wanted=wanted.__contains__,
                has=has,
            )
        except FileNotFoundError:
            continue
        except ContentError as error:
            refused.append(error)
            continue
        packs.update((pack.file.sha256, pack) for pack in found.packs)
        torrents.update(found.torrents)
        # To look what this machine can apply takes a tenth of a second: not where there is nothing to apply.
        usable = usable_methods() if found.patches else ()
        for target, some in found.patches.items():
            patches[target] = patches.get(target, ()) + tuple(one for one in some if one.method in usable)
    return Offers(packs=tuple(packs.values()), patches=patches, torrents=torrents), refused


def plan_of(
    release: int,
    reader: Reader,
    wanted: Sequence[Want],
    fitted: Fit,
    staging: Staging,
    *,
    offers: Offers | None = None,
    roads: Roads | None = None,
    bases: Mapping[str, str] | None = None,
    spare_bytes: int | None = None,
    deltas: Iterable[BundleDelta] = (),
    sources: tuple[str, ...] = (),
) -> Plan:
    """Return the plan that brings what is wanted, fits and is not here; `bases`: new hash -> its older edition here.

    `spare_bytes`: the room that the disk has beside it, as `Held` says.
    """
    begun = staging.begun()
    if roads is not None and roads.swarm:
        # Pieces that lie scattered are of use to a swarm alone.
        begun |= {
            sha256: count for sha256, count in staging.scattered().items() if count > begun.get(sha256, 0)
        }
    bases = bases or {}
    held = Held(
        has=reader.has,
        base=lambda sha256: bases.get(sha256, ""),
        has_torrent=lambda sha256: reader.torrent(sha256) is not None,
        staged_bytes=lambda sha256: begun.get(sha256, 0),
        size_of=lambda sha256: blob.size_bytes if (blob := reader.blob(sha256)) else 0,
        spare_bytes=spare_bytes,
    )
    return Plan(
        release=release,
        bundles=tuple(deltas),
        haul=plan_content(wanted, fitted, held, offers, roads),
        left_out=len(fitted.left_out),
        left_out_bytes=fitted.left_out_bytes,
        sources=sources,
    )


def held_bytes(reader: Reader, wanted: Iterable[Want], numbers: set[int]) -> int:
    """Return the bytes of the files of these resources that are here already."""
    found: dict[str, int] = {}
    for want in wanted:
        if want.number in numbers:
            found.update((file.sha256, file.size_bytes) for file in want.files if reader.has(file.sha256))
    return sum(found.values())


def set_left_out(library: Library, wanted: Sequence[Want], fitted: Fit) -> None:
    """Tell the library which files do not fit, so that a resource counts as whole without them."""
    with library.reading() as reader:
        before = reader.left_out()
    now = {want.number: fitted.left_out.get(want.number, frozenset()) for want in wanted}
    changed = {number: roles for number, roles in now.items() if before.get(number, frozenset()) != roles}
    changed.update((number, frozenset()) for number in before if number not in now)
    if changed:
        with library.writing() as writer:
            writer.set_left_out(changed)


def collect(
    library: Library, blobs: BlobStore, fitted: Fit, room_bytes: int, haul: Haul | None = None
) -> int:
    """Delete blobs that nothing names, and where `room_bytes` are not free those that are not kept; return the bytes.

    What pages still use stays in either case, and so do the sources of the patches of `haul`, which is still to come,
    where there is room; and its torrents, by which what came of its packs is found again. Rows go first: a cut leaves
    files without rows, never the reverse.
    """
    needed, on_their_way = (haul.sources(), haul.swarming()) if haul is not None else (set(), set())
    with library.reading() as reader:
        doomed = {blob.sha256: blob for blob in reader.unused_blobs() if blob.sha256 not in needed}
        if blobs.free_bytes() + sum(blob.size_bytes for blob in doomed.values()) < room_bytes:
            serving = set(reader.serving_blobs())
            for blob in reader.blobs():
                if blob.sha256 not in fitted.keep and blob.sha256 not in serving:
                    doomed[blob.sha256] = blob
    freed = delete_blobs(library, blobs, list(doomed.values()))
    with library.writing() as writer:
        # Of what was wanted once and never came.
        writer.drop_stray_torrents(on_their_way)
    return freed


def _subscribed(reader: Reader, wishes: ContentWishes) -> set[int]:
    bundles = {bundle.id for bundle in reader.bundles()}
    if wishes.subscriptions is not None:
        bundles &= wishes.subscriptions
    return reader.members(bundles)


def _want(number: int, resource: Resource, wishes: ContentWishes, *, requested: bool) -> Want:
    place, *rest = rank(resource, requested=requested, own=_is_own(resource, wishes.scope), term=wishes.term)
    if resource.id in wishes.lessons:
        place = LESSONS
    return Want(number=number, rank=(place, *rest), files=resource.files)


def _is_own(resource: Resource, scope: Scope) -> bool:
    if not scope:
        return True
    shelves = (
        Shelf(
            stage=stage, grade=grade, subject=subject, edition=edition, textbook_year=year, volume=volume,
            resources=0, cached=0,
        )
        for stage, grade, subject, edition, year, volume in places_of(resource)
    )  # fmt: skip
    return any(scope.accepts(shelf) for shelf in shelves)
