"""The manifests and transport files of a release, in `trust/`: which form stands there, and its lines.

Invariant: a file stands in `trust/targets/bundles/` only with the hash by which the release names it, and is read to
its end only if its plain bytes have theirs. The `.zst` form is kept; the plain one where only that could be had or
made. Decompression stops at the length that was signed, so a small file cannot grow without bound.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

from catalog.errors import ContentError
from catalog.manifest import MAX_LINE_BYTES
from sync.formats.release import BundleHead, TreeFile, TwinFile

_BLOCK_BYTES = 256 << 10
# A hub compresses with 2 MiB; what asks for more memory than this is no file of ours.
_WINDOW_LOG = 24


def standing(trust: Path, twin: TwinFile) -> TreeFile | None:
    """Return the form of `twin` that stands in `trust/`, by its length; None where neither does."""
    for file in (twin.zst, twin.plain):
        try:
            if (trust / file.path).stat().st_size == file.size_bytes:
                return file
        except FileNotFoundError:
            continue
    return None


def manifest_lines(trust: Path, bundle: BundleHead) -> Iterator[bytes]:
    """Stream the lines of the bundle's manifest; raise `ContentError` E-HASH or E-SIZE at its end, E-MANIFEST inside."""
    return _lines(standing_blocks(trust, bundle.manifest))


def transport_lines(trust: Path, bundle: BundleHead) -> Iterator[bytes]:
    """Stream the lines of the bundle's transport file; raises as `manifest_lines`, `FileNotFoundError` if it is missing."""
    return _lines(standing_blocks(trust, bundle.transport))


def standing_blocks(trust: Path, twin: TwinFile) -> Iterator[bytes]:
    """Stream the plain bytes of the form that stands; raise `ContentError` where they are not the signed ones."""
    file = standing(trust, twin) or twin.zst
    return plain_blocks(trust / file.path, twin.plain, compressed=file == twin.zst)


def plain_blocks(path: Path, plain: TreeFile, *, compressed: bool) -> Iterator[bytes]:
    """Stream the plain bytes of the file at `path`; raise `ContentError` where they are not `plain`."""
    digest = hashlib.sha256()
    size_bytes = 0
    for block in unpacked_blocks(path, compressed=compressed):
        size_bytes += len(block)
        if size_bytes > plain.size_bytes:
            raise ContentError(
                "E-SIZE", where=plain.path, expected=plain.size_bytes, found=f"> {plain.size_bytes}"
            )
        digest.update(block)
        yield block
    if size_bytes != plain.size_bytes:
        raise ContentError("E-SIZE", where=plain.path, expected=plain.size_bytes, found=size_bytes)
    if digest.hexdigest() != plain.sha256:
        raise ContentError("E-HASH", where=plain.path, expected=plain.sha256, found=digest.hexdigest())


def unpacked_blocks(path: Path, *, compressed: bool) -> Iterator[bytes]:
    """Stream the plain bytes of the file at `path` (zstd: RFC 8878) unchecked, in blocks of at most 256 KiB.

    Raises `ContentError` E-MANIFEST where it is not zstd and should be, or asks for too much memory.
    """
    with path.open("rb") as source:
        if not compressed:
            while block := source.read(_BLOCK_BYTES):
                yield block
            return
        decompressor = ZstdDecompressor(options={DecompressionParameter.window_log_max: _WINDOW_LOG})
        while not decompressor.eof:
            data = source.read(_BLOCK_BYTES) if decompressor.needs_input else b""
            if not data and decompressor.needs_input:
                return
            try:
                yield decompressor.decompress(data, max_length=_BLOCK_BYTES)
            except ZstdError as error:
                raise ContentError("E-MANIFEST", where=path.name, expected="zstd", found=error) from error


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
        if len(rest) > MAX_LINE_BYTES:
            raise ContentError("E-MANIFEST", expected=f"line <= {MAX_LINE_BYTES} B", found=len(rest))
    if rest:
        yield rest
