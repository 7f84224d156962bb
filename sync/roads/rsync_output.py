"""What rsync prints and how it ends, read: files that are whole, bytes that moved, and why it stopped.

Its output is split by CR and LF; its exit status alone says little (5 is a wrong password, an unknown module and too
many connections), so its words are read too. Invariant: a file is handed on only once rsync has named it as finished.
"""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import ContentError, RoadError, ShuxiangError, StorageError
from sync.formats.release import TreeFile
from sync.roads.road import Batches, Progress, staged_file
from sync.roads.staging import CHECKPOINT_BYTES, Staging

_TICK_SECONDS = 0.2
# rsync checks by itself what it builds upon; the record is for another road after a cut.
_NOTE_SECONDS = 1.0
_READ_BYTES = 64 << 10
_FINISHED = re.compile(rb"=(\d+) (.*)")
_MOVED = re.compile(rb"\s*([\d,]+)\s+\d+%")
_ERRORS_BYTES = 64 << 10
RECEIVED = re.compile(rb"Total bytes received: ([\d,]+)")


@dataclass
class Fetch:
    """What one run of rsync has brought so far, read from its output."""

    wanted: dict[str, TreeFile]
    staging: Staging
    batches: Batches
    progress: Progress
    differences: bool
    ended: Callable[[], ShuxiangError | None]

    def __post_init__(self) -> None:
        self.received_bytes = 0
        self.errors = ""
        self.failure: ShuxiangError | None = None
        self._noted_at = time.monotonic()
        self._waiting = dict(self.wanted)
        self._here_bytes = sum(self.staging.length(file) for file in self.wanted.values())
        # rsync sends in the order of names: the large file it is at is among the first that have not come.
        large = (one for one in self.wanted.values() if one.size_bytes > CHECKPOINT_BYTES)
        self._large = sorted(large, key=lambda one: one.sha256, reverse=True)

    def waiting(self) -> list[TreeFile]:
        """Return the files that have not come."""
        return list(self._waiting.values())

    def follow(self, program: subprocess.Popen[bytes]) -> None:
        """Read the output until its end, handing finished files on as they come."""
        assert program.stdout is not None and program.stderr is not None
        rest = b""
        with selectors.DefaultSelector() as selector:
            selector.register(program.stdout, selectors.EVENT_READ)
            selector.register(program.stderr, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select(_TICK_SECONDS):
                    data = os.read(key.fd, _READ_BYTES)
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is program.stderr:
                        self.errors = (self.errors + data.decode(errors="replace"))[-_ERRORS_BYTES:]
                    else:
                        *lines, rest = re.split(rb"[\r\n]", rest + data)
                        for line in lines:
                            self._line(line)
                self.batches.tick()
                self._note_large()
                self.failure = self.failure or self.ended()
                if self.failure is not None:
                    return
        self._line(rest)

    def _line(self, line: bytes) -> None:
        if match := _FINISHED.fullmatch(line):
            file = self._waiting.pop(Path(os.fsdecode(match[2])).name, None)
            if self.differences:
                self._tell(self.received_bytes + int(match[1]))
            if file is not None and self._is_whole(file):
                self.batches.add(staged_file(file, self.staging))
        elif match := RECEIVED.match(line):
            self._tell(counted(match[1]))
            self.received_bytes = counted(match[1])
        elif not self.differences and (match := _MOVED.match(line)):
            # Of a file that goes on, rsync counts what was here already too.
            self._tell(counted(match[1]) - self._here_bytes)

    def _tell(self, total_bytes: int) -> None:
        if total_bytes > self.received_bytes:
            self.progress(total_bytes - self.received_bytes)
            self.received_bytes = total_bytes

    def _is_whole(self, file: TreeFile) -> bool:
        # A transfer that ends early is logged too; its part stays in staging for the next road.
        if self.staging.length(file) == file.size_bytes:
            return True
        self._waiting[file.sha256] = file
        return False

    def _note_large(self) -> None:
        """Record how far the large file is that comes now; end a source that sends more than the file has."""
        while self._large and self._large[-1].sha256 not in self._waiting:
            self._large.pop()
        coming = self._large[-2:]
        for file in coming:
            if self.staging.written_bytes(file) > file.size_bytes:
                self.staging.forget(file.sha256)
                self.failure = ContentError(
                    "E-SIZE", where=file.path, expected=file.size_bytes, found=f"> {file.size_bytes}"
                )
        if time.monotonic() - self._noted_at >= _NOTE_SECONDS:
            for file in coming:
                self.staging.note_written(file)
            self._noted_at = time.monotonic()


def refusal(status: int, errors: str, where: str) -> ShuxiangError:
    """Return what rsync's exit `status` and its words mean to a person (rsync(1), EXIT VALUES)."""
    said = next((line for line in errors.splitlines() if "@ERROR" in line), "")
    last = said or next((line for line in errors.splitlines() if line.strip()), "")
    found = " ".join(last.replace("@ERROR:", "").split())[:160] or f"rsync {status}"
    if "No space left on device" in errors or "Disk quota exceeded" in errors:
        return StorageError("E-DISK-FULL", where=where)
    if "auth failed" in said or "Permission denied" in said or "access denied" in said:
        return RoadError("E-ROAD-AUTH", where=where, found=found)
    if "max connections" in said:
        return RoadError("E-ROAD-FULL", where=where, found=found)
    if 'server sent "HTTP/' in errors:
        # A login portal answers on every port, in the only language that it speaks.
        return RoadError("E-PORTAL", where=where, expected="@RSYNCD", found=found)
    if "Unknown module" in said:
        return RoadError("E-NO-TREE", where=where, found=found)
    if status in (12, 20, 24, 30) or status < 0:
        return RoadError("E-ROAD-SHORT", where=where, found=found)
    if status == 11:
        return StorageError("E-IO", where=where, found=found)
    return RoadError("E-ROAD", where=where, found=found)


def counted(text: bytes) -> int:
    """Return a number that rsync prints, thousands set off by commas."""
    return int(text.replace(b",", b""))
