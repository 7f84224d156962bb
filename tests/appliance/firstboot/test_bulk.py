"""From the county's list of schools to a folder for each card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import call
from openpyxl import Workbook, load_workbook

from appliance.firstboot.bulk import Made, make_for_schools
from appliance.firstboot.request import read_request
from catalog.errors import StorageError

HEAD = ["序号", "学校名称", "学校标识码", "年级", "数学", "三年级语文上册教材", "WiFi名称", "WiFi密码", "固定地址", "专网", "中心校书箱", "奇怪的列"]  # fmt: skip
ROWS = [
    ["1", "石桥教学点", 3362000123, "一至三年级", "人教版（2024）", "统编版", "school", 12345678, "192.168.88.88/24", "是", "http://10.1.1.2:8080", "x"],
    ["2", "", "3362000124", "", "", "", "", "", "", "", "", ""],
    ["3", "柳沟教学点", "33620", "十三年级", "", "", "school", "1234567", "192.168.88.88", "", "", ""],
    ["4", "石桥教学点", "3362000125", "", "", "", "", "", "", "", "", ""],
    ["5", "河湾/小学", "3362000126", "g1、g2", "北师大版", "", "open", "", "", "否", "", ""],
]  # fmt: skip


def write_list(path: Path) -> Path:
    if path.suffix == ".csv":
        lines = [",".join(map(str, row)) for row in (["青禾县学校名单"], HEAD, *ROWS)]
        path.write_bytes("\r\n".join(lines).encode("gb18030"))
        return path
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "学校"
    for row in (["青禾县学校名单"], HEAD, *ROWS):
        sheet.append(row)
    book.save(path)
    return path


@pytest.mark.parametrize("name", ["学校.xlsx", "学校.csv"])
def test_a_list_of_schools(tmp_path: Path, name: str) -> None:
    target = tmp_path / "out"
    made = make_for_schools(
        write_list(tmp_path / name), target, fingerprint="ab" * 32, hub="http://10.0.0.2:8088"
    )
    assert made.folders == ("3362000123-石桥教学点", "3362000126-河湾 小学")
    found = {(one.row, one.column, one.code) for one in made.findings}
    assert found == {
        (2, "奇怪的列", "E-COLUMN"),
        (4, "name", "E-PRESEED-NEED"),
        (5, "school_code", "E-PRESEED-TYPE"),
        (5, "grades", "E-PRESEED-CODE"),
        (5, "wifi_password", "E-PRESEED-WIFI"),
        (5, "fixed_address", "E-PRESEED-ADDRESS"),
        (6, "name", "E-PRESEED-DOUBLE"),
    }
    assert made.sheet is not None and made.sheet.stat().st_mode & 0o777 == 0o600
    sheet = load_workbook(made.sheet).active
    assert sheet is not None
    rows = [[str(cell or "") for cell in row] for row in sheet.iter_rows(min_row=2, values_only=True)]
    for row, folder in zip(rows, made.folders, strict=True):
        request = read_request((target / folder / "shuxiang.toml").read_bytes()).request
        assert request is not None
        assert row[:3] == [request.name, request.settings["school_code"], folder]
        assert row[3:] == [request.passwords["admin_password"], request.passwords["teacher_password"]]
    assert len({password for row in rows for password in row[3:]}) == 4, "each is another"
    first = read_request((target / made.folders[0] / "shuxiang.toml").read_bytes()).request
    assert first is not None
    assert first.settings["scope.grades"] == ["g1", "g2", "g3"]
    assert first.settings["scope.editions"] == [
        {"edition": "pep", "subject": "math", "textbook_year": 2024},
        {"edition": "tongbian", "grade": "g3", "subject": "chinese", "term": "a"},
    ]
    assert first.settings["policy.education_line"] is True
    assert first.settings["sync.parents"] == ["http://10.1.1.2:8080"]
    assert first.passwords["wifi.password"] == "12345678"


def test_a_second_run_adds_what_is_new(tmp_path: Path) -> None:
    source, target = write_list(tmp_path / "学校.xlsx"), tmp_path / "out"
    call(tmp_path / "hub", "hub", "init", "--name", "青禾县")
    arguments = ("hub", "preseed", source, target, "--hub", "http://10.0.0.2:8088")
    made = call(tmp_path / "hub", *arguments, code=10)
    assert len(made["made"]) == 2 and made["findings"]
    before = (target / made["made"][0] / "shuxiang.toml").read_bytes()
    call(tmp_path / "hub", "image", "check", "--preseed", target / made["made"][0] / "shuxiang.toml")
    book = load_workbook(source)
    assert book.active is not None
    book.active.append(["6", "新教学点", "3362000127"])
    book.save(source)
    again = call(tmp_path / "hub", *arguments, code=10)
    assert (again["made"], again["kept"]) == (["3362000127-新教学点"], made["made"])
    assert (target / made["made"][0] / "shuxiang.toml").read_bytes() == before
    assert sorted(path.name for path in target.glob("*.xlsx")) == ["密码表 2.xlsx", "密码表.xlsx"]


def passwords_in(sheet: Path | None) -> dict[str, list[str]]:
    """Return the passwords of a sheet by folder."""
    assert sheet is not None
    table = load_workbook(sheet).active
    assert table is not None
    rows = [[str(cell or "") for cell in row] for row in table.iter_rows(min_row=2, values_only=True)]
    return {row[2]: row[3:] for row in rows}


def test_a_run_that_fails_loses_no_password(tmp_path: Path) -> None:
    source, target = write_list(tmp_path / "学校.xlsx"), tmp_path / "out"

    def make() -> Made:
        return make_for_schools(source, target, fingerprint="ab" * 32, hub="http://10.0.0.2:8088")

    target.mkdir()
    # The second folder can not be made: a file has its name.
    (target / "3362000126-河湾 小学").write_text("")
    with pytest.raises(StorageError):
        make()
    (target / "3362000126-河湾 小学").unlink()
    first = (target / "3362000123-石桥教学点" / "shuxiang.toml").read_bytes()
    made = make()
    assert made.kept == ("3362000123-石桥教学点",) and made.folders == ("3362000126-河湾 小学",)
    assert (target / "3362000123-石桥教学点" / "shuxiang.toml").read_bytes() == first
    told = passwords_in(made.sheet)
    for folder in (*made.kept, *made.folders):
        request = read_request((target / folder / "shuxiang.toml").read_bytes()).request
        assert request is not None
        assert told[folder] == [request.passwords["admin_password"], request.passwords["teacher_password"]]
    assert make().sheet is None
    assert {path.name for path in target.iterdir() if path.is_file()} == {"密码表.xlsx", "密码表 2.xlsx"}


def test_the_newest_sheet_has_every_school_whatever_the_list_sent_last_has(tmp_path: Path) -> None:
    target = tmp_path / "out"

    def make(*rows: str) -> Made:
        path = tmp_path / "学校.csv"
        path.write_text("\n".join(["学校名称,学校标识码,年级", *rows, ""]), encoding="utf-8")
        return make_for_schools(path, target, fingerprint="ab" * 32, hub="http://10.0.0.2:8088")

    first = make("甲校,3362000127,g1", "乙校,3362000123,g1", "丙校,,g1", "丁校,3362000128,十三年级")
    # The row that was wrong, corrected; one of before with a slip of the pen; the others are not sent again.
    second = make("丁校,3362000128,g3", "乙校,3362000123,十四年级")
    assert second.folders == ("3362000128-丁校",) and not second.kept
    told = passwords_in(second.sheet)
    assert list(told) == ["3362000128-丁校", "3362000123-乙校", "3362000127-甲校", "丙校"]
    assert {folder: told[folder] for folder in first.folders} == passwords_in(first.sheet)
    assert second.sheet is not None
    table = load_workbook(second.sheet).active
    assert table is not None
    assert [row[:2] for row in table.iter_rows(min_row=3, values_only=True)] == [
        ("乙校", "3362000123"), ("甲校", "3362000127"), ("丙校", None),
    ]  # fmt: skip


def test_a_folder_whose_passwords_are_gone_stands_in_the_sheet_without_them(tmp_path: Path) -> None:
    path, target = tmp_path / "学校.csv", tmp_path / "out"
    path.write_text("学校名称,年级\n甲校,g1\n乙校,g1\n", encoding="utf-8")
    make_for_schools(path, target, fingerprint="ab" * 32, hub="http://10.0.0.2:8088")
    (target / "甲校" / "shuxiang.toml").write_text("name = [")
    path.write_text("学校名称,年级\n丙校,g1\n", encoding="utf-8")
    told = passwords_in(
        make_for_schools(path, target, fingerprint="ab" * 32, hub="http://10.0.0.2:8088").sheet
    )
    assert told["甲校"] == ["", ""] and all(told["乙校"]) and all(told["丙校"])


def test_two_schools_never_share_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "学校.csv"
    path.write_text("学校名称,年级\n丙/校,g1\n丙:校,g1\nABC校,g1\nabc校,g1\n丁校,g1\n", encoding="utf-8")
    made = make_for_schools(path, tmp_path / "out", fingerprint="ab" * 32, hub="http://10.0.0.2:8088")
    assert made.folders == ("丙 校", "ABC校", "丁校") and not made.kept
    assert [(one.row, one.code) for one in made.findings] == [(3, "E-PRESEED-DOUBLE"), (5, "E-PRESEED-DOUBLE")]  # fmt: skip
    assert set(passwords_in(made.sheet)) == {"丙 校", "ABC校", "丁校"}


def test_a_list_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "学校.csv"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    made = make_for_schools(path, tmp_path / "out", fingerprint="ab" * 32, hub="http://10.0.0.2:8088")
    assert [one.code for one in made.findings] == ["E-PRESEED-SHEET"] and not made.folders


def test_the_commands_of_a_card(tmp_path: Path) -> None:
    file = tmp_path / "shuxiang.toml"
    call(tmp_path / "state", "image", "preseed", file)
    assert call(tmp_path / "state", "image", "preseed", file, code=3)["error"]["code"] == "E-FILE-EXISTS"
    found = call(tmp_path / "state", "image", "check", "--preseed", file, code=3)
    assert {one["key"] for one in found["findings"]} == {
        "name",
        "admin_password",
        "hub.url",
        "hub.fingerprint",
    }
    missing = call(tmp_path / "state", "image", "check", "--preseed", tmp_path / "none.toml", code=3)
    assert missing["error"]["code"] == "E-PRESEED-MISSING"
    assert json.dumps(found)
