"""A disk with less and less room: whichever step of a run meets its end, one refusal, the old state, and it goes on."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from county import NOW, County
from small_disk import small_disk
from syncing_box import SyncingBox

from catalog.errors import ShuxiangError

MIB = 1 << 20
LESSONS = 120
# From nothing at all to nearly enough: head, manifests, rows, index, staging, blobs each meet the end in some of them.
ROOMS = (0, 40_000, 120_000, 300_000, 600_000, MIB, 2 * MIB, 3 * MIB, 5 * MIB, 7 * MIB)


@pytest.fixture
def county(tmp_path: Path) -> Iterator[County]:
    with County(tmp_path / "hub") as county:
        grow(county, 1)
        county.publish()
        yield county


def grow(county: County, edition: int) -> None:
    noise = random.Random(edition)
    for number in range(LESSONS):
        # Words that do not compress well make manifest, rows and index of some size.
        words = " ".join(f"词{noise.randrange(1 << 30):x}" for _ in range(60))
        county.add(
            f"r{number}", noise.randbytes(9000), title=f"第{number}课 千克{edition}", description=words
        )
    county.add("film", noise.randbytes(5 * MIB), title="长江")


# Whoosh drops the files of an index that it could not write without closing them.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_wherever_the_disk_ends(county: County, tmp_path: Path) -> None:
    met: set[tuple[int, int]] = set()
    places: set[str] = set()
    with small_disk(48 * MIB) as disk, SyncingBox(disk / "box", county) as box:
        assert box.update(county.public, keep_free_bytes=0).failure is None
        grow(county, 2)
        county.publish(NOW + timedelta(hours=1))
        for room in ROOMS:
            filler = disk / "filler"
            fill(filler, box.blobs.free_bytes() - room)
            try:
                # The box believes that there is more: someone else took the room.
                failure = box.update(county.public, keep_free_bytes=-60 * MIB).failure
            except ShuxiangError as error:
                failure = error
            filler.unlink()
            assert failure is None or (failure.code, failure.exit_code) == ("E-DISK-FULL", 21), (
                room,
                failure,
            )
            generation = box.library.generation()
            places |= set(Path(failure.where).relative_to(box.state).parts[:1]) if failure else set()
            met.add((generation.release, generation.content_release))
            assert box.found("千克") == LESSONS and all(box.entry(one).cached for one in box.ids())
            box.check()
        assert (1, 1) in met and (2, 1) in met and places == {"staging", "index"}
        assert box.update(county.public, keep_free_bytes=0).failure is None
        assert box.library.generation().content_release == 2
        box.check()


def fill(path: Path, size_bytes: int) -> None:
    """Take so much room; the filesystem's own blocks for a file of that size come on top."""
    with path.open("wb") as stream:
        while size_bytes > 0:
            try:
                os.posix_fallocate(stream.fileno(), 0, size_bytes)
                return
            except OSError as error:
                assert error.errno == errno.ENOSPC
                size_bytes -= 16_384
