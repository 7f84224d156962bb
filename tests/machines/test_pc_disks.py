"""A PC with its content on a data disk: another system disk takes it over, and a page says where it is missing or damaged."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import call, started
from hard_resets import (
    BOOT_SECONDS,
    CARD_BYTES,
    HERE,
    NAME,
    OFF_SECONDS,
    PASSWORD,
    WORK_SECONDS,
    look_around,
    state_on,
    status_of,
    wait_for_content,
)
from qemu_machine import Disk, copied, copy_disk, free_port, need_image, pc
from supplier import write_folder

from appliance.box import Box
from appliance.disks.choose import LABEL
from appliance.firstboot.template import write_request
from webui.accounts import is_right_password

pytestmark = pytest.mark.machine

DATA_BYTES = 1 << 30
# The first superblock and the table behind it; ext4 has both again elsewhere.
HEAD_BYTES = 64 << 10


@dataclass(frozen=True, kw_only=True)
class Used:
    """A machine's two disks after a day of work, and what its status was."""

    packed: Path
    system: Disk
    data: Path
    told: dict[str, Any]


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Used]:
    place = tmp_path_factory.mktemp("used")
    packed = need_image("pc", "box")
    hub, port = place / "hub", free_port()
    fingerprint = call(hub, "hub", "init", "--name", "青禾县电教馆")["fingerprint"]
    write_folder(place / "lessons", files=8, size_bytes=500_000)
    call(hub, "hub", "ingest", place / "lessons")
    release = call(hub, "hub", "publish")["release"]
    settings = {
        "role": "box", "name": NAME, "hub.url": f"http://{HERE}:{port}", "hub.fingerprint": fingerprint,
    }  # fmt: skip
    system = copy_disk(packed, place / "system.img", CARD_BYTES)
    system.put("shuxiang.toml", write_request(settings, {"admin_password": PASSWORD}))
    data = place / "data.img"
    with data.open("wb") as file:
        file.truncate(DATA_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", LABEL, data], check=True, capture_output=True)
    with (
        started(hub, "hub", "serve", "--port", port, "--host", "127.0.0.1"),
        pc(system, place / "pc", disks=[data]) as machine,
    ):
        machine.wait_for_page("/healthz", seconds=BOOT_SECONDS)
        told = wait_for_content(machine, release)
        machine.press_the_button(OFF_SECONDS)
    assert told["name"] == NAME and told["cached"] == told["resources"] > 0
    yield Used(packed=packed, system=system, data=data, told=told)
    shutil.rmtree(place)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    shutil.rmtree(tmp_path)


def check_served(used: Used, system: Disk, data: Path, place: Path) -> str:
    """Start a machine and find what there was before, on the page and on the disk; return its first page."""
    with pc(system, place / "pc", disks=[data]) as machine:
        machine.wait_for_page("/healthz", seconds=BOOT_SECONDS)
        told = status_of(machine)
        same = ("id", "name", "release", "content_release", "resources", "cached")
        assert {key: told[key] for key in same} == {key: used.told[key] for key in same}
        look_around(machine)
        page = machine.wait_for_page(seconds=WORK_SECONDS).decode()
        machine.press_the_button(OFF_SECONDS)
    state = state_on(data, place / "state")
    verified = call(state, "box", "verify")
    assert verified["damaged"] == 0 and verified["checked"] > 0
    with Box.open(state) as box:
        assert is_right_password(box.local, "technician", PASSWORD)
    assert NAME in page
    return page


def test_a_new_system_disk_takes_over_the_data_disk(used: Used, place: Path) -> None:
    """A card straight from the image, without settings: they are on the data disk."""
    system = copy_disk(used.packed, place / "new.img", CARD_BYTES)
    check_served(used, system, copied(used.data, place / "data.img"), place)


def test_a_data_disk_whose_head_is_gone_is_repaired(used: Used, place: Path) -> None:
    data = copied(used.data, place / "data.img")
    with data.open("r+b") as file:
        file.write(bytes(HEAD_BYTES))
    system = Disk(copied(used.system.path, place / "system.img"))
    check_served(used, system, data, place)


@pytest.mark.parametrize("wrong", ["E-DATA-MISSING", "E-DATA-DAMAGED"])
def test_a_page_says_what_is_wrong_with_the_data_disk(used: Used, place: Path, wrong: str) -> None:
    system = Disk(copied(used.system.path, place / "system.img"))
    disks = []
    if wrong == "E-DATA-DAMAGED":
        noise = place / "noise.img"
        noise.write_bytes(random.Random(9).randbytes(64 << 20))
        disks.append(noise)
    with pc(system, place / "pc", disks=disks) as machine:
        page = machine.wait_for_page("/browse", seconds=BOOT_SECONDS, status=503).decode()
        assert wrong in page and "书箱现在打不开课" in page and "该怎么做" in page
        machine.press_the_button(OFF_SECONDS)
    assert wrong in system.get("shuxiang-result.txt").decode("utf-8-sig")
    # Nothing was begun anew on the card; with the disk in again all is as before.
    with pc(system, place / "again", disks=[copied(used.data, place / "data.img")]) as machine:
        machine.wait_for_page("/healthz", seconds=BOOT_SECONDS)
        assert status_of(machine)["id"] == used.told["id"]
        machine.pull_the_plug()
