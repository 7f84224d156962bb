"""Every refusal has one line in both languages and an exit status by reaction."""

from __future__ import annotations

import ast
import errno
import re
from pathlib import Path

import pytest

from catalog.durable import storage_error
from catalog.errors import ContentError
from catalog.messages import MESSAGES

HOUSE = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("code", MESSAGES)
def test_a_message_has_words_in_both_languages(code: str) -> None:
    message = MESSAGES[code]
    assert re.search("[\u4e00-\u9fff]", message.zh) and re.search(
        "[\u4e00-\u9fff]|--help|box |hub ", message.hint_zh
    )
    assert message.en.isascii() and message.hint_en.isascii()
    assert message.exit_code in {0, 2, 3, *range(10, 20), *range(20, 30), *range(30, 40)}
    for language in ("zh-CN", "en"):
        line = message.line(code, language, where="a\nb", expected="1", found="2")
        assert line.startswith(f"{code}: ") and "\n" not in line


def test_every_code_that_is_raised_has_its_words() -> None:
    used = set()
    for package in ("catalog", "sync", "webui", "appliance"):
        for path in (HOUSE / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    used.update(re.findall(r"^(E-[A-Z-]+[A-Z])$", node.value))
    assert used <= MESSAGES.keys()
    assert MESSAGES.keys() <= used, "words for a code that nobody raises"


def test_the_class_and_the_exit_status_agree() -> None:
    ranges = {"UsageError": {0, 2}, "ConfigError": {0, 3}, "ContentError": {0, *range(10, 20)},
              "StorageError": {0, *range(20, 30)}, "RoadError": {0, *range(30, 40)}}  # fmt: skip
    for package in ("catalog", "sync", "webui", "appliance"):
        for path in (HOUSE / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Call)
                    and isinstance(node.func, ast.Name)
                    and node.func.id in ranges
                    and node.args
                ):
                    code = node.args[0]
                    if isinstance(code, ast.Constant):
                        assert MESSAGES[code.value].exit_code in ranges[node.func.id], (
                            f"{path.name}:{node.lineno}"
                        )


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, "E-DISK-FULL"),
        (errno.EROFS, "E-READ-ONLY"),
        (errno.EACCES, "E-ACCESS"),
        (errno.EIO, "E-IO"),
    ],
)
def test_a_failing_disk_is_told_by_its_cause(number: int, code: str) -> None:
    assert storage_error(OSError(number, "x"), "place").code == code


def test_an_error_says_expected_found_and_what_to_do() -> None:
    error = ContentError("E-HASH", where="a.mp4", expected="12", found="34")
    assert (
        error.line("zh-CN")
        == "E-HASH: 内容与其校验值不符（a.mp4）：应为 12，实为 34。换一条通道再试；错误内容已丢弃"
    )
    assert str(error) == (
        "E-HASH: the bytes do not have their hash (a.mp4): expected 12, found 34."
        " try another road; the wrong bytes were discarded"
    )
