"""Hard resets with unflushed writes lost: one working day of a box's card is written down, then cut anywhere.

Each cut is started in a machine of its own (minutes); `SHUXIANG_RESETS` says how many, 20 where it says nothing. Many
more are only looked into.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hard_resets import Recording, look_into, record, reset
from outage_harness.blocklog import BlockLog, Cut, Survival
from outage_harness.journal import FLUSH, WRITE
from outage_harness.writelog import read_log
from qemu_machine import Disk, need_image, pc

pytestmark = pytest.mark.machine

RESETS = int(os.environ.get("SHUXIANG_RESETS", "20"))
LOOKS = 60


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    place = tmp_path_factory.mktemp("recording")
    yield record(need_image("pc", "box"), place)
    shutil.rmtree(place)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory for one machine's disks: twenty of them would fill this one's."""
    yield tmp_path
    shutil.rmtree(tmp_path)


def test_qemu_writes_down_what_a_disk_sees(place: Path) -> None:
    """A machine that never starts; QEMU's console writes to its disk."""
    disk, log = Disk(place / "disk"), place / "log"
    disk.path.write_bytes(bytes(8 << 20))
    with pc(disk, place / "pc", more=["-S"], log=log) as machine:
        machine.wait_until(machine.monitor.exists, "no monitor", 60)
        for words in ("write -P 3 4096 8192", "flush", "write -P 4 512 512", "write -f -P 5 0 512"):
            machine.ask("human-monitor-command", **{"command-line": f'qemu-io ide0-hd0 "{words}"'})
        machine.pull_the_plug()
    read = [(record.kind, record.offset, len(record.data), record.data[:1]) for record in read_log(log)]
    assert read == [
        (WRITE, 4096, 8192, b"\3"), (FLUSH, 0, 0, b""), (WRITE, 512, 512, b"\4"), (WRITE, 0, 512, b"\5"), (FLUSH, 0, 0, b""),
    ]  # fmt: skip


def test_what_was_acknowledged_is_on_the_disk_after_any_cut(recording: Recording, tmp_path: Path) -> None:
    for number, cut in enumerate((*recording.log.cuts(LOOKS, 22), *recording.first_boot.cuts(LOOKS, 23))):
        place = tmp_path / str(number)
        place.mkdir()
        print(cut)
        look_into(recording, cut, place)
        shutil.rmtree(place)


@pytest.mark.parametrize("survival", [Survival.NOTHING, Survival.LATEST, Survival.TORN])
def test_a_disk_that_never_flushed_is_found_out(
    recording: Recording, place: Path, survival: Survival
) -> None:
    """The look at the disk can fail: with all flushes left out, what was acknowledged is not there."""
    records = [record for record in recording.log.records if record.kind != FLUSH]
    cut = Cut(BlockLog(b"", records, 0, recording.log.filesystems), len(records), survival, 3)
    with pytest.raises((AssertionError, subprocess.CalledProcessError)):
        look_into(recording, cut, place)


@pytest.mark.parametrize("number", range(RESETS))
def test_it_survives_a_hard_reset(recording: Recording, place: Path, number: int) -> None:
    cut = recording.log.cuts(RESETS, seed=20)[number]
    print(cut)
    reset(recording, cut, place)


@pytest.mark.parametrize("number", range(RESETS))
def test_its_first_boot_survives_a_hard_reset(recording: Recording, place: Path, number: int) -> None:
    cut = recording.first_boot.cuts(RESETS, seed=21)[number]
    print(cut)
    reset(recording, cut, place)
