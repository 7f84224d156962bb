"""The program that makes or applies one patch: a process of its own, so that its memory and time have an end.

Run as a file by `sync.parcels.patches` (`python -I -S`), with nothing of ours imported, so that it starts in milliseconds.
Invariant: the limits are set before a byte of the patch is read, and are inherited by the program it may turn into.
Arguments: the limits (address space, file size, CPU seconds), the folder of `backports`, then the work and its paths.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

BLOCK_BYTES = 64 << 10
"""How much is taken at a time; zlib is fed so at both ends, since what it writes may depend on that."""
_LOW_BITS = int.from_bytes(b"\x7f" * BLOCK_BYTES, "little")
_HIGH_BITS = int.from_bytes(b"\x80" * BLOCK_BYTES, "little")
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
            data = stream.read(BLOCK_BYTES) if decompressor.needs_input else b""
            if not data and decompressor.needs_input:
                raise ValueError("the patch ends too early")
            out.write(decompressor.decompress(data, max_length=BLOCK_BYTES))


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
                length = BLOCK_BYTES if self._end is None else min(BLOCK_BYTES, self._end - self._at)
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
                count = min(add, BLOCK_BYTES)
                out.write(_sum(diff.read(count), _old_bytes(old, old_bytes, position, count)))
                position += count
                add -= count
            while copy:
                count = min(copy, BLOCK_BYTES)
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


MOST_INFLATED_BYTES = 64 << 20
"""By how much a file may grow where its streams are inflated."""
MOST_HEAD_BYTES = 1 << 20
_HEAD_ENTRY = 3


class Packer(Protocol):
    """zlib's compressor."""

    def compress(self, data: bytes, /) -> bytes:
        """Take some bytes and return what is ready."""

    def flush(self) -> bytes:
        """Return the rest."""


def packer(setting: int) -> Packer:
    """Return a compressor to raw deflate (RFC 1951); `setting` is level and memory level, two digits."""
    level, memory = divmod(setting, 10)
    return zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, memory)


Places = Sequence[tuple[int, int, int]]
"""Streams of a file in their order. In a source: bytes since the last one's end, packed bytes, plain bytes. In a
target's inflated form: bytes since the last one's end, plain bytes, setting."""


def head_bytes(source: Places, target: Places) -> bytes:
    """Return what stands before the patch between two inflated forms: their streams, JSON inside of zlib (RFC 1950)."""
    lists = {
        "source": [number for place in source for number in place],
        "target": [number for place in target for number in place],
    }
    return zlib.compress(json.dumps(lists, separators=(",", ":")).encode(), 9)


def read_head(stream: BinaryIO) -> tuple[Places, Places]:
    """Return the streams of source and target, and leave `stream` where the patch between the forms begins.

    Raises `ValueError` where they are malformed or claim to grow by more than `MOST_INFLATED_BYTES`.
    """
    inflater = zlib.decompressobj()
    text = inflater.decompress(stream.read(MOST_HEAD_BYTES), MOST_HEAD_BYTES)
    if not inflater.eof:
        raise ValueError("no end of the head")
    stream.seek(-len(inflater.unused_data), os.SEEK_CUR)
    fields = json.loads(text)
    source, target = (list(_places(fields[name])) for name in ("source", "target"))
    if sum(plain for _, _, plain in source) > MOST_INFLATED_BYTES:
        raise ValueError("the source grows too much")
    if sum(plain for _, plain, _ in target) > MOST_INFLATED_BYTES:
        raise ValueError("the target grows too much")
    return source, target


def _places(numbers: list[int]) -> Iterator[tuple[int, int, int]]:
    if len(numbers) % _HEAD_ENTRY or not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("no list of streams")
    yield from zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)


def inflate(source: str, patch: str, form: str, inner: str) -> None:
    """Write the inflated form of `source` to `form`, and what follows the head of `patch` to `inner`."""
    with Path(patch).open("rb") as stream:
        places, _ = read_head(stream)
        with Path(inner).open("xb") as out:
            while block := stream.read(BLOCK_BYTES):
                out.write(block)
    write_inflated(source, places, form)


def write_inflated(source: str, places: Places, form: str) -> None:
    """Write to `form` the file at `source` with the streams at `places` inflated."""
    with Path(source).open("rb") as old, Path(form).open("xb") as out:
        for gap, packed_bytes, plain_bytes in places:
            _copy(old, gap, out)
            _inflate(old, packed_bytes, plain_bytes, out)
        while block := old.read(BLOCK_BYTES):
            out.write(block)


def _inflate(old: BinaryIO, packed_bytes: int, plain_bytes: int, out: BinaryIO) -> None:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    rest = b""
    while not inflater.eof:
        if not rest:
            rest = old.read(min(BLOCK_BYTES, packed_bytes))
            packed_bytes -= len(rest)
            if not rest:
                raise ValueError("a stream of the source ends too early")
        plain = inflater.decompress(rest, BLOCK_BYTES)
        rest = inflater.unconsumed_tail
        plain_bytes -= len(plain)
        if plain_bytes < 0:
            raise ValueError("a stream of the source is longer than it should be")
        out.write(plain)
    if plain_bytes or packed_bytes or inflater.unused_data:
        raise ValueError("a stream of the source has another length")


def deflate(form: str, patch: str, target: str) -> None:
    """Write to `target` the file whose inflated form is `form`, its streams packed as the head of `patch` says."""
    with Path(patch).open("rb") as stream:
        _, places = read_head(stream)
    with Path(form).open("rb") as plain, Path(target).open("xb") as out:
        for gap, plain_bytes, setting in places:
            _copy(plain, gap, out)
            deflater = packer(setting)
            while plain_bytes:
                block = _read(plain, min(BLOCK_BYTES, plain_bytes))
                plain_bytes -= len(block)
                out.write(deflater.compress(block))
            out.write(deflater.flush())
        while block := plain.read(BLOCK_BYTES):
            out.write(block)


def _copy(source: BinaryIO, count: int, out: BinaryIO) -> None:
    while count:
        block = _read(source, min(BLOCK_BYTES, count))
        count -= len(block)
        out.write(block)


def _read(source: BinaryIO, count: int) -> bytes:
    data = source.read(count)
    if len(data) != count:
        raise ValueError("shorter than it should be")
    return data


_WORK: dict[str, Callable[..., None]] = {
    "make-zstd": make_zstd,
    "apply-zstd": apply_zstd,
    "apply-bsdiff": apply_bsdiff,
    "inflate": inflate,
    "deflate": deflate,
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
