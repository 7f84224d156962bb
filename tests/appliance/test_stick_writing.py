"""Sticks written from the hub's pages: root's process turns the stick, the export writes, a box takes what is there."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from command import call, command, environment
from plugged_sticks import Plugged, image, plugged, wait_for, writable_device
from staff_hub import PASSWORD, Staff
from sticks import need
from supplier import write_folder
from werkzeug.test import TestResponse

from appliance.hub import Hub
from appliance.hub_service import HubApp, hub_application
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
    remove_note,
    write_note,
)
from appliance.sticks import StickDesk
from catalog.errors import StorageError
from sync.export import MARKER
from sync.trust.sheet import passphrase_on
from webui.hub.accounts import FIRST_USER, set_password

FILES, FILE_BYTES = 12, 1 << 20
CHINESE = {"Accept-Language": "zh-CN"}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub with two bundles in its release."""
    need("exfat")
    base = tmp_path_factory.mktemp("published")
    call(base / "hub", "hub", "init", "--name", "青禾县")
    for bundle, seed in (("math", 1), ("music", 2)):
        write_folder(base / bundle, files=FILES, size_bytes=FILE_BYTES, seed=seed)
        call(base / "hub", "hub", "ingest", base / bundle, "--bundle", bundle)
    call(base / "hub", "hub", "publish")
    with Hub.open(base / "hub") as hub:
        set_password(hub.local, FIRST_USER, PASSWORD)
    return base / "hub"


class Office:
    """The hub's pages, a hand that plugs sticks in, and a clerk."""

    def __init__(self, state: Path, base: Path, undo: ExitStack) -> None:
        self.base = base
        self.run = base / "run"
        (self.run / TOLD).mkdir(parents=True)
        self.hub = undo.enter_context(Hub.open(state))
        self.app: HubApp = hub_application(self.hub)
        undo.callback(self.app.close)
        self._undo = undo
        self.staff = Staff(self.app)
        self.staff.log_in()

    def plug(self, kind: str = "exfat", *, size_bytes: int = 96 << 20, label: str = "TOWN", read_only: bool = False) -> Plugged:  # fmt: skip
        def fill(root: Path) -> None:
            (root / "our own.txt").write_text("a teacher's")

        disk = image(self.base / f"{label}.img", kind, fill, label=label, size_bytes=size_bytes)
        path = self._undo.enter_context(writable_device(disk, *(["-r"] if read_only else [])))
        stick = self._undo.enter_context(plugged(self.run, self.hub.directory, path, self.base / "said"))
        stick.note()
        return stick

    def page(self, address: str = "/hub/sticks") -> str:
        text: str = self.staff.read(address, headers=CHINESE).text
        return text

    def send(self, address: str, **fields: Any) -> TestResponse:
        return self.staff.post(address, data={"token": self.staff.token, **fields}, headers=CHINESE)

    def write(self, stick: Plugged, **fields: Any) -> str:
        """Begin to write to the stick; return the address of the page that shows how far it is."""
        self.page()
        answer = self.send("/hub/sticks/write", stick=stick.note()["id"], **fields)
        return answer.headers["Location"]

    def once(self, address: str, part: str) -> str:
        """Return the page at `address`, once `part` is on it."""

        def ask() -> str | None:
            text = self.page(address)
            assert part in text or "没有写完" not in text, text
            return text if part in text else None

        return wait_for(ask)  # type: ignore[no-any-return]


@pytest.fixture
def office(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.setenv("SHUXIANG_RUN", str(tmp_path / "run"))
    with ExitStack() as undo:
        yield Office(published, tmp_path, undo)


def is_read_only(stick: Plugged) -> bool:
    return bool(os.statvfs(stick.note()["mounted"]).f_flag & os.ST_RDONLY)


def taken_by_a_box(published: Path, base: Path, stick: Plugged) -> dict[str, Any]:
    root = published / "public/metadata/1.root.json"
    call(base / "box", "box", "init", "--hub", "http://127.0.0.1:1/", "--root", root)
    done: dict[str, Any] = call(base / "box", "box", "sync", "--from", stick.note()["mounted"])
    return done


def test_from_a_stick_in_the_hub_to_a_box(published: Path, office: Office) -> None:
    assert "现在没有插着的盘" in office.page()
    stick = office.plug()
    key = stick.note()["id"]
    page = office.page()
    assert "TOWN" in page and "exFAT" in page and page.count("checked") == 3
    look = office.send("/hub/sticks/look", stick=key, bundle=["math", "music"])
    assert look.status_code == 200 and "放得下。" in look.text and "全部资源包" in look.text
    assert re.search(r"要的地方</th><td>(2\d|3\d)(\.\d)? MB", look.text), look.text
    assert is_read_only(stick), "looking writes nothing"
    address = office.write(stick)
    done = office.once(address, "写好了，可以拔出")
    assert "24 个文件" in done
    # When it says so, nothing can be written there any more.
    assert is_read_only(stick) and json.loads((office.run / TOLD / WISH_NAME).read_text())["id"] is None
    mounted = Path(stick.note()["mounted"])
    assert (mounted / "our own.txt").read_text() == "a teacher's" and not (mounted / MARKER).exists()
    assert "第 1 次发布" in office.send("/hub/sticks/look", stick=key, bundle=["math", "music"]).text
    assert "写 U 盘" in office.page("/hub/log") and "U 盘“TOWN”" in office.page("/hub/")
    taken = taken_by_a_box(published, office.base, stick)
    assert taken["fetched_blobs"] >= 24 and set(taken["roads"]) == {"directory"}
    again = office.once(office.write(stick), "写好了，可以拔出")
    assert "没有新的，盘上已经齐了" in again


def test_only_the_bundles_that_are_ticked(office: Office) -> None:
    stick = office.plug("ext4")
    key = stick.note()["id"]
    office.page()
    look = office.send("/hub/sticks/look", stick=key, bundle=["music"])
    assert 'name="bundle" value="music"' in look.text and 'value="math"' not in look.text
    assert "12 个文件" in office.once(office.write(stick, bundle=["music"]), "写好了，可以拔出")
    for fields, said in (
        ({"bundle": ["music"]}, "请选一个插着的盘"),
        ({"stick": key}, "请至少勾一个资源包"),
        ({"stick": "0" * 32, "bundle": ["music"]}, "请选一个插着的盘"),
    ):
        answer = office.send("/hub/sticks/look", **fields)
        assert answer.status_code == 400 and said in answer.text


def test_what_is_not_yet_published_is_told_before(office: Office, published: Path, tmp_path: Path) -> None:
    box_id = "ab" * 16
    office.hub.create_bundle("next-year", "明年的资源")
    office.hub.assign(box_id, {"subscriptions": ("music", "next-year")})
    stick = office.plug()
    office.page()
    look = office.send("/hub/sticks/look", stick=stick.note()["id"], box=[box_id])
    assert "还没有发布，这次不写：明年的资源。" in look.text and "放得下。" in look.text
    assert "12 个文件" in office.once(office.write(stick, box=[box_id]), "写好了，可以拔出")
    done = call(published, "hub", "export", tmp_path / "folder", "--box", box_id)
    assert done["blobs"] == 12
    assert done["warnings"] == [{"code": "E-BUNDLE-LATER", "where": "next-year"}]


def test_what_does_not_fit_is_told_before(office: Office) -> None:
    stick = office.plug("exfat", size_bytes=24 << 20)
    office.page()
    look = office.send("/hub/sticks/look", stick=stick.note()["id"], bundle=["math", "music"])
    assert "放不下，还差" in look.text and "/hub/sticks/write" not in look.text
    # And by the export itself, where the room went in between.
    failed = office.once(office.write(stick), "没有写完")
    assert "换一个大些的盘" in failed and "E-DISK-FULL" in failed
    assert is_read_only(stick) and [one.name for one in Path(stick.note()["mounted"]).iterdir()] == [
        "our own.txt"
    ]


def test_a_stick_that_can_not_be_written_says_so(office: Office) -> None:
    stick = office.plug("ext4", read_only=True)
    failed = office.once(office.write(stick), "没有写完")
    assert "盘只能读，不能写" in failed and "写保护" in failed
    assert is_read_only(stick)


def test_stopped_it_may_be_pulled_and_goes_on(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    stick = office.plug()
    # Stretches of one file each: there are steps to stop at.
    monkeypatch.setattr("sync.exporting.run.STRETCH_BYTES", 1)
    address = office.write(stick)
    wait_for(lambda: (Path(stick.note()["mounted"]) / MARKER).exists())
    office.page(address)
    office.send(f"{address}/stop")
    office.once(address, "盘可以拔出")
    assert is_read_only(stick)
    assert "停下了" in office.page(address) or "写好了" in office.page(address)
    office.send(f"{address}/again")
    jobs = re.findall(r'href="(/hub/batches/[^"]+)"', office.page())
    office.once(jobs[0], "")
    wait_for(lambda: "写好了" in office.staff.get(jobs[0], follow_redirects=True, headers=CHINESE).text)
    assert not (Path(stick.note()["mounted"]) / MARKER).exists()


def test_the_recovery_file_goes_to_a_stick_and_is_compared_there(office: Office) -> None:
    stick = office.plug()
    key = stick.note()["id"]
    folder = office.hub.directory / "recovery"
    sheet, secret = ((folder / name).read_bytes() for name in ("sheet.html", "recovery.json"))
    office.page("/hub/recovery")
    assert office.send("/hub/recovery/stick", stick=key, password="wrong").status_code == 403
    stored = office.send("/hub/recovery/stick", stick=key, password=PASSWORD)
    assert "已经存到“TOWN”" in stored.text, stored.text
    place = Path(stick.note()["mounted"]) / "recovery.json"
    assert place.read_bytes() == secret and is_read_only(stick)
    assert office.send("/hub/recovery/stick", stick=key, password=PASSWORD).status_code == 200
    (folder / "recovery.json").write_bytes(b"another hub's")
    answer = office.send("/hub/recovery/stick", stick=key, password=PASSWORD)
    assert answer.status_code == 400 and "另一个县中心" in answer.text and place.read_bytes() == secret
    last = passphrase_on(sheet.decode())[-5:]
    assert office.send("/hub/recovery/kept", stick=key, group=last).status_code == 400
    (folder / "recovery.json").write_bytes(secret)
    kept = office.send("/hub/recovery/kept", stick=key, group=last)
    assert kept.status_code == 303 and list(folder.iterdir()) == []
    for data, name in ((sheet, "sheet.html"), (secret, "recovery.json")):
        (folder / name).write_bytes(data)  # for the other tests


def test_pulled_out_it_says_how_it_goes_on(office: Office) -> None:
    stick = office.plug()
    gone = stick.note()["id"]
    stick.pull()
    office.page()
    answer = office.send("/hub/sticks/write", stick=gone)
    assert answer.status_code == 400 and "已经拔掉了" in answer.text


@pytest.mark.parametrize("end", ["turned back", "pulled out"])
def test_a_bad_stick_is_told_of_when_nothing_writes_to_it_any_more(
    end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.sticks.TURN_SECONDS", 0.5)
    monkeypatch.setattr("appliance.sticks.write_plain", lambda place, _: place.write_bytes(b"a fake"))
    for name in (NOTES, TOLD, f"{STICKS}/TOWN"):
        (tmp_path / name).mkdir(parents=True)
    note = Note(id="1", name="TOWN", device="/dev/sdz1", mounted=str(tmp_path / STICKS / "TOWN"))
    write_note(tmp_path, note)
    turning = threading.Event()

    def root() -> None:
        wait_for(lambda: is_to_be_written(tmp_path, note.id))
        write_note(tmp_path, replace(note, access=WRITE))
        wait_for(lambda: not is_to_be_written(tmp_path, note.id))
        # `umount` puts on the disk what was written.
        time.sleep(1.5)
        turning.set()
        if end == "pulled out":
            remove_note(tmp_path, note.name)
        else:
            write_note(tmp_path, note)

    thread = threading.Thread(target=root)
    thread.start()
    with pytest.raises(StorageError) as refusal:
        StickDesk(cast(Hub, None), tmp_path).put_file(note.id, "recovery.json", b"sealed")
    assert refusal.value.code == "E-STICK-BAD" and turning.is_set()
    thread.join()
    assert all(one.access == READ for one in read_notes(tmp_path))


@pytest.mark.slow
def test_a_killed_hub_goes_on_and_nothing_stays_writable(office: Office, published: Path) -> None:
    stick = office.plug()
    # This process only takes the order; others do the work.
    office.app.close()
    job = published / "uploads" / office.write(stick).rpartition("/")[2] / "job.json"
    marker = Path(stick.note()["mounted"]) / MARKER
    with serving(published, office.run) as process:
        deadline = time.monotonic() + 60
        while not marker.exists():
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGKILL)
    assert json.loads(job.read_text())["state"] == "write"
    wait_for(lambda: is_read_only(stick))
    with serving(published, office.run):
        wait_for(lambda: json.loads(job.read_text())["state"] != "write")
    assert json.loads(job.read_text())["state"] == "done", job.read_text()
    assert is_read_only(stick) and not marker.exists()
    assert taken_by_a_box(published, office.base, stick)["fetched_blobs"] >= 24


@contextmanager
def serving(state: Path, run: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the hub in a process of its own."""
    with subprocess.Popen(
        [*command(state, "hub", "serve"), "--host", "127.0.0.1", "--port", "0"],
        env={**environment(), "SHUXIANG_RUN": str(run)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None and json.loads(process.stdout.readline())["address"]
            yield process
        finally:
            process.terminate()
            process.wait(60)
