"""Sticks as they come are mounted: nothing is written to them, run from them or followed on them, whatever state they are in."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from card_disk import attached, need_disks
from plugged_sticks import KINDS, device, image

from appliance.plugging.device import Device, is_own, is_there, look_at
from appliance.plugging.mounting import SAFE, attempts, mount, unmount
from appliance.plugging.notes import NOTES, Note, read_notes, write_note
from appliance.plugging.survey import suspects_on, trees_on
from catalog.errors import ContentError, StorageError

SCRIPT = "#!/bin/sh\nexit 0\n"


def lesson(root: Path) -> None:
    (root / "资源").mkdir()
    (root / "资源" / "几分之一.txt").write_text("几分之一", encoding="utf-8")
    (root / "run.sh").write_text(SCRIPT)
    (root / "run.sh").chmod(0o755)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def mounted_safely(found: Device, place: Path) -> None:
    """Mount, look at what is promised, and take it off."""
    place.mkdir(exist_ok=True)
    mount(found, place, 4242, 4242)
    try:
        assert (place / "资源" / "几分之一.txt").read_text(encoding="utf-8") == "几分之一"
        flags = os.statvfs(place).f_flag
        assert flags & os.ST_RDONLY and flags & os.ST_NOSUID and flags & os.ST_NODEV and flags & os.ST_NOEXEC
        with pytest.raises(OSError):
            (place / "new").write_text("x")
        # Whatever its bits say, the kernel starts nothing from there.
        with pytest.raises(PermissionError):
            subprocess.run([place / "run.sh"], check=False)
        read = ["setpriv", "--reuid=4242", "--regid=4242", "--clear-groups", "cat", "资源/几分之一.txt"]
        told = subprocess.run(read, cwd=place, capture_output=True, check=False)
        assert told.stdout.decode() == "几分之一", told.stderr
    finally:
        unmount(place)
    assert not os.path.ismount(place)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stick_is_read_and_not_one_byte_of_it_changed(kind: str, tmp_path: Path) -> None:
    label = "KINGSTON" if kind == "vfat" else "资源盘"
    disk = image(tmp_path / "disk.img", kind, lesson, label=label)
    before = digest(disk)
    with device(disk, kind) as path:
        found = look_at(path)
        assert found is not None and (found.kind, found.label, found.name) == (kind, label, label)
        assert is_there(found)
        mounted_safely(found, tmp_path / "place")
    assert digest(disk) == before


def test_a_journal_that_a_cut_left_is_not_replayed(tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", "ext4", lesson)
    # As after a cut: the superblock says that the journal is to be replayed.
    subprocess.run(["debugfs", "-w", "-R", "feature needs_recovery", disk], check=True, capture_output=True)
    before = digest(disk)
    with device(disk, "ext4") as path:
        found = look_at(path)
        assert found is not None
        mounted_safely(found, tmp_path / "place")
    assert digest(disk) == before


def dirty_bit(disk: Path) -> None:
    """Set the mark that Windows leaves on a volume that was pulled out: in record 3 of $MFT and of its mirror."""
    data = bytearray(disk.read_bytes())
    cluster = int.from_bytes(data[11:13], "little") * data[13]
    for place in (48, 56):
        record = int.from_bytes(data[place : place + 8], "little") * cluster + 3 * 1024
        at = record + int.from_bytes(data[record + 20 : record + 22], "little")
        while (kind := int.from_bytes(data[at : at + 4], "little")) != 0x70:  # $VOLUME_INFORMATION
            assert kind != 0xFFFFFFFF
            at += int.from_bytes(data[at + 4 : at + 8], "little")
        value = at + int.from_bytes(data[at + 20 : at + 22], "little")
        data[value + 10] |= 1
    disk.write_bytes(data)


def hibernated(root: Path) -> None:
    lesson(root)
    # What Windows leaves where it was put to sleep instead of switched off.
    (root / "hiberfil.sys").write_bytes(b"hibr" + bytes(4092))


@pytest.mark.parametrize("fill", [lesson, hibernated], ids=["dirty", "asleep"])
def test_ntfs_that_windows_left_dirty_is_read(fill: Callable[[Path], None], tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", "ntfs", fill)
    dirty_bit(disk)
    before = digest(disk)
    with device(disk, "ntfs") as path:
        found = look_at(path)
        assert found is not None
        mounted_safely(found, tmp_path / "place")
    assert digest(disk) == before


def test_no_link_on_a_stick_is_followed(tmp_path: Path) -> None:
    def links(root: Path) -> None:
        (root / "out").symlink_to("/etc")
        (root / "资源").mkdir()
        (root / "passwords").symlink_to("/etc/passwd")

    disk = image(tmp_path / "disk.img", "ext4", links)
    place = tmp_path / "place"
    place.mkdir()
    with device(disk, "ext4") as path:
        found = look_at(path)
        assert found is not None
        mount(found, place, 0, 0)
        try:
            for name in ("out/passwd", "passwords"):
                with pytest.raises(OSError):
                    (place / name).read_bytes()
        finally:
            unmount(place)


@pytest.mark.parametrize("size_bytes", [1 << 20, 64 << 20])
def test_a_disk_of_noise_or_of_another_kind_is_one_refusal(size_bytes: int, tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(os.urandom(1 << 20) + bytes(size_bytes - (1 << 20)))
    found = look_at(disk)
    assert found is not None and found.kind == "" and found.name == "disk.img"
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(ContentError) as caught:
        mount(found, place, 0, 0)
    assert caught.value.code == "E-STICK-KIND" and "\n" not in caught.value.line("zh-CN")


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_filesystem_is_one_refusal(kind: str, tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", kind, lesson)
    with disk.open("r+b") as stream:
        # The mark by which it is known stays, all else of the beginning is gone.
        start = 4096 if kind == "ext4" else 512
        stream.seek(start)
        stream.write(os.urandom((8 << 20) - start))
    place = tmp_path / "place"
    place.mkdir()
    with device(disk, kind) as path:
        found = look_at(path)
        assert found is not None
        try:
            mount(found, place, 0, 0)
        except (StorageError, ContentError) as error:
            assert error.code in ("E-STICK-MOUNT", "E-STICK-KIND") and "\n" not in error.line("zh-CN")
        else:
            # A driver that sees no harm in it: then what it shows is no tree, or can not be read.
            with suppress(OSError):
                assert trees_on(place) == ()
        finally:
            unmount(place)
    assert not os.path.ismount(place)


def test_names_of_sticks_are_fit_for_folders() -> None:
    def name(label: str) -> str:
        return Device(path=Path("/dev/sdz1"), kind="vfat", label=label, seen="1").name

    assert name("KINGSTON") == "KINGSTON" and name("资源盘 2") == "资源盘 2"
    assert name("") == name("../..") == name(" . ") == name("\x00/") == "sdz1"
    assert name("a/b\nc") == "a b c"
    assert len(name("书" * 80).encode()) <= 60
    assert name("<b>") == "b"


def test_kernel_drivers_go_first_and_all_mount_safely() -> None:
    for kind in (*KINDS, "ext2", "ext3"):
        found = list(
            attempts(Device(path=Path("/dev/sdz1"), kind=kind, label="", seen="1"), Path("/p"), 7, 8)
        )
        assert found[0][:4] == ["mount", "-i", "-t", {"ntfs": "ntfs3"}.get(kind, kind)]
        assert all(SAFE in " ".join(words) and "rw" not in words for words in found)
        assert kind not in ("ext3", "ext4") or all("noload" in words[5] for words in found)


def test_the_machines_own_disks_are_left_alone(tmp_path: Path) -> None:
    disk = image(tmp_path / "disk.img", "ext4", lesson, label="sx-data")
    own = look_at(disk)
    assert own is not None and is_own(own, tmp_path / "sticks")
    other = image(tmp_path / "other.img", "ext4", lesson)
    place = tmp_path / "data"
    place.mkdir()
    with device(other, "ext4") as path:
        found = look_at(path)
        assert found is not None and not is_own(found, tmp_path / "sticks")
        subprocess.run(["mount", "-o", "ro", path, place], check=True)
        try:
            assert is_own(found, tmp_path / "sticks")
            assert not is_own(found, tmp_path)
        finally:
            unmount(place)


@pytest.mark.parametrize(("beside", "own"), [("sx-system-a", True), ("sx-data", True), ("photos", False)])
def test_a_stick_that_is_called_as_a_card_s_fat_is_one_where_nothing_of_ours_is_beside_it(
    beside: str, own: bool, tmp_path: Path
) -> None:
    need_disks()
    disk = tmp_path / "disk.img"
    with disk.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(["sfdisk", "--quiet", disk], input="label: dos\nstart=1MiB, size=4MiB\nstart=8MiB\n", text=True, check=True)  # fmt: skip
    with attached(disk) as path:
        subprocess.run(["mkfs.vfat", "-n", "SHUXIANG", f"{path}p1"], check=True, capture_output=True)
        subprocess.run(["mke2fs", "-q", "-L", beside, f"{path}p2"], check=True)
        found = look_at(Path(f"{path}p1"))
        assert found is not None and found.label == "SHUXIANG"
        assert is_own(found, tmp_path / "sticks") == own


def test_a_stick_that_is_called_as_a_card_s_fat_and_has_no_table_is_one(tmp_path: Path) -> None:
    need_disks()
    disk = tmp_path / "disk.img"
    with disk.open("wb") as file:
        file.truncate(4 << 20)
    subprocess.run(["mkfs.vfat", "-n", "SHUXIANG", disk], check=True, capture_output=True)
    with attached(disk, partitions=False) as path:
        found = look_at(Path(path))
        assert found is not None and not is_own(found, tmp_path / "sticks")


def test_what_a_virus_leaves_is_named_and_hidden_folders_are_folders(tmp_path: Path) -> None:
    def infected(root: Path) -> None:
        lesson(root)
        for name in ("autorun.inf", "资源.exe", "数学.lnk", "WPS 安装.exe", "课件.scr", "readme.js"):
            (root / name).write_text("x")

    disk = image(tmp_path / "disk.img", "vfat", infected)
    hide = ["mattrib", "+h", "+s", "-i", str(disk), "::资源", "::autorun.inf"]
    subprocess.run(hide, check=True, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    place = tmp_path / "place"
    place.mkdir()
    with device(disk, "vfat") as path:
        found = look_at(path)
        assert found is not None
        mount(found, place, 0, 0)
        try:
            assert {name.lower() for name in suspects_on(place)} == {
                "autorun.inf",
                "资源.exe",
                "数学.lnk",
                "课件.scr",
            }
            assert (place / "资源" / "几分之一.txt").exists()
        finally:
            unmount(place)


def test_names_that_are_no_text_or_speak_to_a_terminal(tmp_path: Path) -> None:
    root, run = tmp_path / "root", tmp_path / "run"
    (run / NOTES).mkdir(parents=True)
    odd = os.fsdecode(b"\xff\xfe")
    (root / odd / "metadata").mkdir(parents=True)
    (root / odd / "metadata" / "1.root.json").write_text("{}")
    (root / odd / "targets").mkdir()
    for name in ("\x1b[2J.lnk", f"{odd}.lnk", "a\nb.lnk"):
        (root / name).write_text("x")
    suspects, trees = suspects_on(root), trees_on(root)
    assert all(name.isprintable() for name in suspects) and len(suspects) == 3
    write_note(
        run, Note(id="1", name="x", device="/dev/x", mounted=str(root), trees=trees, suspects=suspects)
    )
    [note] = read_notes(run)
    assert Path(note.mounted, note.trees[0]).is_dir() and note.suspects == suspects


def test_trees_are_found_at_the_root_and_one_below(tmp_path: Path) -> None:
    for name in (".", "书箱", "深/二"):
        (tmp_path / name / "metadata").mkdir(parents=True)
        (tmp_path / name / "metadata" / "1.root.json").write_text("{}")
        (tmp_path / name / "targets").mkdir()
    (tmp_path / "半个" / "metadata").mkdir(parents=True)
    (tmp_path / "链").symlink_to(tmp_path / "书箱")
    assert trees_on(tmp_path) == (".", "书箱")
