"""Programs that build what is installed: the only place of `images` that runs any.

Invariant: a command that fails is shown as one line that a person can paste into a shell to see it fail again.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from catalog.errors import ConfigError

SHOWN_LINES = 3


def run(
    command: Sequence[str | Path], environment: Mapping[str, str] | None = None, *, give: str = ""
) -> str:
    """Run `command` with `give` as its input and `environment` on top of ours, and return its standard output.

    Raises `ConfigError`: E-TOOL where the program is missing, E-BUILD with the command and its last words where it
    fails.
    """
    words = [str(word) for word in command]
    added = dict(environment or {})
    if shutil.which(words[0]) is None:
        raise ConfigError("E-TOOL", where=words[0])
    done = subprocess.run(
        words,
        env=os.environ | added,
        input=give,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        shown = shlex.join([*(f"{name}={value}" for name, value in added.items()), *words])
        raise ConfigError("E-BUILD", where=shown, found=" / ".join(said[-SHOWN_LINES:]) or done.returncode)
    return done.stdout
