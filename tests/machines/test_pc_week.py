"""One school for a week: a PC with a data disk, forty lessons in all kinds, the plug pulled every day, one update by the
line and one by stick. At the end everything that was published is there, and nothing else."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bench.bench_image import start_of
from bench.course_files import THIS_WEEK, WPS, deck, exercises, handout
from bench.edits import word
from command import call, command, environment
from qemu_machine import Disk, Started, copy_disk, free_port, need_image, pc

from appliance.firstboot.template import write_request
from catalog.blobs import hash_file
from catalog.library import Library

pytestmark = pytest.mark.machine

SYSTEM_BYTES, DATA_BYTES, STICK_BYTES = 8 << 30, 4 << 30, 512 << 20
# As QEMU's own network shows the machine that it runs on.
HERE = "10.0.2.2"
DAY_SECONDS = 900.0
FIRST, BY_LINE, BY_STICK = range(24), range(24, 32), range(32, 40)
EDITED = 1
_COLUMNS = "标题,学段,年级,学科,版本,册次,单元,课,类型,文件,授权"
_KINDS = ("微课", "课件", "试卷", "互动课件", "听力")


class School:
    """The county's hub here, and the school's machine with its two disks."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.hub = place / "hub"
        self.folder = place / "lessons"
        self.folder.mkdir()
        self.port = free_port()
        self.system: Disk
        self.data = place / "data.img"
        self.stick = place / "stick.img"
        self.rows: dict[int, str] = {}
        self.release = 0

    def found(self) -> str:
        """Make the hub; return its fingerprint."""
        made: dict[str, Any] = call(self.hub, "hub", "init", "--name", "青禾县电教馆")
        return str(made["fingerprint"])

    def publish(self, lessons: range, *, edited: int | None = None) -> None:
        """Publish more lessons, and a new edition of one."""
        for number in lessons:
            self.rows[number] = self._write(number)
        if edited is not None:
            (self.folder / self.rows[edited].split(",")[9]).write_bytes(word(edited)[1])
        text = "\n".join([_COLUMNS, *self.rows.values()])
        (self.folder / "清单.csv").write_text(text + "\n", encoding="utf-8-sig")
        took = call(self.hub, "hub", "ingest", self.folder, "--sheet", self.folder / "清单.csv")
        assert not took["rejected"], took
        self.release = call(self.hub, "hub", "publish")["release"]

    def _write(self, number: int) -> str:
        """Write a lesson's file; return its row."""
        kind = _KINDS[number % 5]
        name = f"lesson-{number}"
        if kind == "微课":
            name = _made(self.folder / f"{name}.mp4", f"testsrc2=d=6:s=640x360:r=15,hue=h={number * 9}", "-c:v", "libx264", "-pix_fmt", "yuv420p")  # fmt: skip
        elif kind == "课件":
            (self.folder / f"{name}.pptx").write_bytes(
                word(number)[0] if number == EDITED else deck(number, 900_000).save(WPS, THIS_WEEK)
            )
            name += ".pptx"
        elif kind == "试卷":
            (self.folder / f"{name}.pdf").write_bytes(handout(number, 400_000).export(THIS_WEEK))
            name += ".pdf"
        elif kind == "互动课件":
            (self.folder / f"{name}.zip").write_bytes(exercises(number, 400_000).export(THIS_WEEK))
            name += ".zip"
        else:
            name = _made(
                self.folder / f"{name}.mp3", f"sine=f={300 + 20 * number}:d=20", "-c:a", "libmp3lame"
            )
        return f"第{number}课,小学,三年级,数学,人教版,上册,第{number // 5 + 1}单元,第{number}课,{kind},{name},自有"

    @contextmanager
    def line(self) -> Iterator[None]:
        """Let the school reach the hub while the block lasts."""
        words = command(self.hub, "hub", "serve", "--port", self.port, "--host", "127.0.0.1")
        process = subprocess.Popen(
            words,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)

    def write_stick(self) -> None:
        """Write what is published to a FAT stick, as staff do."""
        tree = self.place / "stick"
        call(self.hub, "hub", "export", tree)
        with self.stick.open("wb") as file:
            file.truncate(STICK_BYTES)
        subprocess.run(["mkfs.vfat", "-F", "32", "-n", "STICK", self.stick], check=True, capture_output=True)
        subprocess.run(
            ["mcopy", "-s", "-Q", "-i", self.stick, *sorted(tree.iterdir()), "::"],
            check=True,
            env={**environment(), "LC_ALL": "C.UTF-8"},
        )

    @contextmanager
    def day(self, *more: Path) -> Iterator[Started]:
        """Switch the machine on; whatever happens in the block, the day ends with the plug pulled."""
        with pc(self.system, self.place / "pc", disks=(self.data, *more)) as machine:
            print(start_of(machine))
            yield machine
            machine.pull_the_plug()


def _made(path: Path, source: str, *codec: str) -> str:
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, *codec, path],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    return path.name


def wait_for_content(machine: Started, release: int) -> None:
    """Wait until the box has all content of a release."""
    deadline = time.monotonic() + DAY_SECONDS
    while True:
        told = json.loads(machine.wait_for_page("/api/v1/status", seconds=60))
        if told["content_release"] == release:
            return
        assert time.monotonic() < deadline, told
        time.sleep(2)


def blobs_of(hub: Path) -> set[str]:
    """Return the hashes of all files of what is published."""
    with Library.open(hub / "library.db") as library, library.reading() as reader:
        return {file.sha256 for entry in reader.entries() for file in entry.resource.files}


def blobs_on(disk: Path, place: Path) -> set[str]:
    """Return the hashes of the blobs on the data disk: each is read, and has its name."""
    subprocess.run(["e2fsck", "-p", disk], capture_output=True)
    subprocess.run(["e2fsck", "-f", "-n", disk], check=True, capture_output=True)
    place.mkdir()
    subprocess.run(["debugfs", "-R", f"rdump /state/blobs {place}", disk], check=True, capture_output=True)
    found = [path for path in place.rglob("*") if path.is_file()]
    for path in found:
        assert hash_file(path) == path.name
    return {path.name for path in found}


def test_one_school_for_a_week(tmp_path: Path) -> None:
    chance = random.Random(5)
    school = School(tmp_path)
    fingerprint = school.found()
    school.system = copy_disk(need_image("pc", "box"), tmp_path / "system.img", SYSTEM_BYTES)
    school.system.put(
        "shuxiang.toml",
        write_request(
            {
                "role": "box",
                "name": "石桥教学点",
                "hub.url": f"http://{HERE}:{school.port}",
                "hub.fingerprint": fingerprint,
            },
            {"admin_password": "12345678a"},
        ),
    )
    with school.data.open("wb") as file:
        file.truncate(DATA_BYTES)
    subprocess.run(
        ["mkfs.ext4", "-q", "-F", "-L", "shuxiang-data", school.data], check=True, capture_output=True
    )

    # Monday: the first content, cut short; Tuesday: it goes on and ends.
    school.publish(FIRST)
    with school.line():
        with school.day():
            time.sleep(chance.uniform(5, 20))
        with school.day() as machine:
            wait_for_content(machine, school.release)
            assert "石桥教学点" in machine.wait_for_page(seconds=60).decode()
        # Wednesday: more lessons and a new edition, by the line.
        school.publish(BY_LINE, edited=EDITED)
        with school.day() as machine:
            wait_for_content(machine, school.release)
    # Thursday: the line is down, a stick comes.
    school.publish(BY_STICK)
    school.write_stick()
    with school.day(school.stick):
        time.sleep(chance.uniform(5, 20))
    # Friday: it is in again; then switched off as people do it.
    with pc(school.system, tmp_path / "pc", disks=(school.data, school.stick)) as machine:
        machine.wait_for_page("/healthz", seconds=DAY_SECONDS)
        wait_for_content(machine, school.release)
        found = json.loads(machine.wait_for_page("/api/v1/search?q=%E7%AC%AC39%E8%AF%BE", seconds=60))
        assert found["total"] >= 1
        machine.press_the_button()

    published = blobs_of(school.hub)
    assert len(school.rows) == 40 and len(published) >= 40
    assert blobs_on(school.data, tmp_path / "blobs") == published
