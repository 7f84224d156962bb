"""Pinyin terms of titles."""

from __future__ import annotations

import subprocess
import sys

import pytest

from catalog.search.pinyin import pinyin_of


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("分数的初步认识", {"fenshu", "fs", "renshi", "rs", "chubu", "fsdcbrs", "cbrs"}),
        ("重庆", {"chongqing", "cq"}),
        ("重量", {"zhongliang", "zl"}),
        ("长度单位", {"changdu", "cd", "danwei", "cddw"}),
        ("生长", {"shengzhang", "sz"}),
        ("音乐", {"yinyue", "yy"}),
        ("快乐", {"kuaile", "kl"}),
        ("绿色", {"lvse", "ls"}),
        ("《數學》Unit 3", {"shuxue", "sx"}),
    ],
)
def test_words_are_found_in_full_and_by_initials(title: str, expected: set[str]) -> None:
    assert expected <= pinyin_of(title)


def test_a_character_with_several_readings_is_found_by_each() -> None:
    assert {"cd", "zd"} <= pinyin_of("长度")


def test_other_scripts_have_no_pinyin() -> None:
    assert pinyin_of("Unit 3 བོད་ مكتب ひらがな 한국") == set()


def test_what_serves_pages_does_not_load_pypinyin() -> None:
    code = (
        "import sys, catalog.finder, catalog.search.query, catalog.search.index; "
        "sys.exit(any(name in sys.modules for name in ('pypinyin', 'rjieba')))"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
