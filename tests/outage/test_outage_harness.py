"""The harness finds the faults it is there for, and finds none in writers that sync what they promise.

A harness that can not fail is a defect: each writer here comes in a careless and a careful kind.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from outage_harness import Acknowledge, Outage, OutageError

FILES = 40
ROWS = 60


def _content(name: str) -> bytes:
    return random.Random(name).randbytes(30_000)


def careless_files(root: Path, acknowledge: Acknowledge) -> None:
    for number in range(FILES):
        name = f"{number:03}"
        part = root / f"{name}.part"
        part.write_bytes(_content(name))
        part.replace(root / name)
        acknowledge(name)


def careful_files(root: Path, acknowledge: Acknowledge) -> None:
    for number in range(FILES):
        name = f"{number:03}"
        part = root / f"{name}.part"
        with part.open("wb") as stream:
            stream.write(_content(name))
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(root / name)
        _sync_directory(root)
        acknowledge(name)


def files_named_before_their_directory_is_synced(root: Path, acknowledge: Acknowledge) -> None:
    for number in range(FILES):
        name = f"{number:03}"
        part = root / f"{name}.part"
        with part.open("wb") as stream:
            stream.write(_content(name))
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(root / name)
        acknowledge(name)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(handle)
    os.close(handle)


def wrong_files(root: Path, acknowledged: tuple[str, ...]) -> tuple[set[str], set[str]]:
    """Return the names with wrong bytes and the acknowledged names that are gone."""
    seen = {path.name: path for path in root.iterdir() if path.suffix != ".part"}
    corrupt = {name for name, path in seen.items() if path.read_bytes() != _content(name)}
    return corrupt, set(acknowledged) - set(seen)


def rows(synchronous: str) -> Callable[[Path, Acknowledge], None]:
    def workload(root: Path, acknowledge: Acknowledge) -> None:
        with closing(sqlite3.connect(root / "rows.db", isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(f"PRAGMA synchronous={synchronous}")
            db.execute("CREATE TABLE IF NOT EXISTS row (number INTEGER PRIMARY KEY, bytes BLOB)")
            for number in range(ROWS):
                db.execute("INSERT INTO row VALUES (?, ?)", (number, _content(str(number))[:3000]))
                acknowledge(str(number))

    return workload


def lost_rows(root: Path, acknowledged: tuple[str, ...]) -> set[int]:
    """Return the acknowledged rows that are gone; the database itself must be sound."""
    with closing(sqlite3.connect(root / "rows.db")) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        try:
            held = dict(db.execute("SELECT number, bytes FROM row"))
        except sqlite3.OperationalError:  # cut before the table
            held = {}
    assert all(content == _content(str(number))[:3000] for number, content in held.items())
    return {int(number) for number in acknowledged} - set(held)


def test_a_rename_without_fsync_leaves_wrong_files_and_loses_acknowledged_ones(outage: Outage) -> None:
    log = outage.record(careless_files)
    corrupt, gone = set[str](), set[str]()
    for cut in log.cuts(20, seed=1):
        with outage.mounted(cut) as root:
            wrong, missing = wrong_files(root, cut.acknowledged)
            corrupt |= wrong
            gone |= missing
    assert corrupt
    assert gone


def test_a_name_acknowledged_before_its_directory_is_synced_is_lost(outage: Outage) -> None:
    log = outage.record(files_named_before_their_directory_is_synced)
    gone = set[str]()
    for cut in log.cuts(15, seed=2):
        with outage.mounted(cut) as root:
            wrong, missing = wrong_files(root, cut.acknowledged)
            assert not wrong
            gone |= missing
    assert gone


def test_files_synced_before_they_are_named_and_acknowledged_survive(outage: Outage) -> None:
    log = outage.record(careful_files)
    for cut in log.cuts(20, seed=3):
        with outage.mounted(cut) as root:
            assert wrong_files(root, cut.acknowledged) == (set(), set())


def test_synchronous_normal_loses_acknowledged_rows(outage: Outage) -> None:
    log = outage.record(rows("NORMAL"))
    lost = set[int]()
    for cut in log.cuts(15, seed=4):
        with outage.mounted(cut) as root:
            lost |= lost_rows(root, cut.acknowledged)
    assert lost


def test_synchronous_full_loses_none(outage: Outage) -> None:
    log = outage.record(rows("FULL"))
    for cut in log.cuts(15, seed=5):
        with outage.mounted(cut) as root:
            assert lost_rows(root, cut.acknowledged) == set()


KILLED_WHILE_RECORDING = """
import os, signal, sys
from outage_harness import Outage

def workload(root, acknowledge):
    (root / "file").write_bytes(b"x" * 100_000)
    print(root, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

with Outage() as outage:
    outage.record(workload)
"""


def test_a_killed_test_leaves_no_mount_no_device_and_no_file(outage_possible: None) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_RECORDING],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    directory = Path(done.stdout.strip()).parent.parent
    assert directory.name.startswith("outage-")
    until = time.monotonic() + 20
    while time.monotonic() < until and (directory.exists() or _mounts(directory)):
        time.sleep(0.05)
    assert not directory.exists()
    assert not _mounts(directory)
    backing = [path.read_text() for path in Path("/sys/block").glob("loop*/loop/backing_file")]
    assert not [file for file in backing if directory.name in file]


def _mounts(directory: Path) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(directory) in line]


def test_a_file_left_open_is_told(outage: Outage) -> None:
    held = []

    def forgetful(root: Path, acknowledge: Acknowledge) -> None:
        held.append((root / "open").open("wb"))

    with pytest.raises(OutageError, match="umount"):
        outage.record(forgetful)
    held.pop().close()
    assert outage.record(careful_files).marks
