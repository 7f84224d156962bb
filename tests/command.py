"""The command `shuxiang` as people run it: a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from appliance.processes import service

__all__ = ["call", "refusal", "service", "started"]


def environment() -> dict[str, str]:
    return {**os.environ, "LANG": "C.UTF-8", "LC_ALL": "", "LC_MESSAGES": ""}


def command(state: Path, *arguments: object) -> list[str]:
    return [sys.executable, "-m", "appliance", *map(str, arguments), "--state", str(state), "--json"]


def call(state: Path, *arguments: object, code: int = 0, timeout: float = 300) -> Any:
    """Run the command, check its exit status, and return the JSON value that it prints."""
    done = subprocess.run(
        command(state, *arguments), capture_output=True, text=True, env=environment(), timeout=timeout,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return json.loads(done.stdout) if done.stdout.strip() else None


def refusal(state: Path, *arguments: object, code: int) -> str:
    """Run a command that is refused with this exit status; return the code of its one line."""
    value = call(state, *arguments, code=code)
    found: str = value["error"]["code"]
    return found


@contextmanager
def started(state: Path, *arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command in the background while the block lasts."""
    process = subprocess.Popen(
        command(state, *arguments), env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
