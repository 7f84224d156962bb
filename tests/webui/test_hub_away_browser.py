"""What leaves the hub by hand, in Chromium without scripts: the recovery sheet and file, a stick; every width."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import waitress
from playwright.sync_api import Page, sync_playwright
from plugged_sticks import image, plugged, writable_device
from staff_hub import PASSWORD
from sticks import need
from supplier import write_folder
from wsgi import stop

from appliance.hub import Hub
from appliance.hub_service import hub_application
from appliance.plugging.notes import TOLD
from sync.trust.sheet import passphrase_on

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
SIZES = {360: 640, 1024: 768, 1920: 1080}
SMALL = """[...document.querySelectorAll('a, button, select, input:not([type=hidden]):not([type=radio]):not([type=checkbox])')].filter(one => {
  const box = one.getBoundingClientRect();
  return box.width > 0 && box.height < 40 && !one.closest('td, p, .skip');
}).map(one => one.outerHTML.slice(0, 120))"""


@dataclass
class Desk:
    """A hub that serves, and a page of its clerk's browser."""

    state: Path
    run: Path
    url: str
    page: Page

    def check(self) -> None:
        """Look at the page at every width."""
        for width, height in SIZES.items():
            self.page.set_viewport_size({"width": width, "height": height})
            over = self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            assert over == 0, (self.page.url, width)
            assert self.page.evaluate(SMALL) == [], (self.page.url, width)

    def log_in(self) -> None:
        self.page.goto(f"{self.url}/hub/")
        self.page.fill("#user", "admin")
        self.page.fill("#password", PASSWORD)
        self.page.click("button[type=submit]")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    run, state = tmp_path / "run", tmp_path / "hub"
    monkeypatch.setenv("SHUXIANG_RUN", str(run))
    (run / TOLD).mkdir(parents=True)
    with ExitStack() as undo:
        opened, _ = Hub.create(state, "青禾县电教馆", password=PASSWORD)
        hub = undo.enter_context(opened)
        write_folder(tmp_path / "files", files=4, size_bytes=300_000)
        with hub.ingesting(tmp_path / "files") as session:
            session.run()
        hub.publish()
        app = hub_application(hub)
        undo.callback(app.close)
        server = waitress.create_server(app, host="127.0.0.1", port=0, threads=4)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        undo.callback(stop, server, thread)
        chromium = undo.enter_context(sync_playwright()).chromium
        browser = chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        undo.callback(browser.close)
        page = browser.new_context(java_script_enabled=False, locale="zh-CN").new_page()
        yield Desk(state, run, f"http://127.0.0.1:{server.effective_port}", page)


def test_the_recovery_sheet_and_file_are_put_away(desk: Desk, tmp_path: Path) -> None:
    page = desk.page
    desk.log_in()
    page.wait_for_selector("text=还没有收好")
    desk.check()
    page.click("text=去收好")
    page.wait_for_selector('h1:has-text("恢复单和恢复文件")')
    desk.check()
    page.fill("#password-sheet", PASSWORD)
    with page.context.expect_page() as opened:
        page.click('button:has-text("打开恢复单")')
    sheet = opened.value
    sheet.wait_for_selector("text=恢复口令")
    passphrase = passphrase_on((desk.state / "recovery" / "sheet.html").read_text("utf-8"))
    assert passphrase in sheet.inner_text("body")
    assert sheet.evaluate("getComputedStyle(document.querySelector('.box')).borderTopStyle") == "solid"
    sheet.close()
    page.click("text=以后再做")
    page.click("text=去收好")
    page.fill("#password-file", PASSWORD)
    with page.expect_download() as download:
        page.click('button:has-text("下载 recovery.json")')
    kept = tmp_path / "stick" / download.value.suggested_filename
    download.value.save_as(kept)
    page.set_input_files("#file", kept)
    page.fill("#group", "AAAAA")
    page.click("text=核对，并从主机上删除")
    page.wait_for_selector("text=和纸上的最后一组对不上")
    page.set_input_files("#file", kept)
    page.fill("#group", passphrase[-5:].lower())
    page.click("text=核对，并从主机上删除")
    page.wait_for_selector("text=已经收好")
    desk.check()
    assert list((desk.state / "recovery").iterdir()) == []
    page.goto(f"{desk.url}/hub/")
    page.wait_for_selector(".way")
    assert "还没有收好" not in page.content()


def test_a_stick_is_written_without_scripts(desk: Desk, tmp_path: Path) -> None:
    need("ext4")
    page = desk.page
    desk.log_in()
    page.click("nav >> text=写 U 盘")
    page.wait_for_selector("text=现在没有插着的盘")
    desk.check()
    disk = image(tmp_path / "disk.img", "ext4", lambda root: root.chmod(0o777), label="KINGSTON")
    with writable_device(disk) as path, plugged(desk.run, desk.state, path, tmp_path / "said") as stick:
        stick.note()
        page.click('a:has-text("刷新")')
        page.wait_for_selector("text=KINGSTON")
        desk.check()
        page.click("text=下一步")
        page.wait_for_selector("text=放得下。")
        desk.check()
        page.click("text=开始写")
        page.wait_for_selector('h1:has-text("写好了，可以拔出")', timeout=60_000)
        assert re.search("4 个文件", page.content())
        desk.check()
        page.click("text=再写一个")
        page.wait_for_selector("text=写过的盘")
        desk.check()
        page.click("text=English")
        page.wait_for_selector('h1:has-text("Write a stick")')
        desk.check()
