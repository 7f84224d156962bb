"""The rest of the term: what the county's catalogue names beside the week, from the textbooks' tables of contents.

Most of these records have no file here: they can be found on a box and asked for. Which kinds of resource a lesson
has is drawn from its name, so that it is the same every time.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources

from appliance.demo.listing import Row

_NAMESPACE = uuid.UUID("5f0c1d3e-9a74-4a53-8c1f-2d4b7be0a6c1")
_AUTHORS = (
    "周雨晴",
    "李文博",
    "赵春兰",
    "孙志远",
    "吴海燕",
    "郑国梁",
    "何静怡",
    "罗桂芳",
    "唐明哲",
    "韩素云",
)
_KINDS = (
    ("视频课程", "{lesson}", "同步教学视频"),
    ("课件", "{lesson} 教学课件", "教学课件"),
    ("教案", "{lesson} 教学设计", "教学设计"),
    ("学习任务单", "{lesson} 学习任务单", "学习任务单"),
    ("课后练习", "{lesson} 课后练习", "课后练习"),
)
_SOURCES = (("国家级", "县级授权"), ("省级", "县级授权"), ("县级", "自制"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Poem:
    """A poem of the public domain that stands in the textbooks."""

    grade: str
    volume: str
    unit: str
    title: str
    dynasty: str
    author: str
    lines: tuple[str, ...]


def resource_id(*parts: str) -> str:
    """Return the stable id of the resource that `parts` name (UUID version 5, RFC 9562)."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(parts)))


def catalogue_rows() -> list[Row]:
    """Return the catalogue-only rows of all textbooks, in the order of the books."""
    rows: list[Row] = []
    for grade, subject, edition, volume, unit, lesson, number in _lessons():
        draw = random.Random(hashlib.sha256(f"{grade}{subject}{edition}{unit}{lesson}".encode()).digest())
        count = draw.choice((1, 2, 2, 3))
        kinds = sorted(draw.sample(range(len(_KINDS)), count)) if draw.random() < 0.5 else list(range(count))
        origin, licence = draw.choice(_SOURCES)
        author = draw.choice(_AUTHORS)
        for kind in kinds:
            label, title, words = _KINDS[kind]
            rows.append(
                Row(
                    id=resource_id(grade, subject, edition, volume, unit, lesson, label),
                    grade=grade,
                    subject=subject,
                    edition=edition,
                    volume=volume,
                    unit=unit,
                    lesson=lesson,
                    lesson_no=number,
                    title=title.format(lesson=lesson),
                    kind=label,
                    keywords=(lesson, unit),
                    description=f"{edition}{grade}{subject}{volume}“{unit}”《{lesson}》{words}。",
                    author=author,
                    origin=origin,
                    licence=licence,
                    audience="教师" if label in ("课件", "教案") else "学生、教师",
                )
            )
    return rows


def poems() -> list[Poem]:
    """Return the poems for recitation."""
    found = []
    for line in _table("poems.txt"):
        grade, volume, unit, title, dynasty, author, verses = line.split("|")
        found.append(
            Poem(
                grade=grade,
                volume=volume,
                unit=unit,
                title=title,
                dynasty=dynasty,
                author=author,
                lines=tuple(verses.split("/")),
            )
        )
    return found


def _lessons() -> Iterator[tuple[str, str, str, str, str, str, int]]:
    book: tuple[str, str, str, str] = ("", "", "", "")
    number = 0
    for line in _table("textbooks.txt"):
        if line.startswith("="):
            grade, subject, edition, volume = line.removeprefix("=").strip().split("|")
            book, number = (grade, subject, edition, volume), 0
            continue
        unit, _, lessons = line.partition(": ")
        for lesson in lessons.split("；"):
            number += 1
            yield (*book, unit, lesson, number)


def _table(name: str) -> Iterator[str]:
    text = resources.files("appliance.demo").joinpath(name).read_text(encoding="utf-8")
    return (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
