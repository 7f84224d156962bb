"""Sticks: real filesystems on loop devices, as a box meets them; and sticks that claim more than they hold.

FAT and exFAT are mounted by the kernel where it has them, else by their programs in user space, whose data also lies in
the cache of the block device.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from small_disk import need_root

KINDS = ("vfat", "exfat", "ntfs", "ext4")
LIES = ("drops", "wraps")
_MAKE = {
    "vfat": ("mkfs.vfat", "-F", "32"),
    "exfat": ("mkfs.exfat",),
    "ntfs": ("mkfs.ntfs", "-Q", "-F"),
    "ext4": ("mkfs.ext4", "-q", "-F", "-m", "0"),
}
_FUSE = {
    "vfat": ("fusefat", "-o", "rw+"),
    "exfat": ("mount.exfat-fuse",),
    "ntfs": ("ntfs-3g",),
}
_HERE = Path(__file__).resolve().parent
_END_SECONDS = 20.0


def need(kind: str) -> None:
    """Skip where a filesystem of this kind can not be made and mounted; in continuous integration that is a failure."""
    need_root("mounting a stick")
    lacking = None
    if shutil.which(_MAKE[kind][0]) is None:
        lacking = _MAKE[kind][0]
    elif not _kernel_has(kind) and shutil.which(_FUSE.get(kind, ("",))[0]) is None:
        lacking = f"the kernel's {kind}, or {_FUSE[kind][0]}"
    if lacking is not None:
        if os.environ.get("CI"):
            pytest.fail(f"a stick needs {lacking}")
        pytest.skip(f"a stick needs {lacking}")


@contextmanager
def stick(kind: str, size_bytes: int, *, cluster_bytes: int | None = None) -> Iterator[Path]:
    """Give the root of a new filesystem of this kind and size on a loop device."""
    need(kind)
    with ExitStack() as undo:
        work = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="stick-")))
        image = work / "disk.img"
        with image.open("wb") as stream:
            stream.truncate(size_bytes)
        yield undo.enter_context(mounted(image, kind, work, make=True, cluster_bytes=cluster_bytes))


@contextmanager
def mounted(
    image: Path, kind: str, work: Path, *, make: bool = False, cluster_bytes: int | None = None
) -> Iterator[Path]:
    """Mount `image` below `work`, after making a filesystem on it where asked to."""
    place = work / "mount"
    place.mkdir(exist_ok=True)
    with ExitStack() as undo:
        device = _run("losetup", "-f", "--show", image).strip()
        undo.callback(_run, "losetup", "-d", device)
        if make:
            _run(*_MAKE[kind], *_cluster_words(kind, cluster_bytes), device)
        if _kernel_has(kind):
            _run("mount", "-t", kind, device, place)
        elif kind == "vfat":
            # It wants a file, not a device.
            undo.close()
            if make and not image.exists():
                raise FileNotFoundError(image)
            _run(*_FUSE[kind], image, place)
        else:
            _run(*_FUSE[kind], device, place)
        undo.callback(_unmount, place)
        yield place


@contextmanager
def lying_stick(kind: str, *, claims_bytes: int, holds_bytes: int, lie: str) -> Iterator[Path]:
    """Give a stick that says it has `claims_bytes`; what is written beyond `holds_bytes` is lost, or written over the first."""
    need(kind)
    with ExitStack() as undo:
        work = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="liar-")))
        fuse = work / "fuse"
        fuse.mkdir()
        words = [fuse, claims_bytes, holds_bytes, lie]
        process = subprocess.Popen(
            [sys.executable, "-m", "lying_disk", *map(str, words)], cwd=_HERE, start_new_session=True
        )
        undo.callback(_end, process)
        undo.callback(_unmount, fuse)
        until = time.monotonic() + _END_SECONDS
        while not (fuse / "disk").exists():
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        yield undo.enter_context(mounted(fuse / "disk", kind, work, make=True))


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _kernel_has(kind: str) -> bool:
    name = "ntfs3" if kind == "ntfs" else kind
    return any(line.split()[-1] == name for line in Path("/proc/filesystems").read_text().splitlines())


def _cluster_words(kind: str, cluster_bytes: int | None) -> list[str]:
    if cluster_bytes is None:
        return []
    return {
        "vfat": ["-s", str(cluster_bytes // 512)],
        "exfat": ["-c", str(cluster_bytes)],
        "ntfs": ["-c", str(cluster_bytes)],
        "ext4": ["-b", str(cluster_bytes)],
    }[kind]


def _unmount(place: Path) -> None:
    for _ in range(50):
        if subprocess.run(["umount", place], capture_output=True, check=False).returncode == 0:
            return
        if not os.path.ismount(place):
            return
        time.sleep(0.1)
    _run("umount", "-l", place)


def _run(*words: object) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"`{' '.join(map(str, words))}` ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
