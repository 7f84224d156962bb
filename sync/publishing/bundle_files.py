"""The files of one bundle in a release, made in staging: manifest and transport file, each plain and as `.zst`, and
the blobs that the transport file names.

Invariant: an unchanged bundle makes no file; it keeps the ones that the last release named, byte for byte. A changed
one is staged whole before any of its files gets its name in the tree. One whose big blobs have no torrents yet, since
it was published before there were any, keeps its version and its manifest and gets a new transport file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from backports.zstd import ZstdCompressor

from catalog.blobs import Blob
from catalog.library import BundleState, Library, Reader
from sync.formats.release import BundleHead, Measure, Release, manifest_twin, transport_twin
from sync.formats.torrentfile import LEAST_BYTES
from sync.formats.transport import head_line, line_id
from sync.publishing.offering import Workshop, transport_head, transport_lines, write_transport
from sync.publishing.survey import BundleSurvey, manifest_lines, survey_bundle

# Boxes compress at this level too, after a delta. 500,000 records: 108 MB in 7 CPU-seconds; at 9 the same in 12.
ZSTD_LEVEL = 6
_BLOCK_BYTES = 1 << 20
WHOLE_TRANSPORT = f"transport of {LEAST_BYTES} and more"
"""Derivation of a manifest: its bundle was published with a torrent for each blob of this length."""
# Any number of as many digits: what it is the line says.
_LONG = re.compile(rb'"size_bytes":[0-9]{%d}' % len(str(LEAST_BYTES)))


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedBundle:
    """A bundle's state in the next release; `files` are path in the tree -> staged file, none where unchanged."""

    survey: BundleSurvey
    head: BundleHead
    files: Mapping[str, Path]

    @property
    def relisted(self) -> bool:
        """Whether the bundle has a new manifest."""
        return self.head.manifest.plain.path in self.files


def stage_bundle(
    reader: Reader,
    state: BundleState,
    *,
    last: Release | None,
    public: Path,
    work: Path,
    today: date,
    shop: Workshop | None,
) -> StagedBundle:
    """Write the bundle's next files below `work` and return them with what changed since the release `last`.

    Without a `shop` the transport file offers nothing: for who only wants to know what would change.
    """
    previous = last.bundle(state.id) if last else None
    manifest = work / f"{state.id}.jsonl"
    with manifest.open("w+b") as out:
        survey = survey_bundle(
            reader,
            state,
            previous=previous,
            previous_manifest=public / previous.manifest.plain.path if previous else None,
            today=today,
            out=out,
        )
    if shop is not None and previous is not None:
        survey = replace(survey, blobs=survey.blobs + tuple(_late(reader, previous, survey, shop)))
    if previous is not None and not survey.changed:
        manifest.unlink()
        if not survey.blobs:
            return StagedBundle(survey=survey, head=previous, files={})
    transport = work / f"{state.id}.transport.jsonl"
    with transport.open("wb") as out:
        if shop is None:
            out.write(head_line(transport_head(survey)))
        else:
            older = public / previous.transport.plain.path if previous else None
            write_transport(survey, older, shop, out)
    manifest_zst, transport_zst = (path.with_name(f"{path.name}.zst") for path in (manifest, transport))
    new_transport = transport_twin(state.id, measure(transport), compress(transport, transport_zst))
    transport_files = {new_transport.plain.path: transport, new_transport.zst.path: transport_zst}
    if previous is not None and not survey.changed:
        # Its older deltas lead to the transport file that is replaced.
        deltas = tuple(replace(one, transport=None) for one in previous.deltas if one.manifest)
        head = replace(previous, transport=new_transport, deltas=deltas)
        return StagedBundle(survey=survey, head=head, files=transport_files)
    head = BundleHead(
        id=state.id,
        version=survey.bundle.version,
        title=state.title,
        publisher=state.publisher,
        manifest=manifest_twin(state.id, survey.measure, compress(manifest, manifest_zst)),
        transport=new_transport,
    )
    files = {
        head.manifest.plain.path: manifest,
        head.manifest.zst.path: manifest_zst,
    }
    return StagedBundle(survey=survey, head=head, files=files | transport_files)


def remember_transport(library: Library, bundles: Iterable[BundleHead]) -> None:
    """Note of these published bundles that all their big blobs have torrents, so that this is looked at once."""
    manifests = [one.manifest.plain.sha256 for one in bundles]
    with library.reading() as reader:
        new = [sha256 for sha256 in manifests if reader.derivation(sha256, WHOLE_TRANSPORT) is None]
    if new:
        with library.writing() as writer:
            for sha256 in new:
                writer.put_derivation(sha256, WHOLE_TRANSPORT, True)


def _late(reader: Reader, previous: BundleHead, survey: BundleSurvey, shop: Workshop) -> Iterator[Blob]:
    """Give the big blobs that the last release offers without a torrent, as the ones before torrents did.

    What changed since has its torrents made anyway; a blob that the store does not have whole goes without.
    """
    if reader.derivation(previous.manifest.plain.sha256, WHOLE_TRANSPORT) is not None:
        return
    big: dict[str, int] = {}
    for line in manifest_lines(shop.public / previous.manifest.plain.path):
        if _LONG.search(line):
            big.update((file["sha256"], file["size_bytes"]) for file in json.loads(line).get("files", ()))
    for line in transport_lines(shop.public / previous.transport.plain.path):
        big.pop(line_id(line).removeprefix("torrent/"), None)
    new = {blob.sha256 for blob in survey.blobs}
    for sha256, size_bytes in sorted(big.items()):
        blob = Blob(sha256=sha256, size_bytes=size_bytes)
        if size_bytes >= LEAST_BYTES and sha256 not in new and survey.names(sha256) and shop.has(blob):
            yield blob


def compress(path: Path, packed: Path) -> Measure:
    """Write the file at `path` as zstd (RFC 8878) to `packed` and return what that measures."""
    compressor = ZstdCompressor(level=ZSTD_LEVEL)
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as source, packed.open("wb") as out:
        while block := source.read(_BLOCK_BYTES):
            part = compressor.compress(block)
            digest.update(part)
            size += out.write(part)
        part = compressor.flush()
        digest.update(part)
        size += out.write(part)
    return Measure(size, digest.hexdigest())


def measure(path: Path) -> Measure:
    """Return the length and hash of the file at `path`."""
    with path.open("rb") as stream:
        return Measure(path.stat().st_size, hashlib.file_digest(stream, "sha256").hexdigest())
