"""The disk of an image, read back by the programs of others: partitions, filesystems, what lies on them."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from catalog.errors import ConfigError
from images.disk import DATA, MIB, SYSTEM_A, Layout, identity_of, write_disk, write_gap

LAYOUT = Layout(boot_mib=64, system_mib=96, data_mib=192, identity=identity_of("a test"))
DATE = 1_750_000_000
REQUEST = '# 书箱\r\nname = "青禾"\r\n'.encode()

pytestmark = pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("sfdisk", "mcopy", "mkfs.vfat", "mke2fs", "debugfs")),
    reason="fdisk, mtools, dosfstools or e2fsprogs is not installed",
)


def lay_out(place: Path) -> None:
    system = place / "system"
    (system / "usr" / "bin").mkdir(parents=True)
    (system / "usr" / "bin" / "tool").write_bytes(b"#!/bin/sh\n")
    (system / "usr" / "bin" / "tool").chmod(0o755)
    (system / "bin").symlink_to("usr/bin")
    (place / "data" / "state").mkdir(parents=True)
    (place / "loader").write_bytes(b"\x7f" * 100_000)


def made(place: Path, name: str = "one") -> Path:
    system, data, work = place / "system", place / "data", place / name
    work.mkdir()
    if not system.exists():
        lay_out(place)
    image = work / "disk.img"
    write_disk(
        image, LAYOUT, boot_files={"shuxiang.toml": REQUEST, "EFI/BOOT/BOOTX64.EFI": place / "loader"},
        system=system, data=data, work=work, date=DATE,
    )  # fmt: skip
    return image


def output(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def part(image: Path, number: int) -> Path:
    """Cut a partition out of the image."""
    found = LAYOUT.parts[number - 1]
    path = image.with_suffix(f".{number}")
    with image.open("rb") as source, path.open("wb") as target:
        source.seek(found.offset_bytes)
        target.write(source.read(found.size_bytes))
    return path


def test_four_partitions_without_a_hole(tmp_path: Path) -> None:
    image = made(tmp_path)
    table = json.loads(output("sfdisk", "--json", image))["partitiontable"]
    assert (table["label"], table["id"]) == ("dos", f"0x{LAYOUT.identity:08x}")
    parts = table["partitions"]
    assert [one["type"] for one in parts] == ["c", "83", "83", "83"]
    assert parts[0]["start"] * 512 == MIB
    for before, after in itertools.pairwise(parts):
        assert before["start"] + before["size"] == after["start"]
    assert parts[1]["size"] == parts[2]["size"]
    assert (parts[3]["start"] + parts[3]["size"]) * 512 == image.stat().st_size == LAYOUT.size_bytes


def test_the_image_takes_only_what_it_holds(tmp_path: Path) -> None:
    assert made(tmp_path).stat().st_blocks * 512 < LAYOUT.size_bytes / 4


def test_the_boot_partition_is_fat32_with_the_files(tmp_path: Path) -> None:
    image = made(tmp_path)
    place = f"{image}@@{MIB}"
    assert part(image, 1).read_bytes()[82:90] == b"FAT32   "
    output("fsck.vfat", "-n", part(image, 1))
    assert "SHUXIANG" in output("mdir", "-i", place, "::")
    output("mcopy", "-i", place, "::shuxiang.toml", "::EFI/BOOT/BOOTX64.EFI", tmp_path)
    assert (tmp_path / "shuxiang.toml").read_bytes() == REQUEST
    assert (tmp_path / "BOOTX64.EFI").read_bytes() == b"\x7f" * 100_000


def test_system_and_data_are_whole_filesystems(tmp_path: Path) -> None:
    image = made(tmp_path)
    system, data = part(image, 2), part(image, 4)
    for path, label in ((system, SYSTEM_A), (data, DATA)):
        output("e2fsck", "-f", "-n", path)
        assert f"Filesystem volume name:   {label}\n" in output("dumpe2fs", "-h", path)
    assert "Mode:  0755" in output("debugfs", "-R", "stat /usr/bin/tool", system)
    assert 'Fast link dest: "usr/bin"' in output("debugfs", "-R", "stat /bin", system)
    assert "state" in output("debugfs", "-R", "ls /", data)


def test_the_room_for_the_second_system_is_empty(tmp_path: Path) -> None:
    assert not part(made(tmp_path), 3).read_bytes().strip(b"\0")


def test_the_data_filesystem_can_grow_to_a_large_disk(tmp_path: Path) -> None:
    data = part(made(tmp_path), 4)
    with data.open("r+b") as file:
        file.truncate(64 << 30)
    output("resize2fs", data)
    said = output("dumpe2fs", "-h", data)
    assert "Block size:               4096\n" in said
    assert f"Block count:              {(64 << 30) // 4096}\n" in said
    assert "Total journal size:       64M\n" in said


def test_the_same_trees_give_the_same_bytes(tmp_path: Path) -> None:
    lay_out(tmp_path)
    later = time.time() + 3600
    for path in (*(tmp_path / "system").rglob("*"), *(tmp_path / "data").rglob("*")):
        # A directory's own access time is one of the times of a tree: to be read leaves one alone that is newer than all.
        os.utime(path, (later, path.lstat().st_mtime), follow_symlinks=False)
    first = made(tmp_path, "one")
    # Times are kept in seconds.
    time.sleep(1.1)
    second = made(tmp_path, "two")
    digests = []
    for path in (first, second):
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    assert digests[0] == digests[1]


def test_the_gap_is_written_beside_the_partition_table(tmp_path: Path) -> None:
    image = made(tmp_path)
    before = image.read_bytes()[440:512]
    write_gap(image, 0, b"c" * 440)
    write_gap(image, 1, b"core")
    head = image.read_bytes()[:1024]
    assert head[:440] == b"c" * 440
    assert head[440:512] == before
    assert head[512:516] == b"core"


def test_a_tree_that_does_not_fit_is_refused_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "system").mkdir()
    (tmp_path / "system" / "large").write_bytes(b"x" * (100 * MIB))
    (tmp_path / "data").mkdir()
    (tmp_path / "loader").write_bytes(b"")
    with pytest.raises(ConfigError, match="mke2fs"):
        made(tmp_path)


def test_identity_is_never_none() -> None:
    assert identity_of("a") != identity_of("b")
    assert 0 < identity_of("a") < 1 << 32
