"""Bencode (BEP 3), both ways, the reader strict: one value has one form, and any other form is refused.

Invariant: `encode(decode(data)) == data`. Bytes of a stranger cost no recursion without bound and no large number.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

Bencoded: TypeAlias = "int | bytes | list[Bencoded] | dict[bytes, Bencoded]"

_MOST_DIGITS = 18


def encode(value: Bencoded) -> bytes:
    """Return the one form of `value`."""
    if isinstance(value, bytes):
        return b"%d:%b" % (len(value), value)
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, list):
        return b"l%be" % b"".join(map(encode, value))
    return b"d%be" % b"".join(encode(key) + encode(value[key]) for key in sorted(value))


def decode(data: bytes, *, max_depth: int) -> Bencoded:
    """Return the value in `data`; raise `ValueError` for anything but its one form, nested at most `max_depth`."""
    value, end = _read(data, 0, max_depth)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes follow the value")
    return value


def _read(data: bytes, at: int, depth: int) -> tuple[Bencoded, int]:
    if depth < 0:
        raise ValueError("nested too deeply")
    kind = data[at : at + 1]
    if kind == b"i":
        return _number(data, at + 1, b"e", signed=True)
    if kind.isdigit():
        length, start = _number(data, at, b":", signed=False)
        if start + length > len(data):
            raise ValueError("the value ends in the middle")
        return data[start : start + length], start + length
    if kind not in (b"l", b"d"):
        raise ValueError(f"no value at byte {at}")
    items: list[Bencoded] = []
    at += 1
    while data[at : at + 1] != b"e":
        item, at = _read(data, at, depth - 1)
        items.append(item)
    if kind == b"l":
        return items, at + 1
    return _dictionary(items), at + 1


def _dictionary(items: list[Bencoded]) -> dict[bytes, Bencoded]:
    keys = [key for key in items[::2] if isinstance(key, bytes)]
    if 2 * len(keys) != len(items) or any(one >= two for one, two in pairwise(keys)):
        raise ValueError("keys must be bytes in order, each once")
    return dict(zip(keys, items[1::2], strict=True))


def _number(data: bytes, at: int, end: bytes, *, signed: bool) -> tuple[int, int]:
    stop = data.find(end, at, at + _MOST_DIGITS + 2)
    digits = data[at:stop] if stop >= 0 else b""
    bare = digits[1:] if signed and digits.startswith(b"-") else digits
    if not bare.isdigit() or (bare.startswith(b"0") and digits != b"0"):
        raise ValueError(f"no number at byte {at}")
    return int(digits), stop + 1
