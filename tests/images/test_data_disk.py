"""Data disks: made of used disks and proved, or refused with one line; what was cut is no data disk."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from card_disk import need_disks
from card_material import MIB, attached, odd_card
from command import call, command, environment, refusal

from catalog.progress import Progress
from images import gpt, records
from images.contents import contents
from images.data_disk import make_data_disks
from images.devices import Device
from images.image_file import HEAD_BYTES
from images.write import Target, Written

SIZE = 1100 * MIB
# Python's own files may be closed to others: what is needed is loaded before.
AS_SOMEBODY = """
import encodings.idna, os, sys
import images.contents, images.data_disk, images.devices, images.records, images.write
from appliance.cli import main
from appliance.cli.image import image
os.setgroups([]); os.setgid(4242); os.setuid(4242)
main()
"""
NOISE = os.urandom(MIB)


@pytest.fixture
def used(tmp_path: Path) -> Path:
    return noisy(tmp_path / "used")


def noisy(path: Path, size: int = SIZE) -> Path:
    """A disk that is full of something, where a data disk will have its parts."""
    with path.open("wb") as file:
        for _ in range(160):
            file.write(NOISE)
        file.truncate(size)
        for place in (SIZE // 2, SIZE - MIB):
            file.seek(place)
            file.write(NOISE)
        file.truncate(size)
    return path


def empty(path: Path, size: int = SIZE) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make(*targets: Target, told: Callable[[int, Progress], None] = lambda *_: None) -> list[Written]:
    return make_data_disks(targets, told, lambda: datetime.now(UTC))


def as_device(path: Path, size: int = SIZE, **more: Any) -> Device:
    return Device(
        name=path.name, path=path, model="SSD", serial="S1", bus="usb", size_bytes=size,
        **{"is_removable": True, "is_read_only": False, "is_system": False, "mounted": ()} | more,
    )  # fmt: skip


def said(*command: object) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.mark.parametrize(("sector", "size"), [(512, SIZE), (4096, SIZE + 7 * 4096), (512, 3 << 40)])
def test_the_table_is_one_that_others_read(tmp_path: Path, sector: int, size: int) -> None:
    need_disks()
    one, other = uuid.uuid4(), uuid.uuid4()
    table = gpt.table(size, sector, "shuxiang-data", one, other)
    assert table.start == MIB and table.size_bytes % MIB == 0
    assert 0 <= table.tail_start - table.start - table.size_bytes < MIB + sector
    assert table.head[:2] == b"\xcd\x18", "a BIOS is told that the disk starts nothing"
    disk = empty(tmp_path / "disk", size)
    with disk.open("r+b") as file:
        file.write(table.head)
        file.seek(table.tail_start)
        file.write(table.tail)
    device = said("losetup", "--sector-size", sector, "--find", "--show", disk).strip()
    try:
        assert "No errors detected" in said("sfdisk", "--verify", device)
        found = json.loads(said("sfdisk", "--json", device))["partitiontable"]
        (part,) = found["partitions"]
        assert (part["start"] * sector, part["size"] * sector) == (table.start, table.size_bytes)
        assert (found["id"].lower(), part["uuid"].lower()) == (str(one), str(other))
        assert part["name"] == "shuxiang-data"
        # The copy at the end is as good as the first.
        with disk.open("r+b") as file:
            file.seek(sector)
            file.write(bytes(sector))
        assert (
            "backup" in subprocess.run(["sfdisk", "--verify", device], capture_output=True, text=True).stderr
        )
    finally:
        said("losetup", "--detach", device)


def test_a_used_disk_becomes_a_data_disk(used: Path, tmp_path: Path) -> None:
    phases = list[str]()
    (made,) = make(Target(path=used), told=lambda _, progress: phases.append(progress.phase))
    assert made.refusal is None and 0 < made.written_bytes < 128 * MIB
    assert list(dict.fromkeys(phases)) == ["write", "check"]
    with attached(used) as device:
        (content,) = contents(device, SIZE)
        assert (content.kind, content.label, content.is_bare) == ("ext4", "shuxiang-data", True)
        assert made.image.version in said("blkid", "--probe", "--offset", str(MIB), device)
        # As a kernel uses it, on a partition of its own: nothing of before shines through.
        said("partx", "--add", device)
        try:
            point = tmp_path / "point"
            point.mkdir()
            said("mount", f"{device}p1", point)
            try:
                assert [one.name for one in point.iterdir()] == ["lost+found"] and point.stat().st_uid == 0
                (point / "state").mkdir()
                (point / "state" / "blob").write_bytes(NOISE * 300)
                (point / "state" / "config.toml").write_text('role = "box"\nname = "石桥教学点"\n')
            finally:
                said("umount", point)
            said("e2fsck", "-f", "-n", f"{device}p1")
        finally:
            said("partx", "--delete", device)
        (content,) = contents(device, SIZE)
    assert (
        content.owner == "石桥教学点"
        and not content.is_bare
        and 0 <= (content.used_bytes or 0) - 300 * MIB < MIB
    )
    line = records.line_of(made)
    assert line.is_done and line.version == made.image.version and len(line.sha256) == 64


def test_several_at_once_each_at_its_own_fate(used: Path, tmp_path: Path) -> None:
    need_disks()
    good, small = noisy(tmp_path / "good"), empty(tmp_path / "small", 1000 * MIB)
    with ExitStack() as undo:
        worn = undo.enter_context(odd_card("bad_card", SIZE, "write", MIB + 4096))
        pulled = undo.enter_context(odd_card("bad_card", SIZE, "pull", MIB + 4096))
        fake = undo.enter_context(odd_card("lying_disk", SIZE, 64 * MIB, "wraps"))
        poor = undo.enter_context(odd_card("lying_disk", SIZE, 900 * MIB, "drops"))
        results = make(*(Target(path=path) for path in (good, small, worn, pulled, fake, poor, used)))
    assert [one.refusal.code if one.refusal else None for one in results] == [
        None, "E-CARD-SMALL", "E-CARD-BAD", "E-CARD-PULLED", "E-STICK-BAD", "E-STICK-BAD", None,
    ]  # fmt: skip
    assert len({one.image.version for one in results if one.refusal is None}) == 2, (
        "each has a UUID of its own"
    )
    assert not any(small.read_bytes()[:HEAD_BYTES])


def test_a_device_is_made_with_the_command_and_recorded(used: Path, tmp_path: Path) -> None:
    need_disks()
    record = tmp_path / "cards.csv"
    with attached(used) as device:
        assert refusal(tmp_path, "image", "format", device, code=3) == "E-CARD-FIXED"
        (made,) = call(tmp_path, "image", "format", device, "--yes-disk", "--record", record)
        assert made["done"] and made["code"] is None and len(made["sha256"]) == 64
        # Empty still: made anew without a question.
        (again,) = call(tmp_path, "image", "format", device, "--yes-disk", "--record", record)
        assert again["uuid"] != made["uuid"]
        assert again["uuid"] in said("blkid", "--probe", "--offset", str(MIB), device)
    assert [line.version for line in records.read_lines(record)] == [again["uuid"], made["uuid"]]
    assert records.read_lines(record)[0].image == "数据盘 data disk"


@pytest.mark.parametrize(
    ("program", "parted"),
    [
        (("mkfs.vfat", "-n", "PHOTOS"), True),
        (("mkfs.ext4", "-q", "-F", "-L", "PHOTOS"), False),
        (("mkntfs", "-q", "-F", "-Q", "-L", "全家 PHOTOS"), False),
    ],
)
def test_a_disk_that_holds_something_is_left_alone(
    tmp_path: Path, program: tuple[str, ...], parted: bool
) -> None:
    need_disks()
    disk, inner = empty(tmp_path / "disk"), empty(tmp_path / "inner", 64 * MIB)
    said(*program, inner)
    with disk.open("r+b") as file:
        file.seek(MIB if parted else 0)
        file.write(inner.read_bytes())
    if parted:
        subprocess.run(
            ["sfdisk", "-q", disk], input="label: dos\nstart=2048, size=131072\n", text=True, check=True
        )
    before = sha256_of(disk)
    done = subprocess.run(
        command(tmp_path, "image", "format", disk), capture_output=True, text=True, env=environment()
    )
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (3, "E-CARD-HOLDS")
    assert program[-1] in error["found"] and len(done.stderr.strip().splitlines()) == 1
    assert sha256_of(disk) == before
    (made,) = call(tmp_path, "image", "format", disk, "--erase", "--record", tmp_path / "cards.csv")
    assert made["done"]


def test_a_table_that_can_not_be_read_is_something(tmp_path: Path) -> None:
    need_disks()
    disk = empty(tmp_path / "disk")
    subprocess.run(["sfdisk", "-q", disk], input="label: gpt\nsize=64MiB\n", text=True, check=True)
    with disk.open("r+b") as file:
        file.seek(512)
        file.write(bytes(64))
        file.seek(SIZE - 512)
        file.write(bytes(64))
    assert refusal(tmp_path, "image", "format", disk, code=3) == "E-CARD-HOLDS"
    subprocess.run(["sfdisk", "-q", "--wipe", "always", disk], input="label: gpt\n", text=True, check=True)
    assert contents(disk, SIZE) == (), "an empty table is nothing"


def test_bad_targets_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    need_disks()
    for path in ("/dev/no-such-disk", "/dev/null", tmp_path / "none", tmp_path):
        assert refusal(tmp_path, "image", "format", path, code=3) == "E-CARD-NONE"
    assert refusal(tmp_path, "image", "format", code=2) == "E-USAGE"
    disk = empty(tmp_path / "disk", 64 * MIB)
    with attached(disk) as device:
        assert refusal(tmp_path, "image", "format", device, "--yes-disk", code=27) == "E-CARD-SMALL"
    os.truncate(disk, SIZE)
    said("mkfs.ext4", "-q", "-F", disk)
    with attached(disk) as device:
        point = tmp_path / "point"
        point.mkdir()
        said("mount", device, point)
        try:
            arguments = ("image", "format", device, "--yes-disk", "--erase")
            assert refusal(tmp_path, *arguments, code=3) == "E-CARD-MOUNTED"
        finally:
            said("umount", point)
    device_name = said("losetup", "--read-only", "--find", "--show", disk).strip()
    try:
        assert (
            refusal(tmp_path, "image", "format", device_name, "--yes-disk", "--erase", code=23)
            == "E-READ-ONLY"
        )
    finally:
        said("losetup", "--detach", device_name)
    root = Path(said("findmnt", "-n", "-o", "SOURCE", "/").strip())
    if root.is_block_device():
        code = refusal(tmp_path, "image", "format", root, "--yes-disk", "--erase", code=3)
        assert code in ("E-CARD-SYSTEM", "E-CARD-PART")


def test_who_may_not_open_the_disk_is_told_so(tmp_path: Path) -> None:
    """What can not be read is an error and never taken for an empty disk."""
    need_disks()
    with attached(empty(tmp_path / "disk")) as device:
        device.chmod(0o600)
        done = subprocess.run(
            [sys.executable, "-c", AS_SOMEBODY, "image", "format", device, "--yes-disk", "--state", "/nonexistent"],
            capture_output=True, text=True, env=environment(), cwd="/",
        )  # fmt: skip
    assert done.returncode == 25 and done.stderr.startswith("E-ACCESS"), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_disk_that_vanishes_is_said_to_be_pulled_out(used: Path) -> None:
    """A medium taken out of its reader: the device stays, with nothing in it."""
    need_disks()
    with attached(used) as device:

        def pull(_: int, progress: Progress) -> None:
            if progress.phase == "write" and used.stat().st_size:
                os.truncate(used, 0)
                said("losetup", "--set-capacity", device)

        (result,) = make(Target(path=device, device=as_device(device)), told=pull)
    assert result.refusal is not None and result.refusal.code == "E-CARD-PULLED"


def test_a_device_that_another_program_claims_is_refused(used: Path) -> None:
    need_disks()
    with attached(used) as device:
        handle = os.open(device, os.O_RDONLY | os.O_EXCL)
        try:
            (result,) = make(Target(path=device, device=as_device(device)))
        finally:
            os.close(handle)
    assert result.refusal is not None and result.refusal.code == "E-CARD-MOUNTED"


def test_stopped_leaves_no_data_disk(used: Path) -> None:
    target = Target(path=used)
    (result,) = make(target, told=lambda *_: target.stop.set())
    assert result.refusal is not None and result.refusal.code == "E-CARD-STOPPED"
    with used.open("rb") as file:
        assert not any(file.read(HEAD_BYTES))
    assert not any(one.is_data_disk for one in contents(used, SIZE))


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_cut_at_any_moment_leaves_a_data_disk_or_none(
    used: Path, tmp_path: Path, end: signal.Signals
) -> None:
    need_disks()
    arguments = ("image", "format", used, "--erase", "--record", tmp_path / "cards.csv")
    began = time.monotonic()
    call(tmp_path, *arguments)
    whole = time.monotonic() - began
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    for share in (0.5, 0.7, 0.8, 0.9):
        process = subprocess.Popen(
            command(tmp_path, *arguments), env=environment() | {"TMPDIR": str(rooms)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(whole * share)
        process.send_signal(end)
        process.wait(30)
        found = contents(used, SIZE)
        if any(one.is_data_disk for one in found):
            said("e2fsck", "-f", "-n", f"{used}?offset={MIB}")
        else:
            with used.open("rb") as file:
                assert not any(file.read(HEAD_BYTES))
