"""A small real filesystem: an ext4 image, loop-mounted for the length of a test."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def need_root(what: str) -> None:
    """Skip where this is not root; in continuous integration that is a failure."""
    if os.geteuid() != 0:
        reason = f"{what} needs root"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def small_disk(size_bytes: int, kind: str = "ext4") -> Iterator[Path]:
    """Give the root of a new filesystem of `size_bytes`."""
    need_root("mounting a filesystem")
    with tempfile.TemporaryDirectory() as name:
        image, mount = Path(name) / "disk.img", Path(name) / "mount"
        with image.open("wb") as stream:
            stream.truncate(size_bytes)
        options = ["-q", "-m", "0"] if kind == "ext4" else []
        subprocess.run([f"mkfs.{kind}", *options, image], check=True, capture_output=True)
        mount.mkdir()
        subprocess.run(["mount", "-o", "loop", image, mount], check=True)
        try:
            yield mount
        finally:
            subprocess.run(["umount", mount], check=True)
