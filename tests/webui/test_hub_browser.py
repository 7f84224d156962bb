"""The staff pages in Chromium over waitress: the whole road with scripts and without, a cut upload, every width."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import waitress
from playwright.sync_api import Browser, Page, sync_playwright
from staff_hub import PASSWORD, Staff, StaffHub, county_batch
from wsgi import stop

from sync.trust.heads import heads
from webui.hub.app import HubApp

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Desk:
    """A hub behind waitress."""

    def __init__(self, directory: Path) -> None:
        self.hub = StaffHub(directory)
        self.app: HubApp = self.hub.app()
        self._server = waitress.create_server(self.app, host="127.0.0.1", port=0, threads=6)
        self.port = int(self._server.effective_port)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        stop(self._server, self._thread)
        self.app.close()
        self.hub.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "hub")
    yield desk
    desk.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


def log_in(page: Page, url: str) -> None:
    page.goto(f"{url}/hub/")
    page.fill("#user", "admin")
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_selector(".way")


def test_the_road_without_scripts(desk: Desk, browser: Browser, tmp_path: Path) -> None:
    batch = county_batch(tmp_path / "三上数学")
    page = browser.new_context(
        java_script_enabled=False, viewport={"width": 1024, "height": 768}, locale="zh-CN"
    ).new_page()
    log_in(page, desk.url)
    page.click("text=开始收一批")
    page.set_input_files("#folder", batch)
    page.click("text=上传并检查")
    page.wait_for_selector("text=收下合格的 6 行", timeout=30_000)
    assert page.locator("h1").inner_text() == "三上数学"
    page.click("text=文件是空的（0 字节） >> nth=0")
    assert page.locator(".rowsgrid tbody tr").count() == 1
    page.click("text=收下合格的 6 行")
    page.wait_for_selector("text=还没有发给书箱", timeout=30_000)
    page.click("text=去发布")
    page.click("text=签名发布第 1 次")
    page.wait_for_selector("text=第 1 次发布已签发", timeout=30_000)
    assert heads(desk.hub.directory / "public")[0].release.number == 1
    page.click("text=退出")
    page.wait_for_selector("#password")
    page.context.close()


def test_an_upload_by_script_survives_a_broken_line(desk: Desk, browser: Browser, tmp_path: Path) -> None:
    batch = county_batch(tmp_path / "录像课", lessons=2)
    film = os.urandom(9 << 20)
    (batch / "大文件.bin").write_bytes(film)
    context = browser.new_context(viewport={"width": 1024, "height": 768}, locale="zh-CN")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    log_in(page, desk.url)
    page.goto(f"{desk.url}/hub/take")
    cut: list[str] = []

    def cut_once(route: object, request: object) -> None:
        if "offset=4194304" in request.url and not cut:  # type: ignore[attr-defined]
            cut.append(request.url)  # type: ignore[attr-defined]
            route.abort()  # type: ignore[attr-defined]
        else:
            route.continue_()  # type: ignore[attr-defined]

    page.route("**/piece?*", cut_once)
    page.set_input_files("#folder", batch)
    page.click("text=上传并检查")
    page.wait_for_selector("text=等您查看", timeout=60_000)
    assert len(cut) == 1
    assert errors == []
    (job,) = desk.app.console.jobs.all()
    assert job.name == "录像课"
    arrived = list(desk.app.console.jobs.folder_of(job).rglob("大文件.bin"))
    assert [path.read_bytes() == film for path in arrived] == [True]
    context.close()


def test_a_form_cut_in_the_middle_reaches_nobody(desk: Desk) -> None:
    staff = Staff(desk.app)
    staff.log_in()
    cookie = staff.get_cookie("shuxiang_hub", path="/hub/")
    assert cookie is not None
    body = (
        f'--b\r\nContent-Disposition: form-data; name="token"\r\n\r\n{staff.token}\r\n'
        '--b\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\n\r\nhalf'
    ).encode()
    head = (
        f"POST /hub/take/upload HTTP/1.1\r\nHost: 127.0.0.1:{desk.port}\r\nCookie: shuxiang_hub={cookie.value}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", desk.port)) as line:
        line.sendall(head + body)
        time.sleep(0.3)
    time.sleep(0.3)
    assert desk.app.console.jobs.all() == []
    assert list((desk.hub.directory / "uploads").iterdir()) == []
    assert staff.get("/hub/").status_code == 200


@pytest.mark.parametrize("width", [360, 1024, 1920])
def test_pages_fit_every_width_and_targets_are_large(
    desk: Desk, browser: Browser, tmp_path: Path, width: int
) -> None:
    staff = Staff(desk.app)
    staff.log_in()
    files = [
        (path.open("rb"), f"三上数学/{path.relative_to(tmp_path / 'b').as_posix()}")
        for path in sorted(county_batch(tmp_path / "b", lessons=12).rglob("*"))
        if path.is_file()
    ]
    address = staff.send("/hub/take/upload", bundle="main", folder=files).headers["Location"]
    for stream, _ in files:
        stream.close()
    context = browser.new_context(viewport={"width": width, "height": 900}, locale="zh-CN")
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    log_in(page, desk.url)
    page.goto(desk.url + address)
    page.wait_for_selector("text=收下合格的", timeout=30_000)
    for shown in (
        "/hub/",
        "/hub/take",
        "/hub/batches",
        address,
        f"{address}/send-back",
        "/hub/publish",
        "/hub/log",
    ):
        page.goto(desk.url + shown)
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over == 0, shown
        small = page.evaluate(
            """[...document.querySelectorAll('a, button, select, input:not([type=hidden])')].filter(one => {
                 const box = one.getBoundingClientRect();
                 return box.width > 0 && box.height < 40 && !one.closest('td, p, .skip');
               }).map(one => one.outerHTML.slice(0, 120))"""
        )
        assert small == [], shown
    assert [line for line in complaints if "favicon" not in line and "404" not in line] == []
    context.close()
