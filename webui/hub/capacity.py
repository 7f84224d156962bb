"""Which size of box holds the next release: `catalog.fit` over the library, for the disks that are on the market (pure).

A box of any size keeps the whole catalogue; what does not fit is content, and the page says how much and of what.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from catalog.curriculum import codes_in_order
from catalog.fit import Want, fit, rank
from catalog.resource import Resource

GB = 10**9
SIZES_GB = (32, 64, 128, 256, 512, 1000)
# What the system, the catalogue with its index, and the reserve take of a disk.
SYSTEM_BYTES = 8 * GB
RESERVE_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """How much of the release a box of `size_gb` keeps when it subscribes to everything.

    `resources_left` have no room at all, `originals_left` lack only the original of a video; `stages` are those that
    lose something.
    """

    size_gb: int
    content_bytes: int
    kept_bytes: int
    left_bytes: int
    resources_left: int
    originals_left: int
    stages: tuple[str, ...]

    @property
    def whole(self) -> bool:
        return not self.left_bytes


def content_bytes(size_gb: int) -> int:
    """Return how many bytes of content a box with a disk of `size_gb` keeps room for."""
    return max(0, int(size_gb * GB * (1 - RESERVE_SHARE)) - SYSTEM_BYTES)


def holdings(resources: Iterable[tuple[int, Resource]], term: str) -> list[Holding]:
    """Return what a box of each size would hold of these (number, published resource), in the term `term` (a or b)."""
    wants, stages = [], {}
    for number, resource in resources:
        order = rank(resource, requested=False, own=True, term=term)
        wants.append(Want(number=number, rank=order, files=resource.files))
        stages[number] = resource.stage or ""
    found = []
    for size_gb in SIZES_GB:
        kept = fit(wants, content_bytes(size_gb))
        whole_loss = [number for number, roles in kept.left_out.items() if roles != {"source"}]
        found.append(
            Holding(
                size_gb=size_gb,
                content_bytes=content_bytes(size_gb),
                kept_bytes=kept.keep_bytes,
                left_bytes=kept.left_out_bytes,
                resources_left=len(whole_loss),
                originals_left=len(kept.left_out) - len(whole_loss),
                stages=tuple(
                    codes_in_order("stage", {stages[number] for number in whole_loss if stages[number]})
                ),
            )
        )
    return found
