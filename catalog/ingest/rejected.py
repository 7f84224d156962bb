"""Rejected rows go back to who sent them: an Excel file with their columns and the reason."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, Cell, WriteOnlyCell
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet._write_only import WriteOnlyWorksheet

from catalog.ingest.drafts import Rejected

REASON_COLUMN = "退回原因"
PLACE_COLUMN = "原行号"
_MAX_CELL_CHARACTERS = 32_000
_COLUMN_WIDTH = 18
_REASON_WIDTH = 60


def write_rejected(rows: Iterable[Rejected], path: Path, *, language: str = "zh-CN") -> int:
    """Write `rows` as `.xlsx` to `path`, a sheet for each sheet of the list; return how many.

    The original columns come first, so that the corrected file can be ingested as it is.
    """
    book = Workbook(write_only=True)
    sheets: dict[tuple[str, tuple[str, ...]], list[Rejected]] = {}
    for row in rows:
        sheets.setdefault((row.sheet, row.headers), []).append(row)
    titles: set[str] = set()
    for (name, headers), members in sheets.items():
        sheet = book.create_sheet(_sheet_title(name, titles))
        widths = [_COLUMN_WIDTH] * len(headers) + [_REASON_WIDTH, _COLUMN_WIDTH]
        for column, width in enumerate(widths, start=1):
            sheet.column_dimensions[get_column_letter(column)].width = width
        sheet.freeze_panes = "A2"
        sheet.append([text_cell(sheet, text, bold=True) for text in (*headers, REASON_COLUMN, PLACE_COLUMN)])
        for row in members:
            reasons = "\n".join(reason.line(language) for reason in row.reasons)
            cells = (*row.cells, reasons, str(row.row or ""))
            sheet.append([text_cell(sheet, text) for text in cells])
    if not sheets:
        book.create_sheet(REASON_COLUMN)
    book.save(path)
    return sum(len(members) for members in sheets.values())


def text_cell(sheet: WriteOnlyWorksheet, text: str, *, bold: bool = False) -> Cell:
    """Return a cell that shows `text` as it is: what begins with "=" is text here, never a formula."""
    cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("", text)[:_MAX_CELL_CHARACTERS])
    cell.data_type = "s"
    if bold:
        cell.font = Font(bold=True)
    return cell


def _sheet_title(name: str, taken: set[str]) -> str:
    clean = "".join(character for character in name if character not in "[]:*?/\\").strip("'")[:25] or "退回"
    title = clean
    number = 1
    while title.lower() in taken:
        number += 1
        title = f"{clean} {number}"
    taken.add(title.lower())
    return title
