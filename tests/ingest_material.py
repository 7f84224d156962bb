"""Real material for ingest tests: programs make it as they make teachers' files."""

from __future__ import annotations

import subprocess
from pathlib import Path

from builders import Store
from openpyxl import Workbook

from catalog.ingest.session import IngestSession


def ffmpeg(*options: str | Path) -> None:
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, options)], check=True)


def session(
    store: Store, source: Path, sheet: Path | None = None, licence: str | None = "own"
) -> IngestSession:
    return IngestSession(
        store.library,
        store.blobs,
        source,
        sheet,
        "main",
        licence,
        work=store.directory / "staging" / "ingest",
    )


def workbook(path: Path, *sheets: tuple[str, list[list[object]], list[str]]) -> Path:
    """Write an Excel file: name, rows and merged ranges of each sheet."""
    book = Workbook()
    book.remove(book.active)
    for name, rows, merged in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
        for cells in merged:
            sheet.merge_cells(cells)
    book.save(path)
    return path
