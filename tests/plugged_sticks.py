"""Sticks to plug in: images with something on them, and the device that a machine sees.

Where the kernel lacks FAT, its driver in user space takes the image itself for a device.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from command import command, environment
from sticks import mounted, need

from appliance.plugging.notes import STICKS

KINDS = ("vfat", "exfat", "ntfs", "ext4")
_LABEL = {"vfat": "fatlabel", "exfat": "exfatlabel", "ntfs": "ntfslabel", "ext4": "e2label"}
_SECONDS = 90.0


def image(
    path: Path, kind: str, fill: Callable[[Path], object], *, label: str = "", size_bytes: int = 64 << 20
) -> Path:
    """Make a filesystem in the file `path` and let `fill` write to its root; return `path`."""
    need(kind)
    with path.open("wb") as stream:
        stream.truncate(size_bytes)
    with tempfile.TemporaryDirectory(prefix="stick-") as work:
        if kind == "vfat":
            _fill_fat(path, Path(work), fill)
        else:
            with mounted(path, kind, Path(work), make=True) as root:
                fill(root)
    _settle(path)
    if label:
        words = [_LABEL[kind], str(path), label]
        subprocess.run(words, check=True, capture_output=True)
    return path


def _fill_fat(path: Path, work: Path, fill: Callable[[Path], object]) -> None:
    """Fill it by mtools: FAT's driver in user space writes no Chinese names."""
    fill(work)
    subprocess.run(["mkfs.vfat", "-F", "32", path], check=True, capture_output=True)
    words = ["mcopy", "-s", "-Q", "-i", str(path), *map(str, sorted(work.iterdir())), "::"]
    subprocess.run(words, check=True, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"})


def _settle(path: Path) -> None:
    """Wait until no driver in user space holds the image's device any more."""
    wait_for(lambda: not subprocess.run(["losetup", "-j", path], check=True, capture_output=True).stdout)


@contextmanager
def device(path: Path, kind: str) -> Iterator[Path]:
    """Give the device in which the image is; taken out at the end."""
    in_kernel = any(line.split()[-1] == kind for line in Path("/proc/filesystems").read_text().splitlines())
    if kind == "vfat" and not in_kernel:
        yield path
        return
    done = subprocess.run(["losetup", "-r", "-f", "--show", path], check=True, capture_output=True, text=True)
    loop = Path(done.stdout.strip())
    try:
        yield loop
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)


@contextmanager
def writable_device(path: Path, *options: str) -> Iterator[Path]:
    """Give a device with the image that may also be written."""
    words = ["losetup", *options, "-f", "--show", str(path)]
    loop = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield Path(loop)
    finally:
        subprocess.run(["losetup", "-d", loop], check=True)


@contextmanager
def box_runs(box: Path, run: Path) -> Iterator[str]:
    """Run the service of a box that looks for sticks in `run`; give its address."""
    (run / "told").mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(
        [*command(box, "box", "run"), "--host", "127.0.0.1", "--port", "0"],
        env={**environment(), "SHUXIANG_RUN": str(run)}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            address: str = json.loads(process.stdout.readline())["address"]
            yield address
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


class Plugged:
    """The process that udev starts for a stick; what it says is in `said`."""

    def __init__(self, run: Path, state: Path, path: Path, said: Path) -> None:
        self.run = run
        self.path = path
        self.said = said
        with said.open("w") as stream:
            self._process = subprocess.Popen(
                [*command(state, "plugged", path), "--lang", "zh-CN"],
                env={**environment(), "SHUXIANG_RUN": str(run)}, stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=stream,
            )  # fmt: skip

    def note(self) -> dict[str, Any]:
        """Return the note of it, once there is one."""
        return wait_for(lambda: next(iter(self._notes()), None))  # type: ignore[no-any-return]

    def _notes(self) -> list[dict[str, Any]]:
        notes = [json.loads(path.read_text()) for path in (self.run / "plugged").glob("*.json")]
        return [note for note in notes if note["device"] == str(self.path)]

    def told(self, *phases: str) -> dict[str, Any]:
        """Return what the box says of it, once it is in one of these phases."""
        identity = self.note()["id"]

        def ask() -> dict[str, Any] | None:
            rows = json.loads((self.run / "told" / "sticks.json").read_text())
            return next((row for row in rows if row["id"] == identity and row["phase"] in phases), None)

        return wait_for(lambda: ask() if (self.run / "told" / "sticks.json").exists() else None)  # type: ignore[no-any-return]

    def words(self, part: str) -> str:
        """Return what it said, once `part` is in it."""
        return wait_for(lambda: text if part in (text := self.said.read_text()) else None)  # type: ignore[no-any-return]

    def pull(self) -> None:
        """Take the stick out, as systemd ends its unit."""
        self._process.terminate()
        assert self._process.wait(30) == 0
        assert not self._notes()

    def kill(self) -> None:
        """End the process as a lack of memory would."""
        self._process.kill()
        self._process.wait()

    @property
    def running(self) -> bool:
        return self._process.poll() is None


@contextmanager
def plugged(run: Path, state: Path, path: Path, said: Path) -> Iterator[Plugged]:
    """Plug in the stick in the device `path` while the block lasts."""
    one = Plugged(run, state, path, said)
    with _told_to_others(run / STICKS):
        try:
            yield one
        finally:
            if one.running:
                one.pull()


@contextmanager
def _told_to_others(place: Path) -> Iterator[None]:
    """Let what is unmounted in `place` go from mount namespaces of tests beside this one too: a copy keeps it busy."""
    if os.path.ismount(place):
        yield
        return
    place.mkdir(parents=True, exist_ok=True)
    # As /run is one, and not a bind: `ismount` does not know a bind within one filesystem from its directory.
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "sticks", place], check=True)
    try:
        subprocess.run(["mount", "--make-shared", place], check=True)
        yield
    finally:
        # What tidies up after a stick that was pulled may have taken it along.
        if os.path.ismount(place):
            subprocess.run(["umount", "--lazy", place], check=True)


def wait_for(found: Callable[[], Any], seconds: float = _SECONDS) -> Any:
    """Return what `found` gives, once it is true."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
    return value


def need_root() -> None:
    """Skip where nothing can be mounted."""
    if os.geteuid() != 0 or shutil.which("losetup") is None:
        pytest.skip("mounting a stick needs root")
