"""What a disk can hold: a pure decision over what is wanted (rule 8).

Order: what was asked for, then this term's books of the school's own grades, then the school's other books, then
the rest; by quality inside each. Of each resource first what a lesson needs; the originals of videos, which only a
person who edits them needs, get what room is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from catalog.resource import File, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A resource whose content should be here; a smaller `rank` comes first."""

    number: int
    rank: tuple[float, ...]
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What is kept and what is not. `left_out`: number -> roles that have no room; all roles where nothing has."""

    keep: frozenset[str]
    keep_bytes: int
    left_out: dict[int, frozenset[str]]
    left_out_bytes: int

    @property
    def whole(self) -> bool:
        return not self.left_out


def spare_roles(files: Sequence[File]) -> frozenset[str]:
    """Return the roles that a lesson can do without: the original of what has a playable file of its own."""
    playable = {file.sha256 for file in files if file.role == "play"}
    spare = any(file.role == "source" and file.sha256 not in playable for file in files)
    return frozenset({"source"}) if playable and spare else frozenset()


def fit(wants: Iterable[Want], capacity_bytes: int) -> Fit:
    """Decide which blobs a disk of `capacity_bytes` for content keeps. A blob that two resources share counts once."""
    ordered = sorted(wants, key=lambda want: (want.rank, want.number))
    keep: dict[str, int] = {}
    used = lost = 0
    left_out: dict[int, frozenset[str]] = {}
    spares: list[tuple[Want, list[File]]] = []
    for want in ordered:
        spare = spare_roles(want.files)
        needed = [file for file in want.files if file.role not in spare]
        cost = _cost(needed, keep)
        if used + cost > capacity_bytes:
            left_out[want.number] = frozenset(file.role for file in want.files)
            lost += _cost(want.files, keep)
            continue
        keep.update((file.sha256, file.size_bytes) for file in needed)
        used += cost
        if spare:
            spares.append((want, [file for file in want.files if file.role in spare]))
    for want, files in spares:
        cost = _cost(files, keep)
        if used + cost > capacity_bytes:
            left_out[want.number] = spare_roles(want.files)
            lost += cost
        else:
            keep.update((file.sha256, file.size_bytes) for file in files)
            used += cost
    return Fit(keep=frozenset(keep), keep_bytes=used, left_out=left_out, left_out_bytes=lost)


def rank(resource: Resource, *, requested: bool, own: bool, term: str) -> tuple[float, ...]:
    """Return the rank of a resource: requests, then this term of the school's own books, then the rest by quality."""
    this_term = resource.volume in (term, None, "full", "other")
    place = 0 if requested else 1 if own and this_term else 2 if own else 3 if this_term else 4
    return (place, -(resource.quality or 0.0))


def _cost(files: Iterable[File], keep: dict[str, int]) -> int:
    return sum({file.sha256: file.size_bytes for file in files if file.sha256 not in keep}.values())
