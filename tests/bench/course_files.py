"""Course files as a county's editors make and save them: made by number, so that each run has the same.

Slide decks are the sample county's (`appliance.demo.deck`: whole PresentationML) with photos, saved as the programs of
this work do it: **every save writes the whole archive anew**, all texts deflated again, with the time, the minutes and
the revision of that save in its properties. PDFs are exported by cairo (`rsvg-convert`) from the sample county's
handouts with photos: subset fonts, deflated streams, offsets, all anew with every export. Photos are JPEG noise:
nothing shrinks them, and they pass through a save as they are.
"""

from __future__ import annotations

import base64
import calendar
import io
import os
import random
import re
import subprocess
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from struct import pack

from PIL import Image

from appliance.demo.deck import write_deck
from appliance.demo.handouts import Sheet
from appliance.demo.lessons import Slide
from appliance.demo.slides import COUNTY
from appliance.demo.week import WEEK

_WORDS = (
    "分数 认识 几分之一 小数 乘法 观察 比较 练习 例题 同学们 想一想 做一做 课堂 小结 作业 图形 面积 "
    "周长 单位 换算 估算 应用 问题 解决 数学 语文 生字 朗读 课文 段落 理解 探究 实验 现象 结论"
)
WORDS = tuple(_WORDS.split(" "))
LAST_WEEK = (2026, 11, 13, 16, 40, 30)
THIS_WEEK = (2026, 11, 20, 9, 30, 12)
_OFFICE_TIME = (1980, 1, 1, 0, 0, 0)
_XML = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_BYTES_PER_PIXEL = 0.606
_PHOTO = re.compile(r"\.(jpeg|png)$")
Time = tuple[int, int, int, int, int, int]


@dataclass(frozen=True)
class Program:
    """How a program saves an archive: its deflate, its order of members, whether members bear the time of the save."""

    level: int
    strategy: int
    stamped: bool
    by_name: bool

    def pack(self, data: bytes) -> bytes:
        """Return `data` deflated in this program's way."""
        packer = zlib.compressobj(self.level, zlib.DEFLATED, -zlib.MAX_WBITS, 8, self.strategy)
        return packer.compress(data) + packer.flush()


WPS = Program(level=6, strategy=zlib.Z_DEFAULT_STRATEGY, stamped=False, by_name=False)
"""Built on zlib. Whether it writes times is not documented: the milder is taken."""
LIBREOFFICE = Program(level=6, strategy=zlib.Z_DEFAULT_STRATEGY, stamped=True, by_name=False)
"""Built on zlib, each member with the time of the save; so are the archivers of H5P editors."""
POWERPOINT = Program(level=6, strategy=zlib.Z_FILTERED, stamped=False, by_name=True)
"""Stands for a deflate that is not zlib's: no setting that a patch may name gives its bytes."""


@dataclass(frozen=True)
class Deck:
    """A deck before it is saved: words per slide, photos by name, what stands at the foot of each slide."""

    slides: tuple[tuple[str, ...], ...]
    photos: Mapping[str, bytes]
    foot: str = "2026年11月9日 三年级（1）班"
    dialect: int = 0

    def save(self, program: Program, when: Time) -> bytes:
        """Return the deck as PPTX. `dialect` 1 writes each run of text as another program does."""
        lesson = WEEK[0]
        names = list(self.photos)
        slides = tuple(
            Slide(title=words[0], lines=words[1:], figure=names[number % len(names)], speech="")
            for number, words in enumerate(self.slides)
        )
        made = write_deck(replace(lesson, slides=slides), self.photos, photo(0, 9000))
        with zipfile.ZipFile(io.BytesIO(made)) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        for name in [one for one in parts if one.startswith("ppt/slides/slide")]:
            text = parts[name].decode().replace(COUNTY, f"{COUNTY} {self.foot}")
            if self.dialect:
                text = text.replace('lang="zh-CN"', 'lang="zh-CN" altLang="en-US"').replace(
                    "<a:lstStyle/>", ""
                )
                text = re.sub(
                    r'<p:cNvPr id="(\d+)" name="([^"]*)"/>', r'<p:cNvPr id="\1" name="\2 \1"/>', text
                )
            parts[name] = text.encode()
        parts |= _properties(len(slides), when)
        order = sorted(parts) if program.by_name else list(parts)
        return archive_of({name: parts[name] for name in order}, program, when)


def _properties(slides: int, when: Time) -> dict[str, bytes]:
    """Return what every save writes anew: times, minutes worked, the place where the window stood."""
    seconds = when[2] * 86400 + when[3] * 3600 + when[4] * 60 + when[5]
    stamp = "{}-{:02}-{:02}T{:02}:{:02}:{:02}Z".format(*when)
    bodies = {
        "docProps/core.xml": f"<cp:coreProperties><dc:creator>县电教馆</dc:creator><cp:revision>{seconds % 97}</cp:revision>"
        f"<dcterms:modified>{stamp}</dcterms:modified></cp:coreProperties>",
        "docProps/app.xml": f"<Properties><TotalTime>{seconds % 1441}</TotalTime><Words>{slides * 143}</Words>"
        f"<Application>WPS 演示</Application><Slides>{slides}</Slides></Properties>",
        "ppt/viewProps.xml": f'<p:viewPr><p:slideViewPr><p:origin x="{seconds % 4001}" y="{seconds % 2003}"/></p:slideViewPr></p:viewPr>',
    }
    return {name: _XML + body.encode() for name, body in bodies.items()}


def archive_of(parts: Mapping[str, bytes], program: Program, when: Time) -> bytes:
    """Return the parts as ZIP (APPNOTE 6.3.3): photos stored, all else deflated by `program`."""
    year, month, day, hour, minute, second = when if program.stamped else _OFFICE_TIME
    stamp = pack("<2H", hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day)
    data, directory = bytearray(), bytearray()
    for name, plain in parts.items():
        stored = bool(_PHOTO.search(name))
        body = plain if stored else program.pack(plain)
        method = pack("<H", 0 if stored else 8)
        sizes = pack("<3L", zlib.crc32(plain), len(body), len(plain))
        lengths = pack("<2H", len(name), 0)
        directory += b"PK\1\2\x14\0\x14\0\0\0" + method + stamp + sizes + lengths
        directory += bytes(10) + pack("<L", len(data)) + name.encode()
        data += b"PK\3\4\x14\0\0\0" + method + stamp + sizes + lengths + name.encode() + body
    end = pack("<4H2LH", 0, 0, len(parts), len(parts), len(directory), len(data), 0)
    return bytes(data + directory) + b"PK\5\6" + end


@dataclass(frozen=True)
class Handout:
    """A PDF before it is exported: its paragraphs and photos, what stands at the head of each page."""

    paragraphs: tuple[str, ...]
    photos: tuple[bytes, ...]
    head: str = "三年级上册 2026年11月9日"

    def export(self, when: Time) -> bytes:
        """Return the pages as PDF, as cairo writes them."""
        sheet = Sheet("math", "学习任务单", self.head)
        sheet.title("认识几分之一")
        photos = list(self.photos)
        for number, paragraph in enumerate(self.paragraphs, 1):
            sheet.words(paragraph, indent=34, mark=f"{number}.")
            if number % 5 == 0 and photos:
                data = base64.b64encode(photos.pop(0)).decode()
                sheet.drawing(f'<image width="400" height="280" href="data:image/jpeg;base64,{data}"/>', 300)
        return _cairo(tuple(sheet.pages()), str(calendar.timegm(when)))


@cache
def _cairo(pages: tuple[bytes, ...], epoch: str) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        paths = []
        for number, page in enumerate(pages):
            paths.append(Path(name) / f"{number:03}.svg")
            paths[-1].write_bytes(page)
        command = ["rsvg-convert", "--unlimited", "--format", "pdf", *map(str, paths)]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
        return subprocess.run(command, capture_output=True, check=True, env=environment).stdout


@dataclass(frozen=True)
class Exercises:
    """An H5P-like package before it is exported: questions and their answers, the player's scripts, pictures."""

    questions: tuple[str, ...]
    scripts: tuple[bytes, ...]
    photos: tuple[bytes, ...]

    def export(self, when: Time) -> bytes:
        """Return the package as ZIP."""
        rows = ",".join(
            f'{{"question":"{text}","answers":[{len(text)},{number}]}}'
            for number, text in enumerate(self.questions)
        )
        parts = {
            "h5p.json": b'{"title":"\xe7\xbb\x83\xe4\xb9\xa0","mainLibrary":"H5P.QuestionSet","date":"%d%d%d"}'
            % when[:3],
            "content/content.json": f'{{"questions":[{rows}]}}'.encode(),
        }
        parts |= {f"H5P.Player-1.{number}/player.js": script for number, script in enumerate(self.scripts)}
        parts |= {f"content/images/{number}.jpeg": data for number, data in enumerate(self.photos)}
        return archive_of(parts, LIBREOFFICE, when)


def deck(seed: int, size_bytes: int = 3 << 20) -> Deck:
    """Return a deck of about `size_bytes` with twenty slides."""
    chance = random.Random(seed)
    slides = tuple(tuple(lines(chance, 7)) for _ in range(20))
    return Deck(slides, {f"p{number}": data for number, data in enumerate(photos(chance, size_bytes))})


def handout(seed: int, size_bytes: int = 2 << 20) -> Handout:
    """Return a handout of about `size_bytes`, some ten pages; cairo keeps its photos as pixels."""
    chance = random.Random(seed)
    paragraphs = tuple("".join(lines(chance, 4)) for _ in range(60))
    return Handout(paragraphs, tuple(photo(seed + number, 45_000) for number in range(size_bytes // 220_000)))


def exercises(seed: int, size_bytes: int = 2 << 20) -> Exercises:
    """Return a package of about `size_bytes` with eighty questions."""
    chance = random.Random(seed)
    questions = tuple(lines(chance, 80))
    scripts = tuple(package(seed + number) for number in range(3))
    return Exercises(questions, scripts, tuple(photos(chance, size_bytes)))


def package(seed: int, size_bytes: int = 300_000) -> bytes:
    """Return the script of an interactive exercise, about `size_bytes` of text."""
    chance = random.Random(seed)
    text = []
    while sum(map(len, text)) * 3 < size_bytes:
        text.append(
            f"exercise.add({{id:{chance.randint(1, 10**6)},q:{lines(chance, 1)[0]!r},a:{chance.random():.4f}}});"
        )
    return "\n".join(text).encode()


def lines(chance: random.Random, count: int) -> list[str]:
    """Return `count` lines of lesson text."""
    return ["".join(chance.choices(WORDS, k=chance.randint(6, 18))) for _ in range(count)]


def photos(chance: random.Random, size_bytes: int) -> list[bytes]:
    """Return photos of 60 to 400 kB, `size_bytes` in all or a little more."""
    found: list[bytes] = []
    while (left := size_bytes - sum(map(len, found))) > 0:
        found.append(
            photo(chance.randrange(1 << 32), min(chance.randint(60_000, 400_000), max(left, 20_000)))
        )
    return found


@cache
def photo(seed: int, size_bytes: int) -> bytes:
    """Return a JPEG of about `size_bytes` that nothing shrinks."""
    width, height = 400, max(8, round(size_bytes / 400 / _BYTES_PER_PIXEL))
    out = io.BytesIO()
    Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(3 * width * height)).save(
        out, "JPEG", quality=75
    )
    return out.getvalue()
