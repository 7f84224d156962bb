"""How far the sheets of a workbook reach, looked up before they are read.

A reader of sheets takes memory for every cell up to the last one: a single stray cell in the far corner would be
17,000,000,000 of them, and end the program. Invariant: the workbook itself is read as a stream, in bounded memory.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

MOST_CELLS = 12_000_000
"""So many a sheet may reach over: half a million records in 24 columns."""

_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml", re.IGNORECASE)
# A cell that holds something (ECMA-376 part 1, 18.3.1.4); one that only has a format is `<c …/>`.
_CELL = re.compile(rb'<(?:\w+:)?c\s(?:[^<>]*?\s)?r="([A-Z]{1,3})([0-9]{1,7})"[^<>]*(?<!/)>')
_BLOCK_BYTES = 1 << 20
_LONGEST_TAG_BYTES = 1 << 10


def too_far(path: Path) -> str:
    """Return the far corner of the first sheet of the `.xlsx` at `path` that reaches over too many cells, else "".

    What is no such workbook, or a damaged one, reaches nowhere: whoever reads it says so.
    """
    try:
        with zipfile.ZipFile(path) as book:
            for name in filter(_SHEET.fullmatch, book.namelist()):
                with book.open(name) as sheet:
                    columns, rows = _corner(iter(lambda: sheet.read(_BLOCK_BYTES), b""))
                if len(columns) and _number(columns) * rows > MOST_CELLS:
                    return f"{columns}{rows}"
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError):
        pass
    return ""


def _corner(blocks: Iterator[bytes]) -> tuple[str, int]:
    """Return the last column and the last row in which anything stands."""
    columns, rows, rest = "", 0, b""
    for block in blocks:
        data = rest + block
        found = _CELL.findall(data)
        columns = max({columns, *(letters.decode() for letters in {one for one, _ in found})}, key=_number)
        rows = max({rows, *map(int, {number for _, number in found})})
        end = data.rfind(b">") + 1
        rest = data[end:][-_LONGEST_TAG_BYTES:]
    return columns, rows


def _number(letters: str) -> int:
    """Return the number of a column from its letters: A is 1, XFD is 16,384."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number
