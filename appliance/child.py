"""A command of ours that runs beside the service, as long as the service does."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

END_SECONDS = 20.0


class Child:
    """A command of ours that runs beside the service; it ends when its standard input does."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        # Not every command reads its standard input: the kernel ends it with the service (prctl(2), PDEATHSIG).
        tied = [setpriv, "--pdeathsig", "TERM"] if (setpriv := shutil.which("setpriv")) else []
        self._process = subprocess.Popen(
            [*tied, sys.executable, "-m", "appliance", *arguments, "--state", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        self._stopping = 0.0
        self._said = ""

    def tell(self, line: str) -> None:
        """Write a line to its standard input, unless it was the last; one that has ended already hears nothing."""
        if self._process.stdin is not None and not self._stopping and line != self._said:
            self._said = line
            with suppress(BrokenPipeError, ValueError):
                self._process.stdin.write(line)
                self._process.stdin.flush()

    def stop(self) -> None:
        """Let it end by closing its standard input; what does not end in 20 seconds is ended."""
        if not self._stopping:
            self._stopping = time.monotonic()
            if self._process.stdin is not None:
                with suppress(BrokenPipeError):
                    self._process.stdin.close()
        elif time.monotonic() - self._stopping > END_SECONDS:
            self._process.terminate()

    def interrupt(self) -> None:
        """End it by a signal: a command that does not read its standard input."""
        self._process.terminate()
        self.stop()

    def code(self) -> int | None:
        """Return its exit status once it has ended."""
        code = self._process.poll()
        if code is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        return code

    def wait(self) -> None:
        """Wait until it has ended, by force in the end."""
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
