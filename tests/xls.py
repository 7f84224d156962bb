"""Writes `.xls` workbooks as Excel 97 has them ([MS-XLS] in [MS-CFB]): the project reads these and never writes them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

SECTOR = 512
SMALLEST_STREAM = 4096
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD

Rows = Sequence[Sequence[str | float | None]]
# First row, last row, first column, last column, from 0.
Merged = tuple[int, int, int, int]


def write_xls(path: Path, sheets: Mapping[str, tuple[Rows, Sequence[Merged]]]) -> Path:
    """Write a workbook with these sheets and their merged cells to `path`; None is an empty cell."""
    path.write_bytes(_compound_file(_workbook(sheets)))
    return path


def _record(kind: int, *parts: bytes) -> bytes:
    data = b"".join(parts)
    return struct.pack("<HH", kind, len(data)) + data


def _begin(kind: int) -> bytes:
    return _record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0x0DBB, 0x07CC, 0, 6))


def _workbook(sheets: Mapping[str, tuple[Rows, Sequence[Merged]]]) -> bytes:
    bodies = [_sheet(rows, merged) for rows, merged in sheets.values()]
    names = [name.encode("utf-16-le") for name in sheets]
    head = _begin(0x0005) + _record(0x0042, struct.pack("<H", 1200))
    end = _record(0x000A)
    at = len(head) + sum(4 + 8 + len(name) for name in names) + len(end)
    for name, body in zip(names, bodies, strict=True):
        head += _record(0x0085, struct.pack("<IBBBB", at, 0, 0, len(name) // 2, 1), name)
        at += len(body)
    return head + end + b"".join(bodies)


def _sheet(rows: Rows, merged: Sequence[Merged]) -> bytes:
    widest = max(map(len, rows), default=0)
    cells = [_record(0x0200, struct.pack("<IIHHH", 0, len(rows), 0, widest, 0))]
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            place = struct.pack("<HHH", row, column, 0)
            if isinstance(value, str):
                text = value.encode("utf-16-le")
                cells.append(_record(0x0204, place, struct.pack("<HB", len(text) // 2, 1), text))
            elif value is not None:
                cells.append(_record(0x0203, place, struct.pack("<d", value)))
    spans = [struct.pack("<HHHH", *span) for span in merged]
    cells.append(_record(0x00E5, struct.pack("<H", len(spans)), *spans))
    return _begin(0x0010) + b"".join(cells) + _record(0x000A)


def _compound_file(stream: bytes) -> bytes:
    """Return a compound file of one stream: header, one sector of the FAT, one of the directory, the stream."""
    stream = stream.ljust(SMALLEST_STREAM, b"\0")
    sectors = -(-len(stream) // SECTOR)
    chain = [FAT, END, *range(3, sectors + 2), END]
    assert len(chain) <= SECTOR // 4, "one sector of the FAT holds it"
    fat = struct.pack("<128I", *chain, *[FREE] * (SECTOR // 4 - len(chain)))
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6, b"",
        0, 1, 1, 0, SMALLEST_STREAM, END, 0, END, 0, 0,
    )  # fmt: skip
    header += struct.pack("<108I", *[FREE] * 108)
    directory = _entry("Root Entry", 5, child=1, start=END, size_bytes=0)
    directory += _entry("Workbook", 2, child=FREE, start=2, size_bytes=len(stream))
    return header + fat + directory.ljust(SECTOR, b"\0") + stream.ljust(sectors * SECTOR, b"\0")


def _entry(name: str, kind: int, *, child: int, start: int, size_bytes: int) -> bytes:
    text = name.encode("utf-16-le")
    return struct.pack(
        "<64sHBBIII16sIQQIQ", text, len(text) + 2, kind, 1, FREE, FREE, child, b"", 0, 0, 0, start, size_bytes
    )
