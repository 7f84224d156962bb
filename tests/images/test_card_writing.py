"""Cards: written whole and read back, or refused; whatever cuts it, what is left starts no machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from card_material import IMAGE_BYTES, MIB, attached, head_of, loop_card, odd_card, plain_bytes, small_image
from command import call, command, environment, refusal

from appliance.cards.writer import offered
from catalog.errors import ContentError, ShuxiangError
from catalog.progress import Progress
from images import fat_files, records
from images.devices import Device, devices_of
from images.image_file import BLOCK_BYTES, HEAD_BYTES, blocks, describe
from images.write import Target, Written, refuse_device, write_image

LSBLK = json.dumps({"blockdevices": [
    {"name": "sda", "path": "/dev/sda", "type": "disk", "size": 500 << 30, "model": "WDC WD5000", "vendor": "ATA     ", "serial": "W1",
     "tran": "sata", "rm": False, "hotplug": False, "ro": False, "mountpoints": [None], "maj:min": "8:0", "children": [
        {"name": "sda1", "type": "part", "size": 1, "mountpoints": [None], "maj:min": "8:1", "children": [
            {"name": "vg-root", "type": "lvm", "size": 1, "mountpoints": ["/"], "maj:min": "252:0"}]}]},
    {"name": "sdb", "path": "/dev/sdb", "type": "disk", "size": 32 << 30, "model": "Storage Device", "vendor": "Generic-", "serial": "0001",
     "tran": "usb", "rm": True, "hotplug": True, "ro": False, "mountpoints": [None], "maj:min": "8:16"},
    {"name": "sdc", "path": "/dev/sdc", "type": "disk", "size": 0, "model": "Storage Device", "vendor": "Generic-", "serial": "0001",
     "tran": "usb", "rm": True, "hotplug": True, "ro": False, "mountpoints": [None], "maj:min": "8:32"},
    {"name": "sdd", "path": "/dev/sdd", "type": "disk", "size": 64 << 30, "model": "SSD", "vendor": "T7", "serial": "S",
     "tran": "usb", "rm": False, "hotplug": True, "ro": False, "mountpoints": [None], "maj:min": "8:48", "children": [
        {"name": "sdd1", "type": "part", "size": 1, "mountpoints": ["/run/shuxiang/disk"], "maj:min": "8:49"}]},
    {"name": "sde", "path": "/dev/sde", "type": "disk", "size": 64 << 30, "model": "Card", "vendor": "X", "serial": "",
     "tran": "usb", "rm": True, "hotplug": True, "ro": False, "mountpoints": [None], "maj:min": "8:64", "children": [
        {"name": "sde1", "type": "part", "size": 1, "mountpoints": ["/run/shuxiang/sticks/KINGSTON"], "maj:min": "8:65"}]},
    {"name": "mmcblk0", "path": "/dev/mmcblk0", "type": "disk", "size": 16 << 30, "model": None, "vendor": None, "serial": "0xab12",
     "tran": None, "rm": False, "hotplug": True, "ro": True, "mountpoints": [None], "maj:min": "179:0"},
    {"name": "mmcblk1boot0", "path": "/dev/mmcblk1boot0", "type": "disk", "size": 4 << 20, "model": None, "vendor": None, "serial": None,
     "tran": None, "rm": False, "hotplug": True, "ro": True, "mountpoints": [None], "maj:min": "179:8"},
    {"name": "nvme0n1", "path": "/dev/nvme0n1", "type": "disk", "size": 1 << 40, "model": "N", "vendor": None, "serial": "N1",
     "tran": "nvme", "rm": False, "hotplug": False, "ro": False, "mountpoints": ["[SWAP]"], "maj:min": "259:0"},
    {"name": "sr0", "path": "/dev/sr0", "type": "rom", "size": 1, "rm": True, "mountpoints": [None], "maj:min": "11:0"},
    {"name": "zram0", "path": "/dev/zram0", "type": "disk", "size": 1, "rm": False, "mountpoints": ["[SWAP]"], "maj:min": "253:0"},
]})  # fmt: skip


def test_only_removable_disks_that_nobody_uses_are_offered() -> None:
    found = {device.name: device for device in devices_of(LSBLK)}
    assert sorted(found) == ["mmcblk0", "mmcblk1boot0", "nvme0n1", "sda", "sdb", "sdc", "sdd", "sde"]
    assert [name for name, device in found.items() if offered(device)] == ["sdb", "sde", "mmcblk0"]
    assert found["sda"].is_system and found["nvme0n1"].is_system and not found["sdb"].is_system
    assert found["sdd"].mounted == ("/run/shuxiang/disk",)
    assert (found["sdb"].model, found["sdb"].serial, found["mmcblk0"].bus) == (
        "Generic- Storage Device",
        "0001",
        "mmc",
    )
    # A root that is an overlay shows no mount point; its disk is known by its number.
    assert {device.name for device in devices_of(LSBLK, frozenset(("8:16",))) if device.is_system} >= {"sdb"}


@pytest.mark.parametrize(
    ("name", "size_bytes", "code"),
    [
        ("sda", 1, "E-CARD-SYSTEM"), ("nvme0n1", 1, "E-CARD-SYSTEM"), ("sdd", 1, "E-CARD-MOUNTED"),
        ("mmcblk0", 1, "E-READ-ONLY"), ("sdb", 33 << 30, "E-CARD-SMALL"), ("mmcblk1boot0", 1, "E-CARD-FIXED"),
    ],
)  # fmt: skip
def test_what_must_not_be_written_is_refused(name: str, size_bytes: int, code: str) -> None:
    found: dict[str, Device] = {device.name: device for device in devices_of(LSBLK)}
    with pytest.raises(ShuxiangError) as caught:
        refuse_device(found[name], size_bytes)
    assert caught.value.code == code


@pytest.mark.parametrize("suffix", [".img", ".img.xz", ".img.zst"])
def test_an_image_is_read_in_every_form(tmp_path: Path, suffix: str) -> None:
    image = small_image(tmp_path, suffix)
    with image.open("rb") as file:
        found = list(blocks(file, image.name, describe(image)))
    assert [len(block) for block in found[:2]] == [HEAD_BYTES, BLOCK_BYTES]
    assert b"".join(found) == plain_bytes()


def _changed(image: Path, how: str) -> None:
    note = image.with_name(f"{image.name}.json")
    if how == "cut":
        os.truncate(image, image.stat().st_size - 1000)
    elif how == "other":
        value = json.loads(note.read_text(encoding="utf-8"))
        note.write_text(json.dumps(value | {"extract_sha256": "0" * 64}), encoding="utf-8")
    elif how == "longer":
        value = json.loads(note.read_text(encoding="utf-8"))
        note.write_text(json.dumps(value | {"extract_size": IMAGE_BYTES - 1}), encoding="utf-8")
    else:
        note.unlink()


@pytest.mark.parametrize("suffix", [".img.xz", ".img.zst"])
@pytest.mark.parametrize(
    ("how", "code"),
    [("cut", "E-IMAGE"), ("other", "E-IMAGE-HASH"), ("longer", "E-IMAGE-HASH"), ("alone", "E-IMAGE-NOTE")],
)
def test_a_wrong_image_is_refused(tmp_path: Path, suffix: str, how: str, code: str) -> None:
    image = small_image(tmp_path, suffix)
    _changed(image, how)
    with pytest.raises(ContentError) as caught, image.open("rb") as file:
        list(blocks(file, image.name, describe(image)))
    assert caught.value.code == code


def write(image: Path, *targets: Target, told: list[Progress] | None = None) -> list[Written]:
    with image.open("rb") as file:
        return write_image(
            file, image.name, describe(image), targets,
            lambda _, progress: told.append(progress) if told is not None else None, lambda: datetime.now(UTC),
        )  # fmt: skip


def test_several_cards_at_once_one_of_them_bad(tmp_path: Path) -> None:
    image, told = small_image(tmp_path), list[Progress]()
    with ExitStack() as undo:
        worn = undo.enter_context(odd_card("bad_card", 64 * MIB, "write", 41 * MIB + 8192))
        small = tmp_path / "small card"
        small.write_bytes(b"x" * MIB)
        fresh, kept = tmp_path / "fresh.img", tmp_path / "kept.img"
        kept.write_bytes(b"x" * 50 * MIB)
        results = write(image, *(Target(path=path) for path in (fresh, worn, small, kept)), told=told)
        assert [one.refusal.code if one.refusal else None for one in results] == [
            None, "E-CARD-BAD", "E-CARD-SMALL", None,
        ]  # fmt: skip
        assert "sector 83984" in str(results[1].refusal), "the place is told"
        assert worn.read_bytes()[:HEAD_BYTES] == bytes(HEAD_BYTES), "a bad card starts no machine"
    assert small.read_bytes() == b"x" * MIB
    assert fresh.read_bytes() == plain_bytes() == kept.read_bytes()[:IMAGE_BYTES]
    assert fresh.stat().st_blocks * 512 < 16 * MIB, "room stays a hole"
    assert results[0].written_bytes < 16 * MIB < results[3].written_bytes
    assert {progress.phase for progress in told} == {"write", "check"}


def test_a_place_that_can_not_be_read_is_found_when_reading_back(tmp_path: Path) -> None:
    image = small_image(tmp_path)
    with odd_card("bad_card", 64 * MIB, "read", 41 * MIB) as worn:
        (result,) = write(image, Target(path=worn))
        assert result.refusal is not None
        assert result.refusal.code == "E-CARD-BAD" and "sector 83968" in str(result.refusal)
        assert head_of(worn) == bytes(HEAD_BYTES)


@pytest.mark.parametrize("how", ["cut", "other"])
def test_a_wrong_image_leaves_a_card_that_starts_nothing(tmp_path: Path, how: str) -> None:
    image, card = small_image(tmp_path), tmp_path / "card"
    card.write_bytes(plain_bytes())
    _changed(image, how)
    (result,) = write(image, Target(path=card))
    assert result.refusal is not None and result.refusal.exit_code in range(10, 20)
    assert card.read_bytes()[:HEAD_BYTES] == bytes(HEAD_BYTES)


def test_a_fake_card_is_found(tmp_path: Path) -> None:
    """Sixteen MiB that claim to be sixty-four."""
    image = small_image(tmp_path)
    with odd_card("lying_disk", 64 * MIB, 16 * MIB, "wraps") as fake:
        (result,) = write(image, Target(path=fake))
    assert result.refusal is not None and result.refusal.code == "E-STICK-BAD"


def test_a_device_is_written_and_kept_in_the_record(tmp_path: Path) -> None:
    image = small_image(tmp_path)
    with loop_card(64 * MIB) as device:
        assert refusal(tmp_path, "image", "write", image, device, code=3) == "E-CARD-FIXED"
        (found,) = call(tmp_path, "image", "write", image, device, "--yes-disk")
        assert found["done"] and found["code"] is None
        written = device.read_bytes()
        assert written[:IMAGE_BYTES] == plain_bytes()
        assert not any(written[-MIB:]), "a GPT of before has its copy at the end"
    (line,) = records.read_lines(tmp_path / "cards.csv")
    assert line.is_done and line.sha256 == describe(image).sha256 and line.size_bytes == 64 * MIB


def test_a_request_is_put_on_the_fat_partition(tmp_path: Path) -> None:
    image, text = small_image(tmp_path), '# 书箱\r\nname = "东乡县达板镇拱北湾教学点"\r\n'.encode()
    with loop_card(64 * MIB) as device:
        found = Device(name=device.name, path=device, model="", serial="", bus="", size_bytes=64 * MIB,
                       is_removable=True, is_read_only=False, is_system=False, mounted=())  # fmt: skip
        (result,) = write(image, Target(path=device, device=found, preseed=text, school="拱北湾"))
        assert result.refusal is None
        head = head_of(device)
        partition = fat_files.fat_of(head)
        assert fat_files.names_on(device, partition) == ["shuxiang.toml"]
        assert fat_files.read_file(device, partition, "shuxiang.toml") == text
    assert records.line_of(result).school == "拱北湾"


def test_system_mounted_and_wrong_devices_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    image = small_image(tmp_path)
    for path in ("/dev/no-such-card", "/dev/null"):
        assert refusal(tmp_path, "image", "write", image, path, "--yes-disk", code=3) == "E-CARD-NONE"
    with loop_card(40 * MIB) as small:
        before = small.read_bytes()
        assert refusal(tmp_path, "image", "write", image, small, "--yes-disk", code=27) == "E-CARD-SMALL"
        assert small.read_bytes() == before
        point = tmp_path / "point"
        point.mkdir()
        subprocess.run(["mkfs.ext4", "-q", "-F", small], check=True)
        subprocess.run(["mount", small, point], check=True)
        try:
            assert refusal(tmp_path, "image", "write", image, small, "--yes-disk", code=3) == "E-CARD-MOUNTED"
        finally:
            subprocess.run(["umount", point], check=True)
    root = subprocess.run(["findmnt", "-n", "-o", "SOURCE", "/"], capture_output=True, text=True, check=True)
    disk = Path(root.stdout.strip())
    if disk.is_block_device():
        code = refusal(tmp_path, "image", "write", image, disk, "--yes-disk", code=3)
        assert code in ("E-CARD-SYSTEM", "E-CARD-PART")


def test_a_device_that_another_program_claims_is_refused(tmp_path: Path) -> None:
    """A mount that lsblk can not see, as below an overlay, holds the device like this."""
    image = small_image(tmp_path)
    with loop_card(64 * MIB) as device:
        handle = os.open(device, os.O_RDONLY | os.O_EXCL)
        try:
            (found,) = call(tmp_path, "image", "write", image, device, "--yes-disk", code=3)
            assert found["code"] == "E-CARD-MOUNTED"
        finally:
            os.close(handle)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_cut_at_any_moment_leaves_no_half_image(tmp_path: Path, end: signal.Signals) -> None:
    image = small_image(tmp_path)
    with loop_card(64 * MIB) as device:
        call(tmp_path, "image", "write", image, device, "--yes-disk")
        for pause in (0.35, 0.5, 0.6, 0.7, 0.8):
            process = subprocess.Popen(
                command(tmp_path, "image", "write", image, device, "--yes-disk"),
                env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            time.sleep(pause)
            process.send_signal(end)
            process.wait(30)
            written = device.read_bytes()[:IMAGE_BYTES]
            assert written == plain_bytes() or not any(written[:HEAD_BYTES])


def test_the_record_is_a_table_for_excel_and_takes_no_formulas(tmp_path: Path) -> None:
    image = small_image(tmp_path)
    evil = Device(name="x", path=tmp_path / "x", model="=cmd|' /C calc'!A0", serial="+1", bus="usb", size_bytes=1,
                  is_removable=True, is_read_only=False, is_system=False, mounted=())  # fmt: skip
    written = Written(
        target=Target(path=evil.path, device=evil, school="一校,二班"), at=datetime.now(UTC), seconds=12.3, image=describe(image)
    )  # fmt: skip
    table = tmp_path / "cards.csv"
    records.keep(table, [records.line_of(written)])
    records.keep(table, [records.line_of(written)])
    assert table.read_bytes().startswith(b"\xef\xbb\xbf")
    assert "'=cmd" in table.read_text(encoding="utf-8")
    assert [line.school for line in records.read_lines(table)] == ["一校,二班"] * 2


def test_a_loop_device_is_found_by_its_backing(tmp_path: Path) -> None:
    backing = tmp_path / "card"
    backing.write_bytes(bytes(8 * MIB))
    with attached(backing) as device:
        listed = call(tmp_path, "image", "write", "--list")
        (found,) = [one for one in listed if one["path"] == str(device)]
        assert found["size_bytes"] == 8 * MIB and not found["removable"]
