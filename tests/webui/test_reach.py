"""How to open the box: the page that says it, and 书箱.html opened from a disk in Debian's Chromium."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from foreign import free_port
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, sync_playwright
from school import listening, village_school
from werkzeug.test import Client
from wsgi import stop

from webui.app import create_box_app
from webui.operations import Reach
from webui.reach import known_places, picture_size, png

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
]
# Names that the browser of the tests finds on this machine, as it would on a network by mDNS.
NAMES = "MAP shuxiang-2.local 127.0.0.1, MAP gone.example ~NOTFOUND"
SIZES = [(360, 640), (1024, 768), (1920, 1080)]
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
SMALL = "[...document.querySelectorAll('a, button, input')].filter(e => e.offsetHeight > 0 && e.offsetHeight < 44).length"


@dataclass
class Box:
    """A serving box whose names and addresses the test sets."""

    port: int
    app: Any
    reach: Reach

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def page(self, place: Path, *, host: str = "") -> str:
        """Download 书箱.html as asked for at `host`, to `place`; return its address on the disk."""
        asked = Request(f"{self.url}reach/page.html", headers={"Host": f"{host or '127.0.0.1'}:{self.port}"})
        with urlopen(asked, timeout=10) as answer:
            (place / "书箱.html").write_bytes(answer.read())
        return (place / "书箱.html").as_uri()


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    @contextmanager
    def serve(box_id: str) -> Iterator[Box]:
        school = village_school(tmp_path_factory.mktemp("school"), grades=("g3",))
        port, package_port = free_port(), free_port()
        box = Box(port, None, Reach())
        settings = replace(school.settings(package_port), box_id=box_id, reach=lambda: box.reach)
        box.app = create_box_app(
            school.library, school.finder, school.store.blobs, school.local, school.operations, settings
        )
        server = listening(box.app, port, package_port)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        yield box
        stop(server, thread)
        box.app.close()
        school.close()

    yield serve


@pytest.fixture(scope="module")
def shared(serving: Any) -> Iterator[Box]:
    with serving("0123456789abcdef0123456789abcdef") as made:
        yield made


@pytest.fixture
def box(shared: Box) -> Box:
    shared.reach = Reach(names=("shuxiang", "shiqiao"), addresses=("10.77.0.1", "fd77::1"))
    return shared


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=[*ARGUMENTS, f"--host-resolver-rules={NAMES}"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1024, "height": 768}, locale="zh-CN")
    made = context.new_page()
    yield made
    context.close()


def test_the_page_says_what_to_type(box: Box) -> None:
    client = Client(box.app)
    chinese = client.get("/reach", headers={"Host": "192.168.1.20:8080"}).text
    for place in ("http://shuxiang.local:8080/", "http://shuxiang:8080/", "http://shiqiao.local:8080/"):
        assert f'href="{place}"' in chinese
    assert 'href="http://10.77.0.1:8080/"' in chinese
    assert 'href="http://[fd77::1]:8080/"' in chinese
    assert "另一台设备" not in chinese
    box.reach = Reach(names=("shuxiang-2",), taken={"shuxiang": "10.77.0.9"})
    assert "名字 shuxiang 在这个网里是另一台设备的（10.77.0.9）" in client.get("/reach").text
    answer = client.get("/reach?lang=en", headers={"Host": "box"})
    assert "http://shuxiang-2.local/" in answer.text
    assert "belongs to another device on this network (10.77.0.9)" in answer.text
    assert "no-store" in answer.headers["Cache-Control"]
    assert "Set-Cookie" not in answer.headers
    assert 'href="/reach"' in client.get("/").text
    box.reach = Reach()
    assert client.get("/reach").status_code == 200


def test_the_download_has_its_name_and_is_for_old_browsers(box: Box) -> None:
    answer = Client(box.app).get("/reach/page.html", headers={"Host": "192.168.1.20"})
    assert answer.headers["Content-Disposition"].endswith("filename*=UTF-8''%E4%B9%A6%E7%AE%B1.html")
    [script] = re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL)
    assert re.search(r"=>|`|\b(let|const|class|async|fetch|Promise)\b", script) is None
    assert "src=" not in answer.text
    assert 'href="http://192.168.1.20/"' in answer.text
    assert 'href="http://shuxiang.local/"' in answer.text
    # Other usual ports are tried, but not shown.
    assert '"http://shuxiang.local:8080/"' in script
    assert 'href="http://shuxiang.local:8080/"' not in answer.text


def test_a_false_host_is_not_believed(box: Box) -> None:
    for host in ('x"><script>alert(1)</script>', "a b", "</script>"):
        text = Client(box.app).get("/reach/page.html", headers={"Host": host}).text
        assert "alert(1)" not in text
        assert text.count("</script>") == 1


@given(st.text(max_size=40), st.lists(st.from_regex(r"[a-z]{1,9}", fullmatch=True), max_size=3))
def test_places_are_addresses_each_once(host: str, names: list[str]) -> None:
    places = known_places(host, names, ["10.0.0.1", "fd00::1"])
    assert len(set(places)) == len(places) <= 48
    assert all(
        re.fullmatch(r"http://([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\])(:\d{1,5})?/", place) for place in places
    )


def test_the_picture_is_one_and_tells_boxes_apart(browser: Browser) -> None:
    assert picture_size("000f") == (1, 1)
    assert picture_size("fff0") == (64, 64)
    assert len({picture_size(f"{number:03x}") for number in range(4096)}) == 4096
    assert png(9, 5).startswith(b"\x89PNG")


def test_it_finds_the_box_from_a_disk_and_goes_there(box: Box, page: Page, tmp_path: Path) -> None:
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    address = box.page(tmp_path)
    page.goto(address)
    page.wait_for_url(box.url, timeout=30_000)
    assert page.locator("nav").count() == 1
    # Before it goes there it says where it found the box.
    text = (tmp_path / "书箱.html").read_text(encoding="utf-8")
    (tmp_path / "书箱.html").write_text(text.replace("OPEN = 1500", "OPEN = 600000"), encoding="utf-8")
    page.goto(address)
    page.wait_for_selector("#found", state="visible", timeout=30_000)
    assert page.locator("#go").get_attribute("href") == box.url
    assert problems == []


def test_it_finds_a_box_that_moved_by_its_name(box: Box, page: Page, tmp_path: Path) -> None:
    box.reach = Reach(names=("shuxiang-2",), addresses=("127.0.0.9",))
    page.goto(box.page(tmp_path, host="gone.example"))
    page.wait_for_url(f"http://shuxiang-2.local:{box.port}/", timeout=20_000)


def test_another_box_is_shown_and_not_opened(serving: Any, box: Box, page: Page, tmp_path: Path) -> None:
    box.reach = Reach()
    address = box.page(tmp_path)
    text = (tmp_path / "书箱.html").read_text(encoding="utf-8")
    with serving("fedcba9876543210fedcba9876543210") as other:
        (tmp_path / "书箱.html").write_text(text.replace(box.url, other.url), encoding="utf-8")
        page.goto(address)
        page.wait_for_selector("#others", state="visible", timeout=20_000)
        # Whatever else serves on this machine may be told of too.
        page.wait_for_selector(f"#otherlist a[href='{other.url}']", timeout=20_000)
        assert page.url.startswith("file:")


def test_where_none_is_found_it_says_what_to_do(box: Box, page: Page, tmp_path: Path) -> None:
    box.reach = Reach()
    address = box.page(tmp_path, host="127.0.0.9")
    text = (tmp_path / "书箱.html").read_text(encoding="utf-8")
    text = re.sub(r'"places": ?\[[^\]]*\]', '"places": ["http://127.0.0.9:9/"]', text)
    (tmp_path / "书箱.html").write_text(text, encoding="utf-8")
    page.goto(address)
    page.wait_for_selector("#none", state="visible", timeout=20_000)
    assert page.locator("#none li").count() == 4
    page.fill("#typed", f" http://127.0.0.1:{box.port}/browse ")
    page.click("#own button")
    page.wait_for_url(box.url, timeout=15_000)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_both_pages_fit_every_screen(
    box: Box, browser: Browser, tmp_path: Path, width: int, height: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": height}, locale="zh-CN")
    page = context.new_page()
    box.reach = replace(box.reach, taken={"shuxiang": "10.77.0.9"})
    page.goto(f"{box.url}reach")
    assert page.evaluate(OVERFLOW) <= 0
    address = box.page(tmp_path, host="127.0.0.9")
    text = (tmp_path / "书箱.html").read_text(encoding="utf-8")
    (tmp_path / "书箱.html").write_text(text.replace("WAIT = 6000", "WAIT = 300"), encoding="utf-8")
    page.goto(address)
    page.wait_for_selector("#none", state="visible", timeout=20_000)
    assert page.evaluate(OVERFLOW) <= 0
    assert page.evaluate(SMALL) == 0
    context.close()


def test_without_scripts_the_addresses_are_links(box: Box, browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(box.page(tmp_path))
    page.click(f'a[href="{box.url}"]')
    page.wait_for_url(box.url)
    context.close()
