"""The disk with the content, on real disks made of files: found, checked, used, missed; the card's partition grown."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from card_disk import LAYOUT, MIB, attached, hurt, run, write_card
from card_starts import READ, WRITE, Board, new_board, parted_disk, plain_disk

from appliance.disks.choose import LABEL
from appliance.disks.devices import is_one_waking
from images.data_disk import make_data_disks
from images.disk import DATA_DISK
from images.write import Target

CARD_DATA = LAYOUT[3][0] * MIB


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return new_board(tmp_path)


def may_grow_mounted() -> bool:
    """Return whether ext4 lets us enlarge it while it is mounted: not everyone who is root has CAP_SYS_RESOURCE."""
    held = Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0]
    return bool(int(held, 16) >> 24 & 1)


def made_disk(place: Path, label: str) -> Path:
    """A disk as `image format` makes it of a used one."""
    with place.open("wb") as file:
        file.truncate(1100 * MIB)
        file.seek(MIB)
        file.write(os.urandom(8 * MIB))
    (made,) = make_data_disks([Target(path=place)], lambda *_: None, lambda: datetime.now(UTC), label=label)
    assert made.refusal is None
    return place


def code(told: dict[str, Any]) -> str | None:
    return told["failure"]["code"] if told["failure"] else None


def test_without_a_disk_the_card_is_used(board: Board) -> None:
    told, owner = board.start(then=WRITE + "; stat -c %u:%g:%a var/lib/shuxiang")
    assert told["failure"] is None and told["on_card"] and not told["grown"] and not told["warnings"]
    assert owner.strip() == "4711:4712:750"
    told, said = board.start(then=READ + "; grep ' /run/mnt/var/lib/shuxiang ' /proc/self/mounts")
    assert said.startswith("one\ncontent\n")
    assert all(f"{option}," in said for option in ("rw", "nosuid", "nodev", "noexec", "noatime"))


def test_the_card_s_partition_grows_to_its_end_once(board: Board) -> None:
    board.start(then=WRITE)
    with board.card.open("r+b") as file:
        file.truncate(2048 * MIB)
    size = "df -m --output=size data | tail -1; cat /sys/class/block/$(sed -n 2p /run/shuxiang/card)/size; "
    told, said = board.start(then=size + READ)
    filesystem, partition, *rest = said.split()
    assert int(partition) == (2048 - LAYOUT[3][0]) * MIB // 512 and rest == ["one", "content"]
    if may_grow_mounted():
        assert told["grown"] and not told["warnings"] and int(filesystem) > 1900
    else:
        # Refused by the kernel: said, and everything is served as it was.
        assert [one["code"] for one in told["warnings"]] == ["E-DATA-GROW"]
    told, said = board.start(then=READ)
    assert not told["grown"] and said == "one\ncontent\n"
    with attached(board.card) as device:
        run("e2fsck", "-f", "-n", f"{device}p4")


@pytest.mark.parametrize("done", ["table", "kernel told"])
def test_growing_that_was_cut_is_finished_by_the_next_start(board: Board, done: str) -> None:
    board.start(then=WRITE)
    with board.card.open("r+b") as file:
        file.truncate(1024 * MIB)
    sectors = (1024 - LAYOUT[3][0]) * MIB // 512
    run("sfdisk", "--quiet", "--no-reread", "--partno", "4", board.card, give=f",{sectors}\n")
    if done == "kernel told":
        with attached(board.card) as device:
            run("e2fsck", "-f", "-p", f"{device}p4")
    told, said = board.start(then=READ + "; cat /sys/class/block/$(sed -n 2p /run/shuxiang/card)/size")
    assert said == f"one\ncontent\n{sectors}\n"
    assert told["grown"] == may_grow_mounted()


@pytest.mark.parametrize("make", [plain_disk, parted_disk, made_disk])
def test_a_labelled_disk_is_used_and_moves_to_another_board(board: Board, tmp_path: Path, make: Any) -> None:
    disk = make(tmp_path / "disk.img", board.label)
    told, _ = board.start(disk, then=WRITE)
    assert told["failure"] is None and not told["on_card"] and not told["warnings"]
    # A new card knows nothing of the disk, and finds it.
    write_card(board.card, tmp_path / "system")
    told, said = board.start(disk, then=READ)
    assert said == "one\ncontent\n" and not told["on_card"]


def test_a_disk_is_made_with_the_label_that_is_looked_for() -> None:
    assert DATA_DISK == LABEL


def test_a_disk_that_was_used_is_missed_and_nothing_else_is_shown(board: Board, tmp_path: Path) -> None:
    disk = plain_disk(tmp_path / "disk.img", board.label)
    board.start(disk, then=WRITE)
    told, said = board.start(then="ls var/lib/shuxiang; cat /run/shuxiang/disk.json")
    assert code(told) == "E-DATA-MISSING"
    assert json.loads(said) == told
    told, said = board.start(disk, then=READ)
    assert said == "one\ncontent\n"


@pytest.mark.parametrize("card", ["the same", "a new one"])
def test_a_disk_that_wakes_late_is_waited_for(board: Board, tmp_path: Path, card: str) -> None:
    disk = plain_disk(tmp_path / "disk.img", board.label)
    board.start(disk, then=WRITE)
    if card == "the same":
        board.wait_seconds = 30
    else:
        write_card(board.card, tmp_path / "system")
        board.usb = usb_with(tmp_path / "usb", "a disk that turns up")
    late = subprocess.Popen(
        ["sh", "-c", f"sleep 3; losetup --find --show {disk}"], stdout=subprocess.PIPE, text=True
    )
    try:
        told, said = board.start(then=READ)
    finally:
        device = late.communicate(timeout=60)[0].strip()
        run("losetup", "--detach", device)
    assert said == "one\ncontent\n" and told["device"] == device


def usb_with(place: Path, what: str) -> Path:
    """Lay out what the kernel tells of the USB interfaces of a machine with a keyboard and `what`."""
    for name, number, disk in (("1-1:1.0", "03", False), ("1-2:1.0", "08", what == "a reader")):
        (place / name).mkdir(parents=True)
        (place / name / "bInterfaceClass").write_text(f"{number}\n")
        if disk:
            (place / name / "host0/target0:0:0/0:0:0:0/block/sda").mkdir(parents=True)
    return place


def test_nobody_waits_for_a_disk_where_none_is_waking(board: Board, tmp_path: Path) -> None:
    assert not is_one_waking(usb_with(tmp_path / "reader", "a reader"))
    board.usb = usb_with(tmp_path / "reader2", "a reader")
    board.start(then=WRITE)
    board.usb = usb_with(tmp_path / "usb", "a disk that turns up")
    assert is_one_waking(board.usb)
    # The card has its state.
    assert board.start(then=READ)[1] == "one\ncontent\n"


def test_the_card_s_content_moves_to_a_new_disk(board: Board, tmp_path: Path) -> None:
    board.start(then=WRITE)
    disk = plain_disk(tmp_path / "disk.img", board.label)
    told, said = board.start(disk, then=READ + "; ls data; stat -c %u var/lib/shuxiang")
    assert not told["on_card"] and not told["failure"]
    assert said.startswith("one\ncontent\n") and "state.moved" in said and said.endswith("4711\n")
    told, said = board.start()
    assert code(told) == "E-DATA-MISSING"


def test_a_new_disk_that_is_too_small_is_left_alone(board: Board, tmp_path: Path) -> None:
    board.start(then=WRITE + "; head -c 60000000 /dev/urandom > var/lib/shuxiang/blob2; sync")
    disk = plain_disk(tmp_path / "disk.img", board.label, 100)
    told, said = board.start(disk, then=READ)
    assert told["on_card"] and said == "one\ncontent\n"
    assert [one["code"] for one in told["warnings"]] == ["E-DATA-SMALL"]


def test_two_new_disks_are_a_question_and_one_of_them_was_used_is_none(board: Board, tmp_path: Path) -> None:
    one, two = (plain_disk(tmp_path / name, board.label) for name in ("one.img", "two.img"))
    told, _ = board.start(one, two)
    assert code(told) == "E-DATA-TWO"
    board.start(two, then=WRITE)
    told, said = board.start(one, two, then=READ)
    assert said == "one\ncontent\n"


def fat_disk(place: Path, board: Board) -> Path:
    """A disk of another kind with the label that is looked for, which is as short as FAT's then."""
    with place.open("wb") as file:
        file.truncate(64 * MIB)
    board.label = board.label[:11].casefold()
    run("mkfs.vfat", "-n", board.label, place)
    return place


def test_another_filesystem_is_refused_by_name(board: Board, tmp_path: Path) -> None:
    told, _ = board.start(fat_disk(tmp_path / "disk.img", board))
    assert code(told) == "E-DATA-KIND" and told["failure"]["found"] == "vfat"


@pytest.mark.parametrize("kind", ["KIND", "TWO"])
def test_a_card_that_holds_a_state_serves_beside_disks_that_can_not_be_used(
    board: Board, tmp_path: Path, kind: str
) -> None:
    board.start(then=WRITE)
    names = ("one.img", "two.img")
    disks = [fat_disk(tmp_path / "disk.img", board)] if kind == "KIND" else [plain_disk(tmp_path / name, board.label) for name in names]  # fmt: skip
    told, said = board.start(*disks, then=READ)
    assert said == "one\ncontent\n" and told["on_card"] and told["failure"] is None
    assert [one["code"] for one in told["warnings"]] == [f"E-DATA-{kind}"]
    assert not board.start()[0]["warnings"]


def test_a_card_whose_state_moved_to_a_disk_serves_no_other(board: Board, tmp_path: Path) -> None:
    board.start(plain_disk(tmp_path / "disk.img", board.label), then=WRITE)
    told, said = board.start(fat_disk(tmp_path / "other.img", board), then="ls var/lib/shuxiang")
    assert (code(told), said) == ("E-DATA-KIND", "")


@pytest.mark.parametrize("make", [plain_disk, parted_disk])
def test_a_zeroed_superblock_is_repaired(board: Board, tmp_path: Path, make: Any) -> None:
    disk = make(tmp_path / "disk.img", board.label)
    board.start(disk, then=WRITE)
    hurt(disk, MIB if make is parted_disk else 0, 4096)
    if make is plain_disk:
        # Of a disk without a table, a loop device at that, nothing is left that says which one it is.
        assert code(board.start(disk)[0]) == "E-DATA-MISSING"
        return
    told, said = board.start(disk, then=READ)
    assert said == "one\ncontent\n"
    assert [one["code"] for one in told["warnings"]] == ["E-DATA-REPAIRED"] and told["details"]
    assert "has_journal" in _dump(disk)
    told, _ = board.start(disk)
    assert not told["warnings"]


def test_a_journal_that_was_lost_is_made_again_where_it_fits(board: Board, tmp_path: Path) -> None:
    disk = parted_disk(tmp_path / "disk.img", board.label)
    board.start(disk, then=WRITE)
    _take_the_journal(disk)
    board.start(disk, then="dd if=/dev/zero of=/run/shuxiang/data-disk/much bs=1M 2>&1; true")
    assert "has_journal" in _dump(disk)
    _take_the_journal(disk)
    (tmp_path / "more").write_bytes(b"x" * 16 * MIB)
    with attached(disk) as device:
        run("debugfs", "-w", "-R", f"write {tmp_path}/more more", f"{device}p1")
    told, said = board.start(disk, then=READ)
    assert (told["failure"], said) == (None, "one\ncontent\n")
    assert "has_journal" not in _dump(disk)


def _take_the_journal(disk: Path) -> None:
    with attached(disk) as device:
        run("e2fsck", "-p", f"{device}p1")
        run("tune2fs", "-O", "^has_journal", "-m", "0", f"{device}p1")


def test_damage_that_took_the_state_s_name_is_not_a_new_life(board: Board, tmp_path: Path) -> None:
    disk = parted_disk(tmp_path / "disk.img", board.label)
    board.start(disk, then=WRITE)
    board.start(disk, then=READ)
    table = next(line for line in _dump(disk).splitlines() if "Inode table at" in line)
    first = int(table.split("Inode table at ")[1].split("-")[0])
    # The root directory's inode and the others of the first sixteen.
    hurt(disk, MIB + first * 4096, 4096)
    told, said = board.start(disk, then="ls var/lib/shuxiang")
    assert (code(told), said) == ("E-DATA-LOST", "")
    told, _ = board.start(disk)
    assert code(told) == "E-DATA-LOST"


def test_what_cannot_be_repaired_is_told(board: Board, tmp_path: Path) -> None:
    disk = parted_disk(tmp_path / "disk.img", board.label)
    board.start(disk, then=WRITE)
    hurt(disk, MIB, 300 * MIB)
    told, said = board.start(disk, then="ls var/lib/shuxiang")
    assert (code(told), said) == ("E-DATA-DAMAGED", "")


def test_a_damaged_card_serves_from_its_disk_and_says_so(board: Board, tmp_path: Path) -> None:
    disk = plain_disk(tmp_path / "disk.img", board.label)
    board.start(disk, then=WRITE)
    hurt(board.card, CARD_DATA, LAYOUT[3][1] * MIB)
    told, said = board.start(disk, then=READ)
    assert said == "one\ncontent\n"
    assert [one["code"] for one in told["warnings"]] == ["E-DATA-CARD"]
    told, _ = board.start()
    assert code(told) == "E-DATA-DAMAGED"


def test_a_card_smaller_than_the_image_is_called_so(board: Board) -> None:
    os.truncate(board.card, (LAYOUT[3][0] + 100) * MIB)
    told, _ = board.start()
    assert code(told) == "E-DATA-CARD-SMALL"


def _dump(disk: Path) -> str:
    with attached(disk) as device:
        return run("dumpe2fs", f"{device}p1")
