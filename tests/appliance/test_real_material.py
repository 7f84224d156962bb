"""Material that nobody here wrote goes the whole road: list, hub, release, boxes over each road, search, playing."""

from __future__ import annotations

import filecmp
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from command import call, service
from playwright.sync_api import Browser, sync_playwright
from real_material import CLIPS, PAGES, PICTURES, SOUNDS, Supply, fetch, missing, need_tools

from appliance.ports import listen, port_of
from catalog.ingest.containers import is_fast_start

CHROMIUM = Path("/usr/bin/chromium")
PLAY = """() => new Promise((played, failed) => {
  var media = document.querySelector('video, audio');
  media.muted = true;
  media.onended = media.ontimeupdate = () => media.ended || media.currentTime > 0.3 ? played(media.duration) : 0;
  setTimeout(() => failed('silent: ' + media.currentTime + ' ' + (media.error && media.error.message)), 30000);
  media.play().catch(failed);
})"""
# What people type, and the file that they mean: characters, pinyin, initials.
SOUGHT = [
    ("阿根廷地图", "图片/kgeography/argentina.png"),
    ("中国地图", "图片/kgeography/china.png"),
    ("缅甸", "图片/kgeography/burma.png"),
    ("瑞典地图", "图片/kgeography/sweden.png"),
    ("基里巴斯旗帜", "图片/kgeography/flags/kiribati.png"),
    ("下萨克森", "图片/kgeography/flags/germany/lower_saxony.png"),
    ("德语字母 O", "语音/de/alpha/o.ogg"),
    ("尼日利亚", "图片/kgeography/flags/nigeria.png"),
    ("大雄兔", "视频/bigbuckbunny.mp4"),
    ("自行车视频", "视频/bikes.mp4"),
    ("数据转换", "手册/ch11.zh-cn.html"),
    ("参考手册", "手册/手册.pdf"),
    ("agentingditu", "图片/kgeography/argentina.png"),
    ("ruidian", "图片/kgeography/sweden.png"),
    ("zixingche", "视频/bikes.mp4"),
    ("wangluoshezhi", "手册/ch05.zh-cn.html"),
    ("agtdt", "图片/kgeography/argentina.png"),
    ("zgdt", "图片/kgeography/china.png"),
    ("jlbsqz", "图片/kgeography/flags/kiribati.png"),
    ("dxt", "视频/bigbuckbunny.mp4"),
    ("czdh", "视频/carphone_pristine.mp4"),
    ("sjgl", "手册/ch10.zh-cn.html"),
]


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def running_hub(state: Path) -> Iterator[dict[str, str]]:
    """Give the addresses of the published tree on each road."""
    with listen("127.0.0.1", 0) as free:
        rsync_port = port_of(free)
    arguments = ("--host", "127.0.0.1", "--port", "0", "--rsync-port", str(rsync_port))
    with service(state, "hub", "run", *arguments) as hub:
        yield {
            "http": hub["address"],
            "rsync": f"rsync://127.0.0.1:{rsync_port}",
            "directory": str(state / "public"),
        }


def synced_box(state: Path, hub: Path, address: str) -> dict[str, Any]:
    root = hub / "public" / "metadata" / "1.root.json"
    call(state, "box", "init", "--hub", address, "--root", root)
    done: dict[str, Any] = call(state, "box", "sync", timeout=600)
    return done


def blobs_of(state: Path) -> dict[str, Path]:
    return {path.name: path for path in (state / "blobs").rglob("*") if path.is_file()}


def same_bytes(box: Path, hub: Path) -> None:
    here, there = blobs_of(box), blobs_of(hub)
    assert here.keys() == there.keys()
    for sha256, path in here.items():
        assert filecmp.cmp(path, there[sha256], shallow=False), sha256


def files_by_source(public: Path, supply: Supply) -> dict[str, dict[str, Any]]:
    """Return for each file of the list the record of the release that carries its very bytes."""
    (manifest,) = (public / "targets" / "bundles").glob("*.main.jsonl")
    records = [json.loads(line) for line in manifest.read_bytes().splitlines()[1:]]
    holders = {
        file["sha256"]: record for record in records for file in record["files"] if file["role"] == "source"
    }
    return {path: holders[sha256_of(supply.folder / path)] for path in supply.files}


def get(address: str) -> bytes:
    with urlopen(address) as answer:
        data: bytes = answer.read()
        return data


def plays(browser: Browser, address: str) -> float:
    """Open a resource's page, play what is on it, and return its length in seconds."""
    page = browser.new_page(locale="zh-CN")
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    seconds: float = page.evaluate(PLAY)
    assert problems == []
    page.close()
    return seconds


@pytest.mark.slow
def test_material_of_others_goes_the_whole_road(tmp_path: Path) -> None:
    need_tools("ffmpeg", "pdftoppm", "rsync")
    if not CHROMIUM.exists():
        missing("chromium is not installed")
    folder, hub = tmp_path / "青禾县资源", tmp_path / "hub"
    folder.mkdir()
    supply = fetch(folder, tmp_path / "fetched")
    assert [sum(path.endswith(end) for path in supply.files) for end in (".ogg", ".png", ".mp4", ".html")] == [
        SOUNDS, PICTURES, CLIPS, PAGES,
    ]  # fmt: skip
    rows = len(supply.files)

    call(hub, "hub", "init", "--name", "青禾县")
    taken = call(hub, "hub", "ingest", folder, timeout=900)
    assert (taken["rows"], taken["added"], taken["rejected"]) == (rows, rows, [])
    again = call(hub, "hub", "ingest", folder, timeout=300)
    assert (again["unchanged"], again["added"], again["changed"]) == (rows, 0, 0)
    assert call(hub, "hub", "publish", timeout=300)["release"] == 1
    records = files_by_source(hub / "public", supply)
    assert_described(hub, supply, records)

    with running_hub(hub) as addresses:
        for road, address in addresses.items():
            done = synced_box(tmp_path / f"box-{road}", hub, address)
            assert done["content_release"] == 1 and set(done["roads"]) == {road}
            same_bytes(tmp_path / f"box-{road}", hub)
    # The hub is gone; a box has it all and gives it on.
    with service(tmp_path / "box-http", "box", "serve", "--host", "127.0.0.1", "--port", "0") as serving:
        synced_box(tmp_path / "box-box", hub, serving["address"])
        same_bytes(tmp_path / "box-box", hub)
    with service(tmp_path / "box-box", "box", "serve", "--host", "127.0.0.1", "--port", "0") as serving:
        address = serving["address"]
        not_found = [text for text, path in SOUGHT if records[path]["id"] not in hits(address, text)]
        assert not_found == []
        for path, record in list(records.items())[::97]:
            answer = json.loads(get(f"{address}/api/v1/resources/{record['id']}"))
            (file,) = [file for file in answer["files"] if file["role"] == "source"]
            assert get(address + file["url"]) == (folder / path).read_bytes()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM,
                args=["--headless", "--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
            )
            clip, sound = (records[path]["id"] for path in ("视频/bigbuckbunny.mp4", "语音/ru/alpha/a.ogg"))
            assert plays(browser, f"{address}/r/{clip}") == pytest.approx(5.3, abs=0.3)
            assert 0.1 < plays(browser, f"{address}/r/{sound}") < 10
            browser.close()


def hits(address: str, text: str) -> list[str]:
    found = json.loads(get(f"{address}/api/v1/search?q={quote(text)}&per_page=10"))
    return [hit["id"] for hit in found["hits"]]


def assert_described(hub: Path, supply: Supply, records: dict[str, dict[str, Any]]) -> None:
    """What the hub found out by itself: lengths, pages, covers, and clips whose index now stands first."""
    blobs = blobs_of(hub)
    for path in supply.files:
        record, kind = records[path], path.rpartition(".")[2]
        roles = {file["role"]: file for file in record["files"]}
        if kind == "ogg":
            assert record["duration_seconds"] > 0, path
        elif kind == "png":
            assert "thumb" in roles, path
        elif kind == "mp4":
            assert not is_fast_start(supply.folder / path), path
            assert is_fast_start(blobs[roles["play"]["sha256"]]), path
            assert record["duration_seconds"] > 1 and "thumb" in roles
        elif kind == "pdf":
            images = [file for file in record["files"] if file["role"] == "page"]
            assert record["pages"] == len(images) > 100 and "text" in roles
        elif kind == "zip":
            inside = {file["path"] for file in record["files"] if file["role"] == "package"}
            assert "index.html" in inside and len(inside) == PAGES
