"""A start that finds what the last one found shows the state without our command; whatever is else, the command looks."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from card_disk import MIB, hurt, run
from card_starts import READ, WRITE, Board, new_board, parted_disk, plain_disk

CONTENT = "one\ncontent\n"
MOUNTED = "; grep ' /run/mnt/var/lib/shuxiang ' /proc/self/mounts"
ELSE = {
    "another partition on the card": lambda board, disk: os.truncate(board.card, 2048 * MIB),
    "another filesystem on the disk": lambda board, disk: parted_disk(disk, board.label),
    "a superblock that is gone": lambda board, disk: hurt(disk, MIB, 4096),
}  # fmt: skip


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return new_board(tmp_path, alone=True)


def test_a_card_is_shown_again_without_our_command(board: Board) -> None:
    first, second, third = board.starts([], WRITE, READ + MOUNTED, READ)
    assert [one.usual for one in (first, second, third)] == [False, True, True]
    assert first.told == second.told == third.told and second.told["on_card"]
    assert second.said.startswith(CONTENT) and third.said == CONTENT
    assert all(f"{option}," in second.said for option in ("rw", "nosuid", "nodev", "noexec", "noatime"))


@pytest.mark.parametrize("make", [plain_disk, parted_disk])
def test_a_disk_is_shown_again_once_its_state_is_remembered(
    board: Board, tmp_path: Path, make: Callable[[Path, str], Path]
) -> None:
    disk = make(tmp_path / "disk.img", board.label)
    mounts = "; grep data-disk /proc/self/mounts"
    starts = board.starts([disk], WRITE, READ, READ + mounts, READ + MOUNTED)
    assert [one.usual for one in starts] == [False, False, True, True]
    assert starts[1].told == starts[2].told and not starts[2].told["on_card"]
    assert starts[2].said.startswith(CONTENT) and "rw,nosuid,nodev,noexec,noatime" in starts[2].said


def test_the_unit_that_is_started_again_has_nothing_to_do(board: Board) -> None:
    again = "; $differs && echo differs; grep -c ' /run/mnt/var/lib/shuxiang ' /proc/self/mounts"
    _, second = board.starts([], WRITE, READ + again)
    assert second.usual and second.said == CONTENT + "1\n"


def test_a_disk_that_was_used_is_missed_after_usual_starts_too(board: Board, tmp_path: Path) -> None:
    board.starts([], WRITE, READ)
    disk = plain_disk(tmp_path / "disk.img", board.label)
    moved, *_, last = board.starts([disk], READ, READ, READ)
    assert not moved.usual and last.usual and last.said == CONTENT
    # What was usual before the disk came is as it was then: the card alone.
    missing, still = board.starts([], "ls var/lib/shuxiang data/system/usual-disk", "true")
    assert not missing.usual and missing.told["failure"]["code"] == "E-DATA-MISSING"
    assert missing.said.split() == ["data/system/usual-disk:", "device", "seen", "var/lib/shuxiang:"]
    assert not still.usual


@pytest.mark.parametrize("name", ELSE)
def test_what_is_else_is_looked_at(board: Board, tmp_path: Path, name: str) -> None:
    disk = parted_disk(tmp_path / "disk.img", board.label)
    *_, usual = board.starts([disk], WRITE, READ, READ)
    assert usual.usual
    ELSE[name](board, disk)
    (other,) = board.starts([disk], "true")
    assert not other.usual


def test_a_state_that_is_gone_is_looked_at(board: Board, tmp_path: Path) -> None:
    disk = parted_disk(tmp_path / "disk.img", board.label)
    *_, usual, lost = board.starts(
        [disk], WRITE, READ, "rm var/lib/shuxiang/config.toml", "ls var/lib/shuxiang"
    )
    assert usual.usual and not lost.usual and lost.told["failure"]["code"] == "E-DATA-LOST"


def test_a_start_with_a_warning_is_never_a_usual_one(board: Board, tmp_path: Path) -> None:
    board.start(then=WRITE + "; head -c 60000000 /dev/urandom > var/lib/shuxiang/blob2; sync")
    disk = plain_disk(tmp_path / "disk.img", board.label, 100)
    for start in board.starts([disk], READ, READ):
        assert not start.usual and [one["code"] for one in start.told["warnings"]] == ["E-DATA-SMALL"]


def test_a_journal_that_was_cut_is_replayed(board: Board, tmp_path: Path) -> None:
    disk = parted_disk(tmp_path / "disk.img", board.label)
    # The copy is what a cut leaves: written and flushed, never unmounted.
    cut = f"echo two > var/lib/shuxiang/blob; sync; cp --sparse=always {disk} {tmp_path}/cut.img"
    *_, usual = board.starts([disk], WRITE, READ, cut)
    assert usual.usual
    (tmp_path / "cut.img").replace(disk)
    assert "needs_recovery" in run("sh", "-c", f"dumpe2fs -h {disk}?offset={MIB} 2>/dev/null")
    starts = board.starts([disk], READ, READ)
    assert starts[-1].usual and starts[-1].said == "one\ntwo\n"
