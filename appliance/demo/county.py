"""The sample county: a folder of real files with a list, as a county hands it to its hub.

Everything is written and drawn by this project, or is in the public domain. Invariant: a file that stands in the
folder is whole (it is put there in one step), so an interrupted run goes on where it stopped; and the folder of
another version of the sample is replaced, never mixed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from appliance.demo.extras import poem_holdings, practice_holdings
from appliance.demo.fiveitems import week_holdings
from appliance.demo.holding import Job
from appliance.demo.listing import Row, write_list
from appliance.demo.term import catalogue_rows
from catalog import durable

FOLDER = "青禾县资源包"
SHEET = "资源清单.xlsx"
_STAMP = "county.json"
_NOT_CONTENT = ("/__init__.py", "/run.py")

Progress = Callable[[str, int, int], None]
"""Called with the file just made, how many are done, and how many there will be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class County:
    """Where the sample lies: `hub ingest <source> --sheet <sheet>`; `records` rows of which `with_files` have a file."""

    name: str
    source: Path
    sheet: Path
    records: int
    with_files: int


def write_county(directory: Path, progress: Progress = lambda item, done, total: None) -> County:
    """Write the sample county into `directory` (created), or use what an earlier run left there.

    Raises `ConfigError` E-TOOL where rsvg-convert, espeak-ng or ffmpeg is missing, `StorageError` of a full disk.
    """
    source = directory / FOLDER
    stamp = directory / _STAMP
    wanted = {"version": _version()}
    if source.exists() and _read(stamp) != wanted:
        shutil.rmtree(source)
    durable.make_directory(source)
    durable.write_file(stamp, json.dumps(wanted).encode())

    sheets, jobs = contents()
    missing = [job for job in jobs if not all((source / path).exists() for path in job.paths)]
    lock = threading.Lock()
    done = len(jobs) - len(missing)

    def work(job: Job) -> None:
        nonlocal done
        for path, data in zip(job.paths, job.make(), strict=True):
            target = source / path
            target.parent.mkdir(parents=True, exist_ok=True)
            _keep(target, data)
        with lock:
            done += 1
            progress(job.paths[0], done, len(jobs))

    with ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        for result in [pool.submit(work, job) for job in missing]:
            result.result()

    sheet = source / SHEET
    if not sheet.exists():
        durable.write_file(sheet, write_list(sheets))
    rows = [row for _, part in sheets for row in part]
    return County(
        name="青禾县",
        source=source,
        sheet=sheet,
        records=len(rows),
        with_files=sum(1 for row in rows if row.file),
    )


def contents() -> tuple[list[tuple[str, list[Row]]], list[Job]]:
    """Return the sheets of the list and the jobs that make the files they name; long jobs come first."""
    parts = {"一周课程": week_holdings(), "古诗诵读": poem_holdings(), "口算与图片": practice_holdings()}
    jobs = [job for _, made in parts.values() for job in made]
    sheets = [(name, rows) for name, (rows, _) in parts.items()]
    term = catalogue_rows()
    sheets.append(("学期目录", [row for row in term if row.stage == "小学"]))
    sheets.append(("初中目录", [row for row in term if row.stage == "初中"]))
    return sheets, sorted(jobs, key=lambda job: not job.paths[0].endswith(".mp4"))


def _keep(target: Path, data: bytes) -> None:
    durable.storage(lambda: durable.write_file(target, data), target)


def _read(stamp: Path) -> object:
    try:
        return json.loads(stamp.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _version() -> str:
    """Return the hash of everything the sample is made from: its words, its drawing, its programs' arguments."""
    digest = hashlib.sha256()
    waiting: list[tuple[str, Traversable]] = [("", resources.files("appliance.demo"))]
    files: list[tuple[str, Traversable]] = []
    while waiting:
        prefix, folder = waiting.pop()
        for entry in folder.iterdir():
            name = f"{prefix}/{entry.name}"
            if entry.is_dir():
                if entry.name != "__pycache__":
                    waiting.append((name, entry))
            elif name not in _NOT_CONTENT:
                files.append((name, entry))
    for name, file in sorted(files, key=lambda pair: pair[0]):
        digest.update(name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
