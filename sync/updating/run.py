"""What a box's run is told, and what it did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from catalog.errors import ShuxiangError
from catalog.scope import EVERYTHING, Scope
from sync.roads import RoadSettings
from sync.updating.neighbours import Neighbours
from sync.updating.plan import Plan

SUBSCRIPTIONS, SCOPE = "subscriptions", "scope"
"""What a box may leave to its hub."""


def _untold(_: Plan) -> None:
    """Take a plan and tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSettings:
    """What a run is told. `sources` are asked in order (parents before the hub); `subscriptions` None means all.

    `keep_free_bytes` of the disk are not filled. `hints`: whether `roads.json` of a source is read for more roads.
    `neighbours` None: no swarm is joined. `box_id`: whose own file is asked for ("": none); of what the box `leaves` to
    it (`SUBSCRIPTIONS`, `SCOPE`), it decides where it says so.
    `on_plan` is told what the run is about to fetch.
    """

    sources: tuple[str, ...]
    fingerprint: str
    subscriptions: frozenset[str] | None = None
    scope: Scope = EVERYTHING
    term: str = "a"
    keep_free_bytes: int = 64 << 20
    hints: bool = True
    neighbours: Neighbours | None = None
    box_id: str = ""
    leaves: frozenset[str] = frozenset()
    road: RoadSettings = field(default_factory=RoadSettings)
    on_plan: Callable[[Plan], None] = _untold


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateResult:
    """What a run did. `roads`: bytes received by kind of road, metadata included; `fetched_bytes` is their sum.

    `reused_bytes`: bytes of new files that were here already, whole or in part. `ways`: bytes that went through the
    door by way (`whole`, `patch`, `pack`, and `here` for what an earlier run had brought); `saved`: bytes that the line
    was spared by way. `activated`: readers see a new state. `failure` is what kept the run from its end; `release` is
    shown all the same. `warnings`: ways that were of no use, while others were.
    """

    release: int
    content_release: int
    fetched_bytes: int
    fetched_blobs: int
    reused_bytes: int
    roads: dict[str, int]
    seconds: float
    activated: bool
    ways: dict[str, int] = field(default_factory=dict)
    saved: dict[str, int] = field(default_factory=dict)
    failure: ShuxiangError | None = None
    warnings: tuple[ShuxiangError, ...] = ()

    def raise_for_failure(self) -> None:
        """Raise the refusal that the run ended with, if any."""
        if self.failure is not None:
            raise self.failure
