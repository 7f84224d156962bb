"""A Debian 13 for tests: its own systemd as process 1, in namespaces of its own, without a network.

The root is laid out by `tools/debian13-root`; what a test writes is kept in memory and gone at its end.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

FETCHED = Path(__file__).resolve().parent.parent / "build" / "debian13-root"
_PROGRAMS = ("setpriv", "unshare", "nsenter", "pivot_root", "mount", "ip")
_NAMESPACES = (
    "--mount",
    "--propagation",
    "slave",
    "--pid",
    "--fork",
    "--uts",
    "--ipc",
    "--net",
    "--cgroup",
    "--kill-child",
)
# As a container manager would: the kernel's own trees, a few devices, and a root that systemd may set apart from.
_BOOT = """
set -e
mount --make-rslave /
mount -t tmpfs -o mode=755 none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay none -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc none proc
mount -t sysfs -o ro none sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs none run
mount -t tmpfs none tmp
mount -t tmpfs -o mode=755 none dev
for name in null zero full random urandom tty; do cp -a "/dev/$name" "dev/$name"; done
mkdir dev/pts dev/shm
mount -t tmpfs none dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 none dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ip link set lo up
pivot_root . .
umount -l .
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal --show-status=0
"""
_PATH = "/usr/sbin:/usr/bin"
_BOOT_SECONDS, _COMMAND_SECONDS = 60, 300


def need_machine() -> None:
    """Skip where no machine can be had; in continuous integration that is a failure."""
    missing = _why_not()
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


def _why_not() -> str:
    if os.geteuid() != 0:
        return "namespaces with a system of their own need root"
    for program in _PROGRAMS:
        if shutil.which(program) is None:
            return f"the program `{program}` is not installed"
    if not (FETCHED / ".stamp").exists():
        return "there is no Debian 13: tools/debian13-root"
    made = subprocess.run(["unshare", *_NAMESPACES, "true"], capture_output=True, text=True)
    return made.stderr.strip()


@dataclass(frozen=True)
class Machine:
    """A running Debian 13; `pid` is its process 1."""

    pid: int

    def run(self, *command: str, give: bytes = b"") -> subprocess.CompletedProcess[str]:
        """Run `command` there with `give` as its input, and return what came of it."""
        done = subprocess.run(
            ["nsenter", "--all", "--target", str(self.pid), *command],
            input=give, capture_output=True, timeout=_COMMAND_SECONDS, env={"PATH": _PATH, "LANG": "C.UTF-8"},
        )  # fmt: skip
        return subprocess.CompletedProcess(
            command, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def must(self, *command: str) -> str:
        """Run `command` there and return what it prints; it has to succeed."""
        done = self.run(*command)
        assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
        return done.stdout

    def put(self, path: Path, place: str) -> None:
        """Copy the file at `path` to `place`."""
        done = self.run("sh", "-c", f"cat > {place}", give=path.read_bytes())
        assert done.returncode == 0, done.stderr

    def wait_for(self, *command: str, seconds: float = 60) -> str:
        """Repeat `command` until it succeeds, and return what it prints then."""
        deadline = time.monotonic() + seconds
        while (done := self.run(*command)).returncode != 0:
            assert time.monotonic() < deadline, (
                command,
                done.stdout[-2000:],
                done.stderr[-2000:],
                self.log(),
            )
            time.sleep(0.2)
        return done.stdout

    def log(self) -> str:
        """Return the end of the machine's journal."""
        return self.run("journalctl", "--no-pager", "--lines", "40").stdout


@contextmanager
def debian_machine(place: Path) -> Iterator[Machine]:
    """Boot a fresh Debian 13 and give it once systemd has started it; `place` is an empty directory."""
    place.mkdir()
    process = subprocess.Popen(
        # Whatever ends the tests ends the machine.
        ["setpriv", "--pdeathsig", "KILL", "unshare", *_NAMESPACES, "sh", "-c", _BOOT, "boot", str(place), str(FETCHED)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + _BOOT_SECONDS
        while not _is_up(process.pid):
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < deadline, "systemd did not start"
            time.sleep(0.1)
        yield Machine(_first(process.pid))
    finally:
        # Process 1 of a namespace takes all others of it along.
        if first := _first(process.pid):
            os.kill(first, signal.SIGKILL)
        process.kill()
        process.communicate(timeout=30)


def _first(unshare: int) -> int:
    children = Path(f"/proc/{unshare}/task/{unshare}/children")
    return int((children.read_text().split() or ["0"])[0]) if children.exists() else 0


def _is_up(unshare: int) -> bool:
    first = _first(unshare)
    if not first:
        return False
    asked = subprocess.run(
        ["nsenter", "--all", "--target", str(first), "systemctl", "is-system-running"],
        capture_output=True,
        text=True,
    )
    # What cannot work here (modules of the kernel) makes it "degraded": that is a running system too.
    return asked.stdout.strip() in ("running", "degraded")
