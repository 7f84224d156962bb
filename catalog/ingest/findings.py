"""What an ingest has to say about a row, a file or a whole list.

A finding of level `error` rejects its row (row 0: the whole list); a `warning` lets it through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from catalog.messages import MESSAGES

ERROR = "error"
WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One problem: in which sheet, in which row as a person sees it (0: the whole list), and what to do.

    `path` names the file concerned, `column` the column as it stands in the list.
    """

    code: str
    level: str = ERROR
    sheet: str = ""
    row: int = 0
    path: str = ""
    column: str = ""
    expected: str = ""
    found: str = ""

    def line(self, language: str = "zh-CN") -> str:
        """Return the one line shown to a person, with code and hint, without sheet and row."""
        where = " ".join(part for part in (self.column, self.path) if part)
        return MESSAGES[self.code].line(
            self.code, language, where=where, expected=self.expected, found=self.found
        )


Report = Callable[[Finding], None]
