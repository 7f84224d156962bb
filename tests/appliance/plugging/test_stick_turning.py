"""A stick is turned to be written while the hub asks for it: every kind, and back; denied where that can not be."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from plugged_sticks import image, plugged, wait_for, writable_device
from sticks import need

from appliance.plugging.notes import (
    NOTES,
    READ,
    STICKS,
    TOLD,
    WISH_NAME,
    WRITE,
    Note,
    is_to_be_written,
    read_notes,
    wish_to_write,
)

USER = 4242


def lesson(root: Path) -> None:
    (root / "几分之一.txt").write_text("几分之一", encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A machine's run directory, and a state that is an ordinary user's."""
    for name in (TOLD, NOTES, STICKS):
        (tmp_path / "run" / name).mkdir(parents=True)
    (tmp_path / "state").mkdir()
    if os.geteuid() == 0:
        os.chown(tmp_path / "state", USER, USER)
    tmp_path.chmod(0o755)
    return tmp_path / "run"


def note_once(run: Path, access: str, *, denied: str = "") -> Note:
    def found() -> Note | None:
        return next((one for one in read_notes(run) if (one.access, one.denied) == (access, denied)), None)

    note: Note = wait_for(found, 60)
    return note


def flags(note: Note) -> int:
    return os.statvfs(note.mounted).f_flag


@pytest.mark.parametrize("kind", ["exfat", "ntfs", "ext4"])
def test_it_is_written_by_the_states_owner_and_read_only_again(kind: str, run: Path, tmp_path: Path) -> None:
    need(kind)

    def fill(root: Path) -> None:
        lesson(root)
        if kind == "ext4":
            os.chown(root, USER, USER)

    disk = image(tmp_path / "disk.img", kind, fill, label="TOWN")
    with writable_device(disk) as path, plugged(run, tmp_path / "state", path, tmp_path / "said"):
        before = note_once(run, READ)
        assert flags(before) & os.ST_RDONLY
        wish_to_write(run, before.id)
        note = note_once(run, WRITE)
        assert note.mounted == before.mounted
        assert flags(note) & os.ST_RDONLY == 0
        for flag in (os.ST_NOSUID, os.ST_NODEV, os.ST_NOEXEC):
            assert flags(note) & flag
        writing = [
            "setpriv",
            f"--reuid={USER}",
            f"--regid={USER}",
            "--clear-groups",
            "cp",
            "几分之一.txt",
            "二.txt",
        ]
        subprocess.run(writing, cwd=note.mounted, check=True)
        wish_to_write(run, None)
        after = note_once(run, READ)
        assert flags(after) & os.ST_RDONLY
        assert Path(after.mounted, "二.txt").read_text(encoding="utf-8") == "几分之一"


def test_who_asks_and_is_gone_asks_no_more(run: Path, tmp_path: Path) -> None:
    need("ext4")
    disk = image(tmp_path / "disk.img", "ext4", lesson, label="TOWN")
    with writable_device(disk) as path, plugged(run, tmp_path / "state", path, tmp_path / "said"):
        note = note_once(run, READ)
        with subprocess.Popen(["sleep", "60"]) as asking:
            wish = {"id": note.id, "process": asking.pid}
            (run / TOLD / WISH_NAME).write_text(json.dumps(wish))
            note_once(run, WRITE)
            asking.kill()
        assert flags(note_once(run, READ)) & os.ST_RDONLY


def test_it_is_not_taken_from_under_a_reader(run: Path, tmp_path: Path) -> None:
    need("ext4")
    disk = image(tmp_path / "disk.img", "ext4", lesson)
    with writable_device(disk) as path, plugged(run, tmp_path / "state", path, tmp_path / "said"):
        note = note_once(run, READ)
        with Path(note.mounted, "几分之一.txt").open() as held:
            wish_to_write(run, note.id)
            denied = note_once(run, READ, denied="E-BUSY")
            assert held.read() == "几分之一" and flags(denied) & os.ST_RDONLY
        wish_to_write(run, None)
        note_once(run, READ)
        wish_to_write(run, note.id)
        note_once(run, WRITE)
        wish_to_write(run, None)
        note_once(run, READ)


def test_a_switch_against_writing_is_told_and_it_is_read_as_before(run: Path, tmp_path: Path) -> None:
    need("ext4")
    disk = image(tmp_path / "disk.img", "ext4", lesson)
    with writable_device(disk, "-r") as path, plugged(run, tmp_path / "state", path, tmp_path / "said"):
        wish_to_write(run, note_once(run, READ).id)
        note = note_once(run, READ, denied="E-STICK-WRITE")
        assert Path(note.mounted, "几分之一.txt").exists() and not note.code


@pytest.mark.parametrize("wish", ['{"id": "1"}', '{"id": "1", "process": true}', '{"id": "1", "process": -1}', '{"id": "1", "process": "1/../1"}', "[]", "x"])  # fmt: skip
def test_only_a_running_process_is_heard(run: Path, wish: str) -> None:
    (run / TOLD / WISH_NAME).write_text(wish)
    assert not is_to_be_written(run, "1")
    wish_to_write(run, "1")
    assert is_to_be_written(run, "1") and not is_to_be_written(run, "2")
