"""What the running system is laid out from: the step of the initramfs, run for real on disks made of files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from card_disk import LAYOUT, MIB, attached, hurt, make_ext4, need_disks, run, write_card

import images

OVERLAY = Path(images.__file__).parent / "overlay" / "common"
SCRIPT = OVERLAY / "etc/initramfs-tools/scripts/local-bottom/shuxiang"
DATA_OFFSET = LAYOUT[3][0] * MIB
# The initramfs calls the script with the system mounted read-only; /run is its own, and moves along later.
BOOT = """
set -e
mount --make-rslave /
mount -t tmpfs none /run
mkdir /run/lock /run/mnt
rootmnt=/run/mnt
export rootmnt
mount -t ext4 -o ro "$1p2" "$rootmnt"
sh "$2" || echo "the script failed: $?"
cd "$rootmnt"
"""


@dataclass
class Card:
    file: Path

    def boot(self, words: str) -> str:
        """Start the system of the card up to its first program, run `words` there, and cut the power."""
        with attached(self.file) as device:
            done = subprocess.run(
                ["unshare", "--mount", "--propagation", "slave", "sh", "-c", BOOT + words, "boot", device, str(SCRIPT)],
                capture_output=True, text=True, timeout=120,
            )  # fmt: skip
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    need_disks()
    tree = tmp_path / "system"
    for name in ("etc", "var/lib", "usr", "boot"):
        (tree / name).mkdir(parents=True)
    (tree / "etc/hostname").write_text("shuxiang\n")
    (tree / "etc/other").write_text("of the image\n")
    write_card(tmp_path / "card.img", tree)
    yield Card(tmp_path / "card.img")


def system_of(card: Card) -> bytes:
    start, size = LAYOUT[1]
    with card.file.open("rb") as stream:
        stream.seek(start * MIB)
        return stream.read(size * MIB)


def test_settings_and_data_stay_and_all_else_is_forgotten(card: Card) -> None:
    before = system_of(card)
    said = card.boot(
        "echo sx-0001 > etc/hostname; rm etc/other; echo new > usr/new; mkdir data/state; echo one > data/state/a; sync"
    )
    assert "no data" not in said and "failed" not in said
    said = card.boot(
        "cat etc/hostname data/state/a; ls usr etc; ls /run/shuxiang; cat /run/shuxiang/card; cat /run/systemd/system/boot-firmware.mount"
    )
    assert "sx-0001" in said and "one\n" in said
    assert "new" not in said and "other" not in said
    assert "data-missing" not in said
    assert "What=/dev/loop" in said and "p1\n" in said
    assert system_of(card) == before


def test_only_what_it_needs_is_open_to_writing(card: Card) -> None:
    mounts = {
        line.split()[1]: line.split()[3].split(",") for line in card.boot("cat /proc/self/mounts").splitlines() if "/run/" in line
    }  # fmt: skip
    assert "ro" in mounts["/run/shuxiang/system"]
    assert {"rw", "noatime", "nodev", "nosuid"} <= set(mounts["/run/mnt/data"])
    assert "size=65536k" in mounts["/run/shuxiang/memory"]
    # Settings are the data partition's, and so is the clock's last hour.
    assert "/run/mnt/etc" in mounts and "/run/mnt/var/lib/systemd/timesync" in mounts


def test_a_newer_system_below_keeps_the_settings(card: Card, tmp_path: Path) -> None:
    card.boot("echo sx-0001 > etc/hostname; sync")
    newer = tmp_path / "newer"
    (newer / "etc").mkdir(parents=True)
    (newer / "etc/hostname").write_text("shuxiang\n")
    (newer / "etc/added").write_text("by the newer one\n")
    start, size = LAYOUT[1]
    make_ext4(card.file, "sx-system-a", size, offset=start, tree=newer)
    assert card.boot("cat etc/hostname etc/added").endswith("sx-0001\nby the newer one\n")


def test_a_zeroed_superblock_is_repaired_from_its_copy(card: Card) -> None:
    card.boot("echo sx-0001 > etc/hostname; mkdir data/state; echo one > data/state/a; sync")
    hurt(card.file, DATA_OFFSET, 4096)
    said = card.boot("cat etc/hostname; cat data/state/a; ls /run/shuxiang")
    assert "sx-0001" in said and "one\n" in said
    assert "data-missing" not in said


@pytest.mark.parametrize("place", ["all", "none"])
def test_without_a_data_partition_the_system_starts_and_says_why(card: Card, place: str) -> None:
    if place == "all":
        hurt(card.file, DATA_OFFSET, LAYOUT[3][1] * MIB)
    else:
        run("sfdisk", "--quiet", "--delete", card.file, "4")
    said = card.boot(
        "echo changed > etc/hostname; mkdir data/state; cat etc/hostname etc/other /run/shuxiang/data-missing; ls /run/shuxiang"
    )
    assert "changed" in said and "of the image" in said
    assert ("damaged" if place == "all" else "missing") in said
    assert "failed" not in said
    said = card.boot("cat etc/hostname")
    assert "changed" not in said


def test_the_first_inodes_gone_are_repaired_and_told(card: Card) -> None:
    table = next(line for line in run("dumpe2fs", _data_copy(card)).splitlines() if "Inode table at" in line)
    first = int(table.split("Inode table at ")[1].split("-")[0])
    card.boot("mkdir data/state; for n in 1 2 3 4 5 6 7 8; do echo $n > data/state/$n; done; sync")
    # The root directory's, the journal's and those of all that was made first.
    hurt(card.file, DATA_OFFSET + first * 4096, 2 * 4096)
    said = card.boot("ls /run/shuxiang; ls data")
    assert "failed" not in said
    assert "data-repaired" in said and "lost+found" in said
    assert "has_journal" in run("dumpe2fs", "-h", _data_copy(card))


def _data_copy(card: Card) -> Path:
    start, size = LAYOUT[3]
    copy = card.file.with_name("data.img")
    with card.file.open("rb") as stream:
        stream.seek(start * MIB)
        copy.write_bytes(stream.read(size * MIB))
    return copy
