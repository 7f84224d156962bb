"""A box whose disk is written down while it works, and its disks after power cuts: started, asked, looked into.

What the box said to people is acknowledged: the name and password of its settings once a page shows them, a release once
all its content is said to be there. The log of its disk is cut by `outage_harness.blocklog`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import call, started
from outage_harness.blocklog import SECTOR_BYTES, BlockLog, Cut
from outage_harness.writelog import apply, read_log
from plugged_sticks import image
from qemu_machine import USB, Disk, Started, copied, copy_disk, free_port, pc
from supplier import write_folder

from appliance.box import Box
from appliance.firstboot.template import write_request
from catalog.library import Library
from webui.accounts import is_right_password

NAME, PASSWORD = "石桥教学点", "12345678a"
SET_UP = "settings"
# The image, and room for the data partition to grow.
CARD_BYTES = 5 << 30
BOOT_SECONDS, WORK_SECONDS, OFF_SECONDS = 900.0, 600.0, 300.0
DATA = 4
# As QEMU's own network shows the machine that it runs on.
HERE = "10.0.2.2"
STICK_LABEL = "SHITOU"
LINE, STICK = 1, 2
"""The release that came by the line, and the one that came by stick."""


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The card before its first start, its data partition too, all that was written since, and what there is to fetch."""

    card: Path
    data: Path
    data_start: int
    log: BlockLog
    stick: Path
    published: frozenset[str]

    @property
    def first_boot(self) -> BlockLog:
        """The part of the log up to the moment at which the box showed its settings."""
        end = next(at for at, text in self.log.marks if text == SET_UP) + 1
        return BlockLog(b"", self.log.records[:end], 0, self.log.filesystems)


def record(packed: Path, place: Path) -> Recording:
    """Start a box from a new card; let it take settings, a release by the line and one by stick; pull the plug."""
    hub = place / "hub"
    fingerprint = call(hub, "hub", "init", "--name", "青禾县电教馆")["fingerprint"]
    port = free_port()
    settings = {
        "role": "box", "name": NAME, "hub.url": f"http://{HERE}:{port}", "hub.fingerprint": fingerprint,
    }  # fmt: skip
    card = copy_disk(packed, place / "card.img", CARD_BYTES)
    card.put("shuxiang.toml", write_request(settings, {"admin_password": PASSWORD}))
    used = Disk(copied(card.path, place / "used.img"))
    log, marks = place / "log", list[tuple[int, str]]()

    def acknowledge(text: str) -> None:
        marks.append((log.stat().st_size, text))

    _publish(hub, place / "lessons", files=8, release=LINE)
    with (
        started(hub, "hub", "serve", "--port", port, "--host", "127.0.0.1"),
        pc(used, place / "pc", more=USB, log=log) as machine,
    ):
        machine.wait_for_page("/healthz", seconds=BOOT_SECONDS)
        assert NAME in machine.wait_for_page(seconds=WORK_SECONDS).decode()
        acknowledge(SET_UP)
        wait_for_content(machine, LINE)
        acknowledge(str(LINE))
        look_around(machine)
        _publish(hub, place / "more", files=6, release=STICK)
        call(hub, "hub", "export", place / "tree")
        stick = image(
            place / "stick.img", "vfat", lambda root: shutil.copytree(place / "tree", root, dirs_exist_ok=True),
            label=STICK_LABEL,
        )  # fmt: skip
        with machine.plugged("stick", stick):
            wait_for_content(machine, STICK)
            acknowledge(str(STICK))
            look_around(machine)
        time.sleep(10)
        machine.pull_the_plug()
    start = card.parts()[DATA - 1]["start"] * SECTOR_BYTES
    used.path.unlink()
    data = card.cut(DATA, place / "data.img")
    os.truncate(data, CARD_BYTES - start)
    return Recording(
        card=card.path,
        data=data,
        data_start=start,
        log=BlockLog(b"", read_log(log, marks), 0, filesystems=(start,)),
        stick=stick,
        published=_blobs_of(hub),
    )


def _publish(hub: Path, folder: Path, *, files: int, release: int) -> None:
    write_folder(folder, files=files, size_bytes=700_000, seed=release)
    call(hub, "hub", "ingest", folder)
    assert call(hub, "hub", "publish")["release"] == release


def _blobs_of(hub: Path) -> frozenset[str]:
    """Return the hashes of all files of what is published."""
    with Library.open(hub / "library.db") as library, library.reading() as reader:
        return frozenset(file.sha256 for entry in reader.entries() for file in entry.resource.files)


def status_of(machine: Started) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(machine.wait_for_page("/api/v1/status", seconds=WORK_SECONDS))
    return told


def wait_for_content(machine: Started, release: int) -> dict[str, Any]:
    """Wait until the box says that it has all content of a release; return its status."""
    machine.wait_until(
        lambda: status_of(machine)["content_release"] == release, f"no release {release}", WORK_SECONDS
    )
    return status_of(machine)


def look_around(machine: Started) -> None:
    """Ask for pages and for the files that are there, as pupils do; usage is counted."""
    found = json.loads(machine.wait_for_page("/api/v1/search?q=fs", seconds=WORK_SECONDS))
    for hit in found["hits"][:3]:
        record = json.loads(machine.wait_for_page(f"/api/v1/resources/{hit['id']}", seconds=WORK_SECONDS))
        for file in record["files"]:
            if file["here"]:
                machine.wait_for_page(file["url"], seconds=WORK_SECONDS)
    for path in ("/", "/browse", "/stick"):
        machine.wait_for_page(path, seconds=WORK_SECONDS)


def look_into(recording: Recording, cut: Cut, place: Path) -> None:
    """Repair the data partition as it is after `cut`, as the next start does, and find what was acknowledged."""
    data = copied(recording.data, place / "data.img")
    apply(cut, data, recording.data_start)
    assert subprocess.run(["e2fsck", "-p", data], capture_output=True).returncode <= 1
    state = state_on(data, place / "state")
    if (state / "config.toml").exists():
        assert call(state, "box", "verify")["damaged"] == 0
        assert call(state, "box", "status")["content_release"] >= released(cut)
    else:
        assert not cut.acknowledged


def released(cut: Cut) -> int:
    """Return the newest release whose content was acknowledged before `cut`."""
    return max((int(text) for text in cut.acknowledged if text != SET_UP), default=0)


def reset(recording: Recording, cut: Cut, place: Path) -> None:
    """Start the card as it is after `cut`, without the line; check what it says, give it the stick, look into it."""
    disk = Disk(copied(recording.card, place / "card.img"))
    apply(cut, disk.path)
    with pc(disk, place / "pc", more=USB) as machine:
        machine.wait_for_page("/healthz", seconds=BOOT_SECONDS)
        assert NAME in machine.wait_for_page(seconds=WORK_SECONDS).decode()
        told = status_of(machine)
        assert told["content_release"] >= released(cut), told
        # The journal was enough: nothing had to be repaired.
        assert "the data partition is damaged" not in machine.said()
        look_around(machine)
        with machine.plugged("stick", recording.stick):
            wait_for_content(machine, STICK)
        machine.press_the_button(OFF_SECONDS)
    assert "成功" in disk.get("shuxiang-result.txt").decode("utf-8-sig")
    assert PASSWORD not in disk.get("shuxiang.toml").decode("utf-8-sig")
    state = state_on(disk.cut(DATA, place / "data.img"), place / "state")
    assert call(state, "box", "verify")["damaged"] == 0
    with Box.open(state) as box:
        assert is_right_password(box.local, "technician", PASSWORD)
    assert {path.name for path in (state / "blobs").rglob("*") if path.is_file()} == recording.published


def state_on(data: Path, place: Path) -> Path:
    """Return the state on the filesystem in `data`, copied to `place`; the filesystem is whole."""
    subprocess.run(["e2fsck", "-f", "-n", data], check=True, capture_output=True)
    place.mkdir()
    subprocess.run(["debugfs", "-R", f"rdump /state {place}", data], check=True, capture_output=True)
    # It belongs to the box's user, whom nobody knows here.
    subprocess.run(["chown", "-R", "0:0", place], check=True)
    return place / "state"
