"""The manifests of a release, brought into `trust/` and read from there.

Invariant: a file stands in `trust/targets/bundles/` only with the hash by which the release names it, and a manifest
is read to its end only if its plain bytes have theirs. Only the `.zst` form travels and is kept; decompression stops
at the length that was signed, so a small file cannot grow without bound.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from backports.zstd import ZstdDecompressor, ZstdError

from catalog import durable
from catalog.blobs import Refusal, Staged, hash_file
from catalog.errors import ContentError, ShuxiangError
from sync.release import BundleHead, Release, TreeFile

_BLOCK_BYTES = 256 << 10


def files_to_bring(release: Release, trust: Path) -> list[TreeFile]:
    """Return the compressed manifests and transport files of `release` that `trust/` does not have."""
    twins = [twin for bundle in release.bundles for twin in (bundle.manifest, bundle.transport)]
    return [twin.zst for twin in twins if not _stands(trust / twin.zst.path, twin.zst)]


class ManifestDoor:
    """Lets manifests from staging into `trust/`, each under the name that the release gives it."""

    def __init__(self, release: Release, trust: Path) -> None:
        self._trust = trust
        twins = [twin for bundle in release.bundles for twin in (bundle.manifest, bundle.transport)]
        self._twins = {twin.zst.sha256: twin for twin in twins}

    def __call__(self, batch: list[Staged]) -> list[Refusal]:
        refused = []
        for item in batch:
            error = durable.storage(lambda item=item: self._check(item), item.path)  # type: ignore[misc]
            if error is None:
                place = self._trust / self._twins[item.blob.sha256].zst.path
                durable.storage(lambda item=item, place=place: _publish(item.path, place), place)  # type: ignore[misc]
            else:
                item.path.unlink(missing_ok=True)
                refused.append(Refusal(staged=item, error=error))
        return refused

    def _check(self, item: Staged) -> ShuxiangError | None:
        twin = self._twins[item.blob.sha256]
        found = hash_file(item.path)
        if found != item.blob.sha256:
            return ContentError("E-HASH", where=twin.zst.path, expected=item.blob.sha256, found=found)
        try:
            for _ in plain_blocks(item.path, twin.plain):
                pass
        except ContentError as error:
            return error
        return None


def manifest_lines(trust: Path, bundle: BundleHead) -> Iterator[bytes]:
    """Stream the lines of the bundle's manifest; raise `ContentError` E-HASH or E-SIZE at its end, E-MANIFEST inside."""
    return _lines(plain_blocks(trust / bundle.manifest.zst.path, bundle.manifest.plain))


def plain_blocks(packed: Path, plain: TreeFile) -> Iterator[bytes]:
    """Stream the plain bytes of the zstd file `packed` (RFC 8878); raise `ContentError` where they are not `plain`."""
    digest = hashlib.sha256()
    size_bytes = 0
    decompressor = ZstdDecompressor()
    with packed.open("rb") as source:
        while True:
            data = source.read(_BLOCK_BYTES) if decompressor.needs_input and not decompressor.eof else b""
            if decompressor.eof or (not data and decompressor.needs_input):
                break
            try:
                block = decompressor.decompress(data, max_length=_BLOCK_BYTES)
            except ZstdError as error:
                raise ContentError("E-MANIFEST", where=plain.path, expected="zstd", found=error) from error
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


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
    if rest:
        yield rest


def _stands(path: Path, file: TreeFile) -> bool:
    try:
        return path.stat().st_size == file.size_bytes
    except FileNotFoundError:
        return False


def _publish(staged: Path, place: Path) -> None:
    durable.make_directory(place.parent)
    staged.chmod(0o644)
    durable.publish_file(staged, place)
