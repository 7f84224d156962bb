"""Reading ahead: what comes next is in memory before it is read, a little of it at a time, and nothing depends on it."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync.roads.readahead import AHEAD_BYTES, ReadAhead
from sync.roads.stick import Piece

MIB = 1 << 20
PATIENCE_SECONDS = 20.0


_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p)


def in_memory(path: Path, offset: int) -> bool:
    """Return whether the page there is in the kernel's memory, without asking for it (mincore(2))."""
    pages = ctypes.create_string_buffer(1)
    start = offset // mmap.PAGESIZE * mmap.PAGESIZE
    with path.open("rb") as stream:
        place = _libc.mmap(None, mmap.PAGESIZE, mmap.PROT_READ, mmap.MAP_SHARED, stream.fileno(), start)
        assert place not in (None, ctypes.c_void_p(-1).value)
        try:
            assert _libc.mincore(place, mmap.PAGESIZE, pages) == 0
        finally:
            _libc.munmap(place, mmap.PAGESIZE)
    return bool(pages.raw[0] & 1)


def comes(path: Path, offset: int) -> bool:
    until = time.monotonic() + PATIENCE_SECONDS
    while not in_memory(path, offset) and time.monotonic() < until:
        time.sleep(0.01)
    return in_memory(path, offset)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[list[Path]]:
    """Three files of six MiB that the kernel has forgotten."""
    found = []
    for number in range(3):
        path = tmp_path / str(number)
        path.write_bytes(os.urandom(6 * MIB))
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)
        found.append(path)
    if in_memory(found[2], 0):
        pytest.skip("a filesystem that keeps its files in memory")
    yield found


def test_what_comes_next_is_asked_for_across_files(files: list[Path]) -> None:
    with ReadAhead(Piece(path, 0, 6 * MIB) for path in files) as hints:
        hints.reached(0)
        assert comes(files[0], 0) and comes(files[0], 6 * MIB - 1)
        assert comes(files[1], AHEAD_BYTES - 6 * MIB - 1)
        # No more than was promised, and what the kernel reads by itself: a Pi has little memory.
        assert not in_memory(files[1], 5 * MIB) and not in_memory(files[2], 0)
        hints.reached(8 * MIB)
        assert comes(files[2], 4 * MIB - 1)


def test_only_what_is_in_the_list_is_asked_for(files: list[Path]) -> None:
    with ReadAhead([Piece(files[0], 0, 4096), Piece(files[0], 4 * MIB, 4096)]) as hints:
        hints.reached(0)
        assert comes(files[0], 0) and comes(files[0], 4 * MIB)
        assert not in_memory(files[0], 2 * MIB)


def test_what_can_not_be_opened_is_passed_over(files: list[Path], tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    pieces = [
        Piece(tmp_path / "none", 0, MIB),
        Piece(pipe, 0, MIB),
        Piece(files[0], 0, 0),
        Piece(files[0], 0, MIB),
    ]
    with ReadAhead(pieces) as hints:
        hints.reached(0)
        assert comes(files[0], MIB - 1)
        hints.reached(100 * MIB)
