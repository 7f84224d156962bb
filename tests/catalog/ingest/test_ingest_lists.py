"""Lists as counties send them: every encoding, header and merged cell, and what is said about bad ones."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_material import workbook
from openpyxl.styles import PatternFill
from xls import write_xls

from catalog.ingest.findings import Finding
from catalog.ingest.headers import field_of
from catalog.ingest.lists import Row, read_list

HEADER = [
    "序号",
    "标题",
    "学段",
    "学科",
    "版本",
    "年级",
    "册次",
    "单元 / 模块",
    "课时 / 知识点",
    "资源类型",
    "文件名",
]
ROW = [
    "1",
    "秒的认识",
    "小学",
    "数学",
    "人教版",
    "三年级",
    "上册",
    "第一单元 时分秒",
    "秒的认识",
    "微课",
    "秒.mp4",
]


def read(path: Path) -> tuple[list[Row], list[Finding]]:
    findings: list[Finding] = []
    return list(read_list(path, findings.append)), findings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk", "utf-16"])
def test_csv_in_every_encoding_that_offices_write(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "清单.csv"
    path.write_bytes((",".join(HEADER) + "\r\n" + ",".join(ROW) + "\r\n").encode(encoding))
    rows, findings = read(path)
    assert findings == []
    assert rows[0].row == 2
    assert rows[0].values == {
        "title": "秒的认识",
        "stage": "小学",
        "subject": "数学",
        "edition": "人教版",
        "grades": "三年级",
        "volume": "上册",
        "unit": "第一单元 时分秒",
        "lesson": "秒的认识",
        "kind": "微课",
        "file": "秒.mp4",
    }


@pytest.mark.parametrize("encoding", ["big5", "shift_jis", "utf-32"])
def test_a_wrong_encoding_is_one_clear_finding_and_no_rows(tmp_path: Path, encoding: str) -> None:
    text = "標題,学科,年級\r\n" + "".join(f"数学の時間 第{n}回,数学,三年\r\n" for n in range(9))
    if encoding == "big5":
        text = "標題,學科,年級\r\n" + "分數的認識,數學,三年級\r\n" * 9
    path = tmp_path / "list.csv"
    path.write_bytes(text.encode(encoding))
    rows, findings = read(path)
    assert rows == []
    assert [finding.code for finding in findings] == ["E-ENCODING"]
    assert "UTF-8" in findings[0].line("zh-CN")


def test_broken_utf8_is_not_read_as_chinese_garbage(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(("标题,学科\r\n" + "时分秒的认识与计算,数学\r\n" * 5).encode()[:-9] + b"\xff\xff\r\n")
    rows, findings = read(path)
    assert rows == [] and [finding.code for finding in findings] == ["E-ENCODING"]


def test_a_workbook_with_banner_sheets_merged_cells_and_numbers(tmp_path: Path) -> None:
    path = workbook(
        tmp_path / "list.xlsx",
        ("填写说明", [["请按表头填写"], ["谢谢"]], []),
        (
            "三上",
            [
                ["全县资源清单"],
                [],
                ["单元", "课", "标题", "学科", "教材年份", "排序权"],
                ["第一单元", "课一", "甲", "数学", 2024, 0.5],
                [None, "课二", "乙", "数学", 2024, 1],
            ],
            ["A1:F1", "A4:A5"],
        ),
        ("三下", [["标题", "学科"], ["丙", "语文"]], []),
    )
    rows, findings = read(path)
    assert [(row.sheet, row.row, row.values["title"]) for row in rows] == [
        ("三上", 4, "甲"),
        ("三上", 5, "乙"),
        ("三下", 2, "丙"),
    ]
    assert rows[1].values["unit"] == "第一单元"
    assert rows[0].values["textbook_year"] == "2024" and rows[0].values["quality"] == "0.5"
    assert [(item.code, item.level, item.sheet) for item in findings] == [("E-HEADER", "warning", "填写说明")]


def test_a_workbook_of_excel_97(tmp_path: Path) -> None:
    """County offices still save `.xls`: several sheets, numbers, merged cells, more rows than one sector holds."""
    lessons = [[f"第 {number} 课", "数学", float(number)] for number in range(1, 81)]
    path = write_xls(
        tmp_path / "清单.xls",
        {
            "三上": ([["全县资源清单"], ["单元", "标题", "学科", "课序"], ["一 测量", "甲", "数学", 2.0],
                      [None, "乙", "数学", 2.5]], [(0, 0, 0, 3), (2, 3, 0, 0)]),
            "三下": ([["标题", "学科", "课序"], *lessons], []),
        },
    )  # fmt: skip
    rows, findings = read(path)
    assert findings == [] and len(rows) == 82
    assert [(row.sheet, row.row, row.values["unit"], row.values["title"]) for row in rows[:2]] == [
        ("三上", 3, "一 测量", "甲"),
        ("三上", 4, "一 测量", "乙"),
    ]
    assert rows[-1].values == {"title": "第 80 课", "subject": "数学", "lesson_no": "80"}


def test_merged_titles_and_files_are_ambiguous(tmp_path: Path) -> None:
    rows, findings = read(
        workbook(
            tmp_path / "list.xlsx",
            ("表", [["标题", "文件", "学科"], ["甲", "a.mp4", "数学"], [None, "b.mp4", "数学"]], ["A2:A3"]),
        )
    )
    assert [row.values["title"] for row in rows] == ["甲", "甲"]
    assert [(item.code, item.row, item.column) for item in findings] == [
        ("E-MERGED", 2, "标题"),
        ("E-MERGED", 3, "标题"),
    ]


def test_an_unknown_column_is_named_and_its_cells_kept(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("标题,学科,拍摄机位\n甲,数学,双机位\n", encoding="utf-8")
    rows, findings = read(path)
    assert rows[0].unknown == {"拍摄机位": "双机位"}
    assert [(item.code, item.level, item.column, item.row) for item in findings] == [
        ("E-COLUMN", "warning", "拍摄机位", 1)
    ]


def test_text_under_an_excel_name_is_read_as_text(tmp_path: Path) -> None:
    path = tmp_path / "导出.xls"
    path.write_bytes("标题\t学科\r\n甲\t数学\r\n".encode("gb18030"))
    assert read(path)[0][0].values == {"title": "甲", "subject": "数学"}


def test_a_damaged_workbook_is_one_finding(tmp_path: Path) -> None:
    path = tmp_path / "list.xlsx"
    path.write_bytes(b"PK\x03\x04" + b"broken" * 99)
    rows, findings = read(path)
    assert rows == [] and [item.code for item in findings] == ["E-SHEET"]


@pytest.mark.parametrize("stray", [True, False])
def test_a_stray_cell_in_the_far_corner_takes_no_memory(tmp_path: Path, stray: bool) -> None:
    """A reader takes room for every cell up to the last one; a cell that only has a colour is none."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (HEADER, ROW):
        sheet.append(row)
    corner = sheet.cell(row=1_048_576, column=16_384)
    corner.fill = PatternFill("solid", fgColor="FFFF00")
    if stray:
        corner.value = "x"
    book.save(tmp_path / "list.xlsx")
    book.close()
    rows, findings = read(tmp_path / "list.xlsx")
    if stray:
        assert rows == [] and [item.code for item in findings] == ["E-SHEET"]
        assert findings[0].found.startswith("XFD1048576")
    else:
        assert [row.values["title"] for row in rows] == ["秒的认识"] and findings == []


def test_a_list_without_header_says_so(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("a,b\nc,d\n", encoding="utf-8")
    rows, findings = read(path)
    assert rows == [] and [(item.code, item.level) for item in findings] == [("E-HEADER", "error")]


def test_json_lines_name_each_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    lines = [
        json.dumps({"id": "a", "标题": "甲", "files": ["a.mp4"], "机位": 2}, ensure_ascii=False).encode(),
        b"{broken",
        b"",
        b"[1]",
        "标题".encode("gb18030"),
        b'{"title": "\xe4\xb9\x99"}',
        rb'{"title": "half a character \ud83d"}',
        rb'{"title": "a name", "files": ["\uDE00.mp4"]}',
        rb'{"title": "a name", "\ud800": 1}',
        b'{"title": "a number", "pages": ' + b"9" * 5000 + b"}",
        b'{"title": "deep", "raw": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        rb'{"title": "\ud83d\ude00"}',
    ]
    path.write_bytes(b"\n".join(lines))
    rows, findings = read(path)
    assert [(row.row, row.values["title"]) for row in rows] == [(1, "甲"), (6, "乙"), (12, "😀")]
    assert rows[0].values["files"] == ["a.mp4"] and rows[0].unknown == {"机位": "2"}
    assert [(item.code, item.row) for item in findings] == [
        ("E-COLUMN", 1),
        ("E-JSON", 2),
        ("E-JSON", 4),
        ("E-ENCODING", 5),
        *(("E-JSON", row) for row in range(7, 12)),
    ]


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("年级", "grades"),
        ("学科（人教版）", "subject"),
        ("单元 / 模块", "unit"),
        ("课时 / 知识点", "lesson"),
        ("标题（必填）", "title"),
        ("*视频标题", "title"),
        ("完整路径", "file_path"),
        ("Title", "title"),
        ("关键词：", "keywords"),
        ("拍摄机位", None),
    ],
)
def test_header_synonyms(header: str, field: str | None) -> None:
    assert field_of(header) == field


# The 3,755 characters of level 1 of GB 2312, and what stands between them.
HANZI = bytes(byte for high in range(0xB0, 0xD7) for low in range(0xA1, 0xFA) for byte in (high, low)).decode(
    "gb2312"
)
TEXT = st.text(st.sampled_from(HANZI + "abc019-_,;\"'()（）《》，。=@"), min_size=1, max_size=30)


@settings(deadline=None)
@given(
    st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=20),
    st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]], encoding: str
) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["题名", "简介"])
    writer.writerows(cells)
    path = tmp_path_factory.mktemp("lists") / "list.csv"
    path.write_bytes(out.getvalue().encode(encoding))
    rows, findings = read(path)
    assert not [item for item in findings if item.level == "error"]
    assert [(row.values["title"], row.values["description"]) for row in rows] == cells
    assert [row.row for row in rows] == list(range(2, len(cells) + 2))


@settings(deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["title", "description", "author"]), TEXT, min_size=1), max_size=20
    )
)
def test_records_written_as_json_lines_are_read(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("lists") / "list.jsonl"
    path.write_bytes(b"".join(json.dumps(record).encode() + b"\n" for record in records))
    rows, findings = read(path)
    assert findings == [] and [row.values for row in rows] == records
