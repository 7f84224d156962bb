"""Typed access to the fields of one JSON line that a stranger wrote.

Invariant: what is returned has the type and bounds that were asked for; every surprise is E-TRANSPORT.
"""

from __future__ import annotations

import json
import re
from typing import Any

from catalog.errors import ContentError
from catalog.resource import is_sha256
from sync.formats.release import MAX_NUMBER

MAX_LINE_BYTES = 1 << 20
_MAX_TEXT = 200


class LineFields:
    """The fields of one line; `where` is what a refusal names."""

    def __init__(self, line: bytes | dict[str, Any], where: object) -> None:
        self._where = where
        if isinstance(line, dict):
            self._fields = line
            return
        if len(line) > MAX_LINE_BYTES:
            raise ContentError(
                "E-TRANSPORT", where=where, expected=f"line <= {MAX_LINE_BYTES} B", found=len(line)
            )
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ContentError("E-TRANSPORT", where=where, expected="JSON", found=repr(line[:40])) from error
        if not isinstance(fields, dict):
            raise ContentError("E-TRANSPORT", where=where, expected="object", found=type(fields).__name__)
        self._fields = fields

    def refuse(self, name: str, expected: str) -> ContentError:
        found = repr(self._fields.get(name))[:80]
        return ContentError("E-TRANSPORT", where=f"{self._where}: {name}", expected=expected, found=found)

    def number(self, name: str, most: int = MAX_NUMBER, least: int = 1) -> int:
        value = self._fields.get(name)
        if type(value) is not int or not least <= value <= most:
            raise self.refuse(name, f"{least}..{most}")
        return value

    def text(self, name: str) -> str:
        value = self._fields.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT or not value.isascii():
            raise self.refuse(name, "text")
        return value

    def sha256(self, name: str) -> str:
        value = self._fields.get(name)
        if not isinstance(value, str) or not is_sha256(value):
            raise self.refuse(name, "64 hex digits")
        return value

    def matched(self, name: str, pattern: re.Pattern[str]) -> str:
        value = self._fields.get(name)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.refuse(name, pattern.pattern)
        return value

    def inner(self, name: str) -> LineFields:
        return self._inner(self._fields.get(name), name)

    def items(self, name: str, least: int, most: int) -> list[LineFields]:
        value = self._fields.get(name)
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise self.refuse(name, f"list of {least}..{most}")
        return [self._inner(one, name) for one in value]

    def _inner(self, value: object, name: str) -> LineFields:
        if not isinstance(value, dict):
            raise self.refuse(name, "object")
        return LineFields(value, f"{self._where}: {name}")
