"""The county's list of schools: Excel or CSV, a row for each machine; and a sheet of text to hand back.

Columns are known by many names, and a column named after a subject (`数学`, `三年级语文上册`) holds the edition that the
school uses. Invariant: every filled cell is in a row's `values` or `editions`, or its column is named by a finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from openpyxl import Workbook
from openpyxl.utils import get_column_letter

from catalog.curriculum import code_of, fold, grades_of
from catalog.ingest.findings import WARNING, Finding, Report
from catalog.ingest.lists import Table, read_tables
from catalog.ingest.rejected import text_cell

_HEADER_SEARCH_ROWS = 20
_COLUMN_WIDTH = 24
_SYNONYMS = """
name: 名称 学校名称 学校 校名 教学点 教学点名称 单位名称 单位 书箱名称
school_code: 学校标识码 标识码 学校代码 学校识别码
stages: 学段 办学类型
grades: 年级 开设年级 在校年级
hub: 县中心 县中心地址
parents: 上级 上级书箱 中心校书箱 中心校地址
subscriptions: 订阅 资源包
wifi_ssid: 无线名称 无线网络 无线网络名称 wifi名称 wi-fi名称 wifi ssid
wifi_password: 无线密码 无线网络密码 wifi密码 wi-fi密码
wifi_hidden: 无线隐藏 隐藏
fixed_address: 固定地址 固定ip ip地址
gateway: 网关
month_budget_mb: 每月流量 流量限额 每月流量（mb）
rate_kb_per_s: 速度上限 限速
metered: 按流量计费 流量卡
education_line: 教育专网 专网
ignored: 序号 备注 说明 联系人 电话 联系电话 校长 地址 学校地址 乡镇 学区 人数 学生数 班级数
"""
_FIELD_OF: Mapping[str, str] = MappingProxyType(
    {
        fold(word): field
        for line in _SYNONYMS.strip().splitlines()
        for field, _, words in (line.partition(": "),)
        for word in (field, *words.split())
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class School:
    """One row: `values` by field as text; `editions` as `三年级 数学 上册 人教版`, by the name of their column."""

    sheet: str
    row: int
    values: Mapping[str, str]
    editions: tuple[tuple[str, str], ...]


def read_schools(path: Path, report: Report) -> Iterator[School]:
    """Yield the schools of the list at `path`; problems go to `report`."""
    tables = read_tables(path, report)
    found = [(table, place) for table in tables if (place := _header_place(table)) is not None]
    if tables and not found:
        report(Finding(code="E-PRESEED-SHEET", path=path.name))
    for table, place in found:
        yield from _rows(table, place, report)


def _header_place(table: Table) -> int | None:
    for place, row in enumerate(table.cells[:_HEADER_SEARCH_ROWS]):
        if "name" in {_field(cell) for cell in row if cell} and sum(map(bool, row)) > 1:
            return place
    return None


def _rows(table: Table, place: int, report: Report) -> Iterator[School]:
    headers = table.cells[place]
    fields = [_field(header) for header in headers]
    courses = [None if field else _course(header) for field, header in zip(fields, headers, strict=True)]
    filled = {column for row in table.cells[place + 1 :] for column, cell in enumerate(row) if cell}
    for column, header in enumerate(headers):
        if column in filled and fields[column] is None and courses[column] is None:
            report(
                Finding(
                    code="E-COLUMN", level=WARNING, sheet=table.name, row=place + 1, column=header or f"#{column + 1}"
                )
            )  # fmt: skip
    for number, cells in enumerate(table.cells[place + 1 :], place + 2):
        values, editions = {}, []
        for cell, field, course, header in zip(cells, fields, courses, headers, strict=False):
            if cell and course is not None:
                editions.append((header, f"{course} {cell}"))
            elif cell and field not in (None, "ignored"):
                values[str(field)] = cell
        if values or editions:
            yield School(sheet=table.name, row=number, values=values, editions=tuple(editions))


def _field(header: str) -> str | None:
    folded = re.sub(r"[*★]|[(\[](必填|选填|可选|必选)[)\]]", "", fold(header))
    return _FIELD_OF.get(folded)


def _course(header: str) -> str | None:
    """Return the words of a column that is named after a subject: `三年级语文上册教材` is `三年级 语文 上册`."""
    rest = re.sub(r"(教材版本|教材|版本)$", "", fold(header))
    words = []
    grade = re.match(r"(小学|初中|高中)?([一二三四五六七八九1-9]年级|高[一二三])?", rest)
    assert grade is not None
    for word in grade.groups():
        if word:
            words.append(word)
            rest = rest.removeprefix(word)
    volume = re.search(r"(上册|下册|上|下)$", rest)
    subject = rest[: volume.start()] if volume else rest
    if code_of("subject", subject) is None or any(
        code_of("stage", word) is None and not grades_of(word) for word in words
    ):
        return None
    return " ".join([*words, subject, *([volume[1]] if volume else [])])


def write_sheet(path: Path, title: str, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write rows of text as `.xlsx` to `path`."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet(title)
    for column in range(1, len(headers) + 1):
        sheet.column_dimensions[get_column_letter(column)].width = _COLUMN_WIDTH
    sheet.freeze_panes = "A2"
    sheet.append([text_cell(sheet, text, bold=True) for text in headers])
    for row in rows:
        sheet.append([text_cell(sheet, text) for text in row])
    book.save(path)
