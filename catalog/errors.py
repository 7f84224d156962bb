"""Errors by reaction: what a person must do decides the class, the code and the exit status.

A refusal is one line: code, expected, found, what to do, in the reader's language. The words are in
`catalog.messages`, so that every code has both languages; `tests/catalog/test_errors.py` checks it.
"""

from __future__ import annotations

from catalog.messages import MESSAGES, Message


class ShuxiangError(Exception):
    """A refusal with a code of `catalog.messages`; `str(error)` is its English line.

    `expected` and `found` are short values, never sentences; `where` names the file, row or address concerned.
    """

    def __init__(self, code: str, *, where: object = "", expected: object = "", found: object = "") -> None:
        self.code = code
        self.where = str(where)
        self.expected = str(expected)
        self.found = str(found)
        super().__init__(self.line("en"))

    @property
    def message(self) -> Message:
        return MESSAGES[self.code]

    @property
    def exit_code(self) -> int:
        return self.message.exit_code

    def line(self, language: str) -> str:
        """Return the one line shown to a person; `language` is `zh-CN` or `en`."""
        return self.message.line(
            self.code, language, where=self.where, expected=self.expected, found=self.found
        )


class UsageError(ShuxiangError):
    """The command line is wrong: exit 2."""


class ConfigError(ShuxiangError):
    """Fix the configuration or the state directory: exit 3."""


class ContentError(ShuxiangError):
    """Content is refused and the old state keeps serving: exit 10 to 19."""


class StorageError(ShuxiangError):
    """Act on the machine (disk full, damage): exit 20 to 29."""


class RoadError(ShuxiangError):
    """The road failed; try later or over another: exit 30 to 39."""
