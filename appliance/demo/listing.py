"""The list that goes with the county's folder: an Excel workbook as county staff hand it over.

A title above the header, Chinese column names, one sheet for each kind of content, and merged cells where a unit
goes over several rows: what an ingest meets in real life.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from openpyxl import Workbook
from openpyxl.styles import Alignment, Border, Font, PatternFill, Side
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.worksheet import Worksheet


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the list, in the words of the list; `file` and `subtitle` are relative to the folder."""

    id: str
    grade: str
    subject: str
    edition: str
    volume: str
    unit: str
    lesson: str
    title: str
    kind: str
    file: str = ""
    subtitle: str = ""
    lesson_no: int | None = None
    keywords: tuple[str, ...] = ()
    knowledge: tuple[str, ...] = ()
    description: str = ""
    author: str = ""
    origin: str = "县级"
    licence: str = "自制"
    audience: str = "教师、学生"

    @property
    def stage(self) -> str:
        return "初中" if self.grade[0] in "七八九" else "小学"


_TITLE = "青禾县农村教学点数字教育资源清单（2026 年秋季学期）"
_NOTE = "说明：文件栏为相对本文件夹的路径；文件栏为空的是目录资源，可在书箱上查到并点播申请。"
_COLUMNS: tuple[tuple[str, float], ...] = (
    ("序号", 6), ("资源标识", 20), ("学段", 7), ("年级", 9), ("学科", 12), ("版本", 10), ("册次", 8),
    ("单元", 24), ("课", 24), ("课序", 6), ("标题", 32), ("类型", 13), ("文件", 52), ("字幕", 30), ("关键词", 30),
    ("知识点", 26), ("简介", 48), ("作者", 12), ("来源级别", 10), ("授权", 11), ("适用对象", 13),
)  # fmt: skip
_UNIT_COLUMN = 8
_HEADER_ROW = 3


def write_list(sheets: Sequence[tuple[str, Sequence[Row]]]) -> bytes:
    """Return the workbook with one sheet for each (name, rows)."""
    book = Workbook()
    book.remove(book.active)  # type: ignore[arg-type]
    for name, rows in sheets:
        _fill(book.create_sheet(name), rows)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _fill(sheet: Worksheet, rows: Sequence[Row]) -> None:
    width = len(_COLUMNS)
    thin, small = Side(style="thin", color="C9C9C9"), Font(name="宋体", size=10)
    border = Border(left=thin, right=thin, top=thin, bottom=thin)
    for line, text, size in ((1, _TITLE, 16), (2, _NOTE, 10)):
        sheet.merge_cells(start_row=line, start_column=1, end_row=line, end_column=width)
        above = sheet.cell(line, 1, text)
        above.font = Font(name="宋体", size=size, bold=line == 1)
        above.alignment = Alignment(horizontal="center" if line == 1 else "left", vertical="center")
    sheet.row_dimensions[1].height = 32
    for column, (name, letters) in enumerate(_COLUMNS, 1):
        head = sheet.cell(_HEADER_ROW, column, name)
        head.font = Font(name="宋体", bold=True)
        head.fill = PatternFill("solid", fgColor="DDEBE6")
        head.alignment = Alignment(horizontal="center", vertical="center")
        head.border = border
        sheet.column_dimensions[get_column_letter(column)].width = letters
    for number, row in enumerate(rows, 1):
        for column, content in enumerate(_cells(number, row), 1):
            if content is not None:
                entry = sheet.cell(_HEADER_ROW + number, column)
                entry.value, entry.border, entry.font = content, border, small
    _merge_units(sheet, rows)
    sheet.freeze_panes = f"A{_HEADER_ROW + 1}"


def _cells(number: int, row: Row) -> Iterable[str | int | None]:
    return (
        number, row.id, row.stage, row.grade, row.subject, row.edition, row.volume, row.unit, row.lesson,
        row.lesson_no, row.title, row.kind, row.file or None, row.subtitle or None, "、".join(row.keywords) or None,
        "；".join(row.knowledge) or None, row.description or None, row.author or None, row.origin, row.licence,
        row.audience,
    )  # fmt: skip


def _merge_units(sheet: Worksheet, rows: Sequence[Row]) -> None:
    """Merge the unit's cells of neighbouring rows of one unit, as people do by hand."""
    first = _HEADER_ROW + 1
    for _, group in groupby(rows, key=lambda row: (row.grade, row.subject, row.edition, row.unit)):
        count = len(list(group))
        if count > 1:
            sheet.merge_cells(
                start_row=first, end_row=first + count - 1, start_column=_UNIT_COLUMN, end_column=_UNIT_COLUMN
            )
            sheet.cell(first, _UNIT_COLUMN).alignment = Alignment(vertical="center", wrap_text=True)
        first += count
