"""What the pages of 写 U 盘 ask of the hub they run on: the sticks that are in, the room on one, the writing.

`appliance` fulfils `StickOperations`. Invariant: pages name sticks by keys that they were given, new each time a stick is
plugged in; no path comes from a form. Whoever calls `write` is the worker of `webui.hub.jobs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from catalog.errors import ShuxiangError
from catalog.progress import OnProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class StickPlace:
    """A stick or disk with a filesystem; `has_tree`: something of a hub is on it. `refusal`: why nothing can be done."""

    key: str
    name: str
    kind: str
    total_bytes: int
    free_bytes: int
    has_tree: bool
    refusal: ShuxiangError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StickBundle:
    """A bundle of the last release."""

    id: str
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StickBox:
    """A box that the hub has assigned something: the bundles (None: all)."""

    id: str
    bundles: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StickSupply:
    """What can be written: the last release (0: nothing is published), its bundles, the boxes that are known."""

    release: int
    bundles: tuple[StickBundle, ...]
    boxes: tuple[StickBox, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StickRoom:
    """The bytes that writing would need of the stick and what is free (None: it does not say).

    `release`: of ours that the stick is at (None: none). `is_cut`: a writing before was cut off, and is gone on with.
    `unpublished`: bundles that the boxes are assigned and the last release does not have; they do not go along.
    """

    needed_bytes: int
    free_bytes: int | None
    fits: bool
    release: int | None
    is_cut: bool
    unpublished: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StickWritten:
    """What a stick holds now, and how much of it was written and read back this time."""

    release: int
    blobs: int
    size_bytes: int
    written_bytes: int


class StickOperations(Protocol):
    """The requests that the pages of 写 U 盘 pass on."""

    def sticks(self) -> list[StickPlace]:
        """Return the sticks that are in."""

    def supply(self) -> StickSupply:
        """Return what can be written."""

    def room(self, key: str, bundles: Sequence[str], boxes: Sequence[str]) -> StickRoom:
        """Return the room that it takes, nothing being written; raise `ShuxiangError` where it will not be done."""

    def write(self, key: str, bundles: Sequence[str], boxes: Sequence[str], tell: OnProgress) -> StickWritten:
        """Write to the stick and read back; when this returns or raises, the stick may be pulled out."""

    def put_file(self, key: str, name: str, data: bytes) -> None:
        """Put a small file at the root of the stick and read it back; another of that name is not replaced.

        Raises `ShuxiangError`; when this returns or raises, the stick may be pulled out.
        """

    def read_file(self, key: str, name: str, most_bytes: int) -> bytes | None:
        """Return a small file at the root of the stick; None where there is none, or the stick is gone."""
