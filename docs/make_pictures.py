"""Takes the pictures in `docs/pictures/` from the real pages of the sample county: a serving box and a serving hub.

`make docs` runs this; it writes the generated tables first (`make_tables`). The lessons are kept in `build/docs/county` and the hub and the box
are made anew each time, so that the staff pages always show the same first batch.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import make_tables
from camera import MANUAL, PICTURES, REPOSITORY, SIZES, launched, log_in, opened, save
from openpyxl import Workbook
from playwright.sync_api import Browser, sync_playwright
from technician_pictures import take_technician

from appliance.demo.county import FOLDER
from appliance.demo.run import COUNTY, LOOPBACK, Demo, running_county
from appliance.plugging.notes import NOTES, STICKS, Note, run_directory, write_note
from appliance.processes import service

STATE = REPOSITORY / "build" / "docs"
MAX_ALL_BYTES = 3_000_000
BATCH_NAME = "期末复习"
HEADER = ("编号", "标题", "学段", "年级", "学科", "版本", "册次", "单元", "课", "类型", "文件", "授权")


def main() -> None:
    """Write the tables, build the county, open its pages at three sizes and save what they look like."""
    make_tables.main()
    # No stick of the machine that takes the pictures.
    os.environ["SHUXIANG_RUN"] = str(STATE / "run")
    for made in ("hub", "box", "batch", "run"):
        shutil.rmtree(STATE / made, ignore_errors=True)
    PICTURES.mkdir(exist_ok=True)
    with running_county(STATE, lambda _: None, _tell) as county, sync_playwright() as playwright:
        chromium = launched(playwright)
        with service(county.box, "box", "serve", "--host", LOOPBACK, "--port", "0") as box:
            take_box(chromium, box["address"])
        take_hub(chromium, county, supplier_batch(STATE / COUNTY / FOLDER, STATE / "batch"))
        chromium.close()
    with sync_playwright() as playwright:
        take_technician(playwright, county, STATE)
    all_bytes = sum(path.stat().st_size for path in PICTURES.iterdir())
    _tell("", f"{PICTURES.relative_to(REPOSITORY)}: {all_bytes / 1e6:.1f} MB")
    if all_bytes > MAX_ALL_BYTES:
        sys.exit(f"pictures are {all_bytes} bytes, {MAX_ALL_BYTES} are allowed")


def take_box(browser: Browser, address: str) -> None:
    """Take the pages that a classroom sees."""
    math = "stage=primary&grade=g3&subject=math&edition=pep&volume=a"
    pages = {
        "box-home": "/",
        "box-browse": "/browse?stage=primary&grade=g3",
        "box-book": f"/book?{math}",
        "box-search": "/search?q=fs&cached=1",
        "box-video": "/r/" + first_id(address, "几分之一", "video"),
        "box-courseware": "/r/" + first_id(address, "几分之一", "courseware"),
        "box-game": "/r/" + first_id(address, "分数乐园", ""),
        "box-away": "/r/" + first_id(address, "分数乘分数", "video", cached=0),
    }
    for width in SIZES:
        with opened(browser, width) as page:
            for name, path in pages.items():
                page.goto(address + path, wait_until="networkidle")
                if name == "box-video":
                    page.evaluate("document.querySelector('video').currentTime = 20")
                    page.wait_for_timeout(700)
                save(page, f"{name}-{width}")


def take_hub(browser: Browser, county: Demo, batch: Path) -> None:
    """Take the three pages of county staff while a batch goes through them."""
    with opened(browser, 1024) as page:
        log_in(page, county.hub_address, county.user, county.password)
        page.goto(f"{county.hub_address}/hub/take")
        page.set_input_files("#files", str(batch))
        page.click("#upload button[type=submit]")
        page.wait_for_selector(".decide form", timeout=60_000)
        found = page.url
    pages = {
        "hub-home": f"{county.hub_address}/hub/",
        "hub-take": f"{county.hub_address}/hub/take",
        "hub-findings": found,
        "hub-rows": f"{found}#findings",
    }
    _take_staff(browser, county, pages)
    with opened(browser, 1024) as page:
        log_in(page, county.hub_address, county.user, county.password)
        page.goto(found)
        page.click(".decide form button")
        page.wait_for_selector("a[href='/hub/publish'].main", timeout=60_000)
        page.goto(f"{county.hub_address}/hub/publish")
        page.wait_for_selector("form[action='/hub/publish'] button", timeout=60_000)
    _take_staff(browser, county, {"hub-publish": f"{county.hub_address}/hub/publish"})
    take_stick(browser, county)


def take_stick(browser: Browser, county: Demo) -> None:
    """Take the page that writes sticks, with one in."""
    run = run_directory()
    place = run / STICKS / "KINGSTON"
    place.mkdir(parents=True, exist_ok=True)
    (run / NOTES).mkdir(exist_ok=True)
    write_note(run, Note(id="1", name=place.name, device="/dev/sdb1", kind="exfat", mounted=str(place)))
    _take_staff(browser, county, {"hub-sticks": f"{county.hub_address}/hub/sticks"}, (MANUAL,))


def _take_staff(
    browser: Browser, county: Demo, pages: dict[str, str], widths: Iterable[int] = tuple(SIZES)
) -> None:
    for width in widths:
        with opened(browser, width) as page:
            log_in(page, county.hub_address, county.user, county.password)
            for name, address in pages.items():
                page.goto(address, wait_until="networkidle")
                save(page, f"{name}-{width}")


def supplier_batch(source: Path, directory: Path) -> Path:
    """Write a small batch as a supplier hands it over, a ZIP of files with a list, and three rows of it wrong."""
    book = Workbook()
    sheet = book.active
    sheet.title = BATCH_NAME
    sheet.append(HEADER)
    place = ("小学", "三年级", "数学", "人教版", "上册", "总复习")
    directory.mkdir(parents=True)
    path = directory / f"{BATCH_NAME}.zip"
    with zipfile.ZipFile(path, "w") as batch:
        for number, sample in enumerate(sorted(source.rglob("*.pdf"))[:8], start=1):
            name = f"期末复习{number}.pdf"
            # A comment after its end makes it another file, as a new lesson would be.
            batch.writestr(name, sample.read_bytes() + f"\n% {name}\n".encode())
            kind = "复习单" if number == 5 else "教案" if number % 2 else "习题"
            sheet.append(
                (f"fx-{number}", f"期末复习（{number}）", *place, f"第{number}课时", kind, name, "县级授权")
            )
        batch.writestr("口算比赛.mp4", b"")
        sheet.append(("fx-9", "口算比赛", *place, "口算", "微课", "口算比赛.mp4", "县级授权"))
        sheet.append(("fx-10", "应用题集锦", *place, "应用题", "习题", "应用题集锦.pdf", "县级授权"))
        sheet.append(("fx-3", "重复的一行", *place, "第3课时", "习题", "期末复习3.pdf", "县级授权"))
        out = io.BytesIO()
        book.save(out)
        batch.writestr("资源清单.xlsx", out.getvalue())
    return path


def first_id(address: str, words: str, kind: str, *, cached: int = 1) -> str:
    """Return the id of the first hit of a search on the box."""
    query = f"q={quote(words)}&cached={cached}&per_page=1" + (f"&kind={kind}" if kind else "")
    with urlopen(f"{address}/api/v1/search?{query}") as answer:
        return str(json.load(answer)["hits"][0]["id"])


def _tell(chinese: str, english: str) -> None:
    print(english, file=sys.stderr)


if __name__ == "__main__":
    main()
