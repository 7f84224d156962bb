"""The rsync daemon that gives a published tree: its configuration, its start and its end.

Never open to everyone (an anonymous rsync is a stock finding of security inspections): private networks only, and a
password where one is set. Read-only, not listed, a bounded number of connections, no option that makes the sender
read everything. `use chroot` works for root only (exit 5 otherwise), so an ordinary user goes without.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from catalog import durable
from catalog.errors import ConfigError

MODULE = "tree"
USER = "box"
PRIVATE_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1",
    "fc00::/7",
    "fe80::/10",
)
_REFUSED_OPTIONS = ("checksum", "compress", "delete*", "remove-source-files", "write-devices", "copy-devices")
_START_SECONDS = 10.0
_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """How the daemon listens; `password` None asks for none (then only `hosts_allow` guards)."""

    port: int
    address: str | None = None
    password: str | None = None
    max_connections: int = 60
    timeout_seconds: int = 300
    hosts_allow: tuple[str, ...] = PRIVATE_NETWORKS


def configuration(public: Path, work: Path, settings: DaemonSettings, *, root: bool) -> str:
    """Return the text of `rsyncd.conf` for the tree `public` (rsyncd.conf(5)); `root` is who will run it."""
    lines = [
        f"port = {settings.port}",
        *([f"address = {settings.address}"] if settings.address else []),
        f"log file = {work / 'rsyncd.log'}",
        f"lock file = {work / 'rsyncd.lock'}",
        "transfer logging = no",
        "reverse lookup = no",
        f"use chroot = {'yes' if root else 'no'}",
        f"[{MODULE}]",
        f"path = {public}",
        "read only = yes",
        "list = no",
        "munge symlinks = no",
        f"max connections = {settings.max_connections}",
        f"timeout = {settings.timeout_seconds}",
        f"refuse options = {' '.join(_REFUSED_OPTIONS)}",
        f"hosts allow = {' '.join(settings.hosts_allow)}",
        "hosts deny = *",
    ]
    if settings.password is not None:
        lines += [f"auth users = {USER}", f"secrets file = {work / 'rsyncd.secrets'}", "strict modes = yes"]
    return "\n".join(lines) + "\n"


class RsyncDaemon:
    """A running daemon over `public`; `work` is a private directory for its configuration, lock and log."""

    def __init__(self, public: Path, work: Path, settings: DaemonSettings) -> None:
        self._public = public
        self._work = work
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers; raise `ConfigError` E-TOOL or E-CONFIG (the port is taken)."""
        program = shutil.which("rsync")
        if program is None:
            raise ConfigError("E-TOOL", found="rsync")
        durable.make_directory(self._work, mode=0o700)
        text = configuration(self._public, self._work, self._settings, root=os.geteuid() == 0)
        conf = self._work / "rsyncd.conf"
        durable.write_file(conf, text.encode(), mode=0o600)
        if self._settings.password is not None:
            secret = f"{USER}:{self._settings.password}\n".encode()
            durable.write_file(self._work / "rsyncd.secrets", secret, mode=0o600)
        # A daemon must not outlive a hub that was killed: the kernel ends it with its parent (prctl(2), PDEATHSIG).
        tied = [setpriv, "--pdeathsig", "TERM"] if (setpriv := shutil.which("setpriv")) else []
        self._process = subprocess.Popen(
            [*tied, program, "--daemon", "--no-detach", f"--config={conf}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )
        self._wait_until_it_answers(self._process)

    def running(self) -> bool:
        """Return whether the program is alive."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """End the daemon; transfers under way are cut (boxes go on where they were)."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def __enter__(self) -> RsyncDaemon:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        host = self._settings.address or "127.0.0.1"
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(OSError), socket.create_connection((host, self._settings.port), 1) as probe:
                if probe.recv(8).startswith(b"@RSYNCD:") and process.poll() is None:
                    return
            time.sleep(0.05)
        self.stop()
        raise ConfigError("E-CONFIG", where="rsync", expected="free port", found=self._settings.port)
