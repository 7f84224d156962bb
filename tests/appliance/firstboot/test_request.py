"""`shuxiang.toml` is read as people and their editors write it; what is wrong is said, all at once."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.firstboot.fields import FIELDS
from appliance.firstboot.request import END, Reading, read_request
from appliance.firstboot.template import write_request, write_template
from catalog.ingest.findings import WARNING
from catalog.messages import MESSAGES

FINGERPRINT = "AB " * 32
WHOLE = f'''
name = "石桥教学点"
role = "box"
admin_password = "correct horse"
[hub]
url = "http://192.168.1.10:8088"
fingerprint = "{FINGERPRINT}"
'''


def read(text: str, encoding: str = "utf-8") -> Reading:
    return read_request(text.encode(encoding))


def codes(reading: Reading) -> list[tuple[int, str]]:
    return [(one.row, one.code) for one in reading.errors]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_editor(encoding: str, line_end: str) -> None:
    reading = read(WHOLE.replace("\n", line_end), encoding)
    assert not reading.findings
    assert reading.request is not None
    assert (reading.request.name, reading.request.role) == ("石桥教学点", "box")
    assert reading.request.fingerprint == "ab" * 32
    assert reading.request.passwords == {"admin_password": "correct horse"}


def test_a_key_that_can_not_be_read_is_not_missing_as_well() -> None:
    reading = read(WHOLE.replace('role = "box"', 'role = "box'))
    assert codes(reading) == [(3, "E-PRESEED-VALUE")]


def test_chinese_punctuation_and_keys() -> None:
    reading = read(
        f"""
角色＝“书箱”　＃ 注释
名称 = ‘石桥“中心”校’
管理密码 = "ab”cd，ef 12"
［县中心］
地址 = "http://10.0.0.2:8088”
指纹 = “{FINGERPRINT}”
【本校教材】
学段 = “小学、初中”
年级 = [“一年级”，“三至四年级”、”g7“]
教材 = ["数学 人教版 2024"，"三年级 语文 上册 部编版", "科学 粤教版"]
[无线网络]
名称 = "学校"
密码 = “a\\b#12345”
隐藏 = 是
[线路]
教育专网 = true
同步时段 = "1-5 18:00-23:30"
每月流量 = 500
"""
    )
    assert reading.request is not None, reading.findings
    said = reading.request.settings
    assert said["name"] == "石桥“中心”校"
    assert reading.request.passwords == {"admin_password": "ab”cd，ef 12", "wifi.password": "a\\b#12345"}
    assert said["scope.stages"] == ["junior", "primary"]
    assert said["scope.grades"] == ["g1", "g3", "g4", "g7"]
    assert said["scope.editions"] == [
        {"edition": "pep", "subject": "math", "textbook_year": 2024},
        {"edition": "tongbian", "grade": "g3", "subject": "chinese", "term": "a"},
        {"edition": "raw:粤教版", "subject": "science"},
    ]
    assert (said["wifi.ssid"], said["wifi.hidden"]) == ("学校", True)
    assert said["policy.education_line"] is True and said["policy.month_budget_mb"] == 500
    assert said["policy.windows"] == ["1-5 18:00-23:30"]
    assert [one.level for one in reading.findings] == [WARNING]


def test_missing_quotes_are_read_as_they_stand() -> None:
    reading = read(WHOLE.replace('"石桥教学点"', "石桥教学点  # 名称").replace('"correct horse"', "01234567"))
    assert reading.request is not None
    assert reading.request.name == "石桥教学点"
    assert reading.request.passwords["admin_password"] == "01234567"
    assert [(one.row, one.code) for one in reading.findings] == [
        (2, "E-PRESEED-QUOTES"),
        (4, "E-PRESEED-QUOTES"),
    ]


def test_everything_wrong_is_said_at_once() -> None:
    reading = read(
        """
name = ["a"]
role = "server"
bla
admin_password = "short"
school_code = "12"
time_zone = "Mars"
nmae = "x"
name = "again"
[hub]
url = "192.168.1.10"
fingerprint = "xyz"
[wifi]
ssid = "s"
password = "1234567"
admin_password = "x"
[network]
fixed_address = "192.168.88.300/24"
gateway = "192.168.1.1"
[nowhere]
a = 1
[policy]
windows = ["sometimes"]
metered = "maybe"
rate_kb_per_s = "fast"
[scope]
grades = ["十三年级"]
editions = ["人教版"]
[sync]
subscriptions = ["all", "main"]
parents = "no address"
"""
    )
    assert reading.request is None
    assert codes(reading) == [
        (2, "E-PRESEED-TYPE"), (3, "E-PRESEED-CODE"), (4, "E-PRESEED-LINE"), (5, "E-PRESEED-PASSWORD"),
        (6, "E-PRESEED-TYPE"), (7, "E-PRESEED-CODE"), (8, "E-PRESEED-KEY"), (9, "E-PRESEED-TWICE"),
        (11, "E-PRESEED-ADDRESS"), (12, "E-PRESEED-ROOT"), (15, "E-PRESEED-WIFI"), (16, "E-PRESEED-KEY"),
        (18, "E-PRESEED-ADDRESS"), (19, "E-PRESEED-ADDRESS"), (21, "E-PRESEED-KEY"), (23, "E-PRESEED-TYPE"),
        (24, "E-PRESEED-TYPE"), (25, "E-PRESEED-TYPE"), (27, "E-PRESEED-CODE"), (28, "E-PRESEED-CODE"),
        (30, "E-PRESEED-TYPE"), (31, "E-PRESEED-ADDRESS"),
    ]  # fmt: skip
    for one in reading.findings:
        for language in ("zh-CN", "en"):
            assert one.line(language).startswith(f"{one.code}: {MESSAGES[one.code].zh if language == 'zh-CN' else MESSAGES[one.code].en}")  # fmt: skip
    unknown = [one for one in reading.findings if one.code == "E-PRESEED-KEY"]
    assert unknown[0].expected == "name"
    assert "admin_password" in unknown[1].expected, "a key below the wrong head is told its place"


def test_a_colon_behind_a_known_key_is_an_equals_sign() -> None:
    reading = read(
        WHOLE.replace("admin_password =", "管理密码：")
        .replace("url =", "url:")
        .replace('name = "石桥教学点"', "名称：石桥")
        + "[wifi]\nssid = “s:1”\npassword：geheim:=2026\n"
    )
    assert reading.request is not None, reading.findings
    assert reading.request.passwords == {"admin_password": "correct horse", "wifi.password": "geheim:=2026"}
    assert (reading.request.name, reading.request.settings["wifi.ssid"]) == ("石桥", "s:1")
    assert reading.request.settings["hub.url"] == "http://192.168.1.10:8088"


def test_no_finding_repeats_what_may_be_a_password() -> None:
    """Whatever a person slips with: a colon, a line's end, quotes, a space."""
    secret = "geheim2026"
    for line in (
        f"admin_password：{secret}",
        f"admin_password:{secret}",
        f"admin_pasword：{secret}",
        f"admin_pasword：{secret}=1",
        f"admin_password，{secret}",
        f"admin_password =\n{secret}",
        f"admin_password =\n{secret}==",
        f'admin_password =\n{secret} = "',
        f'admin_password\n"{secret}"',
        f"admin_password\n[{secret}]\na = 1",
        f"admin_password\n[wifi.{secret}]\na = 1",
        f"admin_password\n[{secret}",
        f"school_code = 12 admin_password = {secret}",
        f"role = box 管理密码：{secret}",
        f"[[scope.editions]]\n{secret} = 1",
        f"密码 {secret}",
    ):
        for reading in (read(f"{WHOLE}{line}\n"), read(f"{line}\n{WHOLE}")):
            told = " ".join(one.line(language) for one in reading.findings for language in ("zh-CN", "en"))
            assert secret not in told, (line, told)
    told = read("admin_password = ｇｅｈｅｉｍ２０２６，\n").findings
    assert all("ｇ" not in one.line() and "２" not in one.line() for one in told)
    [wrong] = [one for one in read("管理密码 geheim\n").findings if one.code == "E-PRESEED-LINE"]
    assert wrong.found == "管理密码", "a word of our own is shown"


def test_no_finding_repeats_a_password() -> None:
    secret = "S3cretWord"
    for line in (f'password = "{secret}', f"password {secret}", f'password = "{secret}" x', f"password = [{secret}", f'password = ["{secret}"]', f"password = {secret}€", f'pass word = "{secret}'):  # fmt: skip
        for reading in (read(f'{WHOLE}[wifi]\nssid = "s"\n{line}\n'), read(f'{line.replace("password", "admin_password")}\n')):  # fmt: skip
            assert all(secret not in one.line("en") for one in reading.findings), line


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_file_that_was_cut_off_is_known(encoding: str) -> None:
    data = write_request(
        {"role": "box", "name": "石桥教学点", "hub.url": "http://10.0.0.2", "hub.fingerprint": "ab" * 32},
        {"admin_password": "12345678"},
    )
    data = data.decode("utf-8-sig").encode(encoding)
    assert read_request(data).request is not None
    missing = len(f"{END}————\r\n\r\n".encode(encoding))
    for size in range(0, len(data) - missing, 7):
        assert read_request(data[:size]).request is None, size
        # A filesystem that lost the last clusters leaves zeros.
        assert read_request(data[:size] + bytes(len(data) - size)).request is None, size
    assert "E-PRESEED-CUT" in {one.code for one in read_request(data[: len(data) // 2]).findings}
    # What a person wrote behind the last line does not cut it.
    assert (
        read_request(
            data + "# 乡中心校王老师调整\r\n".encode(encoding).removeprefix(b"\xff\xfe") * 60
        ).request
        is not None
    )


def test_a_last_line_without_end_is_no_cut_where_it_is_whole() -> None:
    assert read(WHOLE.strip()).request is not None
    assert "E-PRESEED-CUT" in {one.code for one in read(WHOLE.strip()[:-5]).findings}


@pytest.mark.parametrize(
    ("password", "fine"),
    [("1234567", False), ("12345678", True), ("x" * 63, True), ("x" * 64, False), ("f" * 64, True), ("密码密码密码密码", False), ("", True), ("*", True)],
)  # fmt: skip
def test_wireless_passwords(password: str, fine: bool) -> None:
    reading = read(f'{WHOLE}[wifi]\nssid = "s"\npassword = "{password}"\n')
    assert (reading.request is not None) == fine
    if not fine:
        assert [one.code for one in reading.errors] == ["E-PRESEED-WIFI"]


@pytest.mark.parametrize(
    "address",
    ["192.168.88.88", "192.168.88.0/24", "192.168.88.255/24", "127.0.0.1/8", "224.0.0.5/24", "1.2.3.4/33", "::1/64", "a"],
)  # fmt: skip
def test_wrong_addresses(address: str) -> None:
    reading = read(f'{WHOLE}[network]\nfixed_address = "{address}"\n')
    assert codes(reading) == [(9, "E-PRESEED-ADDRESS")]


def test_a_hub_needs_no_hub_and_says_what_it_leaves_aside() -> None:
    reading = read(WHOLE.replace('"box"', '"县中心"') + '[scope]\ngrades = ["g1"]\n')
    assert reading.request is not None and reading.request.role == "hub"
    assert {one.code for one in reading.findings} == {"E-PRESEED-UNUSED"}
    assert set(reading.request.settings) == {"role", "name"}


def test_the_root_beside_the_file() -> None:
    text = re.sub("fingerprint.*\n", "", WHOLE)
    assert codes(read(text)) == [(0, "E-PRESEED-NEED")]
    files = {"1.root.json": b"<html>"}
    reading = read_request(text.encode(), files.get)
    assert [one.code for one in reading.errors] == ["E-PRESEED-ROOT"]


def test_the_template_names_every_key_and_lacks_only_what_must_be_filled_in() -> None:
    for role, lacking in (("box", {"name", "admin_password", "hub.url", "hub.fingerprint"}), ("hub", {"name", "admin_password"})):  # fmt: skip
        data = write_template(role)
        assert data.startswith(b"\xef\xbb\xbf") and b"\n" not in data.replace(b"\r\n", b"")
        reading = read_request(data)
        assert {one.column for one in reading.errors} == lacking


TEXTS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=18).map(lambda text: " ".join(text.split())).filter(lambda text: text and text.isprintable() and len(text.encode()) <= 57)  # fmt: skip
PASSWORDS = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=8, max_size=60).filter(str.isprintable)  # fmt: skip
REQUESTS = st.fixed_dictionaries(
    {"role": st.just("box"), "name": TEXTS, "hub.url": st.just("http://10.0.0.2:8088"), "hub.fingerprint": st.just("ab" * 32)},
    optional={
        "school_code": st.from_regex(r"[0-9]{10}", fullmatch=True),
        "time_zone": st.sampled_from(["Asia/Shanghai", "Asia/Urumqi"]),
        "language": st.sampled_from(["zh-CN", "en"]),
        "scope.stages": st.just(["junior", "primary"]),
        "scope.grades": st.just(["g1", "g2", "g11"]),
        "scope.editions": st.lists(
            st.fixed_dictionaries(
                {"edition": st.sampled_from(["pep", "su", "raw:某 版"]), "subject": st.sampled_from(["math", "drama", "it"])},
                optional={
                    "grade": st.sampled_from(["g1", "g10"]), "stage": st.sampled_from(["primary", "primary54"]),
                    "term": st.sampled_from(["a", "b"]), "textbook_year": st.integers(1990, 2030),
                },
            ),
            min_size=1, max_size=3,
        ),
        "network.fixed_address": st.just("192.168.88.88/24"),
        "sync.parents": st.just(["http://10.0.0.3:8080"]),
        "sync.subscriptions": st.sampled_from([["all"], ["none"], ["main", "math"]]),
        "policy.rates": st.just(["1-5 08:00-17:00 50"]),
        "policy.metered": st.booleans(),
        "policy.month_budget_mb": st.integers(0, 10**6),
    },
)  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(REQUESTS, PASSWORDS)
def test_what_is_written_reads_back(said: dict[str, Any], password: str) -> None:
    reading = read_request(write_request(said, {"admin_password": password}))
    assert reading.request is not None, reading.findings
    assert dict(reading.request.settings) == said
    assert reading.request.passwords == {"admin_password": password}


LONG = ("9" * 5000, "0x" + "f" * 4000, "-0b1" + "0" * 20_000, "1_" * 3000 + "1", "9" * 400 + ".5", "1e9999")
"""Numbers that Python reads and does not write, or writes and does not read."""
PIECES = st.sampled_from(
    ("a", "1", "书", "textbook_year", "month_budget_mb", "grades", "[scope]", "[[scope.editions]]", "[policy]", " ", "\n",
     "\n", "=", "=", "[", "]", "{", "}", ",", '"', "“", "”", "#", ".", *LONG)
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(
    st.one_of(
        st.binary(max_size=600),
        st.text("[]{}=,\"'“”＝，#\n\r\\ ab1.*书_[[", max_size=300).map(str.encode),
        st.lists(PIECES, max_size=12).map(lambda pieces: "".join(pieces).encode()),
    )
)
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    reading = read_request(data)
    assert reading.request is None
    assert reading.errors


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_damage_to_a_file_makes_the_reader_fail(data: st.DataObject) -> None:
    whole = bytearray(WHOLE.encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    reading = read_request(bytes(whole))
    assert reading.request is not None or reading.errors


@pytest.mark.parametrize("number", LONG)
def test_no_number_is_too_long_to_be_told_of(number: str) -> None:
    heads = [f"[{field.table}]\n{field.key}" if field.table else field.key for field in FIELDS]
    for value in (number, f'"{number}"', f"[{number}]", f'["{number}"]', f"{{a = {number}}}", f"[{{textbook_year = {number}}}]", f'[{{textbook_year = "{number}"}}]'):  # fmt: skip
        for head in heads:
            assert read(f"{head} = {value}\n").errors


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"[policy]\nmonth_budget_mb = {LONG[1]}", "E-PRESEED-TYPE"),
        (f"[scope]\ngrades = [{LONG[1]}]", "E-PRESEED-VALUE"),
        (f'[[scope.editions]]\ntextbook_year = "{"1" * 5000}"', "E-PRESEED-TYPE"),
        (f"[[scope.editions]]\ntextbook_year = {LONG[1]}", "E-PRESEED-TYPE"),
        (f'[scope]\neditions = [{{subject = "数学", edition = "人教版", textbook_year = "{"1" * 5000}"}}]', "E-PRESEED-TYPE"),
    ],
)  # fmt: skip
def test_a_number_that_is_too_long_is_a_finding_at_its_line(line: str, code: str) -> None:
    reading = read(f"{WHOLE}{line}\n")
    assert codes(reading) == [(9, code)]
    assert all(len(one.line()) < 300 for one in reading.findings)


def test_brackets_without_end() -> None:
    for text in (
        "a = " + "[" * 30_000,
        "[" * 5000,
        "[[x" * 2000,
        "{" * 100,
        "a = " + "9" * 6000,
        # A word as long as the file is read once, not from each of its characters on.
        "a = " + "9" * 60_000,
        "= 1",
        "[x]\n= = =",
    ):
        assert read(text).errors
    assert read_request(b"#" * 70_000).errors[0].code == "E-PRESEED-ENCODING"
    assert read_request(b"\x89PNG\r\n\x1a\n\x00\xff\xfe").errors


def test_who_gives_addresses_needs_one_of_its_own() -> None:
    reading = read(f"{WHOLE}[network]\ndhcp = true\n")
    assert reading.request is None
    assert [(one.code, one.column) for one in reading.errors] == [("E-PRESEED-NEED", "network.fixed_address")]
    assert read(f'{WHOLE}[network]\ndhcp = true\nfixed_address = "192.168.88.88/24"\n').request is not None
    unread = read(f"{WHOLE}[network]\ndhcp = true\nfixed_address = [1\n")
    assert [one.code for one in unread.errors] == ["E-PRESEED-VALUE"]


@pytest.mark.parametrize(
    ("address", "fine"),
    [("", False), ("192.168.1.9/32", False), ("192.168.1.9/30", False), ("192.168.1.9/29", True), ("10.1.1.9/8", True)],
)  # fmt: skip
def test_who_gives_addresses_has_some_to_give(address: str, fine: bool) -> None:
    said = f'{WHOLE}[network]\nfixed_address = "{address}"\n'
    assert read(said).request is not None
    reading = read(f"{said}dhcp = true\n")
    assert (reading.request is not None) == fine
    assert [(one.code, one.column) for one in reading.errors] == [("E-PRESEED-ADDRESS", "network.fixed_address")] * (not fine)  # fmt: skip
