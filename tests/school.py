"""A village school's box for tests, pictures and benchmarks: books of several grades with real small media."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import waitress
from builders import Store, file_of, resource

from catalog.clock import CHINA
from catalog.finder import Finder
from catalog.local import Local
from catalog.manifest import Bundle
from catalog.resource import Edition, File, Resource
from catalog.search import index
from catalog.search.record import records_of
from webui.channel import use_channels
from webui.operations import BoxSettings, DiskSpace, LineState, Work

PASSWORD = "a password of this test"
TODAY = datetime(2026, 11, 21, 8, 30, tzinfo=CHINA)
BOOKS = {
    "math": (
        "pep",
        (
            ("第一单元 时、分、秒", ("秒的认识", "时间的计算")),
            ("第三单元 测量", ("毫米、分米的认识", "千米的认识", "吨的认识")),
            ("第八单元 分数的初步认识", ("认识几分之一", "认识几分之几", "分数的简单计算")),
        ),
    ),
    "chinese": (
        "tongbian",
        (
            ("第一单元", ("大青树下的小学", "花的学校", "不懂就要问")),
            ("第二单元", ("古诗三首", "铺满金色巴掌的水泥道", "秋天的雨")),
            ("第八单元", ("司马光", "掌声", "灰雀", "手术台就是阵地")),
        ),
    ),
    "english": ("fltrp", (("Module 1", ("Unit 1 What are you doing?", "Unit 2 This is Miss Smart")),)),
    "science": (
        "jiaoke",
        (("水", ("水到哪里去了", "水沸腾了")), ("空气", ("感受空气", "空气能占据空间吗"))),
    ),
    "music": ("renyin", (("第一课 童年", ("摇啊摇", "我们多么幸福")),)),
    "art": ("renmei", (("色彩", ("魔幻的颜色", "万花筒")),)),
    "morals": ("tongbian", (("快乐学习", ("学习伴我成长", "我学习，我快乐")),)),
}
KINDS = ("video", "courseware", "plan", "tasksheet", "exercise")
_SUFFIX = {
    "video": "",
    "courseware": "课件",
    "plan": "教学设计",
    "tasksheet": "学习任务单",
    "exercise": "课后练习",
}
VTT = "WEBVTT\n\n00:00.000 --> 00:03.000\n同学们好，今天我们学习几分之一。\n\n00:03.000 --> 00:06.000\n把一个月饼平均分成两份。\n"
PACKAGE = {
    "index.html": "<!DOCTYPE html><html><head><meta charset=utf-8><title>分一分</title><script src='js/main.js'></script></head>"
    "<body style='font:24px sans-serif;text-align:center;background:#f3efe4'><h1>分一分，涂一涂</h1><p id=state>…</p><button>涂出二分之一</button></body></html>",
    "js/main.js": "window.onload=function(){localStorage.setItem('a','1');var s=API.LMSInitialize('');API.LMSSetValue('cmi.core.score.raw','90');"
    "document.getElementById('state').textContent='已准备好 '+localStorage.getItem('a')+' '+s;};",
}


class School:
    """An opened library with finder, local state and a real clock that stands still."""

    def __init__(self, directory: Path) -> None:
        self.store = Store(directory)
        self.library = self.store.library
        self.local = Local.open(directory / "local.db")
        self.finder = Finder(self.library, directory / "index")
        self.directory = directory
        self.operations = Operations(self.local)

    def fill(self, resources: list[Resource], bundle: str = "main", index_number: int = 1) -> None:
        """Put the records into the library with their index, as a sync does."""
        with self.library.writing() as writer:
            writer.put_bundle(Bundle(id=bundle, version=3, title="三年级资源", publisher="县电教馆"))
            for item in resources:
                writer.put_resource(item, bundle)
        with self.library.reading() as reader:
            index.build(self.directory / "index" / str(index_number), records_of(reader.stored()))
        with self.library.writing() as writer:
            writer.set_index(index_number)
            writer.set_release(7, "2026-11-20T08:00:00+00:00")
            writer.set_content_release(7)

    def record(self, resource_id: str) -> Resource:
        """Return a record of the catalogue."""
        with self.library.reading() as reader:
            entry = reader.resource(resource_id)
        assert entry is not None
        return entry.resource

    def settings(self, package_port: int, **changes: Any) -> BoxSettings:
        """Return the settings of the pages."""
        values: dict[str, Any] = {
            "box_id": "0123456789abcdef0123456789abcdef",
            "name": "石门村教学点",
            "version": "0.1.0",
            "secret": b"a secret of this test",
            "package_port": package_port,
            "clock": lambda: TODAY,
            "clock_mark": lambda: "trusted",
            "blobs": self.store.blobs.root,
        }
        return BoxSettings(**{**values, **changes})

    def close(self) -> None:
        self.local.close()
        self.store.close()


def token_of(response: Any) -> str:
    """Return the token of the first form of a page."""
    found = re.search(r'name="token" value="([^"]+)"', response.get_data(as_text=True))
    assert found
    return found[1]


def logged_in(served: Any) -> Any:
    """Return a browser that the teacher has logged in with."""
    client = served.client()
    form = {"token": token_of(client.get("/admin/")), "account": "teacher", "password": PASSWORD}
    response = client.post("/admin/login", data=form)
    assert response.status_code == 303, response.get_data(as_text=True)
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/admin" in cookie
    return client


class Operations:
    """What a box does when asked, kept small: requests go to the local state, the rest is remembered."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self.syncs = 0
        self.asked: list[tuple[str, Any]] = []
        self.plan: dict[str, Any] | None = None
        self.line_state = LineState(
            allowed=True,
            bytes_per_second=None,
            reason="free",
            until=None,
            clock_ignored=False,
            used_bytes=0,
            budget_bytes=None,
            fields=(),
            on_hours=(0.0,) * 168,
        )
        self.shown: datetime | None = None

    def sync_now(self) -> bool:
        self.syncs += 1
        return self.syncs == 1

    def request_resource(self, resource_id: str) -> None:
        self._local.add_request(resource_id, datetime.now(UTC))

    def set_display_clock(self, shown: datetime) -> None:
        self.shown = shown

    def work(self) -> Work:
        return Work()

    def disk(self) -> DiskSpace:
        return DiskSpace(total_bytes=500 * 10**9, free_bytes=123 * 10**9, reserve_bytes=10**9)

    def sync_for(self, hours: float) -> None:
        self.asked.append(("now", hours))

    def pause(self, hours: float | None) -> None:
        self.asked.append(("pause", hours))

    def resume(self) -> None:
        self.asked.append(("resume", None))

    def line(self, *, chinese: bool) -> LineState:
        return self.line_state

    def set_policy(self, key: str, text: str, *, chinese: bool) -> str:
        self.asked.append((key, text))
        return "E-CONFIG" if text == "wrong" else ""

    def planned(self) -> dict[str, Any] | None:
        return self.plan


def catalogue(grades: tuple[str, ...] = ("g3",)) -> Iterator[Resource]:
    """Yield five records for each lesson of the books, without files."""
    for grade in grades:
        for subject, (edition, units) in BOOKS.items():
            for lesson_no, (unit, lesson) in enumerate(
                (u, lesson) for u, lessons in units for lesson in lessons
            ):
                for kind in KINDS:
                    yield resource(
                        f"{grade}-{subject}-{lesson_no + 1}-{kind}",
                        f"{lesson} {_SUFFIX[kind]}".strip(),
                        subject=subject,
                        edition=Edition(code=edition),
                        grades=(grade,),
                        stage="primary" if int(grade[1:]) < 7 else "junior",
                        path=(unit, lesson),
                        lesson_no=lesson_no + 1,
                        kind=kind,
                        keywords=(lesson, "三年级"),
                        description=f"{unit}《{lesson}》的{_SUFFIX[kind] or '视频课程'}，适合课堂使用和课后复习。",
                        origin="county",
                        author="王老师",
                        size_bytes=3_400_000,
                    )


@cache
def film() -> bytes:
    """Return a real MP4 of six seconds: H.264 and AAC, fast start."""
    return _ffmpeg(
        "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=15:duration=6",
        "-f", "lavfi", "-i", "sine=frequency=330:duration=6",
        "-c:v", "libx264", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest",
        "-movflags", "+faststart", suffix=".mp4",
    )  # fmt: skip


@cache
def sound() -> bytes:
    """Return a real OGG of four seconds."""
    return _ffmpeg("-f", "lavfi", "-i", "sine=frequency=440:duration=4", "-c:a", "libvorbis", suffix=".ogg")


@cache
def picture(text: str, colour: str = "#f4ecd8", size: tuple[int, int] = (960, 720)) -> bytes:
    """Return a PNG with Chinese words on it, like a page of slides."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", size, colour)
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc", size[1] // 9)
    draw.rectangle((0, 0, size[0], size[1] // 14), fill="#2e5877")
    draw.text((size[0] // 2, size[1] // 2), text, fill="#2c2620", font=font, anchor="mm")
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def village_school(directory: Path, *, grades: tuple[str, ...] = ("g1", "g2", "g3")) -> School:
    """Return a school with `grades` in the catalogue and the third grade's fractions here, media and all."""
    directory.mkdir(parents=True, exist_ok=True)
    school = School(directory)
    records = {item.id: item for item in catalogue(grades)}
    blobs: list[bytes] = []

    def give(resource_id: str, files: list[tuple[bytes, dict[str, Any]]], **changes: Any) -> None:
        made: list[File] = [file_of(data, **about) for data, about in files]
        size_bytes = sum(file.size_bytes for file in made)
        records[resource_id] = replace(
            records[resource_id], files=tuple(made), size_bytes=size_bytes, **changes
        )
        blobs.extend(data for data, _ in files)

    thumb = {"role": "thumb", "name": "封面.png", "media_type": "image/png"}
    lesson = "g3-math-6"
    give(
        f"{lesson}-video",
        [
            (film(), {"name": "认识几分之一（微课）.mp4"}),
            (
                VTT.encode(),
                {"role": "subtitle", "name": "字幕.vtt", "media_type": "text/vtt", "language": "zh-CN"},
            ),
            (picture("认识几分之一", "#dfe8ee", (480, 270)), thumb),
        ],
        duration_seconds=6.0,
        a11y=("subtitles",),
        knowledge=("几分之一", "平均分"),
        reviewer="李主任",
    )
    slides = [picture(f"第 {number} 页  认识几分之一") for number in range(1, 7)]
    give(
        f"{lesson}-courseware",
        [
            (
                b"PK\x03\x04 slides",
                {
                    "role": "source",
                    "name": "认识几分之一（2024版 修改）.pptx",
                    "media_type": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
                },
            ),
            *(
                (data, {"role": "page", "name": f"{number}.png", "media_type": "image/png"})
                for number, data in enumerate(slides, 1)
            ),
            (picture("课件", "#f4ecd8", (480, 270)), thumb),
        ],
        pages=6,
    )
    plan = b"%PDF-1.4 a plan"
    give(f"{lesson}-plan", [(plan, {"role": "source", "name": "教案.pdf", "media_type": "application/pdf"})])
    give(
        f"{lesson}-exercise",
        [
            (
                text.encode(),
                {
                    "role": "package",
                    "name": path.rpartition("/")[2],
                    "path": path,
                    "media_type": "text/html" if path.endswith("html") else "text/javascript",
                },
            )
            for path, text in PACKAGE.items()
        ],
        kind="interactive",
        title="分一分，涂一涂（互动练习）",
    )
    give(
        "g3-music-1-video",
        [(sound(), {"name": "摇啊摇.ogg", "media_type": "audio/ogg"})],
        kind="audio",
        title="摇啊摇（范唱）",
        duration_seconds=4.0,
    )
    give(
        "g3-art-1-courseware",
        [
            (
                picture("魔幻的颜色", "#e9c9c0"),
                {"role": "source", "name": "魔幻的颜色.png", "media_type": "image/png"},
            )
        ],
        kind="image",
    )
    for subject in ("chinese", "science", "english"):
        give(
            f"g3-{subject}-1-video",
            [
                (film(), {"name": "课.mp4"}),
                (picture(BOOKS[subject][1][0][1][0], "#e6eedd", (480, 270)), thumb),
            ],
            duration_seconds=6.0,
        )
    long = "g3-chinese-2-plan"
    give(
        long,
        [],
        title="部级优课：统编版小学语文三年级上册第一单元第二课《花的学校》第一课时教学设计（含板书设计、作业设计与教学反思，2024年修订）",
    )
    for data in dict.fromkeys(blobs):
        school.store.add(data)
    school.fill(list(records.values()))
    return school


def listening(app: Any, port: int, package_port: int) -> Any:
    """Return one waitress on both ports, as a box has it; call its `run()`."""
    return use_channels(
        waitress.create_server(
            app,
            listen=f"127.0.0.1:{port} 127.0.0.1:{package_port}",
            threads=8,
            connection_limit=300,
            ident=None,
            log_socket_errors=False,
        )
    )


def _ffmpeg(*arguments: str, suffix: str) -> bytes:
    program = shutil.which("ffmpeg")
    assert program, "the tests need ffmpeg"
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory) / f"made{suffix}"
        subprocess.run([program, "-loglevel", "error", *arguments, str(made)], check=True)
        return made.read_bytes()
