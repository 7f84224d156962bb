"""Whether what a box holds is still what it was: all of it at once, or the month's round in the background.

Reading needs no hold on the state; mending does, so a sync under way puts it off and loses nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from appliance.box import Box
from appliance.policies import on_hours
from appliance.state import locked
from appliance.steering import steered_by_policy
from appliance.syncing import update_settings
from catalog.blobs import Blob
from catalog.errors import RoadError
from catalog.progress import OnProgress, both, silent
from sync.formats.release import TreeFile
from sync.formats.torrentfile import TorrentFile
from sync.roads.road import Done
from sync.roads.staging import Staging
from sync.updating.neighbours import Company, Neighbours
from sync.updating.patrol import Patrol, PatrolResult
from sync.updating.repair import Swarming, repair_from
from sync.updating.verify import Mend, Pace, Repair, VerifyResult, verify

_NICE = 10


def run_verify(
    box: Box, repair: bool, rate: int | None = None, progress: OnProgress = silent
) -> VerifyResult:
    """Re-read every blob, `rate` bytes a second; with `repair` mend what is damaged over the roads."""
    with locked(box.directory, "verify") as hold:
        return verify(
            box.library,
            box.blobs,
            box.local,
            now=box.trusted_now(),
            pace=Pace(rate),
            repair=_mend(box) if repair else None,
            progress=both(progress, hold.show),
        )


def run_patrol(
    box: Box, repair: bool, rate: int | None = None, progress: OnProgress = silent
) -> PatrolResult:
    """Go on with the month's round, behind everybody else; see `sync.updating.patrol`.

    `rate` None: as fast as the month asks, by what the disk holds and the hours in which the box is usually on.
    """
    _step_back()
    mend = _mend(box)

    def mend_alone(damaged: list[Blob]) -> Repair:
        try:
            with locked(box.directory, "repair"):
                return mend(damaged)
        except RoadError as busy:
            return Repair(failure=busy)

    patrol = Patrol(
        box.library,
        box.blobs,
        box.local,
        box.trusted_now,
        Pace(rate),
        mend_alone if repair else None,
        progress,
    )
    if rate is None:
        patrol.pace = Pace(patrol.rate(len(on_hours(box).usual())))
    return patrol.go_on()


def verify_json(result: VerifyResult) -> dict[str, Any]:
    """Return the value that `box verify --json` prints (DESIGN 5.2); of a part of a round, also how far that is."""
    value = {
        "checked": result.checked,
        "damaged": result.damaged,
        "repaired": result.repaired,
        "fetched_bytes": result.fetched_bytes,
    }
    return value | {"round": result.round.to_json()} if isinstance(result, PatrolResult) else value


def _mend(box: Box) -> Mend:
    """Return a repair that looks at the policy each time: a round takes days, and a pause holds for it too."""

    def mend(damaged: list[Blob]) -> Repair:
        try:
            settings = update_settings(box, None)
        except RoadError as refused:
            return Repair(failure=refused)
        governor = settings.road.governor
        with closing(governor), steered_by_policy(box, governor, settings.sources):
            swarming = _swarming(box, settings.neighbours)
            return repair_from(settings.sources, box.library, box.blobs, box.local, settings.road, swarming)(
                damaged
            )

    return mend


def _swarming(box: Box, neighbours: Neighbours | None) -> Swarming | None:
    """Return how neighbours are asked for the bad pieces, where the policy lets us meet any."""
    if neighbours is None:
        return None

    def ask(wanted: Sequence[tuple[TreeFile, TorrentFile]], staging: Staging, done: Done) -> None:
        with closing(Company(neighbours, box.library)) as company:
            # What keeps us out of the swarm leaves the roads, which say it for themselves.
            if company.join([]):
                files = [file for file, _ in wanted]
                company.fetch(files, staging, done, lambda _: None, web_seeds=(), kept_at=box.blobs.path)

    return ask


def _step_back() -> None:
    """Let every other process have the processor and the disk first (ionice(1): the idle class)."""
    os.nice(_NICE)
    if program := shutil.which("ionice"):
        subprocess.run(
            [program, "-c", "3", "-p", str(os.getpid())], stdin=subprocess.DEVNULL, capture_output=True
        )
