"""Takes the pictures of the technician's road: cards, settings, the first start, the page, a missing disk, a stick.

Pages, templates and words are the program's own, of the sample county's hub and box. What stands in readers and
sockets is a sample: no card is written, no stick is mounted.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import waitress
from camera import MANUAL, launched, log_in, opened, save, save_at, save_text
from openpyxl import Workbook
from playwright.sync_api import Page, Playwright

from appliance.box import Box
from appliance.demo.run import BOX_NAME, LOOPBACK, Demo
from appliance.disks.page import page as disk_page
from appliance.disks.telling import Told
from appliance.firstboot.apply import first_boot
from appliance.firstboot.template import write_request
from appliance.hub import Hub
from appliance.hub_service import HubWork
from appliance.names.labels import BOX_WORD, own_word
from appliance.operations import BoxOperations
from catalog.clock import CHINA
from catalog.errors import StorageError
from catalog.finder import Finder
from catalog.stick import Phase, Stick
from webui.app import create_box_app
from webui.hub.app import create_hub_app
from webui.hub.card_operations import (
    CardContents,
    CardDevice,
    CardImage,
    CardOperations,
    CardSchool,
    CardStanding,
    CardWork,
)
from webui.hub.operations import HubSettings
from webui.operations import BoxSettings, Reach

VERSION = "0.1.0"
BOX_HOST, HUB_HOST = "shuxiang.local", "shuxiang-hub.local"
BOX_ADDRESS, HUB_ADDRESS = "192.168.1.20", "http://192.168.1.10"
SCHOOLS = ("3362000123-石桥教学点", "3362000124-大树小学")
STICK_NAME = "青禾县资源盘"
GB = 10**9
READERS: tuple[CardDevice, ...] = tuple(
    CardDevice(
        key=key, model="Generic SD/MMC", serial=serial, bus="usb", size_bytes=size, is_read_only=False, seal=key
    )
    for key, serial, size in (("sdb", "058F63666485", 31_914 * 10**6), ("sdc", "058F63666486", 31_266 * 10**6))
)  # fmt: skip
SSD = CardDevice(
    key="sdd", model="Kingston XS1000", serial="50026B7282A1", bus="usb", size_bytes=1_000_204_886_016,
    is_read_only=False, seal="sdd",
)  # fmt: skip
IMAGES = [
    CardImage(
        key=board, name=f"书箱（学校）Shuxiang box {board} {VERSION}", board=board, role="box", date="2026-11-22",
        size_bytes=3_600 << 20, packed_bytes=322 * 10**6, place="",
    )
    for board in ("pc", "rpi")
]  # fmt: skip


class SampleCards:
    """Fulfils `CardOperations` with two cards in readers or one empty disk, as far as the pages that are shown ask for it."""

    def __init__(self) -> None:
        self.devices = READERS
        self.works: tuple[CardWork, ...] = ()

    def standing(self) -> CardStanding:
        busy = {work.device.key for work in self.works if not work.is_over}
        return CardStanding(
            devices=tuple(one for one in self.devices if one.key not in busy), works=self.works
        )

    def contents(self, devices: list[str]) -> dict[str, CardContents]:
        return {key: CardContents() for key in devices}

    def images(self) -> list[CardImage]:
        return IMAGES

    def schools(self) -> list[CardSchool]:
        return [CardSchool(key=key, written=None) for key in SCHOOLS]

    def passwords(self) -> Path | None:
        return Path("密码表.xlsx")

    def write(self, image: str, wishes: list[Any]) -> None:
        name = next(one.name for one in IMAGES if one.key == image)
        by_key = {device.key: device for device in READERS}
        self.works = tuple(
            CardWork(
                id=wish.device, is_disk=False, device=by_key[wish.device], image=name, school=wish.school, phase=phase,
                percent=percent, bytes_per_second=speed, seconds_left=seconds,
            )
            for wish, (phase, percent, speed, seconds) in zip(
                wishes, (("check", 37.0, 38_200_000, 62), ("write", 71.0, 19_800_000, 55)), strict=True
            )
        )  # fmt: skip

    def end(self) -> None:
        """All that is being written is written."""
        self.works = tuple(
            CardWork(
                id=one.id, is_disk=False, device=one.device, image=one.image, school=one.school, phase="done"
            )
            for one in self.works
        )


def take_technician(playwright: Playwright, county: Demo, state: Path) -> None:
    """Take all pictures of the manual that the sample county's hub and box below `state` show."""
    cards, folder = SampleCards(), state / "stand"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    mounts = teachers_disk(folder)
    with hub_pages(state / "hub", cards, folder, mounts) as (address, rules):
        browser = launched(playwright, rules)
        with opened(browser) as page:
            log_in(page, address, county.user, county.password)
            take_cards(page, address, cards)
            take_disks(page, address, cards)
            take_from_disk(page, address)
        browser.close()
    sticks: list[Stick] = []
    with box_pages(state / "box", lambda: tuple(sticks)) as (address, rules):
        browser = launched(playwright, rules)
        with opened(browser) as page:
            take_first_boot(page, folder)
            take_box(page, address, sticks)
            take_missing_disk(page)
        browser.close()


def take_cards(page: Page, address: str, cards: SampleCards) -> None:
    """Take 制卡 before, while and after two cards are written."""
    page.goto(f"{address}/hub/cards", wait_until="networkidle")
    for device, school in zip(READERS, SCHOOLS, strict=True):
        page.check(f"input[name=device][value={device.key}]")
        page.select_option(f"#school-{device.key}", school)
    page.evaluate("document.activeElement.blur()")
    save(page, f"cards-choose-{MANUAL}", height=_end(page, "form[action='/hub/cards/look']"))
    top = _end(page, "form[action='/hub/cards/look']")
    save(page, f"cards-schools-{MANUAL}", top=top, height=_end(page, "main") - top)
    page.click("form[action='/hub/cards/look'] button.main")
    page.wait_for_selector("form[action='/hub/cards/write']")
    save(page, f"cards-confirm-{MANUAL}", height=_end(page, "main"))
    page.click("form[action='/hub/cards/write'] button")
    page.wait_for_selector("progress")
    save(page, f"cards-work-{MANUAL}", height=_end(page, "main"))
    cards.end()
    page.goto(f"{address}/hub/cards/work", wait_until="networkidle")
    save(page, f"cards-done-{MANUAL}", height=_end(page, "main"))


def take_disks(page: Page, address: str, cards: SampleCards) -> None:
    """Take 制盘 with a new disk plugged in, before it is made a data disk."""
    cards.devices, cards.works = (SSD,), ()
    page.goto(f"{address}/hub/cards/disks", wait_until="networkidle")
    page.check(f"input[name=device][value={SSD.key}]")
    page.evaluate("document.activeElement.blur()")
    save(page, f"disks-choose-{MANUAL}", height=_end(page, "main"))


def take_from_disk(page: Page, address: str) -> None:
    """Take what the clerk sees of a disk that is plugged in, and a release that was signed."""
    page.goto(f"{address}/hub/take", wait_until="networkidle")
    save(page, f"hub-disk-{MANUAL}")
    page.click(".disks a")
    page.wait_for_selector("form.box")
    page.click(".disks a")
    page.wait_for_selector("input[name=folder][value='三年级数学']", state="attached")
    save(page, f"hub-folder-{MANUAL}", height=_end(page, "main"))
    page.goto(f"{address}/hub/publish")
    page.click("form[action='/hub/publish'] button")
    page.wait_for_selector(".seal", timeout=120_000)
    save(page, f"hub-released-{MANUAL}", height=_end(page, "main"))


def take_first_boot(page: Page, folder: Path) -> None:
    """Take the settings as they are filled in, and what a real first start with them, and with wrong ones, answers."""
    settings = {"role": "box", "name": BOX_NAME, "hub.url": HUB_ADDRESS, "hub.fingerprint": "3f9a" * 16}
    request = write_request(settings, {"admin_password": "qinghe-2026"})
    lines = request.decode("utf-8-sig").splitlines()
    until = next(number for number, line in enumerate(lines) if line.startswith("[scope]")) - 2
    fill = ("name =", "admin_password =", "url =", "fingerprint =")
    save_text(page, f"card-settings-{MANUAL}", "shuxiang.toml", lines[:until], fill)
    wrong = request.decode("utf-8-sig").replace("qinghe-2026", "123").replace('name = "', "nmae = “")
    for name, data in (("card-result", request), ("card-result-wrong", wrong.encode())):
        card, root = folder / name / "card", folder / name / "root"
        for one in (card, root):
            one.mkdir(parents=True)
        (card / "shuxiang.toml").write_bytes(data)
        first_boot(card, folder / name / "state", root, lambda: datetime.now(UTC))
        text = (card / "shuxiang-result.txt").read_text(encoding="utf-8-sig")
        save_text(
            page, f"{name}-{MANUAL}", "shuxiang-result.txt", text.partition("\n\n")[0].splitlines(), ("结果",)
        )


def take_box(page: Page, address: str, sticks: list[Stick]) -> None:
    """Take the page as a classroom opens it by its name, how to open it, and a stick from its plugging in to its end."""
    page.goto(address, wait_until="networkidle")
    save_at(page, f"box-opened-{MANUAL}", f"{address}/", height=560)
    page.goto(f"{address}/reach", wait_until="networkidle")
    save_at(page, f"box-reach-{MANUAL}", f"{address}/reach", height=_end(page, "main"))
    sticks[:] = [Stick(name=STICK_NAME, phase=Phase.IMPORTING, percent=45)]
    page.goto(address, wait_until="networkidle")
    save(page, f"stick-importing-{MANUAL}", height=480)
    sticks[:] = [Stick(name=STICK_NAME, phase=Phase.DONE, files=312)]
    page.goto(f"{address}/stick", wait_until="networkidle")
    save(page, f"stick-done-{MANUAL}", height=_end(page, "main"))


def take_missing_disk(page: Page) -> None:
    """Take the plain page of a box whose data disk is not there."""
    failure = StorageError("E-DATA-MISSING", expected="5c1d0f7e-6f1b-4a52-9a3e-0b8f2d7c4e19")
    page.goto("about:blank")
    page.set_content(disk_page(Told(failure=failure)).decode(), wait_until="load")
    save(page, f"disk-missing-{MANUAL}", height=_end(page, "body"))


def _end(page: Page, selector: str) -> int:
    """Return where the last of an element's content ends on the page, with some room below."""
    bottom = page.evaluate(
        "(one) => document.querySelector(one).getBoundingClientRect().bottom + scrollY", selector
    )
    return int(bottom) + 8


def teachers_disk(folder: Path) -> Path:
    """Make the disk that a clerk brings, and return what lists it in the place of proc(5)'s mountinfo."""
    disk = folder / "media" / "张老师的U盘"
    lessons = disk / "三年级数学"
    lessons.mkdir(parents=True)
    (disk / "照片").mkdir()
    for name in ("分数的初步认识.mp4", "分数的初步认识.pptx", "课后练习.pdf"):
        (lessons / name).touch()
    book = Workbook()
    sheet = book.active
    sheet.append(("标题", "类型", "学段", "年级", "学科", "版本", "册次", "单元", "课", "文件", "授权"))
    book.save(lessons / "清单.xlsx")
    mounts = folder / "mounts"
    mounts.write_bytes(f"36 1 8:17 / {disk} rw - exfat /dev/sdb1 rw\n".encode())
    return mounts


@contextmanager
def hub_pages(directory: Path, cards: SampleCards, folder: Path, mounts: Path) -> Iterator[tuple[str, str]]:
    """Serve the staff pages of the hub with sample cards and a sample disk; see `_served`."""
    with Hub.open(directory) as hub:
        settings = HubSettings(
            hub_id=hub.id,
            name=hub.config.name,
            version=VERSION,
            secret=hub.secret(),
            uploads=hub.directory / "uploads",
            blobs=hub.directory / "blobs",
            licence=hub.config.licence,
            clock=lambda: hub.clock().astimezone(CHINA),
            media=(folder / "media",),
            mounts=mounts,
            cards=cast(CardOperations, cards),
        )
        pages = create_hub_app(hub.library, hub.local, HubWork(hub), settings)
        with _served(pages, HUB_HOST) as served:
            yield served
        pages.close()


@contextmanager
def box_pages(directory: Path, sticks: Callable[[], tuple[Stick, ...]]) -> Iterator[tuple[str, str]]:
    """Serve the pages of the box with sample sticks, as a school's network reaches it; see `_served`."""
    box = Box.open(directory)
    settings = BoxSettings(
        box_id=box.id,
        name=box.config.name,
        version=VERSION,
        secret=bytes(32),
        package_port=0,
        clock=box.shown_now,
        clock_mark=box.clock_mark,
        blobs=box.directory / "blobs",
        reach=lambda: Reach(names=(BOX_WORD, own_word(box.config.name, box.id)), addresses=(BOX_ADDRESS,)),
        sticks=sticks,
    )
    pages = create_box_app(
        box.library, Finder(box.library, box.index), box.blobs, box.local, BoxOperations(box), settings
    )
    with _served(pages, BOX_HOST) as served:
        yield served
    pages.close()
    box.close()


@contextmanager
def _served(application: Any, host: str) -> Iterator[tuple[str, str]]:
    """Serve on a free port; give the address by name, and the browser's argument that leads there."""
    server = waitress.create_server(application, host=LOOPBACK, port=0, threads=4)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield f"http://{host}", f"--host-resolver-rules=MAP {host}:80 {LOOPBACK}:{server.effective_port}"
    finally:
        server.close()
        thread.join(10)
