"""The programs that look at disks, check and mount them: the only place of this room that runs any."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_MISSING = 127


@dataclass(frozen=True, slots=True)
class Said:
    """How a program ended and what it printed."""

    code: int
    text: str

    @property
    def last_line(self) -> str:
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit {self.code}"


def ask(command: Sequence[str | Path], *, give: str | None = None) -> Said:
    """Run `command` with `give` as its input and return how it ended; a program that is not there ended with 127."""
    try:
        done = subprocess.run(
            [str(word) for word in command],
            input=give if give is not None else "",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={"PATH": _PATH, "LANG": "C.UTF-8"},
        )
    except FileNotFoundError:
        return Said(_MISSING, f"{command[0]}: not installed")
    return Said(done.returncode, done.stdout)
