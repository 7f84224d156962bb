"""Our own program as another process: started, waited for until it answers, ended by its id."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from catalog.errors import ConfigError

START_SECONDS = 30.0
END_SECONDS = 15.0


@contextmanager
def service(state: Path, *arguments: str) -> Iterator[dict[str, Any]]:
    """Run `shuxiang ARGUMENTS --state STATE --json` while the block lasts and give what it prints once it serves.

    Raises `ConfigError` E-SERVICE where it ends, or does not answer within 30 seconds.
    """
    command = [sys.executable, "-m", "appliance", *arguments, "--state", str(state), "--json"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise ConfigError("E-SERVICE", where=" ".join(arguments), found=process.wait())
            value: dict[str, Any] = json.loads(line)
            _wait_until_it_answers(value["address"])
            yield value
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_until_it_answers(address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with urlopen(f"{address}/healthz", timeout=5) as answer:
                answer.read()
                return
        except (URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise ConfigError("E-SERVICE", where=address, found=error) from error
            time.sleep(0.05)
