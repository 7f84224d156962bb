"""The program that makes or applies one patch: a process of its own, so that its memory and time have an end.

Run as a file by `sync.parcels.patches` (`python -I -S`), with nothing of ours imported, so that it starts in milliseconds.
Invariant: the limits are set before a byte of the patch is read, and are inherited by the program it may turn into.
Arguments: the limits (address space, file size, CPU seconds), the folder of `backports`, then the work and its paths.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_BLOCK_BYTES = 64 << 10
_LOW_BITS = int.from_bytes(b"\x7f" * _BLOCK_BYTES, "little")
_HIGH_BITS = int.from_bytes(b"\x80" * _BLOCK_BYTES, "little")
ZSTD_LEVEL = 19
ZSTD_WINDOW_LOG = 25
_BSDIFF_MAGIC = b"BSDIFF40"
_BSDIFF_HEADER_BYTES = 32


def limit(address_space_bytes: int, file_bytes: int, cpu_seconds: int) -> None:
    """Set this process's limits for good; 0 sets none."""
    for kind, most in (
        (resource.RLIMIT_AS, address_space_bytes),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
    ):
        if most:
            resource.setrlimit(kind, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def make_zstd(source: str, target: str, patch: str) -> None:
    """Write `target` compressed with `source` before its window as the zstd frame `patch` (RFC 8878)."""
    from backports.zstd import CompressionParameter, ZstdCompressor, ZstdDict

    with Path(source).open("rb") as stream:
        prefix = ZstdDict(stream.read(), is_raw=True)
    options: dict[int, int] = {
        CompressionParameter.compression_level: ZSTD_LEVEL,
        CompressionParameter.window_log: ZSTD_WINDOW_LOG,
        CompressionParameter.enable_long_distance_matching: 1,
    }
    compressor = ZstdCompressor(options=options, zstd_dict=prefix.as_prefix)
    with Path(target).open("rb") as stream, Path(patch).open("wb") as out:
        out.write(compressor.compress(stream.read(), ZstdCompressor.FLUSH_FRAME))


def apply_zstd(source: str, patch: str, target: str) -> None:
    """Write to `target` what the zstd frame `patch` holds, `source` being before its window."""
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdDict

    with Path(source).open("rb") as stream:
        prefix = ZstdDict(stream.read(), is_raw=True)
    options: dict[int, int] = {DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG}
    decompressor = ZstdDecompressor(zstd_dict=prefix.as_prefix, options=options)
    with Path(patch).open("rb") as stream, Path(target).open("xb") as out:
        while not decompressor.eof:
            data = stream.read(_BLOCK_BYTES) if decompressor.needs_input else b""
            if not data and decompressor.needs_input:
                raise ValueError("the patch ends too early")
            out.write(decompressor.decompress(data, max_length=_BLOCK_BYTES))


class _Unpacked:
    """One of the three bzip2 streams of a bsdiff patch, read in pieces."""

    def __init__(self, stream: BinaryIO, start: int, end: int | None) -> None:
        from bz2 import BZ2Decompressor

        self._stream, self._at, self._end = stream, start, end
        self._decompressor = BZ2Decompressor()

    def read(self, count: int) -> bytes:
        """Return exactly `count` bytes."""
        parts = []
        while count:
            data = b""
            if self._decompressor.needs_input:
                self._stream.seek(self._at)
                length = _BLOCK_BYTES if self._end is None else min(_BLOCK_BYTES, self._end - self._at)
                data = self._stream.read(max(length, 0))
                self._at += len(data)
            part = self._decompressor.decompress(data, max_length=count)
            if not part and not data and self._decompressor.needs_input:
                raise ValueError("the patch ends too early")
            if not part and self._decompressor.eof:
                raise ValueError("the patch ends too early")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def apply_bsdiff(source: str, patch: str, target: str) -> None:
    """Apply a patch of Colin Percival's bsdiff 4 (`BSDIFF40`): triples of add, copy, seek; in bounded memory."""
    with Path(source).open("rb") as old, Path(patch).open("rb") as stream, Path(target).open("xb") as out:
        header = stream.read(_BSDIFF_HEADER_BYTES)
        if len(header) != _BSDIFF_HEADER_BYTES or header[:8] != _BSDIFF_MAGIC:
            raise ValueError("no bsdiff patch")
        control_bytes, diff_bytes, left = (_number(header[at : at + 8]) for at in (8, 16, 24))
        if control_bytes < 0 or diff_bytes < 0 or left < 0:
            raise ValueError("a length below zero")
        diff_at = _BSDIFF_HEADER_BYTES + control_bytes
        extra_at = diff_at + diff_bytes
        control = _Unpacked(stream, _BSDIFF_HEADER_BYTES, diff_at)
        diff, extra = _Unpacked(stream, diff_at, extra_at), _Unpacked(stream, extra_at, None)
        old_bytes = os.fstat(old.fileno()).st_size
        position = 0
        while left:
            triple = control.read(24)
            add, copy, seek = (_number(triple[at : at + 8]) for at in (0, 8, 16))
            if add < 0 or copy < 0 or add + copy > left:
                raise ValueError("more bytes than the target has")
            left -= add + copy
            while add:
                count = min(add, _BLOCK_BYTES)
                out.write(_sum(diff.read(count), _old_bytes(old, old_bytes, position, count)))
                position += count
                add -= count
            while copy:
                count = min(copy, _BLOCK_BYTES)
                out.write(extra.read(count))
                copy -= count
            position += seek


def _number(data: bytes) -> int:
    """Return the 8 bytes as bsdiff writes numbers: little-endian, the highest bit the sign."""
    value = int.from_bytes(data, "little")
    return -(value & ~(1 << 63)) if value >> 63 else value


def _old_bytes(old: BinaryIO, old_bytes: int, position: int, count: int) -> bytes:
    """Return `count` bytes of the source from `position` on; outside of it there are zeros."""
    before = min(count, max(0, -position))
    start = max(0, position)
    inside = max(0, min(count - before, old_bytes - start))
    return b"".join((bytes(before), os.pread(old.fileno(), inside, start), bytes(count - before - inside)))


def _sum(one: bytes, two: bytes) -> bytes:
    """Return the sums of the bytes, each modulo 256: the carries between bytes are kept apart by their high bits."""
    first, second = int.from_bytes(one, "little"), int.from_bytes(two, "little")
    total = ((first & _LOW_BITS) + (second & _LOW_BITS)) ^ ((first ^ second) & _HIGH_BITS)
    return total.to_bytes(len(one), "little")


_WORK: dict[str, Callable[[str, str, str], None]] = {
    "make-zstd": make_zstd,
    "apply-zstd": apply_zstd,
    "apply-bsdiff": apply_bsdiff,
}


def main(arguments: list[str]) -> None:
    """Set the limits, then do the work or become the program that does it."""
    address_space, file_bytes, cpu_seconds, packages, work, *rest = arguments
    limit(int(address_space), int(file_bytes), int(cpu_seconds))
    if work == "run":
        os.execv(rest[0], rest)
    sys.path.append(packages)
    _WORK[work](*rest)


if __name__ == "__main__":
    main(sys.argv[1:])
