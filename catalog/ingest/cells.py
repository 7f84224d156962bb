"""Reading one cell: texts, lists, numbers, lengths and dates as people write them in Chinese lists."""

from __future__ import annotations

import calendar
import datetime
import json
import math
import re
import unicodedata

from catalog.curriculum import natural_key

_MAX_COUNT = 1_000_000
_HAN = "[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
_WRAPPED = re.compile(rf"(?<={_HAN})[^\S\r\n]*[\r\n]\s*(?={_HAN})")


def brackets(label: str) -> tuple[str, str]:
    """Split `数学（人教版）` into what stands before and inside the last brackets."""
    match = re.fullmatch(r"(.+?)\s*[(（\[【](.*?)[)）\]】]\s*", label)
    return (match.group(1), match.group(2)) if match else (label, "")


def cell_text(value: object) -> str:
    """Return what a person sees in the cell `value`; lists and objects as JSON."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def one_line(text: str) -> str:
    """Return a name without the line breaks and blanks by which people fit it into a narrow cell.

    A break between two Chinese characters is none of the name; elsewhere it parts two words.
    """
    return " ".join(_WRAPPED.sub("", text).split())


def cell_texts(value: object, separators: re.Pattern[str]) -> tuple[str, ...]:
    """Return the different texts of a list, or of a text that `separators` divide."""
    parts = (
        [cell_text(part) for part in value] if isinstance(value, list) else separators.split(cell_text(value))
    )
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))


def count(text: str) -> int:
    """Return the first number in `text`, Chinese or digits, which counts pages, lessons or years; raise `ValueError`."""
    number = next((number for kind, number, _ in natural_key(text) if kind == 0), None)
    if number is None or number >= _MAX_COUNT:
        raise ValueError(text)
    return number


def finite(text: str) -> float:
    """Return `text` as a finite number; raise `ValueError`."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def seconds(text: str) -> float:
    """Read `95`, `01:35`, `1:02:03`, `3分20秒` as seconds."""
    text = unicodedata.normalize("NFKC", text)
    words = re.fullmatch(r"(?:(\d+)(?:小时|时))?(?:(\d+)分钟?)?(?:(\d+)秒钟?)?", text)
    if words and any(words.groups()):
        hours, minutes, seconds = (int(part or 0) for part in words.groups())
        return float(hours * 3600 + minutes * 60 + seconds)
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    if not 0 <= total < 1e9:
        raise ValueError(text)
    return total


def date(text: str) -> str:
    """Read `2026-08-31`, `2026年8月31日`, `2026.8` (its last day); raise `ValueError`."""
    match = re.fullmatch(
        r"(\d{4})[-/.年](\d{1,2})(?:[-/.月](\d{1,2})日?|月)?(?:[T ].*)?", unicodedata.normalize("NFKC", text)
    )
    if not match:
        raise ValueError(text)
    year, month, day = (int(part) if part else 0 for part in match.groups())
    return datetime.date(year, month, day or calendar.monthrange(year, month)[1]).isoformat()
