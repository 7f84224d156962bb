"""The bar of long work on a terminal: how far, how fast, how long still."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

from catalog.progress import Progress

REDRAW_SECONDS = 0.2

PHASES = {
    "lessons": ("写课程", "writing lessons"),
    "scan": ("检查清单", "checking the list"),
    "copy": ("读入文件", "reading files"),
    "describe": ("整理资源", "describing"),
    "ingest": ("整理资源", "describing"),
    "manifest": ("写清单", "writing manifests"),
    "manifests": ("写清单", "writing manifests"),
    "publish": ("发布", "publishing"),
    "link": ("放入发布目录", "linking"),
    "metadata": ("取目录签名", "signed metadata"),
    "catalogue": ("更新目录", "catalogue"),
    "content": ("取资源", "content"),
    "index": ("建索引", "indexing"),
    "verify": ("校验", "verifying"),
    "export": ("写出", "exporting"),
    "card-write": ("写卡", "writing"),
    "card-check": ("回读核对", "reading back"),
    "disk-write": ("制盘", "making"),
    "disk-check": ("回读核对", "reading back"),
}

ROADS = {
    "http": ("网络", "http"),
    "rsync": ("rsync", "rsync"),
    "directory": ("本地磁盘", "disk"),
    "swarm": ("邻居互传", "swarm"),
}


def size_text(size_bytes: float) -> str:
    """Return a size for people, in steps of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000 or unit == "GB":
            return f"{size_bytes:.0f} {unit}" if unit in ("B", "kB") else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    raise AssertionError


def time_text(seconds: float) -> str:
    """Return a duration as `m:ss` or `h:mm:ss`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Bar:
    """Draws each progress value over the one before it; a phase that ends keeps its line."""

    def __init__(self, out: TextIO, language: str) -> None:
        self._out = out
        self._chinese = language.startswith("zh")
        self._phase = ""
        self._began = self._drawn = 0.0
        self._first_bytes = self._first_done = 0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.phase != self._phase:
            if self._phase:
                self._out.write("\n")
            self._phase, self._began, self._drawn = progress.phase, now, 0.0
            self._first_bytes, self._first_done = progress.done_bytes, progress.done
        if now - self._drawn < REDRAW_SECONDS and progress.share != 1.0:
            return
        self._drawn = now
        self._out.write("\r\x1b[K" + self._line(progress, now - self._began))
        self._out.flush()

    def close(self) -> None:
        """End the last line."""
        if self._phase:
            self._out.write("\n")
            self._out.flush()
            self._phase = ""

    def _line(self, progress: Progress, seconds: float) -> str:
        name = PHASES.get(progress.phase, (progress.phase, progress.phase))[0 if self._chinese else 1]
        parts = [name]
        share = progress.share
        if share is not None:
            filled = round(share * 24)
            parts.append("█" * filled + "░" * (24 - filled) + f" {share:4.0%}")
        parts.append(f"{progress.done}/{progress.total}" if progress.total else str(progress.done))
        if progress.bytes_per_second is not None:
            parts.append(f"{size_text(progress.bytes_per_second)}/s")
        elif progress.done_bytes and seconds > 0.5:
            parts.append(f"{size_text((progress.done_bytes - self._first_bytes) / seconds)}/s")
        left = progress.seconds_left
        if left is None and share and seconds > 2 and share < 1:
            left = round(seconds * (1 - share) / share)
        if left:
            parts.append(("还需 " if self._chinese else "left ") + time_text(left))
        if progress.road:
            parts.append(ROADS.get(progress.road, (progress.road, progress.road))[0 if self._chinese else 1])
        width = shutil.get_terminal_size().columns - 1
        return "  ".join(parts)[:width]
