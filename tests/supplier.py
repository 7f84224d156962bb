"""A supplier's folder for whole-road tests: a list and its files, small and quick to describe."""

from __future__ import annotations

import csv
import random
from pathlib import Path

HEADER = ("标题", "学段", "学科", "版本", "年级", "册次", "单元", "课", "类型", "文件")
LESSONS = ("认识几分之一", "认识几分之几", "分数的简单计算", "解决问题", "整理和复习")


def write_folder(folder: Path, *, files: int = 20, size_bytes: int = 20_000, seed: int = 1) -> Path:
    """Write `files` texts and a list of them; return the list."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(files):
        lesson = LESSONS[number % len(LESSONS)]
        name = f"{number:03}-{lesson}.txt"
        text = random.Random(seed * 1000 + number).randbytes(size_bytes // 2).hex()
        (folder / name).write_text(f"{lesson}\n{text}\n", encoding="utf-8")
        title = f"{lesson} 教案{number}"
        rows.append(
            (title, "小学", "数学", "人教版", "三年级", "上册", "分数的初步认识", lesson, "教案", name)
        )
    return write_list(folder, rows)


def write_list(folder: Path, rows: list[tuple[str, ...]], header: tuple[str, ...] = HEADER) -> Path:
    sheet = folder / "资源清单.csv"
    with sheet.open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return sheet
