"""Asks the machine: files below a root (`/proc`, `/sys`), and the few programs that know what no file tells.

Invariant: asking changes nothing, and what cannot be read is "" and never an error.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ANSWER_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine whose files lie below `root`; of another root than `/` no program of this one is asked."""

    root: Path = Path("/")

    def text(self, path: str) -> str:
        """Return a file's first text: up to its end, or to the zero byte with which device trees end theirs."""
        try:
            data = (self.root / path).read_bytes()
        except OSError:
            return ""
        return data.split(b"\0", 1)[0].decode("utf-8", "replace").strip()

    def whole(self, path: str) -> str:
        """Return all text of a file."""
        try:
            return (self.root / path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def number(self, path: str) -> int | None:
        """Return the whole number in a file: decimal, or four bytes of a device tree."""
        try:
            data = (self.root / path).read_bytes()
        except OSError:
            return None
        if len(data) == 4 and not data.strip().isdigit():
            return int.from_bytes(data, "big")
        word = data.strip()
        return int(word) if word.lstrip(b"-").isdigit() else None

    def all(self, pattern: str) -> Iterator[str]:
        """Yield what fits `pattern`, sorted, as paths below the root."""
        for path in sorted(self.root.glob(pattern)):
            yield str(path.relative_to(self.root))

    def link_name(self, path: str) -> str:
        """Return the last name of where a link points; "" where there is none."""
        try:
            return (self.root / path).readlink().name
        except OSError:
            return ""

    def ask(self, *command: str) -> str:
        """Return what a program prints; "" where it is missing, fails, or does not answer."""
        if self.root != Path("/") or shutil.which(command[0]) is None:
            return ""
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=ANSWER_SECONDS,
                env={"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""
