"""A PC as a county's hub: staff log in by browser, a stick that is plugged in is published, another one is written for a
school, and no console is touched."""

from __future__ import annotations

import hashlib
import http.cookiejar
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from command import call
from first_boots import HUB
from plugged_sticks import image
from qemu_machine import KERNEL_BEGINS, USB, Started, copy_disk, need_image, pc
from supplier import write_folder

from appliance.firstboot.template import write_request

pytestmark = pytest.mark.machine

SYSTEM_BYTES = 8 << 30
MEMORY_MIB = 2048
BOOT_SECONDS, FIRMWARE_SECONDS, WORK_SECONDS = 900.0, 180.0, 300.0
PASSWORD = "a password of this test"
FOLDER, FILES = "三年级数学", 3


class Staff:
    """A browser of county staff on the hub's pages, with its cookies and the token of the page that it read last."""

    def __init__(self, machine: Started) -> None:
        self._base = f"http://127.0.0.1:{machine.doors[80]}"
        self._machine = machine
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(cookies)
        self.page = ""
        self.address = ""

    def read(self, path: str, fields: dict[str, str] | None = None) -> str:
        """Open a page, or send a form to it, and return what it shows in the end."""
        sent = None if fields is None else urllib.parse.urlencode(self._tokened(fields)).encode()
        with self._opener.open(f"{self._base}{path}", sent, timeout=60) as answer:
            self.page, self.address = answer.read().decode(), urllib.parse.urlsplit(answer.url).path
        return self.page

    def until(self, path: str, words: str) -> None:
        """Open a page again and again until it shows `words`."""
        self._machine.wait_until(
            lambda: words in self.read(path), f"{words!r} at {path}: {self.page}", WORK_SECONDS
        )

    def hidden(self, name: str) -> str:
        """Return what the page's form carries in a hidden field."""
        found = re.search(rf'name="{name}" value="([^"]*)"', self.page)
        assert found is not None, self.page
        return found[1]

    def _tokened(self, fields: dict[str, str]) -> dict[str, str]:
        return {"token": self.hidden("token"), **fields}


def check_carried(stick: Path, contents: list[bytes], place: Path) -> None:
    """A box takes the files from the stick, and nothing on the stick is wrong."""
    subprocess.run(["fsck.vfat", "-n", stick], check=True, capture_output=True)
    tree, box = place / "tree", place / "box"
    tree.mkdir()
    subprocess.run(["mcopy", "-s", "-n", "-i", stick, "::*", tree], check=True, stdin=subprocess.DEVNULL)
    root = tree / "metadata" / "1.root.json"
    call(box, "box", "init", "--hub", tree, "--root", root)
    call(box, "box", "sync")
    held = {path.name for path in (box / "blobs").rglob("*") if path.is_file()}
    assert held == {hashlib.sha256(data).hexdigest() for data in contents}


def test_a_hub_from_its_card_to_a_release_and_a_school_s_stick(tmp_path: Path) -> None:
    packed = need_image("pc", "hub")
    write_folder(tmp_path / FOLDER, files=FILES)
    sources = list((tmp_path / FOLDER).glob("*.txt"))
    stick = image(
        tmp_path / "stick.img",
        "vfat",
        lambda root: shutil.copytree(tmp_path / FOLDER, root / FOLDER),
        label="LESSONS",
    )
    disk = copy_disk(packed, tmp_path / "disk.img", SYSTEM_BYTES)
    disk.put("shuxiang.toml", write_request(HUB, {"admin_password": PASSWORD}))
    with pc(disk, tmp_path / "pc", memory_mib=MEMORY_MIB, more=USB) as machine:
        began = machine.wait_for_words(KERNEL_BEGINS, FIRMWARE_SECONDS)
        told = json.loads(machine.wait_for_page("/healthz", seconds=BOOT_SECONDS))
        assert told["role"] == "hub"
        assert HUB["name"] in machine.wait_for_page("/", seconds=60).decode()
        print(f"{machine.wait_until(lambda: True, '', 1) - began:.0f} s from the kernel to the hub's page")
        staff = Staff(machine)
        staff.read("/hub/login")
        with pytest.raises(urllib.error.HTTPError) as refused:
            staff.read("/hub/login", {"user": "admin", "password": "12345678a"})
        refused.value.close()
        assert refused.value.code == 403
        staff.read("/hub/login", {"user": "admin", "password": PASSWORD})
        assert staff.address == "/hub/"

        assert "现在没有移动盘" in staff.read("/hub/take")
        with machine.plugged("lessons", stick):
            staff.until("/hub/take", "LESSONS")
            found = re.search(r'href="(/hub/take/disk/[^"]+)"', staff.page)
            assert found is not None
            assert FOLDER in staff.read(found[1])
            staff.read(found[1], {"folder": FOLDER, "bundle": "main", "licence": ""})
            batch = staff.address
            staff.until(batch, f"{batch}/accept")
            staff.read(f"{batch}/accept", {})
            staff.until(batch, "已收入")
        staff.until("/hub/take", "现在没有移动盘")
        staff.until("/hub/publish", 'name="seen"')
        staff.read("/hub/publish", {"seen": staff.hidden("seen")})
        staff.until(staff.address, "次发布已签发")
        for path in sources:
            sent = path.read_bytes()
            name = hashlib.sha256(sent).hexdigest()
            assert machine.wait_for_page(f"/tree/blobs/{name[:2]}/{name}", seconds=60) == sent

        # FAT32, as sticks are sold, by the machine's own kernel.
        school = image(tmp_path / "school.img", "vfat", lambda root: None, label="SCHOOL")
        with machine.plugged("school", school, writable=True):
            staff.until("/hub/sticks", "SCHOOL")
            staff.read("/hub/sticks/look", {"stick": staff.hidden("stick"), "bundle": "main"})
            assert "放得下。" in staff.page
            staff.read("/hub/sticks/write", {"stick": staff.hidden("stick")})
            staff.until(staff.address, "现在可以拔出")
        machine.press_the_button(180)
    check_carried(school, [path.read_bytes() for path in sources], tmp_path)
    assert "成功" in disk.get("shuxiang-result.txt").decode("utf-8-sig")
    assert PASSWORD.encode() not in disk.get("shuxiang.toml")
