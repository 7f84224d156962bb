"""A finished image as a file: what the description beside it promises, and its plain bytes as a stream.

Invariant: a stream that ends without an error had the length and the SHA-256 of the description.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

from catalog.errors import ContentError

HEAD_BYTES = 1 << 20
"""What a card is given last: with it, partition table and loader."""
BLOCK_BYTES = 4 << 20
SUFFIXES = (".img", ".img.xz", ".img.zst")
_READ_BYTES = 256 << 10
_NOTE_BYTES = 64 << 10
_ZSTD_WINDOW_LOG = 27
_XZ_MEMORY_BYTES = 128 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What stands beside an image, in the words of Raspberry Pi Imager's os_list; `sha256` and `size_bytes` of the plain bytes."""

    name: str
    version: str
    board: str
    role: str
    date: str
    size_bytes: int
    sha256: str


def note_of(image: Path) -> Path | None:
    """Return the description beside `image`: `x.img.zst.json`, else `x.json`; None where there is neither."""
    stem = image.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        stem = stem.removesuffix(suffix)
    for name in (f"{image.name}.json", f"{stem}.img.json", f"{stem}.json"):
        if (note := image.with_name(name)).is_file():
            return note
    return None


def read_description(data: bytes, where: object = "") -> Description:
    """Read a description; raise `ContentError` E-IMAGE-NOTE where it is none."""
    try:
        value = json.loads(data)
        found = value["os_list"][0] if "os_list" in value else value
        description = Description(
            name=str(found["name"]),
            version=str(found.get("version", "")),
            board=str(found.get("board", "")),
            role=str(found.get("role", "")),
            date=str(found.get("release_date", "")),
            size_bytes=int(found["extract_size"]),
            sha256=str(found["extract_sha256"]),
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ContentError("E-IMAGE-NOTE", where=where) from error
    if description.size_bytes <= HEAD_BYTES or len(description.sha256) != 64:
        raise ContentError("E-IMAGE-NOTE", where=where)
    return description


def describe(image: Path) -> Description:
    """Return what stands beside `image`; a plain `.img` needs nothing beside it, and then promises no hash.

    Raises `ContentError`: E-IMAGE for another kind of file, E-IMAGE-NOTE where the description is missing or wrong.
    """
    if not image.name.endswith(SUFFIXES):
        raise ContentError("E-IMAGE", where=image, expected=" ".join(SUFFIXES))
    note = note_of(image)
    if note is not None:
        with note.open("rb") as file:
            return read_description(file.read(_NOTE_BYTES), note)
    if not image.name.endswith(".img"):
        raise ContentError("E-IMAGE-NOTE", where=f"{image.name}.json")
    size = image.stat().st_size
    if size <= HEAD_BYTES:
        raise ContentError("E-IMAGE", where=image, found=f"{size} B")
    return Description(name=image.name, version="", board="", role="", date="", size_bytes=size, sha256="")


def blocks(file: BinaryIO, name: str, description: Description) -> Generator[bytes, None, str]:
    """Yield the plain bytes of the image in `file`: first `HEAD_BYTES`, then `BLOCK_BYTES` each, the last may be shorter; return their SHA-256.

    `name` tells how it is packed. Raises `ContentError` E-IMAGE where it can not be unpacked, E-IMAGE-HASH where it is
    not what its description says: then what was yielded before must not be used.
    """
    digest, length, wanted = hashlib.sha256(), 0, HEAD_BYTES
    held = bytearray()
    for part in _plain(file, name):
        digest.update(part)
        length += len(part)
        if length > description.size_bytes:
            raise ContentError("E-IMAGE-HASH", where=name, expected=f"{description.size_bytes} B", found="…")
        held += part
        while len(held) >= wanted:
            with memoryview(held) as view:
                block = bytes(view[:wanted])
            del held[:wanted]
            yield block
            wanted = BLOCK_BYTES
    if held:
        yield bytes(held)
    if length != description.size_bytes:
        raise ContentError(
            "E-IMAGE-HASH", where=name, expected=f"{description.size_bytes} B", found=f"{length} B"
        )
    if description.sha256 and digest.hexdigest() != description.sha256:
        raise ContentError(
            "E-IMAGE-HASH", where=name, expected=description.sha256[:12], found=digest.hexdigest()[:12]
        )
    return digest.hexdigest()


def _plain(file: BinaryIO, name: str) -> Iterator[bytes]:
    try:
        if name.endswith(".zst"):
            yield from _unpacked(file, _zstd)
        elif name.endswith(".xz"):
            yield from _unpacked(file, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY_BYTES))
        else:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while part := file.read(_READ_BYTES):
                yield part
    except (ZstdError, lzma.LZMAError, EOFError) as error:
        raise ContentError("E-IMAGE", where=name, found=error) from error


def _zstd() -> ZstdDecompressor:
    return ZstdDecompressor(options={DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG})


def _unpacked(file: BinaryIO, new: Callable[[], ZstdDecompressor | lzma.LZMADecompressor]) -> Iterator[bytes]:
    """Yield what a packed file holds; several streams in one file are one after the other, as xz -T and zstd write them."""
    unpacker, rest, ended = new(), b"", False
    while data := rest or file.read(_READ_BYTES):
        rest = b""
        if ended:
            # xz pads with zeros to four bytes between and after its streams.
            if not (data := data.lstrip(b"\0")):
                continue
            unpacker, ended = new(), False
        part = unpacker.decompress(data, _READ_BYTES)
        while True:
            if part:
                yield part
            if unpacker.eof or unpacker.needs_input:
                break
            part = unpacker.decompress(b"", _READ_BYTES)
        if unpacker.eof:
            rest, ended = unpacker.unused_data, True
    if not ended:
        raise EOFError("cut short")
