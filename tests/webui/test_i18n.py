"""Every message of the box's pages has English, and the language is chosen as the address and the browser say."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from webui.english import ENGLISH
from webui.i18n import TEMPLATES, accepted_language, chosen_language, environments

CHINESE = re.compile(r"[\u4e00-\u9fff]")
WEBUI = TEMPLATES.parent


def template_messages() -> set[str]:
    environment = Environment(extensions=["jinja2.ext.i18n"])
    found = set()
    for path in TEMPLATES.rglob("*.html"):
        if "hub" not in path.relative_to(TEMPLATES).parts:
            for _, _, message in environment.extract_translations(path.read_text(encoding="utf-8")):
                found.add(message if isinstance(message, str) else str(message[0]))
    return found


def python_messages() -> set[str]:
    """Chinese texts in the code of the pages, but not in the tables and what is composed of numbers."""
    found = set()
    for path in WEBUI.glob("*.py"):
        if path.name in ("english.py", "words.py"):
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
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and id(node) not in documented and CHINESE.search(text):
                found.add(text)
    return found


def test_every_message_has_english() -> None:
    messages = template_messages() | python_messages()
    assert len(messages) > 150
    assert sorted(message for message in messages if message not in ENGLISH) == []


def test_english_has_no_chinese_but_examples_and_keeps_the_fields() -> None:
    for message, english in ENGLISH.items():
        assert re.findall(r"%(?:\(\w+\))?[sd]", message) == re.findall(r"%(?:\(\w+\))?[sd]", english), message
        assert not CHINESE.search(english.replace("分数的初步认识", "").replace("分数", "")), english


def test_templates_hold_no_untranslated_chinese() -> None:
    for path in TEMPLATES.rglob("*.html"):
        # find.html is taken away as a file: it says everything in both languages.
        if "hub" in path.relative_to(TEMPLATES).parts or path.name == "find.html":
            continue
        text = re.sub(r"_\('[^']*'", "", path.read_text(encoding="utf-8"))
        assert set(CHINESE.findall(text)) <= set("中文"), path


def test_every_template_compiles_in_both_languages(served: Any) -> None:
    for environment in served.app.house.environments.values():
        for path in TEMPLATES.rglob("*.html"):
            name = path.relative_to(TEMPLATES)
            if "hub" not in name.parts:
                environment.get_template(name.as_posix())


def test_plain_messages_are_written_out_before_a_template_is_compiled(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(
        "<a title=\"{{ _('搜索') }}\">{{ _('共 %(count)s 项', count=3) }}</a>"
    )
    made = environments({"搜索": 'Find & "seek"', "共 %(count)s 项": "%(count)s items"}, (tmp_path,))
    assert made["zh-CN"].get_template("page.html").render() == '<a title="搜索">共 3 项</a>'
    english = '<a title="Find &amp; &#34;seek&#34;">3 items</a>'
    assert made["en"].get_template("page.html").render() == english


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "zh-CN"),
        ("en-GB,en;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"),
        ("bo, en;q=0.5", "en"),
        ("fr", "zh-CN"),
        ("en;q=0, zh;q=0.1", "zh-CN"),
        ("en;q=x", "zh-CN"),
    ],
)
def test_accept_language(header: str, language: str) -> None:
    assert accepted_language(header) == language


@given(st.text())
def test_any_header_has_a_language(text: str) -> None:
    assert accepted_language(text) in ("zh-CN", "en")
    assert chosen_language(text) in ("zh-CN", "en", None)


def test_styles_are_for_old_browsers() -> None:
    css = (WEBUI / "static" / "shuxiang.css").read_text(encoding="utf-8")
    for word in (
        "display: grid",
        "var(--",
        ":is(",
        ":where(",
        "@import",
        "url(http",
        "clamp(",
        "aspect-ratio",
    ):
        assert word not in css
    for script in ("shuxiang.js", "shim.js"):
        text = (WEBUI / "static" / script).read_text(encoding="utf-8")
        assert not re.search(r"=>|\b(let|const|class)\s|`", text), script


def test_sizes_of_what_every_page_loads() -> None:
    import gzip

    parts = [path for path in Path(WEBUI / "static").iterdir() if path.name != "shim.js" and path.is_file()]
    assert sum(len(gzip.compress(path.read_bytes())) for path in parts) < 20_000
