"""The files of one bundle in a release, made in staging: manifest and transport file, each plain and as `.zst`, and
the blobs that the transport file names.

Invariant: an unchanged bundle makes no file; it keeps the ones that the last release named, byte for byte. A changed
one is staged whole before any of its files gets its name in the tree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from backports.zstd import ZstdCompressor

from catalog.library import BundleState, Reader
from sync.formats.release import BundleHead, Measure, Release, manifest_twin, transport_twin
from sync.formats.transport import head_line
from sync.publishing.offering import Workshop, transport_head, write_transport
from sync.publishing.survey import BundleSurvey, survey_bundle

# Boxes compress at this level too, after a delta. 500,000 records: 108 MB in 7 CPU-seconds; at 9 the same in 12.
ZSTD_LEVEL = 6
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedBundle:
    """A bundle's state in the next release; `files` are path in the tree -> staged file, none where unchanged."""

    survey: BundleSurvey
    head: BundleHead
    files: Mapping[str, Path]


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
    if previous is not None and not survey.changed:
        manifest.unlink()
        return StagedBundle(survey=survey, head=previous, files={})
    transport = work / f"{state.id}.transport.jsonl"
    with transport.open("wb") as out:
        if shop is None:
            out.write(head_line(transport_head(survey)))
        else:
            older = public / previous.transport.plain.path if previous else None
            write_transport(survey, older, shop, out)
    manifest_zst, transport_zst = (path.with_name(f"{path.name}.zst") for path in (manifest, transport))
    head = BundleHead(
        id=state.id,
        version=survey.bundle.version,
        title=state.title,
        publisher=state.publisher,
        manifest=manifest_twin(state.id, survey.measure, compress(manifest, manifest_zst)),
        transport=transport_twin(state.id, measure(transport), compress(transport, transport_zst)),
    )
    files = {
        head.manifest.plain.path: manifest,
        head.manifest.zst.path: manifest_zst,
        head.transport.plain.path: transport,
        head.transport.zst.path: transport_zst,
    }
    return StagedBundle(survey=survey, head=head, files=files)


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
