"""rsync with an older edition at hand sends what differs, through cuts, bad bases and wrong bytes."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import sha256

from catalog.blobs import Staged
from sync.daemon import DaemonSettings, RsyncDaemon
from sync.formats.release import TreeFile
from sync.roads.bases import lay_basis
from sync.roads.road import Missed
from sync.roads.rsync import RsyncRoad
from sync.roads.staging import Staging

from .conftest import MIB, QUICK, free_port, grow_tree, put_blob

NOISE = random.Random(11)
OLD = NOISE.randbytes(5 * MIB)
# As an office program saves: a picture goes in, a slide changes, everything behind moves.
NEW = OLD[:90_000] + NOISE.randbytes(30_777) + OLD[90_000 : 3 * MIB] + NOISE.randbytes(9000) + OLD[3 * MIB :]


@pytest.fixture
def address(root: Path, tmp_path: Path) -> Iterator[str]:
    grow_tree(root, small=3, large=0)
    settings = DaemonSettings(port=free_port(), address="127.0.0.1")
    with RsyncDaemon(root, tmp_path / "daemon", settings):
        yield f"rsync://127.0.0.1:{settings.port}/tree/"


def bring(
    address: str, files: list[TreeFile], staging: Path, bases: dict[str, Path]
) -> tuple[list[Staged], list[Missed], int]:
    came: list[Staged] = []
    road = RsyncRoad(address, QUICK)
    with Staging(staging) as place:
        place.bases = bases
        missed = road.fetch(files, place, came.extend, lambda _: None)
    road.close()
    for item in came:
        assert sha256(item.path.read_bytes()) == item.blob.sha256
    return came, missed, road.received_bytes


@pytest.fixture
def older(tmp_path: Path) -> Path:
    path = tmp_path / "older"
    path.write_bytes(OLD)
    return path


def test_an_edited_file_costs_what_differs(root: Path, address: str, tmp_path: Path, older: Path) -> None:
    new = put_blob(root, NEW)
    others = [put_blob(root, NOISE.randbytes(100_000)) for _ in range(3)]
    came, missed, received = bring(address, [*others, new], tmp_path / "staging", {new.sha256: older})
    assert len(came) == 4 and not missed
    assert received < 300_000 + 60_000
    assert older.read_bytes() == OLD
    assert not any((tmp_path / "staging" / ".bases").iterdir())


def test_the_same_size_and_time_do_not_hide_an_edit(
    root: Path, address: str, tmp_path: Path, older: Path
) -> None:
    edited = OLD[:-1] + bytes([OLD[-1] ^ 1])
    new = put_blob(root, edited)
    stat = older.stat()
    os.utime(root / new.path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    came, missed, received = bring(address, [new], tmp_path / "staging", {new.sha256: older})
    assert len(came) == 1 and not missed and received < 40_000


def test_what_came_before_a_kill_is_not_fetched_again(
    root: Path, address: str, tmp_path: Path, older: Path
) -> None:
    tail = NOISE.randbytes(4 * MIB)
    new = put_blob(root, tail + OLD)
    for begun in (MIB, 3 * MIB):
        with Staging(tmp_path / "staging") as staging, staging.open(new) as staged:
            staged.restart()
            staged.write((tail + OLD)[:begun])
        if begun == MIB:
            # The next run only moves what came in front of the older edition before it is killed as well.
            with Staging(tmp_path / "staging") as staging:
                staging.bases = {new.sha256: older}
                assert lay_basis(new, staging)
                assert staging.prune({new.sha256}.__contains__) == 0
    came, missed, received = bring(address, [new], tmp_path / "staging", {new.sha256: older})
    assert len(came) == 1 and not missed
    assert received < MIB + 100_000


def test_an_older_edition_that_is_of_no_use_does_no_harm(root: Path, address: str, tmp_path: Path) -> None:
    new = put_blob(root, NEW)
    for number, basis in enumerate((b"", NOISE.randbytes(3000), NOISE.randbytes(6 * MIB), None)):
        path = tmp_path / f"older{number}"
        if basis is not None:
            path.write_bytes(basis)
        came, missed, received = bring(address, [new], tmp_path / f"staging{number}", {new.sha256: path})
        assert len(came) == 1 and not missed and received < len(NEW) * 1.01


def test_what_was_refused_at_the_door_comes_whole_the_second_time(
    root: Path, address: str, tmp_path: Path, older: Path
) -> None:
    new = put_blob(root, NEW)
    road = RsyncRoad(address, QUICK)
    with Staging(tmp_path / "staging") as staging:
        staging.bases = {new.sha256: older}
        for least, most in ((0, 100_000), (len(NEW), len(NEW) * 1.01)):
            before = road.received_bytes
            came: list[Staged] = []
            assert road.fetch([new], staging, came.extend, lambda _: None) == []
            assert least <= road.received_bytes - before <= most
            staging.forget(new.sha256)


def test_a_missing_file_is_told_with_a_basis_too(
    root: Path, address: str, tmp_path: Path, older: Path
) -> None:
    gone = TreeFile(path="blobs/ab/" + "ab" * 32, size_bytes=MIB, sha256="ab" * 32)
    here = put_blob(root, NEW)
    bases = {gone.sha256: older, here.sha256: older}
    came, missed, _ = bring(address, [gone, here], tmp_path / "staging", bases)
    assert [item.blob.sha256 for item in came] == [here.sha256]
    assert [(one.file, one.error.code) for one in missed] == [(gone, "E-ROAD-MISSING")]
    # Nobody wants it any more: its basis goes as well, and with it the room it holds.
    with Staging(tmp_path / "staging") as staging:
        staging.prune(lambda _: False)
        assert not staging.basis_path(gone.sha256).exists()
