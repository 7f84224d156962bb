"""Images and cards for tests of writing: a small disk with a FAT partition, and loop devices in the place of cards."""

from __future__ import annotations

import hashlib
import json
import lzma
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from backports.zstd import ZstdCompressor
from small_disk import need_root

MIB = 1 << 20
IMAGE_BYTES = 48 * MIB
_TABLE = """\
label: dos
label-id: 0x12345678
unit: sectors
start=2048, size=77824, type=c
start=79872, size=8192, type=83
"""
_HERE = Path(__file__).parent
_START_SECONDS = 10.0


def small_image(folder: Path, suffix: str = ".img.zst") -> Path:
    """Write an image of 48 MiB with its description: a FAT partition from 1 MiB on, 4 MiB of noise behind it."""
    image = folder / f"small{suffix}"
    image.write_bytes(_packed(suffix))
    note = {
        "name": "书箱 pc box", "version": "0.1.0", "board": "pc", "role": "box", "release_date": "2026-11-22",
        "extract_size": IMAGE_BYTES, "extract_sha256": hashlib.sha256(plain_bytes()).hexdigest(),
    }  # fmt: skip
    (folder / f"small{suffix}.json").write_text(json.dumps(note, ensure_ascii=False), encoding="utf-8")
    return image


@cache
def _packed(suffix: str) -> bytes:
    data = plain_bytes()
    if suffix == ".img.zst":
        return ZstdCompressor().compress(data, ZstdCompressor.FLUSH_FRAME)
    if suffix == ".img.xz":
        # Two streams with padding between them, as tools that pack in parts write.
        return lzma.compress(data[:MIB], preset=0) + bytes(4) + lzma.compress(data[MIB:], preset=0)
    return data


@cache
def plain_bytes() -> bytes:
    """Return what `small_image` packs."""
    with tempfile.TemporaryDirectory() as name:
        plain = Path(name) / "plain"
        with plain.open("wb") as file:
            file.truncate(IMAGE_BYTES)
            file.seek(40 * MIB)
            file.write(random.Random(4).randbytes(4 * MIB))
        subprocess.run(["sfdisk", "-q", plain], input=_TABLE, text=True, check=True)
        subprocess.run(
            [
                "mkfs.vfat",
                "-F",
                "32",
                "-s",
                "1",
                "-n",
                "SHUXIANG",
                "--offset",
                "2048",
                plain,
                str(77824 // 2),
            ],
            check=True,
            capture_output=True,
        )
        return plain.read_bytes()


def head_of(card: Path) -> bytes:
    """Return the first MiB."""
    with card.open("rb") as file:
        return file.read(MIB)


@contextmanager
def loop_card(size_bytes: int, *, used: bool = True) -> Iterator[Path]:
    """Give a loop device in the place of a card, full of what it held before."""
    need_root("a loop device")
    with tempfile.TemporaryDirectory(prefix="card-") as name:
        backing = Path(name) / "card"
        backing.write_bytes(random.Random(5).randbytes(size_bytes) if used else bytes(size_bytes))
        with attached(backing) as device:
            yield device


@contextmanager
def attached(backing: Path) -> Iterator[Path]:
    """Give a loop device of a file."""
    done = subprocess.run(
        ["losetup", "--show", "-f", backing], check=True, capture_output=True, text=True
    )  # fmt: skip
    device = Path(done.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run(["losetup", "-d", device], check=True)


@contextmanager
def odd_card(module: str, *words: object) -> Iterator[Path]:
    """Give a file like a card that is not what it should be: `bad_card` or `lying_disk` with what follows its mount point."""
    with ExitStack() as undo:
        point = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="worn-")))
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(point), *map(str, words)],
            cwd=_HERE,
            start_new_session=True,
        )
        undo.callback(process.wait, _START_SECONDS)
        undo.callback(subprocess.run, ["umount", point], check=True)
        until = time.monotonic() + _START_SECONDS
        while not (point / "disk").exists():
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        yield point / "disk"
