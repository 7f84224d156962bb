"""制卡 in Chromium: readers listed, schools made from a list, cards confirmed, written by the real writer, recorded."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import waitress
from card_material import MIB, attached, head_of, loop_card, plain_bytes, small_image
from openpyxl import Workbook
from playwright.sync_api import Page, sync_playwright
from small_disk import need_root
from staff_hub import PASSWORD, Staff, StaffHub
from wsgi import stop

from appliance.cards import wire
from appliance.cards.desk import CardDesk
from appliance.cards.writer import Writer, listening_socket
from images import fat_files, records
from images.contents import contents
from images.devices import Device
from webui.hub.app import HubApp

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
SCHOOLS = ["东乡县达板镇拱北湾教学点", "东乡县那勒寺镇大树小学"]


class Room:
    """A hub with two cards in its readers: loop devices that the writer takes for cards, and nothing else."""

    def __init__(self, directory: Path, cards: list[Path]) -> None:
        self.hub = StaffHub(directory)
        self.cards = cards
        self.socket = directory / "writer.sock"
        self._listening = listening_socket(self.socket)
        self.writer = Writer(lambda: datetime.now(UTC), self._is_card)
        self._serving = threading.Thread(target=self._serve, daemon=True)
        self._serving.start()
        (directory / "images").mkdir()
        self.image = small_image(directory / "images")
        self.desk = CardDesk(directory, lambda: "ab" * 32, socket=self.socket, media=())
        self.app: HubApp = self.hub.app(cards=self.desk)

    def _is_card(self, device: Device) -> bool:
        return device.path in self.cards

    def _serve(self) -> None:
        self.writer.serve(self._listening, idle_seconds=None)

    def close(self) -> None:
        self.app.close()
        self.desk.close()
        self.writer.close()
        self._serving.join()
        self._listening.close()
        self.hub.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with ExitStack() as undo:
        cards = [undo.enter_context(loop_card(size * MIB)) for size in (64, 56)]
        room = Room(tmp_path / "hub", cards)
        undo.callback(room.close)
        yield room


def school_list(path: Path) -> Path:
    book = Workbook()
    sheet = book.active
    sheet.append(["学校名称", "学校标识码", "学段", "年级"])
    for number, name in enumerate(SCHOOLS):
        sheet.append([name, f"36229260{number:02}", "小学", "一年级、二年级"])
    sheet.append([SCHOOLS[0], "", "小学", "一年级"])
    book.save(path)
    return path


@contextmanager
def browsing(room: Room) -> Iterator[tuple[Page, str]]:
    """Give a page without scripts, logged in, and the hub's address."""
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    server = waitress.create_server(room.app, host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.effective_port}"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
            context = browser.new_context(
                java_script_enabled=False, viewport={"width": 1024, "height": 768}, locale="zh-CN"
            )
            page = context.new_page()
            page.goto(f"{url}/hub/")
            page.fill("#user", "admin")
            page.fill("#password", PASSWORD)
            page.click("button[type=submit]")
            page.wait_for_selector(".way")
            yield page, url
            browser.close()
    finally:
        stop(server, thread)


def test_from_a_list_of_schools_to_cards_without_scripts(room: Room, tmp_path: Path) -> None:
    with browsing(room) as (page, url):
        page.click("text=制卡")
        page.set_input_files("#table", school_list(tmp_path / "学校.xlsx"))
        page.click("text=做学校设置")
        page.wait_for_selector("text=有 1 处要改")
        page.click("text=回到制卡")
        page.wait_for_selector("text=已有 2 个学校的设置，其中 0 个写过卡。")
        with page.expect_download() as sheet:
            page.click("text=下载密码表")
        assert sheet.value.suggested_filename == "密码表.xlsx"
        for number, card in enumerate(room.cards):
            page.check(f"input[name=device][value={card.name}]")
            page.select_option(f"#school-{card.name}", index=number + 1)
        page.click("text=下一步：核对")
        page.wait_for_selector("text=写这 2 张卡？")
        assert SCHOOLS[0] in page.content() and "找不回来" in page.content()
        page.click("text=清空并写卡")
        page.wait_for_selector("text=写好了，可以拔出 >> nth=1", timeout=60_000)
        page.click("text=制卡记录")
        page.wait_for_selector("text=共 2 条")
        page.goto(f"{url}/hub/cards")
        page.wait_for_selector("text=其中 2 个写过卡")
        page.goto(f"{url}/hub/log")
        assert "制卡" in page.content() and "下载密码表" in page.content()
    keys = [school.key for school in room.desk.schools()]
    for key, card in zip(keys, room.cards, strict=True):
        head = head_of(card)
        assert head == plain_bytes()[:MIB]
        text = fat_files.read_file(card, fat_files.fat_of(head), "shuxiang.toml").decode()
        assert key.split("-", 1)[1] in text
    lines = records.read_lines(room.desk.record())
    assert sorted(line.school for line in lines) == keys and all(line.is_done for line in lines)


@pytest.mark.parametrize("width", [360, 1024, 1920])
def test_the_pages_fit_every_width(room: Room, tmp_path: Path, width: int) -> None:
    room.desk.make_schools(school_list(tmp_path / "学校.xlsx"), "http://hub.local")
    with browsing(room) as (page, url):
        page.set_viewport_size({"width": width, "height": 800})
        for address in ("/hub/cards", "/hub/cards/disks", "/hub/cards/work", "/hub/cards/record"):
            page.goto(url + address)
            over = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert over == 0, address
            small = page.evaluate(
                """[...document.querySelectorAll('a, button, select, input:not([type=hidden]):not([type=radio]):not([type=checkbox])')].filter(one => {
                     const box = one.getBoundingClientRect();
                     return box.width > 0 && box.height < 40 && !one.closest('td, p, .skip');
                   }).map(one => one.outerHTML.slice(0, 120))"""
            )
            assert small == [], address


@pytest.fixture
def cellar(tmp_path: Path) -> Iterator[Room]:
    """A hub with two disks plugged in: an empty one, and a family's photographs."""
    need_root("a loop device")
    with ExitStack() as undo:
        disks = []
        for name, label in (("empty", ""), ("photos", "全家福")):
            backing = tmp_path / name
            with backing.open("wb") as file:
                file.truncate(1100 * MIB)
            if label:
                subprocess.run(["mkfs.ext4", "-q", "-F", "-L", label, backing], check=True)
            disks.append(undo.enter_context(attached(backing)))
        room = Room(tmp_path / "hub", disks)
        undo.callback(room.close)
        yield room


def test_data_disks_are_made_without_scripts(cellar: Room) -> None:
    photos = cellar.cards[1]
    with browsing(cellar) as (page, url):
        page.click("nav >> text=制盘")
        page.click("text=制盘：做数据盘")
        page.wait_for_selector("text=空盘")
        assert "盘上有：ext4“全家福”，共 1.2 GB" in page.content()
        for disk in cellar.cards:
            page.check(f"input[name=device][value={disk.name}]")
        page.click("text=下一步：核对")
        page.wait_for_selector("text=把这 2 个盘做成数据盘？")
        assert page.locator("input[name=erase]").count() == 1
        page.click("text=清空并制盘")
        assert page.url.endswith("/hub/cards/disks/look"), "the browser asks for the tick"
        page.check(f"input[name=erase][value={photos.name}]")
        page.click("text=清空并制盘")
        page.wait_for_selector("text=写好了，可以拔出 >> nth=1", timeout=90_000)
        page.goto(f"{url}/hub/cards/disks")
        page.wait_for_selector("text=空的数据盘 >> nth=1")
        page.goto(f"{url}/hub/cards/record")
        assert page.content().count("数据盘 data disk") == 2
        page.goto(f"{url}/hub/log")
        assert "制盘" in page.content()
    lines = records.read_lines(cellar.desk.record())
    assert len({line.version for line in lines}) == 2 and all(line.is_done for line in lines)
    for disk in cellar.cards:
        (content,) = contents(disk, 1100 * MIB)
        assert content.is_data_disk and content.is_bare


def test_a_disk_with_something_on_it_is_not_erased_by_mistake(cellar: Room) -> None:
    staff = Staff(cellar.app)
    staff.log_in()
    page = staff.read("/hub/cards/disks").text
    assert "全家福" in page
    photos = cellar.cards[1]
    seals = {device.key: device.seal for device in cellar.desk.standing().devices}
    wished: dict[str, object] = {"device": photos.name, f"seal-{photos.name}": seals[photos.name]}
    refused = staff.send("/hub/cards/disks/make", **wished)
    assert refused.status_code == 400 and "E-CARD-HOLDS" in refused.text and "全家福" in refused.text
    for form, code in (
        ({}, "E-CARD-CHOICE"),
        (wished | {f"seal-{photos.name}": "another"}, "E-CARD-OTHER"),
        ({"device": "vda", "seal-vda": "x", "erase": "vda"}, "E-CARD-NONE"),
        ({"device": "../vda", "seal-../vda": "x", "erase": "../vda"}, "E-CARD-NONE"),
    ):
        refused = staff.send("/hub/cards/disks/make", **form)
        assert refused.status_code == 400 and code in refused.text
    gone = staff.send("/hub/cards/disks/look", device="vda")
    assert gone.status_code == 400 and "E-CARD-CHANGED" in gone.text
    assert staff.post("/hub/cards/disks/make", data=wished | {"token": "0"}).status_code == 403
    assert Staff(cellar.app).post("/hub/cards/disks/make", data=wished).status_code == 403
    (content,) = contents(photos, 1100 * MIB)
    assert content.label == "全家福"


@pytest.fixture
def staff(room: Room) -> Staff:
    staff = Staff(room.app)
    staff.log_in()
    staff.read("/hub/cards")
    return staff


def fields(room: Room, *cards: int, **more: str) -> dict[str, object]:
    devices = {device.key: device for device in room.desk.standing().devices}
    names = [room.cards[number].name for number in cards]
    (image,) = room.desk.images()
    return {
        "image": image.key, "device": names, **{f"seal-{name}": devices[name].seal for name in names}, **more
    }  # fmt: skip


def test_what_changed_since_the_page_was_read_is_not_written(room: Room, staff: Staff) -> None:
    wished = fields(room, 0)
    before = room.cards[0].read_bytes()
    other = staff.send("/hub/cards/write", **wished | {f"seal-{room.cards[0].name}": "another card"})
    assert other.status_code == 400 and "E-CARD-OTHER" in other.text
    gone = staff.send("/hub/cards/look", **wished | {"device": "sda"})
    assert gone.status_code == 400 and "E-CARD-CHANGED" in gone.text
    for place in ("../../vda", "/dev/vda", "vda", ""):
        refused = staff.send("/hub/cards/write", **wished | {"device": place, f"seal-{place}": "x"})
        assert refused.status_code == 400 and "E-CARD-" in refused.text
    forged = staff.post("/hub/cards/write", data=wished | {"token": "0"})
    assert forged.status_code == 403
    nobody = Staff(room.app).post("/hub/cards/write", data=wished)
    assert nobody.status_code == 403
    assert room.cards[0].read_bytes() == before


def test_an_equal_card_put_in_meanwhile_is_not_written(room: Room, staff: Staff, tmp_path: Path) -> None:
    wished, card = fields(room, 0), room.cards[0]
    equal = tmp_path / "equal"
    equal.write_bytes(bytes(64 * MIB))
    subprocess.run(["losetup", "-d", card], check=True)
    subprocess.run(["losetup", card, equal], check=True)
    looked = staff.send("/hub/cards/look", **wished)
    assert looked.status_code == 400 and "E-CARD-CHANGED" in looked.text
    refused = staff.send("/hub/cards/write", **wished)
    assert refused.status_code == 400 and "E-CARD-OTHER" in refused.text
    assert not any(equal.read_bytes())


def test_an_old_kernel_counts_no_media(room: Room, staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.cards.wire.DISKS", Path("/nonexistent"))
    assert staff.send("/hub/cards/look", **fields(room, 0)).status_code == 200


def test_a_card_is_stopped_and_the_record_says_so(room: Room, staff: Staff) -> None:
    assert staff.send("/hub/cards/write", **fields(room, 0)).status_code == 303
    staff.read("/hub/cards/work")
    (work,) = room.desk.standing().works
    staff.send("/hub/cards/stop", work=work.id)
    until = time.monotonic() + 20
    while not room.desk.standing().works[0].is_over:
        assert time.monotonic() < until
        time.sleep(0.05)
    (line,) = room.desk.lines()
    if not line.is_done:
        assert "E-CARD-STOPPED" in line.result and not any(head_of(room.cards[0]))
    staff.read("/hub/cards/work")
    staff.send("/hub/cards/dismiss")
    assert room.desk.standing().works == ()


def test_without_the_writer_the_page_says_whom_to_ask(tmp_path: Path) -> None:
    hub = StaffHub(tmp_path / "hub")
    desk = CardDesk(tmp_path / "hub", lambda: "ab" * 32, socket=tmp_path / "none.sock", media=())
    app = hub.app(cards=desk)
    staff = Staff(app)
    staff.log_in()
    page = staff.get("/hub/cards")
    assert page.status_code == 200 and "E-CARD-WRITER" in page.text and "还没有镜像" in page.text
    assert "/hub/cards" not in Staff(hub.app()).get("/hub/login").text
    app.close()
    desk.close()
    hub.close()


def test_the_writer_answers_anything_with_a_refusal(room: Room) -> None:
    for said in (
        b"",
        b"{",
        b"[]",
        b'{"do":"rm"}',
        b'{"do":"write"}',
        b'{"do":"format"}',
        b'{"do":"format","targets":[]}',
        b'{"do":"format","targets":[{"device":"vda","seal":"","erase":true}]}',
        b'{"do":"look"}',
        b'{"do":"stop","work":"x"}',
        b"\xff" * 100,
    ):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(room.socket))
            line.sendall(said)
            line.shutdown(socket.SHUT_WR)
            answer = line.recv(65536)
        assert not answer or "refused" in json.loads(answer)
    assert wire.ask(room.socket, {"do": "standing"})["works"] == []
