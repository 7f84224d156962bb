"""The month's round: killed at any moment, true after it, nothing read twice in a month."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from county import DAY, NOW, County
from syncing_box import QUICK, SyncingBox

from catalog.errors import RoadError
from catalog.progress import Progress
from sync.updating.patrol import (
    LEAST_BYTES_PER_SECOND,
    MOST_BYTES_PER_SECOND,
    VERIFY,
    Patrol,
    PatrolResult,
    Round,
    round_rate,
)
from sync.updating.repair import repair_from
from sync.updating.verify import Mend, Pace, Repair

BLOBS = 30


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        noise = random.Random(6)
        for number in range(BLOBS):
            county.add(f"r{number}", noise.randbytes(20_000 + number))
        county.publish()
        yield county


@pytest.fixture
def box(tmp_path: Path, county: County) -> Iterator[SyncingBox]:
    with SyncingBox(tmp_path / "box", county) as box:
        box.update(county.public)
        yield box


def patrol(
    box: SyncingBox, now: datetime = NOW, repair: Mend | None = None, stop_after: int | None = None
) -> PatrolResult:
    told: list[Progress] = []

    def progress(one: Progress) -> None:
        told.append(one)

    work = Patrol(box.library, box.blobs, box.local, lambda: now, Pace(), repair, progress)
    if stop_after is not None:
        rest = work._rest
        work._rest = lambda round_: cut(rest(round_), stop_after)  # type: ignore[method-assign]
        with pytest.raises(KeyboardInterrupt):
            work.go_on()
        return PatrolResult(
            checked=0, damaged=0, repaired=0, fetched_bytes=0, round=Round.from_json(box.local.get(VERIFY))
        )
    return work.go_on()


def cut(blobs: Iterator[object], count: int) -> Iterator[object]:
    for number, blob in enumerate(blobs):
        if number == count:
            raise KeyboardInterrupt
        yield blob


def spoil(box: SyncingBox, sha256: str) -> None:
    path = box.blobs.path(sha256)
    data = bytearray(path.read_bytes())
    data[5_000] ^= 4
    path.write_bytes(data)


def test_a_round_goes_on_where_it_was_and_is_made_once_a_month(box: SyncingBox) -> None:
    first = patrol(box, stop_after=12)
    assert first.round.checked == 12 and first.round.finished is None
    second = patrol(box, NOW + DAY)
    assert (second.checked, second.round.checked) == (BLOBS - 12, BLOBS)
    assert second.round.finished == NOW + DAY
    assert patrol(box, NOW + 29 * DAY).checked == 0
    again = patrol(box, NOW + 30 * DAY)
    assert again.checked == BLOBS and again.round.started == NOW + 30 * DAY
    # A clock that was far ahead does not put the next round off for ever.
    box.local.put(VERIFY, replace(again.round, started=NOW + 4000 * DAY).to_json())
    assert patrol(box, NOW + 31 * DAY).checked == BLOBS


def test_damage_is_told_in_every_run_until_it_is_mended(county: County, box: SyncingBox) -> None:
    held = sorted(box.held())
    for sha256 in (held[3], held[20]):
        spoil(box, sha256)
    patrol(box, stop_after=10)
    assert [blob.sha256 for blob in box.local.damage()] == [held[3]]
    found = patrol(box)
    assert (found.damaged, found.repaired) == (2, 0)
    later = patrol(box, NOW + DAY)
    assert (later.checked, later.damaged, later.repaired) == (0, 2, 0)
    refusal = later.damage()
    assert refusal is not None and refusal.code == "E-DAMAGED"
    repair = repair_from((str(county.public),), box.library, box.blobs, box.local, QUICK)
    mended = patrol(box, NOW + DAY, repair)
    assert (mended.checked, mended.damaged, mended.repaired) == (0, 2, 2)
    assert mended.damage() is None and patrol(box, NOW + DAY).damaged == 0
    box.check()


def test_what_is_found_is_mended_at_once_but_a_dead_line_is_tried_once(
    county: County, box: SyncingBox
) -> None:
    held = sorted(box.held())
    for sha256 in held[:3]:
        spoil(box, sha256)
    tried = []

    def busy(damaged: list[object]) -> Repair:
        tried.append(damaged)
        return Repair(failure=RoadError("E-BUSY"))

    result = patrol(box, repair=busy)  # type: ignore[arg-type]
    assert len(tried) == 1 and (result.damaged, result.repaired) == (3, 0)
    assert result.failure is not None and result.failure.code == "E-BUSY"


def test_what_is_gone_or_whole_again_is_struck_out(county: County, box: SyncingBox) -> None:
    held = sorted(box.held())
    for sha256 in held[:2]:
        spoil(box, sha256)
    patrol(box)
    with box.library.writing() as writer:
        writer.remove_blobs([held[0]])
    spoil(box, held[1])
    assert patrol(box).damaged == 0 and box.local.damage() == []


KILLED = """
import sys
from datetime import datetime
from pathlib import Path
from catalog.blobs import BlobStore
from catalog.library import Library
from catalog.local import Local
from sync.updating import patrol
from sync.updating.verify import Pace
state = Path(sys.argv[1])
patrol._KEEP_SECONDS = 0.2
library, local = Library.open(state / "library.db"), Local.open(state / "local.db")
blobs = BlobStore(state / "blobs", state / "staging", library.add_blobs)
print("ready", flush=True)
patrol.Patrol(library, blobs, local, lambda: datetime.fromisoformat(sys.argv[2]), Pace(200_000)).go_on()
"""


def test_a_kill_costs_seconds_of_reading(box: SyncingBox) -> None:
    """About 3 s of reading at this pace, killed each 0.7 s: it ends all the same, and finds what is damaged."""
    spoil(box, sorted(box.held())[9])
    kills = 0
    while kills < 20:
        command = [sys.executable, "-c", KILLED, str(box.state), NOW.isoformat()]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            try:
                process.wait(0.7)
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                kills += 1
    assert 2 <= kills < 12
    result = patrol(box, NOW + timedelta(hours=1))
    assert (result.checked, result.damaged) == (0, 1)
    assert result.round.checked == BLOBS and result.round.finished is not None


def test_a_round_is_as_fast_as_the_month_asks() -> None:
    gigabyte, month = 10**9, timedelta(days=30)
    # 500 GB in 25 hours a week: 54 hours of the month are for reading.
    assert round_rate(500 * gigabyte, month, 25) == pytest.approx(2_600_000, rel=0.02)
    # A box that is on for a day a week hurries, one that is nearly empty need not, none outruns its disk.
    assert round_rate(500 * gigabyte, month, 6) == pytest.approx(10_800_000, rel=0.02)
    assert round_rate(gigabyte, month, 25) == LEAST_BYTES_PER_SECOND
    assert round_rate(4000 * gigabyte, timedelta(days=-3), 1) == MOST_BYTES_PER_SECOND
    # What is left of a round is read in what is left of its month.
    assert round_rate(250 * gigabyte, month / 2, 25) == pytest.approx(2_600_000, rel=0.02)
    assert round_rate(100 * gigabyte, month, 0) == round_rate(100 * gigabyte, month, 20)


def test_the_pace_of_a_round_follows_what_is_left(box: SyncingBox) -> None:
    work = Patrol(box.library, box.blobs, box.local, lambda: NOW, Pace())
    assert work.rate(1) == LEAST_BYTES_PER_SECOND
    patrol(box, stop_after=BLOBS // 2)
    assert work.rate(1) == LEAST_BYTES_PER_SECOND
