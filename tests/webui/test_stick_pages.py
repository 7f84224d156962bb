"""What pages say of a stick that is plugged in: on a box at the top of every page, on a hub where content is taken."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright
from plugged_sticks import device, image, plugged, wait_for
from school import School, listening, village_school
from staff_hub import PASSWORD, Staff, StaffHub, county_batch
from werkzeug.test import Client
from wsgi import stop

from appliance.hub import Hub
from appliance.hub_service import hub_application
from appliance.plugging.notes import read_notes, stick_of_note
from catalog.stick import Phase, Stick
from webui.app import create_box_app
from webui.hub.jobs import DONE, FAILED, REVIEW

SIZES = ((360, 640), (1024, 768), (1920, 1080))
PAGES = ("/", "/browse", "/search?q=fs", "/reach", "/admin/")
IMPORTING = Stick(name="KINGSTON", phase=Phase.IMPORTING, percent=45)
STICKS = (
    IMPORTING,
    Stick(name="青禾县三年级上册数学资源盘", phase=Phase.DONE, files=1234),
    Stick(name="old", phase=Phase.WRONG, code="E-ROLLBACK"),
    Stick(name="S1", phase=Phase.WRONG, code="E-DISK-FULL"),
    Stick(name="课件", phase=Phase.PLAIN, suspects=("autorun.inf", "<b>数学</b>.exe")),
    Stick(name="KINGSTON", phase=Phase.PULLED),
    Stick(name="older", phase=Phase.WRONG, code="E-ROLLBACK", files=9),
)


class Plugging:
    """A school whose pages are told of the sticks in `sticks`."""

    def __init__(self, directory: Path) -> None:
        self.school: School = village_school(directory, grades=("g3",))
        self.sticks: tuple[Stick, ...] = ()
        school = self.school
        self.app = create_box_app(
            school.library,
            school.finder,
            school.store.blobs,
            school.local,
            school.operations,
            school.settings(8081, sticks=lambda: self.sticks),
        )
        self.client = Client(self.app)

    def text(self, path: str, **more: Any) -> str:
        return self.client.get(path, **more).get_data(as_text=True)


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugging]:
    made = Plugging(tmp_path_factory.mktemp("plugging"))
    yield made
    made.app.close()
    made.school.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        yield chromium
        chromium.close()


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("one", STICKS, ids=lambda stick: f"{stick.phase}{stick.code}")
def test_every_page_says_it_in_both_languages(path: str, one: Stick, box: Plugging) -> None:
    box.sticks = (one,)
    for language in ("zh-CN", "en"):
        text = box.text(path, headers={"Accept-Language": language})
        assert text.count(one.line(language)) == 1
        assert 'href="/stick"' in text
    box.sticks = ()
    assert "KINGSTON" not in box.text(path) and 'href="/stick"' not in box.text(path)


def test_a_kept_page_follows_the_import_and_is_unchanged_else(box: Plugging) -> None:
    box.sticks = (IMPORTING,)
    first = box.client.get("/browse")
    again = box.client.get("/browse", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    box.sticks = (Stick(name="KINGSTON", phase=Phase.IMPORTING, percent=46),)
    moved = box.client.get("/browse", headers={"If-None-Match": first.headers["ETag"]})
    assert moved.status_code == 200 and "46%" in moved.get_data(as_text=True)
    assert "Set-Cookie" not in moved.headers


def test_what_was_long_ago_is_told_on_its_own_page_alone(box: Plugging) -> None:
    box.sticks = (Stick(name="KINGSTON", phase=Phase.DONE, files=3, recent=False),)
    assert "KINGSTON" not in box.text("/")
    assert "新到 3 个文件" in box.text("/stick")


def test_the_page_of_sticks_reloads_only_while_something_moves(box: Plugging) -> None:
    box.sticks = ()
    assert "现在没有插 U 盘" in box.text("/stick") and "refresh" not in box.text("/stick")
    for one in STICKS:
        box.sticks = (one,)
        text = box.text("/stick")
        assert text.count(one.line("zh-CN")) == 1, "its own page has no banner"
        assert ('http-equiv="refresh"' in text) is (one.phase in (Phase.WAITING, Phase.IMPORTING))
    assert "autorun.inf" not in text


def test_names_from_a_stick_are_text(box: Plugging) -> None:
    box.sticks = (STICKS[4],)
    text = box.text("/stick")
    assert "&lt;b&gt;数学&lt;/b&gt;.exe" in text and "<b>数学" not in text


def test_every_way_to_end_says_when_to_pull_it_out() -> None:
    for one in STICKS:
        if one.phase in (Phase.DONE, Phase.WRONG):
            assert "可以拔出了" in one.line("zh-CN") and "pull it out" in one.line("en")
    assert "E-HASH" in Stick(name="x", phase=Phase.WRONG, code="E-HASH").line("zh-CN")
    assert Stick(name="x", phase=Phase.WRONG, code="no such code").line("en")
    assert "还缺" in Stick(name="x", phase=Phase.DONE, code="E-ROAD-MISSING").line("zh-CN")
    assert "都有了" in Stick(name="x", phase=Phase.DONE).line("zh-CN")


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}")
def test_the_banner_fits_every_screen(size: tuple[int, int], browser: Browser, box: Plugging) -> None:
    box.sticks = STICKS
    port = _free_port()
    server = listening(box.app, port, _free_port())
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, locale="zh-CN")
    try:
        page = context.new_page()
        for path in ("/", "/stick"):
            page.goto(f"http://127.0.0.1:{port}{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        page.goto(f"http://127.0.0.1:{port}/")
        for link in page.query_selector_all(".stick a"):
            found = link.bounding_box()
            assert found is not None and found["height"] >= 44, "a finger hits it"
    finally:
        context.close()
        stop(server, thread)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_disk_plugged_into_the_hub_is_listed_opened_and_taken(tmp_path: Path) -> None:
    run = tmp_path / "run"

    def fill(root: Path) -> None:
        county_batch(root / "三年级上册", lessons=2, sound=False)
        (root / "三年级上册.exe").write_bytes(b"MZ")

    disk = image(tmp_path / "disk.img", "exfat", fill, label="资源盘")
    noise = tmp_path / "noise.img"
    noise.write_bytes(bytes(range(256)) * 4096)
    hub = StaffHub(tmp_path / "hub")
    app = hub.app(
        media=(run / "sticks",), sticks=lambda: tuple(stick_of_note(note) for note in read_notes(run))
    )
    staff = Staff(app)
    staff.log_in()
    try:
        with (
            device(disk, "exfat") as path,
            plugged(run, hub.directory, path, tmp_path / "said") as good,
            plugged(run, hub.directory, noise, tmp_path / "noise-said") as bad,
        ):
            good.note(), bad.note()
            text = staff.read("/hub/take").text
            assert "资源盘" in text and "三年级上册.exe" in text and "E-STICK-KIND" in text
            key = text.partition("/hub/take/disk/")[2].partition('"')[0]
            address = f"/hub/take/disk/{key}"
            assert "三年级上册" in staff.read(address).text
            answer = staff.send(address, folder="三年级上册", bundle="main", licence="")
            job_id = answer.headers["Location"].rpartition("/")[2]
            wait_for(lambda: _state(app, job_id) == REVIEW)
            staff.send(f"/hub/batches/{job_id}/accept")
            wait_for(lambda: _state(app, job_id) == DONE)
        assert "资源盘" not in staff.read("/hub/take").text
    finally:
        app.close()
        hub.close()


def test_another_stick_of_the_same_name_is_not_taken_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    monkeypatch.setenv("SHUXIANG_RUN", str(run))

    def disk(name: str, lessons: int) -> Path:
        return image(
            tmp_path / f"{name}.img", "exfat", lambda root: county_batch(root / "数学", lessons=lessons, sound=False),
            label="资源盘",
        )  # fmt: skip

    first, second = disk("first", 2), disk("second", 4)
    hub, _ = Hub.create(tmp_path / "hub", "青禾县", password=PASSWORD)
    app = hub_application(hub)
    staff = Staff(app)
    staff.log_in()

    @contextmanager
    def plugged_in(which: Path) -> Iterator[str]:
        said = tmp_path / "said"
        with device(which, "exfat") as path, plugged(run, hub.directory, path, said) as stick:
            assert stick.note()["name"] == "资源盘"
            text = wait_for(lambda: text if "资源盘" in (text := staff.read("/hub/take").text) else None)
            yield "/hub/take/disk/" + text.partition("/hub/take/disk/")[2].partition('"')[0]

    def state() -> str:
        job = hub.directory / "uploads" / batch.rpartition("/")[2] / "job.json"
        return str(json.loads(job.read_bytes())["state"])

    def decided(decision: str, end: str) -> str:
        staff.send(f"{batch}/{decision}")
        wait_for(lambda: state() == end)
        return staff.read(batch, headers={"Accept-Language": "zh-CN"}).text

    try:
        with plugged_in(first) as address:
            answer = staff.send(address, folder="数学", bundle="main", licence="")
            batch = answer.headers["Location"]
            wait_for(lambda: state() == REVIEW)
        with plugged_in(second):
            assert "这不是检查过的那个盘" in decided("accept", FAILED)
            assert "E-STICK-CHANGED" in decided("try-again", FAILED)
        assert "E-PULLED" in decided("try-again", FAILED)
        with plugged_in(first):
            decided("try-again", DONE)
        with hub.library.reading() as reader:
            assert reader.counts().resources == 3
    finally:
        app.close()
        hub.close()


def _state(app: Any, job_id: str) -> str:
    job = app.console.jobs.get(job_id)
    assert job is not None
    return str(job.state)
