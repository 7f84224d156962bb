"""A hub for tests of its staff pages: a real library, real ingest, real keys and real publication behind the protocol."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from builders import Store
from openpyxl import Workbook
from PIL import Image, ImageDraw
from werkzeug.test import Client, TestResponse

from catalog.clock import CHINA
from catalog.errors import RoadError
from catalog.ingest.session import IngestSession
from catalog.local import Local
from catalog.manifest import Bundle
from catalog.progress import Progress
from sync.publishing.publish import BundlePreview, preview, publish
from sync.trust.heads import heads
from sync.trust.identity import initialise
from sync.trust.keys import load_keys
from webui.hub.accounts import FIRST_USER, set_password
from webui.hub.app import HubApp, create_hub_app
from webui.hub.operations import (
    BundleChange,
    HubSettings,
    IngestRequest,
    Preview,
    Published,
    ReleaseLine,
    Tell,
)

NAME = "临夏州东乡县"
PASSWORD = "a password of this test"


@dataclass
class StaffHub:
    """A hub in `directory` that fulfils `HubOperations`; `held` stands for another process that holds the state."""

    directory: Path
    held: bool = False
    pace_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.store = Store(self.directory)
        self.library = self.store.library
        self.local = Local.open(self.directory / "local.db")
        if not (self.directory / "keys").exists():
            initialise(self.directory, name=NAME, now=datetime.now(UTC))
            set_password(self.local, FIRST_USER, PASSWORD)
        self._lock = threading.Lock()

    def settings(self, **more: Any) -> HubSettings:
        return HubSettings(
            hub_id="0" * 32,
            name=NAME,
            version="0.1.0",
            secret=b"a secret of this test",
            uploads=self.directory / "uploads",
            blobs=self.directory / "blobs",
            licence="contract-county",
            clock=lambda: datetime.now(UTC).astimezone(CHINA),
            **more,
        )

    def app(self, **more: Any) -> HubApp:
        return create_hub_app(self.library, self.local, self, self.settings(**more))

    def close(self) -> None:
        self.store.close()
        self.local.close()

    # -- HubOperations -------------------------------------------------------------------------------------------

    def create_bundle(self, bundle_id: str, title: str) -> None:
        with self.library.writing() as writer:
            writer.put_bundle(Bundle(id=bundle_id, version=0, title=title, publisher=NAME))

    @contextmanager
    def ingesting(self, request: IngestRequest, tell: Tell) -> Iterator[IngestSession]:
        with (
            self._hold(),
            IngestSession(
                self.library,
                self.store.blobs,
                request.source,
                request.sheet,
                request.bundle,
                request.licence or "contract-county",
                work=request.work,
                progress=lambda progress: self._tell(progress, tell),
                source_name=request.source_name,
            ) as session,
        ):
            yield session

    def preview(self) -> Preview:
        with self._hold():
            found = preview(
                self.library,
                self.directory,
                publisher=NAME,
                keys=load_keys(self.directory / "keys"),
                now=datetime.now(UTC),
            )
        return Preview(
            release=found.release,
            changed=found.changed,
            bundles=tuple(map(_change, found.bundles)),
            bytes_new=found.bytes_new,
            bytes_total=found.bytes_total,
        )

    def publish(self, tell: Tell) -> Published:
        with self._hold():
            done = publish(
                self.library,
                self.store.blobs,
                self.directory,
                load_keys(self.directory / "keys"),
                publisher=NAME,
                now=datetime.now(UTC),
                progress=lambda progress: self._tell(progress, tell),
            )
        return Published(
            new=done.published,
            release=done.release,
            signed_at=done.date,
            added=done.added,
            changed=done.changed,
            gone=done.recalled,
            bytes_new=done.bytes_new,
        )

    def releases(self, limit: int) -> list[ReleaseLine]:
        return [
            ReleaseLine(release=head.release.number, signed_at=head.release.date)
            for head in heads(self.directory / "public")[:limit]
        ]

    @contextmanager
    def _hold(self) -> Iterator[None]:
        if self.held or not self._lock.acquire(blocking=False):
            raise RoadError("E-BUSY")
        try:
            yield
        finally:
            self._lock.release()

    def _tell(self, progress: Progress, tell: Tell) -> None:
        tell(progress)
        if self.pace_seconds:
            time.sleep(self.pace_seconds)


def _change(found: BundlePreview) -> BundleChange:
    return BundleChange(
        id=found.id,
        title=found.title,
        version=found.version,
        resources=found.resources,
        added=len(found.added),
        changed=len(found.changed),
        gone=len(found.gone),
        samples=tuple(named.title for named in (*found.added, *found.changed)[:4]),
        gone_samples=tuple(named.title for named in found.gone[:4]),
    )


class Staff(Client):
    """A browser of county staff, with its cookies; `post` adds the token of the page that was last read."""

    token = ""

    def open(self, *args: Any, **more: Any) -> TestResponse:
        return super().open(*args, **{"buffered": True, **more})

    def read(self, address: str, **more: Any) -> TestResponse:
        answer = self.get(address, **more)
        if found := re.search(
            r'name="token" value="(\w+)"', answer.text if answer.mimetype == "text/html" else ""
        ):
            self.token = found[1]
        return answer

    def log_in(self, user: str = FIRST_USER, password: str = PASSWORD) -> TestResponse:
        self.read("/hub/login")
        answer = self.send("/hub/login", user=user, password=password)
        self.read("/hub/")
        return answer

    def send(self, address: str, **fields: Any) -> TestResponse:
        return self.post(address, data={"token": self.token, **fields})


HEADERS = ["标题", "学段", "年级", "学科", "版本", "册次", "单元", "课", "类型", "文件", "授权"]


def county_batch(folder: Path, *, lessons: int = 3, sound: bool = True) -> Path:
    """Write a batch as a county's teachers send it: pictures, a sound, a list, and rows that must go back."""
    folder.mkdir(parents=True)
    rows: list[list[str]] = []
    for number, (unit, lesson) in enumerate(LESSONS[:lessons], start=1):
        name = f"图片/{number:02} {lesson}.png"
        _picture(folder / name, lesson, number)
        rows.append(["小学", "三年级", "数学", "人教版", "上册", unit, lesson, "图片", name, ""])
        rows[-1].insert(0, f"{lesson}（板书）")
    if sound:
        path = folder / "口算听力.ogg"
        subprocess.run(
            ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "sine=440:duration=1", path], check=True
        )  # fmt: skip
        rows.append(
            [
                "口算听力",
                "小学",
                "三年级",
                "数学",
                "人教版",
                "上册",
                LESSONS[0][0],
                LESSONS[0][1],
                "听力",
                path.name,
                "自有",
            ]
        )
    (folder / "空的.mp4").write_bytes(b"")
    (folder / "坏的.pdf").write_bytes(b"this is no PDF at all")
    rows += [
        ["认识几分之一（微课）", "小学", "三年级", "数学", "人教版", "上册", "分数的初步认识", "认识几分之一", "微课", "认识几分之一.mp4", ""],
        ["观察物体（微课）", "小学", "三年级", "数学", "人教版", "上册", "观察物体", "观察物体", "微课", "空的.mp4", ""],
        ["练习二", "小学", "三年级", "数学", "人教版", "上册", "时、分、秒", "练习二", "课后练习", "坏的.pdf", ""],
        ["", "小学", "三年级", "数学", "人教版", "上册", "时、分、秒", "秒的认识", "图片", f"图片/01 {LESSONS[0][1]}.png", ""],
        ["校歌（校本）", "小学", "三年级", "音乐", "校本版", "上册", "", "", "音乐欣赏课", "口算听力.ogg", ""],
    ]  # fmt: skip
    book = Workbook()
    sheet = book.active
    sheet.title = "三年级数学"
    for row in [HEADERS, *rows]:
        sheet.append(row)
    book.save(folder / "资源清单.xlsx")
    return folder


LESSONS = [
    ("时、分、秒", "秒的认识"),
    ("时、分、秒", "时间的计算"),
    ("万以内的加法和减法（一）", "两位数加两位数"),
    ("万以内的加法和减法（一）", "两位数减两位数"),
    ("测量", "毫米、分米的认识"),
    ("测量", "千米的认识"),
    ("测量", "吨的认识"),
    ("倍的认识", "倍的认识"),
    ("多位数乘一位数", "口算乘法"),
    ("多位数乘一位数", "笔算乘法"),
    ("长方形和正方形", "四边形"),
    ("长方形和正方形", "周长"),
    ("分数的初步认识", "认识几分之一"),
    ("分数的初步认识", "认识几分之几"),
    ("数学广角", "集合"),
]


def _picture(path: Path, text: str, number: int) -> None:
    path.parent.mkdir(exist_ok=True)
    colours = ("#2e5877", "#23695f", "#8e3b35", "#6c4d84", "#9a5a1c")
    image = Image.new("RGB", (640, 400), colours[number % len(colours)])
    draw = ImageDraw.Draw(image)
    for place in range(number % 5 + 2):
        draw.rectangle((60 + place * 90, 120, 130 + place * 90, 190), outline="white", width=5)
    draw.text((60, 300), f"{number}: {text.encode('ascii', 'replace').decode()}", fill="white")
    image.save(path)
