"""Read the list that came with the content: Excel, CSV or JSON Lines become rows of known fields.

Invariant: every row and every cell is either in a `Row`, or named by a finding; row numbers are those that a person
sees in Excel or in a text editor. What a file is, its bytes say: an `.xls` that holds text is read as text.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from catalog.ingest.extent import MOST_CELLS, too_far
from catalog.ingest.findings import ERROR, WARNING, Finding, Report
from catalog.ingest.headers import IDENTITY_FIELDS, field_of, is_header
from catalog.ingest.listtext import decode_list, split_records

LIST_SUFFIXES = (".xlsx", ".xls", ".xlsm", ".et", ".csv", ".tsv", ".jsonl")
_HEADER_SEARCH_ROWS = 20
_WORKBOOK_MAGIC = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_TABLE_ONLY = {"ignored"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: `values` by field (text; any JSON value from JSON Lines), the rest in `unknown` by column name.

    `headers` and `cells` are the row as it came, so that a rejected row can be given back whole.
    """

    sheet: str
    row: int
    values: Mapping[str, Any]
    unknown: Mapping[str, str]
    headers: tuple[str, ...]
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A sheet as text: `cells[row][column]`, both from 0; `merged` as (first row, first column, last row, last column)."""

    name: str
    cells: list[list[str]]
    merged: tuple[tuple[int, int, int, int], ...] = ()


def read_list(path: Path, report: Report) -> Iterator[Row]:
    """Yield the rows of the list at `path`; problems go to `report`, one bad row never hides the others."""
    if path.suffix.lower() == ".jsonl":
        yield from _json_rows(path, report)
        return
    tables = read_tables(path, report)
    with_header = [(table, place) for table in tables if (place := _header_place(table)) is not None]
    filled = [table for table in tables if any(any(row) for row in table.cells)]
    for table in filled:
        if all(table is not other for other, _ in with_header):
            level = WARNING if with_header else ERROR
            report(Finding(code="E-HEADER", level=level, sheet=table.name, path=path.name))
    if tables and not filled:
        report(Finding(code="E-HEADER", path=path.name))
    for table, place in with_header:
        yield from _table_rows(table, place, report)


def has_header(path: Path) -> bool:
    """Return whether the file at `path` is a list that `read_list` can read."""
    if path.suffix.lower() == ".jsonl":
        return True
    return any(_header_place(table) is not None for table in read_tables(path, lambda _: None))


def is_unreadable(path: Path) -> bool:
    """Return whether the list at `path` cannot be opened at all: another encoding, a password, damage."""
    problems: list[Finding] = []
    return path.suffix.lower() != ".jsonl" and not read_tables(path, problems.append) and bool(problems)


def read_tables(path: Path, report: Report) -> list[Table]:
    """Return the sheets of the workbook or CSV file at `path`; what can not be opened is reported and gives none."""
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic not in _WORKBOOK_MAGIC:
        text = decode_list(path.read_bytes(), path.name, report)
        return [] if text is None else [Table(name=path.stem, cells=split_records(text))]
    if corner := too_far(path):
        found = f"{corner} (Ctrl+End)"
        report(Finding(code="E-SHEET", path=path.name, expected=f"<= {MOST_CELLS} cells", found=found))
        return []
    try:
        with path.open("rb") as stream, CalamineWorkbook.from_filelike(stream) as book:
            sheets = [book.get_sheet_by_index(place) for place in range(len(book.sheet_names))]
            return [_sheet_table(sheet) for sheet in sheets]
    except CalamineError as error:
        report(Finding(code="E-SHEET", path=path.name, found=" ".join(str(error).split())[:120]))
        return []


def _sheet_table(sheet: CalamineSheet) -> Table:
    cells = [[_text(cell) for cell in row] for row in sheet.to_python(skip_empty_area=False)]
    ranges = sheet.merged_cell_ranges or []
    merged = tuple((first[0], first[1], last[0], last[1]) for first, last in ranges)
    return Table(name=sheet.name, cells=cells, merged=merged)


def _text(cell: object) -> str:
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    if isinstance(cell, datetime.datetime | datetime.date | datetime.time):
        return cell.isoformat()
    return str(cell).strip()


def _header_place(table: Table) -> int | None:
    scores = [is_header(row) for row in table.cells[:_HEADER_SEARCH_ROWS]]
    best = max(scores, default=0)
    return scores.index(best) if best else None


def _table_rows(table: Table, header_place: int, report: Report) -> Iterator[Row]:
    headers = tuple(table.cells[header_place])
    fields = [field_of(header) if header else None for header in headers]
    for column, (header, field) in enumerate(zip(headers, fields, strict=True)):
        used = field is None and any(
            row[column] for row in table.cells[header_place + 1 :] if column < len(row)
        )
        if used:
            name = header or _column_letters(column)
            report(
                Finding(code="E-COLUMN", level=WARNING, sheet=table.name, row=header_place + 1, column=name)
            )
    ambiguous = _fill_merged(table, fields, header_place)
    for place in range(header_place + 1, len(table.cells)):
        cells = table.cells[place]
        cells += [""] * (len(headers) - len(cells))
        if not any(cells) or cells[: len(headers)] == list(headers):
            continue
        if place in ambiguous:
            report(
                Finding(
                    code="E-MERGED",
                    level=WARNING,
                    sheet=table.name,
                    row=place + 1,
                    column=" ".join(ambiguous[place]),
                )
            )
        values, unknown = _sort_cells(headers, fields, cells)
        if values or unknown:
            yield Row(
                sheet=table.name,
                row=place + 1,
                values=values,
                unknown=unknown,
                headers=headers,
                cells=tuple(cells[: len(headers)]),
            )


def _sort_cells(
    headers: tuple[str, ...], fields: list[str | None], cells: list[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return cells by field and, by column name, those that have none; the first of two columns for a field wins."""
    values: dict[str, str] = {}
    unknown: dict[str, str] = {}
    for column, cell in enumerate(cells):
        if not cell:
            continue
        header = headers[column] if column < len(headers) else ""
        field = fields[column] if column < len(fields) else None
        if field in _TABLE_ONLY:
            continue
        if field is None or field in values:
            unknown[header or _column_letters(column)] = cell
        else:
            values[field] = cell
    return values, unknown


def _fill_merged(table: Table, fields: list[str | None], header_place: int) -> dict[int, list[str]]:
    """Give every cell of a merged range its text; return by row the columns in which that leaves doubt.

    A unit or a grade written once beside its lessons is plain; a title, an id or a file that several rows
    share, or that reaches over several columns, is not.
    """
    doubts: dict[int, list[str]] = {}
    headers = table.cells[header_place]
    for first_row, first_column, last_row, last_column in table.merged:
        if first_row <= header_place or first_row >= len(table.cells):
            continue
        if first_column >= len(table.cells[first_row]):
            continue
        text = table.cells[first_row][first_column]
        if not text:
            continue
        columns = range(first_column, last_column + 1)
        identity = [
            headers[column]
            for column in columns
            if column < len(fields) and fields[column] in IDENTITY_FIELDS
        ]
        for place in range(first_row, min(last_row, len(table.cells) - 1) + 1):
            row = table.cells[place]
            row += [""] * (last_column + 1 - len(row))
            for column in columns:
                row[column] = text
            if identity and (last_row > first_row or last_column > first_column):
                doubts.setdefault(place, []).extend(identity)
    return doubts


def _column_letters(column: int) -> str:
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def _json_rows(path: Path, report: Report) -> Iterator[Row]:
    unknown_columns: set[str] = set()
    with path.open("rb") as stream:
        for place, line in enumerate(stream, start=1):
            line = line.removeprefix(b"\xef\xbb\xbf") if place == 1 else line
            if not line.strip():
                continue
            try:
                record = _json_record(line.decode("utf-8"))
            except UnicodeDecodeError:
                report(Finding(code="E-ENCODING", sheet=path.stem, row=place, expected="UTF-8"))
                continue
            except (ValueError, RecursionError) as error:
                report(
                    Finding(code="E-JSON", sheet=path.stem, row=place, found=str(error).splitlines()[0][:120])
                )
                continue
            if not isinstance(record, dict):
                report(
                    Finding(
                        code="E-JSON",
                        sheet=path.stem,
                        row=place,
                        expected="object",
                        found=type(record).__name__,
                    )
                )
                continue
            row = _json_row(path.stem, place, record)
            for name in row.unknown:
                if name not in unknown_columns:
                    unknown_columns.add(name)
                    report(Finding(code="E-COLUMN", level=WARNING, sheet=path.stem, row=place, column=name))
            yield row


def _json_record(line: str) -> object:
    r"""Return the JSON value of `line`; raise `ValueError` where there is none, as of a number of thousands of digits.

    Half a character (`\ud83d` without its other half, as a line that was cut gives) is no text.
    """
    record = json.loads(line)
    if "\\ud" in line.lower():
        try:
            json.dumps(record, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"half a character: {error.object[error.start]!a}") from error
    return record


def _json_row(sheet: str, place: int, record: dict[str, Any]) -> Row:
    values: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for name, value in record.items():
        if value in (None, "", [], {}):
            continue
        field = _JSON_FIELDS.get(name) or field_of(name)
        if field == "ignored":
            continue
        if field is None or field in values:
            unknown[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        else:
            values[field] = value.strip() if isinstance(value, str) else value
    texts = tuple(
        part if isinstance(part, str) else json.dumps(part, ensure_ascii=False) for part in record.values()
    )
    return Row(sheet=sheet, row=place, values=values, unknown=unknown, headers=tuple(record), cells=texts)


_JSON_FIELDS = {"volume_text": "volume_text", "raw": "raw", "grade": "grades"}
