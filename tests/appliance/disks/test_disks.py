"""The disk with the content, on real disks made of files: found, checked, used, missed; the card's partition grown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from card_disk import LAYOUT, MIB, attached, hurt, make_ext4, need_disks, run, write_card

from appliance.disks.choose import LABEL
from images.data_disk import make_data_disks
from images.disk import DATA_DISK
from images.write import Target

SCRIPT = Path(__file__).parents[3] / "images/overlay/common/etc/initramfs-tools/scripts/local-bottom/shuxiang"
CARD_DATA = LAYOUT[3][0] * MIB
# As the machine starts: the initramfs' step, its /run moved along, then our command, then what the test asks.
START = """
set -e
mount --make-rprivate /
mount -t tmpfs none /run
mkdir /run/mnt
rootmnt=/run/mnt
export rootmnt
mount -t ext4 -o ro "$1p2" "$rootmnt"
sh "$2" >/dev/null
mkdir -p "$rootmnt/var/lib/shuxiang"
chown 4711:4712 "$rootmnt/var/lib/shuxiang"
cd "$rootmnt"
set +e
"$3" -c "$4" "$rootmnt" "$5" "$6"
"""
ATTACH = """
import json, sys
from pathlib import Path
from appliance.disks.attaching import Places, attach
from appliance.disks.telling import Told, tell
from catalog.errors import ShuxiangError
root = Path(sys.argv[1])
run = Path("/run/shuxiang")
places = Places(run=run, data=root / "data", state=root / "var/lib/shuxiang", label=sys.argv[2], wait_seconds=float(sys.argv[3]))
try:
    told = attach(places)
except ShuxiangError as error:
    told = Told(failure=error)
tell(run, told)
print(json.dumps(told.to_json()), flush=True)
"""


@dataclass
class Board:
    """A card in a board, and what is plugged into it."""

    card: Path
    label: str = field(default_factory=lambda: f"sx-{uuid.uuid4().hex[:8]}")
    wait_seconds: float = 0

    def start(self, *disks: Path, then: str = "true") -> tuple[dict[str, Any], str]:
        """Start with `disks` plugged in, run the shell's words `then`, cut the power; return what was told and printed."""
        with attached(self.card) as device:
            return self._with(list(disks), device, then)

    def _with(self, disks: list[Path], device: str, then: str) -> tuple[dict[str, Any], str]:
        if disks:
            with attached(disks[0], partitions=_has_table(disks[0])):
                return self._with(disks[1:], device, then)
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", START + then, "start", device, str(SCRIPT), sys.executable, ATTACH, self.label, str(self.wait_seconds)],
            capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[3], env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        )  # fmt: skip
        assert done.returncode == 0, (done.stdout, done.stderr)
        told, _, rest = done.stdout.partition("\n")
        return json.loads(told), rest


@pytest.fixture
def board(tmp_path: Path) -> Board:
    need_disks()
    tree = tmp_path / "system"
    for name in ("etc", "var/lib", "boot"):
        (tree / name).mkdir(parents=True)
    write_card(tmp_path / "card.img", tree)
    return Board(tmp_path / "card.img")


def _has_table(disk: Path) -> bool:
    asked = subprocess.run(
        ["blkid", "--probe", "--output", "value", "--match-tag", "PTTYPE", disk], capture_output=True
    )
    return bool(asked.stdout.strip())


def may_grow_mounted() -> bool:
    """Return whether ext4 lets us enlarge it while it is mounted: not everyone who is root has CAP_SYS_RESOURCE."""
    held = Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0]
    return bool(int(held, 16) >> 24 & 1)


def plain_disk(place: Path, label: str, size_mib: int = 300) -> Path:
    """A disk that is one ext4 without a table."""
    with place.open("wb") as file:
        file.truncate(size_mib * MIB)
    make_ext4(place, label, size_mib)
    return place


def parted_disk(place: Path, label: str, size_mib: int = 300) -> Path:
    """A disk with a table and one ext4, as disks are sold."""
    with place.open("wb") as file:
        file.truncate((size_mib + 2) * MIB)
    run("sfdisk", "--quiet", place, give=f"label: gpt\nstart=1MiB, size={size_mib}MiB\n")
    make_ext4(place, label, size_mib, offset=1)
    return place


def made_disk(place: Path, label: str) -> Path:
    """A disk as `image format` makes it of a used one."""
    with place.open("wb") as file:
        file.truncate(1100 * MIB)
        file.seek(MIB)
        file.write(os.urandom(8 * MIB))
    (made,) = make_data_disks([Target(path=place)], lambda *_: None, lambda: datetime.now(UTC), label=label)
    assert made.refusal is None
    return place


WRITE = "echo one > var/lib/shuxiang/config.toml; echo content > var/lib/shuxiang/blob; sync"
READ = "cat var/lib/shuxiang/config.toml var/lib/shuxiang/blob"


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


def test_a_disk_that_wakes_late_is_waited_for(board: Board, tmp_path: Path) -> None:
    disk = plain_disk(tmp_path / "disk.img", board.label)
    board.start(disk, then=WRITE)
    board.wait_seconds = 30
    late = subprocess.Popen(
        ["sh", "-c", f"sleep 3; losetup --find --show {disk}"], stdout=subprocess.PIPE, text=True
    )
    try:
        told, said = board.start(then=READ)
    finally:
        device = late.communicate(timeout=60)[0].strip()
        run("losetup", "--detach", device)
    assert said == "one\ncontent\n" and told["device"] == device


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


def test_another_filesystem_is_refused_by_name(board: Board, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    with disk.open("wb") as file:
        file.truncate(64 * MIB)
    run("mkfs.vfat", "-n", board.label[:11], disk)
    board.label = board.label[:11].casefold()
    told, _ = board.start(disk)
    assert code(told) == "E-DATA-KIND" and told["failure"]["found"] == "vfat"


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
    told, _ = board.start(disk)
    assert not told["warnings"]


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
