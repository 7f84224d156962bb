"""Sticks plugged into a running PC and pulled out of it: Debian's udev and kernel drivers, our rule and unit, the page."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from command import call
from plugged_sticks import image, wait_for
from qemu_machine import USB, Started, copy_disk, need_image, pc
from supplier import write_folder

from appliance.firstboot.template import write_request

pytestmark = pytest.mark.machine

SYSTEM_BYTES = 6 << 30
BOOT_SECONDS, STICK_SECONDS = 900.0, 240.0
START_BYTES = 1 << 20
LAST = "extra"
# A county may call its sticks as the FAT of our cards is called.
LABELS = {"ext4": "S-EXT4", "vfat": "SHUXIANG", "exfat": "S-EXFAT", "ntfs": "S-NTFS"}


def partitioned(disk: Path, kind: str) -> Path:
    """Put the filesystem in `disk` into the first partition of a disk, as most sticks are sold."""
    whole = disk.with_suffix(".disk")
    with whole.open("wb") as file:
        file.truncate(disk.stat().st_size + 2 * START_BYTES)
    table = f"label: dos\nstart=1MiB, size={disk.stat().st_size >> 20}MiB, type={kind}\n"
    subprocess.run(["sfdisk", "-q", whole], input=table.encode(), check=True)
    with disk.open("rb") as source, whole.open("r+b") as file:
        file.seek(START_BYTES)
        shutil.copyfileobj(source, file, 1 << 20)
    return whole


def said(machine: Started, *parts: str) -> None:
    """Wait until the page of sticks says all of `parts`."""

    def asked() -> bool:
        page = machine.wait_for_page("/stick", seconds=60).decode()
        return all(part in page for part in parts)

    wait_for(asked, STICK_SECONDS)


def test_sticks_of_every_kind_are_taken_and_may_be_pulled(tmp_path: Path) -> None:
    packed = need_image("pc", "box")
    hub = tmp_path / "hub"
    fingerprint = call(hub, "hub", "init", "--name", "青禾县电教馆")["fingerprint"]
    sticks = []
    for number, kind in enumerate(("ext4", "vfat", "exfat", "ntfs")):
        write_folder(tmp_path / f"files-{number}", files=4 + number, size_bytes=200_000 + number, seed=number)
        # The last one carries its own bundle only; the box has the rest.
        bundle = ("--bundle", LAST) if kind == "ntfs" else ()
        if bundle:
            call(hub, "hub", "bundle", "create", LAST)
        call(hub, "hub", "ingest", tmp_path / f"files-{number}", *bundle)
        call(hub, "hub", "publish")
        tree = tmp_path / f"tree-{number}"
        told = call(hub, "hub", "export", tree, *bundle)
        assert (told["blobs"] == 4 + number) == (kind in ("ext4", "ntfs")), told

        def fill(root: Path, tree: Path = tree) -> None:
            shutil.copytree(tree, root, dirs_exist_ok=True)
            (root / "autorun.inf").write_text("[autorun]\n")

        disk = image(tmp_path / f"{kind}.img", kind, fill, label=LABELS[kind], size_bytes=96 << 20)
        sticks.append((kind, partitioned(disk, "7" if kind == "ntfs" else "c") if number % 2 else disk))
    system = copy_disk(packed, tmp_path / "system.img", SYSTEM_BYTES)
    request = {
        "role": "box", "name": "石桥教学点", "hub.url": "http://127.0.0.1:1", "hub.fingerprint": fingerprint,
    }  # fmt: skip
    system.put("shuxiang.toml", write_request(request, {"admin_password": "12345678a"}))
    with pc(system, tmp_path / "pc", more=USB) as machine:
        machine.wait_for_page("/healthz", seconds=BOOT_SECONDS)
        said(machine, "现在没有插 U 盘")
        for kind, disk in sticks:
            with machine.plugged(kind, disk):
                said(machine, f"“{LABELS[kind]}”导入完了", "可以拔出了", "autorun.inf")
            said(machine, "现在没有插 U 盘")
        with machine.plugged("again", sticks[0][1]):
            said(machine, "比书箱里的旧", "可以拔出了")
        noise = tmp_path / "noise.img"
        noise.write_bytes(bytes(range(256)) * (1 << 14))
        # Another machine's card is no stick: nothing is said of it, though there is time to.
        card = copy_disk(packed, tmp_path / "card.img", SYSTEM_BYTES).path
        with machine.plugged("card", card), machine.plugged("noise", noise):
            said(machine, "E-STICK-KIND")
            page = machine.wait_for_page("/stick", seconds=60).decode()
            assert "SHUXIANG" not in page and page.count("E-STICK-KIND") == 1
        said(machine, "现在没有插 U 盘")
        told = json.loads(machine.wait_for_page("/api/v1/status", seconds=120))
        assert told["cached"] == told["resources"] > 0
