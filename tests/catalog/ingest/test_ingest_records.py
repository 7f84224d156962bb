"""A row's words become codes, numbers and names; what is not known stays."""

from __future__ import annotations

from typing import Any

import pytest

from catalog.ingest.findings import Finding
from catalog.ingest.folder import title_of, values_of_folder
from catalog.ingest.records import UnknownWords, record_of
from catalog.resource import Edition


def record(**values: Any) -> tuple[dict[str, Any], list[Finding]]:
    findings: list[Finding] = []
    words = UnknownWords(findings.append, {})
    found = record_of(values, {}, sheet="表", row=2, report=findings.append, words=words)
    return found, findings


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"subject": "数学（人教版）"}, {"subject": "math", "edition": Edition(code="pep")}),
        ({"edition": "人教版（2024）"}, {"textbook_year": 2024}),
        ({"edition": "新人教版"}, {"new_old": "new"}),
        ({"edition": {"code": "bnu", "editor": "王尚志"}}, {"edition": Edition(code="bnu", editor="王尚志")}),
        ({"grades": "三年级上册"}, {"grades": ("g3",), "volume": "a", "stage": "primary"}),
        ({"grades": "五至六年级"}, {"grades": ("g5", "g6"), "stage": "primary"}),
        ({"grades": ["g7", "八年级"]}, {"grades": ("g7", "g8"), "stage": "junior"}),
        ({"volume": "选择性必修1"}, {"volume": "other", "volume_text": "选择性必修1"}),
        ({"unit": "第一单元", "lesson": "第3课 秒"}, {"path": ("第一单元", "第3课 秒"), "lesson_no": 3}),
        ({"unit": "第一单元", "lesson": "第一百零二课"}, {"lesson_no": 102}),
        ({"unit": "第一单元", "lesson": "第百百百百百百百百课"}, {"lesson_no": None}),
        ({"unit": "第一单元", "period": "第二课时"}, {"path": ("第一单元",), "period_no": 2}),
        ({"unit": "第一单元", "period": "认识秒"}, {"path": ("第一单元", "认识秒")}),
        ({"path": "第一单元/认识秒"}, {"path": ("第一单元", "认识秒")}),
        (
            {"unit": "八 分数的\n初步认识", "lesson": "Unit 3\nAmazing  animals"},
            {"path": ("八 分数的初步认识", "Unit 3 Amazing animals")},
        ),
        ({"keywords": "分数，几分之一;平均分"}, {"keywords": ("分数", "几分之一", "平均分")}),
        ({"language": "藏语"}, {"language": "bo"}),
        ({"language": "ug-Arab"}, {"language": "ug-Arab"}),
        ({"duration_seconds": "01:35"}, {"duration_seconds": 95.0}),
        ({"duration_seconds": "3分20秒"}, {"duration_seconds": 200.0}),
        ({"valid_to": "2027年8月"}, {"valid_to": "2027-08-31"}),
        ({"audience": "教师、学生"}, {"audience": ("teacher", "pupil")}),
        ({"kind": "微课"}, {"kind": "video", "raw": {"kind": "微课"}}),
    ],
)
def test_what_suppliers_write_is_understood(values: dict[str, Any], expected: dict[str, Any]) -> None:
    found, findings = record(title="甲", **values)
    assert {name: found.get(name) for name in expected} == expected
    assert findings == []


@pytest.mark.parametrize(
    ("cell", "title"),
    [
        ("分数的\n初步认识", "分数的初步认识"),
        ("分数的初步认识 \r\n （第一课时）", "分数的初步认识（第一课时）"),
        ("Part A\nLet's talk", "Part A Let's talk"),
        ("练习\t1\n", "练习 1"),
        ("认识 秒", "认识 秒"),
    ],
)
def test_a_title_that_was_wrapped_in_its_cell_is_one_line(cell: str, title: str) -> None:
    assert record(title=cell)[0]["title"] == title


@pytest.mark.parametrize(
    ("field", "word"),
    [("subject", "奥数"), ("kind", "微格"), ("stage", "大学"), ("volume", "附册"), ("edition", "岭南美术")],
)
def test_an_unknown_code_is_kept_and_shown_never_dropped(field: str, word: str) -> None:
    found, findings = record(title="甲", **{field: word})
    code = found[field].code if field == "edition" else found[field]
    assert code == f"raw:{word}"
    assert [(item.code, item.level, item.column, item.found) for item in findings] == [
        ("E-CODE", "warning", field, word)
    ]


def test_an_unknown_grade_and_a_wrong_number_stay_readable() -> None:
    found, findings = record(title="甲", grades="预备班", textbook_year="不详")
    assert found["grades"] == ("raw:预备班",) and found["raw"] == {"textbook_year": "不详"}
    assert sorted(item.code for item in findings) == ["E-CODE", "E-VALUE"]


def test_the_same_unknown_word_is_said_once_and_counted() -> None:
    findings: list[Finding] = []
    words = UnknownWords(findings.append, {})
    for row in range(5):
        record_of({"subject": "奥数"}, {}, sheet="表", row=row, report=findings.append, words=words)
    assert len(findings) == 1 and words.seen == {("subject", "奥数"): 5}


@pytest.mark.parametrize(
    ("folder", "values"),
    [
        (
            "小学/数学/人教版/三年级上册/第一单元 时分秒/01 秒的认识",
            {
                "stage": "小学",
                "subject": "数学",
                "edition": "人教版",
                "grade_volume": "三年级上册",
                "path": ["第一单元 时分秒", "秒的认识"],
                "lesson_no": "01",
            },
        ),
        (
            "人教版三年级数学上册",
            {"edition": "人教版", "grades": "三年级", "subject": "数学", "volume": "上册"},
        ),
        ("数学（人教版）/三年级/教案", {"subject": "数学（人教版）", "grades": "三年级", "kind": "教案"}),
        ("2024年春/照片", {"path": ["2024年春", "照片"]}),
        ("", {}),
    ],
)
def test_folder_names_are_read_by_rule(folder: str, values: dict[str, Any]) -> None:
    assert values_of_folder(folder) == values


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("01 秒的认识.mp4", "秒的认识"),
        ("3.1 认识分数.pptx", "认识分数"),
        ("100以内的加法.mp4", "100以内的加法"),
        ("2024.pdf", "2024"),
        ("春_夏.jpg", "春 夏"),
    ],
)
def test_a_file_name_gives_the_title(name: str, title: str) -> None:
    assert title_of(name) == title
