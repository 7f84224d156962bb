"""A line delta: what makes the next file of lines, sorted by id, of the last one; its writer and its strict reader.

A sequence of zstd frames (RFC 8878): a head, then pairs of a script (how many bytes of the old file stay, fall out and
come in, over and over) and the bytes that come in, compressed against those that fall out, so that an edited title
costs tens of bytes. What is left of the old file follows. Invariants: memory is bounded whatever the files are; what
`merge` gives is worth nothing until its hash has been compared with a signed one. See `docs/formats.md`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from backports.zstd import (
    CompressionParameter,
    DecompressionParameter,
    ZstdDecompressor,
    ZstdDict,
    ZstdError,
    compress,
)

from catalog.errors import ContentError
from catalog.resource import canonical_json, is_sha256

FORMAT = 1
LEVELS = range(1, 10)
# A pair is closed at this much of either side, which one line more (4 MiB) may pass.
_FULL_BYTES = 4 << 20
_FULL_STEPS = 10_000
MAX_SIDE_BYTES = 8 << 20
MAX_SCRIPT_BYTES = 512 << 10
_MAX_HEAD_BYTES = 4096
_WINDOW_LOG = 24
_LEVEL = 12
_BLOCK_BYTES = 256 << 10
# libzstd takes no shorter prefix.
_LEAST_PREFIX_BYTES = 8

Blocks = Iterable[bytes]
Changed = Callable[[bytes, bytes], None]
"""Is told each step: the lines that fall out, the lines that come in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaHead:
    """From which plain bytes to which, and the zstd level at which the hub compressed the result."""

    source: str
    target: str
    level: int


def write_delta(
    head: DeltaHead, old: Iterable[bytes], new: Iterable[bytes], out: BinaryIO, *, most_bytes: int
) -> bool:
    """Write what makes the lines `new` of the lines `old`; return False where that takes more than `most_bytes`.

    Both are our own lines, newlines included, each an object whose `id` is after the one before; a first line may
    have none.
    """
    fields = {"format": FORMAT, "from": head.source, "level": head.level, "to": head.target}
    written = out.write(compress(canonical_json(fields), _LEVEL))
    for pair in _pairs(old, new):
        written += out.write(pair.script()) + out.write(pair.body())
        if written > most_bytes:
            return False
    return written <= most_bytes


def merge(
    delta: BinaryIO, old: Callable[[], Blocks], *, head: DeltaHead, changed: Changed, where: object
) -> Iterator[memoryview | bytes]:
    """Stream what `delta` makes of the blocks that `old()` gives, which is read twice side by side.

    `head` must be what the delta says of itself (`read_head`). Raises `ContentError` E-DELTA where the delta is not
    well-formed or does not fit `old`.
    """
    frames = _Frames(delta, where)
    if _read_head(frames, where) != head:
        raise _refuse(where, head.target, "another head")
    ahead, behind = _Cursor(old(), where), _Cursor(old(), where)
    while (script := frames.read(MAX_SCRIPT_BYTES)) is not None:
        steps = _read_script(script, where)
        gone = []
        for stays, falls, _ in steps:
            ahead.skip(stays)
            gone.append(ahead.read(falls))
        size_bytes = sum(comes for *_, comes in steps)
        body = frames.read(size_bytes, prefix=b"".join(gone))
        if body is None or len(body) != size_bytes:
            raise _refuse(where, f"{size_bytes} B", f"{len(body or b'')} B")
        at = 0
        for (stays, falls, comes), lines in zip(steps, gone, strict=True):
            yield from behind.take(stays)
            behind.skip(falls)
            come = body[at : at + comes]
            at += comes
            if not (_whole(lines) and _whole(come)):
                raise _refuse(where, "whole lines", "parts")
            changed(lines, come)
            yield come
    yield from behind.rest()


def read_head(delta: BinaryIO, *, where: object) -> DeltaHead:
    """Return what a delta says of itself; raise `ContentError` E-DELTA, or E-VERSION for a newer format."""
    return _read_head(_Frames(delta, where), where)


@dataclass(slots=True)
class _Pair:
    """A script and its body while they are collected. The bytes of each step: stays, falls out, comes in."""

    steps: list[int] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    come: list[bytes] = field(default_factory=list)
    gone_bytes: int = 0
    come_bytes: int = 0

    def full(self) -> bool:
        return max(self.gone_bytes, self.come_bytes) >= _FULL_BYTES or len(self.steps) >= 3 * _FULL_STEPS

    def add(self, stays: int, gone: bytes, come: bytes) -> None:
        """Note a line that falls out, comes in, or both, after `stays` bytes that stay."""
        if stays or not self.steps:
            self.steps += (stays, 0, 0)
        self.steps[-2] += len(gone)
        self.steps[-1] += len(come)
        self.gone.append(gone)
        self.come.append(come)
        self.gone_bytes += len(gone)
        self.come_bytes += len(come)

    def script(self) -> bytes:
        return compress(canonical_json(self.steps), _LEVEL)

    def body(self) -> bytes:
        options: dict[int, int] = {
            CompressionParameter.compression_level: _LEVEL,
            # What falls out must stay within reach to the last byte that comes in.
            CompressionParameter.window_log: min(
                _WINDOW_LOG, max(10, (self.gone_bytes + self.come_bytes).bit_length())
            ),
        }
        return compress(b"".join(self.come), options=options, zstd_dict=_prefix(b"".join(self.gone)))


def _pairs(old: Iterable[bytes], new: Iterable[bytes]) -> Iterator[_Pair]:
    """Merge two runs of sorted lines; only lines that differ are parsed."""
    olds, news = iter(old), iter(new)
    mine, theirs = next(olds, b""), next(news, b"")
    pair = _Pair()
    stays = 0
    while mine or theirs:
        if mine == theirs:
            stays += len(mine)
            mine, theirs = next(olds, b""), next(news, b"")
            continue
        order = _order(mine, theirs)
        gone, come = (mine if order <= 0 else b""), (theirs if order >= 0 else b"")
        pair.add(stays, gone, come)
        stays = 0
        if gone:
            mine = next(olds, b"")
        if come:
            theirs = next(news, b"")
        if pair.full():
            yield pair
            pair = _Pair()
    if pair.steps:
        yield pair


def _order(mine: bytes, theirs: bytes) -> int:
    """Return which of two lines comes first by id (-1, 1), 0 where they are two states of one; b"" is the end."""
    if not mine or not theirs:
        return 1 if theirs else -1
    one, two = (str(json.loads(line).get("id", "")) for line in (mine, theirs))
    return (one > two) - (one < two)


def _read_head(frames: _Frames, where: object) -> DeltaHead:
    fields = _json(frames.read(_MAX_HEAD_BYTES) or b"", where)
    found = fields.get("format") if isinstance(fields, dict) else None
    if not isinstance(fields, dict) or type(found) is not int or found < 1:
        raise _refuse(where, "head", repr(fields)[:80])
    if found > FORMAT:
        raise ContentError("E-VERSION", where=where, expected=f"<= {FORMAT}", found=found)
    source, target, level = fields.get("from"), fields.get("to"), fields.get("level")
    if not (
        isinstance(source, str) and is_sha256(source) and isinstance(target, str) and is_sha256(target)
    ) or not (type(level) is int and level in LEVELS):
        raise _refuse(where, "from, to, level", repr(fields)[:200])
    return DeltaHead(source=source, target=target, level=level)


def _read_script(data: bytes, where: object) -> list[tuple[int, int, int]]:
    """Return the steps of a script; each moves on, and neither side is longer than is held in memory."""
    found = _json(data, where)
    if (
        not isinstance(found, list)
        or not found
        or len(found) % 3
        or not all(type(count) is int and count >= 0 for count in found)
    ):
        raise _refuse(where, "script", repr(data[:40]))
    steps = list(zip(found[::3], found[1::3], found[2::3], strict=True))
    sides = (sum(found[1::3]), sum(found[2::3]))
    if max(sides) > MAX_SIDE_BYTES or not all(falls or comes for _, falls, comes in steps):
        raise _refuse(where, f"<= {MAX_SIDE_BYTES} B", max(sides))
    return steps


def _json(data: bytes, where: object) -> object:
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _refuse(where, "JSON", repr(data[:40])) from error
    return value


def _prefix(data: bytes) -> Any:
    return ZstdDict(data, is_raw=True).as_prefix if len(data) >= _LEAST_PREFIX_BYTES else None


def _whole(lines: bytes) -> bool:
    return not lines or lines.endswith(b"\n")


def _refuse(where: object, expected: object, found: object) -> ContentError:
    return ContentError("E-DELTA", where=where, expected=expected, found=found)


class _Frames:
    """The frames of a delta, one after the other, none longer than the reader allows."""

    def __init__(self, stream: BinaryIO, where: object) -> None:
        self._stream = stream
        self._where = where
        self._rest = b""

    def read(self, most_bytes: int, *, prefix: bytes = b"") -> bytes | None:
        """Return the content of the next frame, None where there is no other."""
        decompressor = ZstdDecompressor(
            zstd_dict=_prefix(prefix), options={DecompressionParameter.window_log_max: _WINDOW_LOG}
        )
        parts = []
        size_bytes = 0
        begun = False
        while not decompressor.eof:
            data = b""
            if decompressor.needs_input:
                data, self._rest = self._rest or self._stream.read(_BLOCK_BYTES), b""
                if not data and not begun:
                    return None
                if not data:
                    raise _refuse(self._where, "zstd", "end of file")
            begun = True
            try:
                part = decompressor.decompress(data, max_length=most_bytes + 1 - size_bytes)
            except ZstdError as error:
                raise _refuse(self._where, "zstd", error) from error
            parts.append(part)
            size_bytes += len(part)
            if size_bytes > most_bytes:
                raise _refuse(self._where, f"<= {most_bytes} B", f"> {most_bytes} B")
        self._rest = decompressor.unused_data
        return b"".join(parts)


class _Cursor:
    """A place in a stream of blocks that only moves on."""

    def __init__(self, blocks: Blocks, where: object) -> None:
        self._blocks = iter(blocks)
        self._where = where
        self._block = memoryview(b"")

    def take(self, count: int) -> Iterator[memoryview]:
        """Give the next `count` bytes in parts."""
        while count:
            if not self._block:
                block = next(self._blocks, None)
                if block is None:
                    raise _refuse(self._where, f"{count} B more", "end of the old file")
                self._block = memoryview(block)
            part = self._block[:count]
            self._block = self._block[len(part) :]
            count -= len(part)
            yield part

    def skip(self, count: int) -> None:
        """Move on by `count` bytes."""
        for _ in self.take(count):
            pass

    def read(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        return b"".join(self.take(count))

    def rest(self) -> Iterator[memoryview]:
        """Give all that is left in parts."""
        yield self._block
        for block in self._blocks:
            yield memoryview(block)
