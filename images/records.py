"""The record of cards: a line for each that was written or refused, as a table that Excel opens.

Invariant: lines are only added, each durably; what a program does not know of a line it leaves alone.
"""

from __future__ import annotations

import csv
import fcntl
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from catalog import durable
from images.write import Written

RECORD_NAME = "cards.csv"
# How Excel and WPS know UTF-8.
_MARK = "\ufeff"
_HEADER = (
    "时间 time", "学校 school", "镜像 image", "版本 version", "镜像校验值 sha256", "盘 device", "型号 model",
    "序列号 serial", "容量 bytes", "用时（秒） seconds", "写入字节 written", "结果 result",
)  # fmt: skip
DONE = "OK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the record: times with their zone, sizes in bytes; `result` is `DONE` or a refusal's line."""

    at: datetime
    school: str
    image: str
    version: str
    sha256: str
    device: str
    model: str
    serial: str
    size_bytes: int
    seconds: float
    written_bytes: int
    result: str

    @property
    def is_done(self) -> bool:
        return self.result == DONE


def line_of(written: Written) -> Line:
    """Return the line for what became of a target."""
    device = written.target.device
    return Line(
        at=written.at,
        school=written.target.school,
        image=written.image.name,
        version=written.image.version,
        sha256=written.image.sha256,
        device=str(written.target.path),
        model=device.model if device else "",
        serial=device.serial if device else "",
        size_bytes=device.size_bytes if device else written.image.size_bytes,
        seconds=written.seconds,
        written_bytes=written.written_bytes,
        result=DONE if written.refusal is None else written.refusal.line("zh-CN"),
    )


def line_json(line: Line) -> dict[str, Any]:
    """Return a line as a value."""
    return asdict(line) | {"at": line.at.isoformat()}


def line_from(value: dict[str, Any]) -> Line:
    """Return the line that a value of `line_json` tells of."""
    return Line(**value | {"at": datetime.fromisoformat(value["at"])})


def keep(record: Path, lines: Sequence[Line]) -> None:
    """Add lines to the table at `record`, durably; raise `StorageError`."""
    durable.storage(lambda: _keep(record, lines), record)


def _keep(record: Path, lines: Sequence[Line]) -> None:
    with record.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        out = io.StringIO(newline="")
        table = csv.writer(out)
        if not file.seek(0, 2):
            out.write(_MARK)
            table.writerow(_HEADER)
        for line in lines:
            table.writerow(
                (
                    line.at.isoformat(timespec="seconds"), _plain(line.school), _plain(line.image), _plain(line.version), line.sha256,
                    line.device, _plain(line.model), _plain(line.serial), line.size_bytes, f"{line.seconds:.0f}",
                    line.written_bytes, _plain(line.result),
                )
            )  # fmt: skip
        file.write(out.getvalue().encode())
        file.flush()
        durable.sync_data(file.fileno())
    durable.sync_directory(record.parent)


def _plain(text: str) -> str:
    """Return a cell that a table program takes for text: what a card says of itself may begin like a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def read_lines(record: Path) -> list[Line]:
    """Return the lines of the table, newest first; lines that people changed beyond recognition are left out."""
    try:
        text = record.read_text(encoding="utf-8-sig", errors="replace")
    except FileNotFoundError:
        return []
    found = []
    for cells in list(csv.reader(io.StringIO(text, newline="")))[1:]:
        try:
            at, school, image, version, sha256, device, model, serial, size, seconds, written, result = cells
            found.append(
                Line(
                    at=datetime.fromisoformat(at), school=school, image=image, version=version, sha256=sha256,
                    device=device, model=model, serial=serial, size_bytes=int(size), seconds=float(seconds),
                    written_bytes=int(written), result=result,
                )
            )  # fmt: skip
        except ValueError:
            continue
    return found[::-1]
