"""The process that shares by BitTorrent, as seen by the service that started it: begun, looked after, ended.

Invariant: it never outlives its parent (its standard input is our pipe), and serving never waits for it.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

END_SECONDS = 10.0
AGAIN_SECONDS = 30.0

_log = logging.getLogger(__name__)


class Seeder:
    """`box seed` or `hub seed` (`role`) for the state in `directory`; begun anew where it ends by itself.

    `options` are those of the command. Thread-safe.
    """

    def __init__(self, role: str, directory: Path, options: Sequence[str] = ()) -> None:
        self._command = [sys.executable, "-m", "appliance", role, "seed", *options, "--json"]
        self._command += ["--state", str(directory)]
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="seed", daemon=True)
        self.port: int | None = None
        """The port it listens on, None as long as it does not run."""

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
        self._thread.join(END_SECONDS)
        if self._thread.is_alive() and process is not None:
            process.kill()
            self._thread.join()

    def __enter__(self) -> Seeder:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _look_after(self) -> None:
        while not self._ended.is_set():
            begun = time.monotonic()
            with subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
                self._process = process
                if self._ended.is_set() and process.stdin is not None:
                    process.stdin.close()
                assert process.stdout is not None
                line = process.stdout.readline()
                if line:
                    self.port = json.loads(line).get("port")
                code = process.wait()
            self.port = None
            if not self._ended.is_set():
                _log.warning("seed: ended with %s after %.0f s", code, time.monotonic() - begun)
                self._ended.wait(AGAIN_SECONDS)
