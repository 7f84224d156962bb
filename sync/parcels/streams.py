"""Deflate streams inside of files (RFC 1951), as the hub looks for them before it makes a patch.

ZIP packages (PPTX, DOCX, XLSX, ODP, H5P) and PDF keep texts deflated: one word changed changes all that follows in its
stream. Invariant: a stream is what inflates to its own end, whatever the file says of it, so broken, encrypted or
lying archives have fewer streams, never wrong ones; looking is bounded by the file's size and by `MOST_LOOKED_BYTES`.
"""

from __future__ import annotations

import hashlib
import mmap
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sync.parcels.patch_process import BLOCK_BYTES, packer

MOST_STREAM_BYTES = 64 << 20
"""A longer plain text is left as it is: so is a bomb."""
MOST_LOOKED_BYTES = 512 << 20
"""A longer file is not looked into, and no more than this is inflated to look."""
MOST_STREAMS = 20_000
_LEAST_PACKED_BYTES = 32
# What programs use: level 6 first, then the ends. 8 is zlib's own memory level; some ask for 9.
_SETTINGS = tuple(level * 10 + memory for memory in (8, 9) for level in (6, 9, 1, 5, 7, 8, 4, 3, 2))
# A program whose deflate is not zlib's packs every stream in its own way: not worth trying them all.
_HOPELESS_STREAMS = 8
_LOCAL_HEADER_BYTES = 30


@dataclass(frozen=True, slots=True)
class Stream:
    """A deflate stream: its bytes are `start` to `end` of the file. `digest` is of the packed bytes."""

    start: int
    end: int
    plain_bytes: int
    digest: bytes


def streams_of(path: Path) -> list[Stream]:
    """Return the streams of the ZIP package or PDF at `path`, in their order; none where it is neither.

    Raises `OSError` where it cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(1024)
        starts = _zip_starts if head[:2] == b"PK" else _pdf_starts if b"%PDF-" in head else None
        if starts is None or path.stat().st_size > MOST_LOOKED_BYTES:
            return []
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return list(_streams(data, starts))


def settings_of(path: Path, streams: list[Stream]) -> dict[Stream, int]:
    """Return for each of `streams` with what setting (level and memory level, two digits) zlib packs it to the same bytes.

    A stream that no setting reproduces is missing. Raises `OSError` where the file cannot be read.
    """
    found: dict[Stream, int] = {}
    order = list(_SETTINGS)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for number, one in enumerate(streams):
            if not found and number == _HOPELESS_STREAMS:
                break
            setting = next((setting for setting in order if _packs_alike(data, one, setting)), None)
            if setting is not None:
                found[one] = setting
                order.remove(setting)
                order.insert(0, setting)
    return found


def _streams(data: mmap.mmap, starts: Callable[[mmap.mmap], Iterator[int]]) -> Iterator[Stream]:
    left = MOST_LOOKED_BYTES
    last_end = count = 0
    for start in starts(data):
        if start < last_end or count == MOST_STREAMS or left <= 0:
            continue
        looked = plain_bytes = 0
        end: int | None = start
        try:
            for block in plain_blocks(data, start, len(data)):
                looked += len(block.plain)
                if looked > MOST_STREAM_BYTES:
                    end = None
                    break
                end, plain_bytes = block.end, looked
        except ValueError:
            end = None
        left -= looked + BLOCK_BYTES
        if end is not None and end - start >= _LEAST_PACKED_BYTES:
            digest = hashlib.sha256(memoryview(data)[start:end]).digest()
            yield Stream(start, end, plain_bytes, digest)
            last_end, count = end, count + 1


def _zip_starts(data: mmap.mmap) -> Iterator[int]:
    """Yield where the bytes of deflated members begin: APPNOTE 4.3.7, whatever the central directory says."""
    for found in re.finditer(rb"PK\x03\x04", data):
        header = data[found.start() : found.start() + _LOCAL_HEADER_BYTES]
        if len(header) == _LOCAL_HEADER_BYTES and header[8:10] == b"\x08\0":
            names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
            yield found.start() + _LOCAL_HEADER_BYTES + names


def _pdf_starts(data: mmap.mmap) -> Iterator[int]:
    """Yield where deflate begins in streams of FlateDecode: after two bytes of zlib (ISO 32000-1, 7.3.8; RFC 1950)."""
    for found in re.finditer(rb"stream\r?\n", data):
        head = data[found.end() : found.end() + 2]
        if len(head) == 2 and head[0] & 15 == zlib.DEFLATED and int.from_bytes(head, "big") % 31 == 0:
            yield found.end() + 2


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a stream's plain bytes; `end` is where the stream ends in the file, once it is known."""

    plain: bytes
    end: int | None


def plain_blocks(data: mmap.mmap, start: int, most_end: int) -> Iterator[Block]:
    """Inflate from `start` on; raise `ValueError` where that is no stream, or ends after `most_end`."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    at = start
    rest = b""
    while not inflater.eof:
        if not rest:
            rest = data[at : min(at + BLOCK_BYTES, most_end)]
            at += len(rest)
            if not rest:
                raise ValueError("no end")
        try:
            plain = inflater.decompress(rest, BLOCK_BYTES)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        rest = inflater.unconsumed_tail
        yield Block(plain, at - len(inflater.unused_data) if inflater.eof else None)


def _packs_alike(data: mmap.mmap, stream: Stream, setting: int) -> bool:
    """Return whether zlib makes the very same bytes, fed as a box feeds it; the first difference ends it."""
    deflater = packer(setting)
    at = stream.start
    waiting = b""
    for block in plain_blocks(data, stream.start, stream.end):
        waiting += block.plain
        ready = len(waiting) if block.end is not None else len(waiting) // BLOCK_BYTES * BLOCK_BYTES
        for begin in range(0, ready, BLOCK_BYTES):
            made = deflater.compress(waiting[begin : min(begin + BLOCK_BYTES, ready)])
            if made != data[at : at + len(made)]:
                return False
            at += len(made)
        waiting = waiting[ready:]
    made = deflater.flush()
    return made == data[at : stream.end]
