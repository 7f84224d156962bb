"""The programs that the plugging of a stick needs: the only place here that runs any."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_SECONDS = 60.0
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_SHOWN_BYTES = 300


def run(command: Sequence[str | Path], give: bytes | None = None) -> tuple[bytes, str]:
    """Run `command` with `give` as its input; return what it printed, and "" or why it failed."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            [shutil.which(words[0], path=_PATH) or words[0], *words[1:]],
            input=give if give is not None else b"",
            capture_output=True,
            timeout=_SECONDS,
            env={"PATH": _PATH, "LC_ALL": "C.UTF-8"},
            cwd="/",
        )
    except FileNotFoundError:
        return b"", f"{words[0]}: not installed"
    except subprocess.TimeoutExpired:
        return b"", f"{words[0]}: {_SECONDS:g} s"
    if done.returncode == 0:
        return done.stdout, ""
    said = next(iter(done.stderr[:_SHOWN_BYTES].decode(errors="replace").split("\n")), "")
    return done.stdout, " ".join(said.split()) or f"{words[0]}: {done.returncode}"
