"""Every message of the staff pages has English; every template compiles; states and phases have their words."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from jinja2 import Environment

from webui.hub.english import _ENGLISH, ENGLISH
from webui.hub.wording import HubWords
from webui.i18n import TEMPLATES, environments, translator

CHINESE = re.compile(r"[\u4e00-\u9fff]")
PAGES = TEMPLATES / "hub"
CODE = TEMPLATES.parent / "hub"
# Texts that are data: the example list's cells and file names, and what Chinese composes of numbers.
DATA = re.compile(r"\.(mp4|pptx|csv)$|^ ?(约 |分钟|小时 |年版)|^ 分钟$|^ 小时 $|^退回-$|^资源清单$")
EXAMPLE = {"认识几分之一", "认识几分之一（课件）", "分数的初步认识", "小学", "三年级", "数学", "人教版", "上册", "单元", "课", "微课", "课件", "文件", "县级授权", "全部资源"}  # fmt: skip


def template_messages() -> set[str]:
    environment = Environment(extensions=["jinja2.ext.i18n"])
    found = set()
    for path in PAGES.rglob("*.html"):
        for _, _, message in environment.extract_translations(path.read_text(encoding="utf-8")):
            found.add(message if isinstance(message, str) else str(message[0]))
    return found


def python_messages() -> set[str]:
    found = set()
    for path in CODE.glob("*.py"):
        if path.stem in ("english", "english_away"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if (
                not isinstance(node, ast.Constant)
                or not isinstance(node.value, str)
                or id(node) in documented
            ):
                continue
            if CHINESE.search(node.value) and not DATA.search(node.value) and node.value not in EXAMPLE:
                found.add(node.value)
    return found


def test_every_message_has_english() -> None:
    messages = template_messages() | python_messages()
    assert len(messages) > 200
    assert sorted(message for message in messages if message not in ENGLISH) == []


def test_no_english_is_left_over_and_the_fields_are_kept() -> None:
    messages = template_messages() | python_messages()
    assert sorted(message for message in _ENGLISH if message not in messages) == []
    for message, english in _ENGLISH.items():
        assert re.findall(r"%\(\w+\)s", message) == sorted(
            re.findall(r"%\(\w+\)s", english), key=re.findall(r"%\(\w+\)s", message).index
        ), message


def test_templates_hold_no_untranslated_chinese() -> None:
    for path in PAGES.rglob("*.html"):
        text = re.sub(r"_\('[^']*'", "", path.read_text(encoding="utf-8"))
        assert set(CHINESE.findall(text)) <= set("中文"), path


def test_every_template_compiles_in_both_languages() -> None:
    for environment in environments(ENGLISH).values():
        for path in PAGES.rglob("*.html"):
            environment.get_template(f"hub/{path.name}")


@pytest.fixture
def words() -> HubWords:
    return HubWords("zh-CN", translator("zh-CN", ENGLISH))


def test_times_and_counts_read_as_people_say_them(words: HubWords) -> None:
    now = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    assert words.moment(now - timedelta(minutes=5), now) == "今天 09:25"
    assert words.moment(now - timedelta(days=1), now) == "昨天 09:30"
    assert words.moment("2026-09-01T08:00:00+00:00", now) == "9月1日 08:00"
    assert words.moment("2025-09-01T08:00:00+00:00", now) == "2025年9月1日 08:00"
    assert words.left(20) == "不到 1 分钟"
    assert words.left(300) == "约 5 分钟"
    assert words.left(7800) == "约 2 小时 10 分钟"
    assert HubWords("en", translator("en", ENGLISH)).left(7800) == "about 2 h 10 min"
    assert words.count(1234567) == "1,234,567"
    assert words.count(None) == "—"
    assert words.written("raw:校本版") == "校本版"
    assert words.column("edition") == "版本"
    assert words.column("教材版本") == "教材版本"


def test_styles_stay_within_what_old_browsers_know() -> None:
    css = (Path(TEMPLATES.parent) / "static" / "hub.css").read_text(encoding="utf-8")
    assert not re.search(r"display:\s*grid|var\(--|:is\(|:where\(|\bgap:|inset:|clamp\(|aspect-ratio", css)
    script = (Path(TEMPLATES.parent) / "static" / "hub.js").read_text(encoding="utf-8")
    assert not re.search(r"=>|\blet\b|\bconst\b|`|\bclass\b|\bawait\b|\bfetch\(", script)
