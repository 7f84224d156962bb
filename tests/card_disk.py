"""A card for tests: a file with the four partitions of a real one, which the kernel takes for a disk with partitions."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1 << 20
SECTOR = 512
_PROGRAMS = ("losetup", "partx", "sfdisk", "mke2fs", "e2fsck", "tune2fs", "unshare", "mount", "resize2fs")
# Boot, system A, system B, data: starts and sizes in MiB; data is large enough for a second superblock.
LAYOUT = ((1, 4), (5, 16), (21, 8), (29, 300))


def need_disks() -> None:
    """Skip where no disk can be made; in continuous integration that is a failure."""
    missing = "disks of files need root" if os.geteuid() else ""
    for program in _PROGRAMS:
        if shutil.which(program) is None:
            missing = f"the program `{program}` is not installed"
    if missing and os.environ.get("CI") == "true":
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)


def run(*command: str | Path, give: str | None = None) -> str:
    done = subprocess.run([str(word) for word in command], input=give, capture_output=True, text=True)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def run_until(there: str, *command: str) -> None:
    """Run until a device is there: what is left of the one before it may be in the way for a moment."""
    deadline = time.monotonic() + 10
    while True:
        subprocess.run(command, capture_output=True)
        if Path(there).exists():
            return
        assert time.monotonic() < deadline, there
        time.sleep(0.1)


def write_card(image: Path, system: Path, data: Path | None = None, size_mib: int = 329) -> None:
    """Write a card of `size_mib` MiB whose system holds the tree `system`, and whose data the tree `data`."""
    with image.open("wb") as file:
        file.truncate(size_mib * MIB)
    lines = [
        f"start={start}MiB, size={size}MiB, type={kind}"
        for (start, size), kind in zip(LAYOUT, ("c", "83", "83", "83"), strict=True)
    ]
    run("sfdisk", "--quiet", image, give="label: dos\n" + "\n".join(lines) + "\n")
    for (start, size), label, tree in ((LAYOUT[1], "sx-system-a", system), (LAYOUT[3], "sx-data", data)):
        make_ext4(image, label, size, offset=start, tree=tree)


def make_ext4(file: Path, label: str, size_mib: int, *, offset: int = 0, tree: Path | None = None) -> None:
    """Write an ext4 of `size_mib` MiB at `offset` MiB of `file`."""
    given = ("-d", tree) if tree else ()
    run("mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-L", label, "-E", f"offset={offset * MIB},nodiscard", *given, file, f"{size_mib}m")  # fmt: skip


@contextmanager
def attached(file: Path, *, partitions: bool = True) -> Iterator[str]:
    """Give the device of a disk that is `file`, with its partitions, while the block lasts."""
    device = run("losetup", "--find", "--show", file).strip()
    try:
        if partitions:
            # As the kernel does it, a partition that ends beyond the disk is left out.
            run_until(f"{device}p1", "partx", "--update", device)
        yield device
    finally:
        if partitions:
            subprocess.run(["partx", "--delete", device], capture_output=True)
        run("losetup", "--detach", device)


def hurt(file: Path, offset: int, size: int) -> None:
    """Overwrite `size` bytes at `offset` with zeros."""
    with file.open("r+b") as stream:
        stream.seek(offset)
        stream.write(bytes(size))
