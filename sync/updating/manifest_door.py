"""The way of a release's manifests and transport files into `trust/`: by delta, else compressed, else plain.

Invariants: a file gets its name in `trust/` only whole, with the hash that the release names, and durably; a delta is
worth nothing until what it makes has that hash, and is then kept in `trust/blobs` for other boxes. A delta that is
refused costs a warning and the whole file, never the run; what a cut leaves of the work lies in staging under a name
that nobody goes on with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from backports.zstd import ZstdCompressor

from catalog import durable
from catalog.blobs import Refusal, Staged, hash_file
from catalog.errors import ContentError, ShuxiangError
from catalog.library.rows import line_digest
from sync.formats.linedelta import merge, read_head
from sync.formats.release import BundleHead, Release, TreeFile, TwinFile
from sync.roads.road import Missed
from sync.trust.heads import Head, heads
from sync.updating.carry import worst
from sync.updating.manifests import plain_blocks, standing, unpacked_blocks

Bring = Callable[[list[TreeFile], "ManifestDoor"], list[Missed]]
"""Brings files over whatever road through the door; returns what did not come."""

# With more changes than this, to compare the whole manifest costs little more.
MOST_KNOWN = 20_000
_MADE_SUFFIX = ".made"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestChange:
    """What a delta that was just applied changed in a bundle's manifest.

    `version` and `sha256` (plain) are those of the older manifest. `spool` holds the lines that came in, sorted by id;
    `gone`: id -> digest of each line that fell out; `first_line`: the manifest's new first line.
    """

    version: int
    sha256: str
    first_line: bytes
    spool: Path
    gone: dict[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """A delta to be applied: it makes `twin`, of the bundle `bundle`, of the older `base`, which stands in `trust/`."""

    bundle: str
    role: str
    version: int
    base: TwinFile
    twin: TwinFile
    delta: TreeFile


class ManifestDoor:
    """Brings what `trust/` lacks of a release, and lets it in.

    After `run`, `changes` tells by bundle what deltas changed, `warnings` which of them were refused.
    """

    def __init__(self, release: Release, trust: Path, staging: Path) -> None:
        self._release = release
        self._trust = trust
        self._staging = staging
        self._held = heads(trust)
        self._works: dict[str, _Work] = {}
        self.changes: dict[str, ManifestChange] = {}
        self.warnings: list[ShuxiangError] = []

    def run(self, bring: Bring) -> None:
        """Bring all that is missing; raise the refusal that fits where a manifest did not come.

        A transport file that did not come is a warning: it only offers ways.
        """
        durable.storage(self._clear, self._staging)
        missed = bring(self._deltas(), self)
        self.warnings += [one.error for one in missed if isinstance(one.error, ContentError)]
        missed = bring([twin.zst for twin in self._lacking()], self)
        # A box that made a file itself may hold the plain form alone.
        nowhere = {one.file for one in missed if one.error.code == "E-ROAD-MISSING"}
        missed = [one for one in missed if one.file not in nowhere]
        missed += bring([twin.plain for twin in self._lacking() if twin.zst in nowhere], self)
        needed = {file for one in self._release.bundles for file in (one.manifest.zst, one.manifest.plain)}
        if failure := worst(one.error for one in missed if one.file in needed):
            raise failure
        self.warnings += [one.error for one in missed if one.file not in needed]

    def __call__(self, batch: list[Staged]) -> list[Refusal]:
        refused = []
        for item in batch:
            error = durable.storage(lambda item=item: self._take(item), item.path)  # type: ignore[misc]
            if error is not None:
                item.path.unlink(missing_ok=True)
                refused.append(Refusal(staged=item, error=error))
        return refused

    def _clear(self) -> None:
        """Remove what a cut left of the work, and deltas that no head here names any more."""
        for path in self._staging.glob(f"*{_MADE_SUFFIX}"):
            path.unlink()
        releases = (self._release, *(head.release for head in self._held))
        named = {file.sha256 for release in releases for file in release.deltas()}
        for path in (self._trust / "blobs").glob("*/*"):
            if path.name not in named:
                path.unlink()

    def _lacking(self) -> Iterator[TwinFile]:
        for bundle in self._release.bundles:
            for twin in (bundle.manifest, bundle.transport):
                if standing(self._trust, twin) is None:
                    yield twin

    def _deltas(self) -> list[TreeFile]:
        """Return the deltas to what is missing from what stands here."""
        for bundle in self._release.bundles:
            for work in _works(bundle, self._held):
                done = any(one.twin == work.twin for one in self._works.values())
                if not done and standing(self._trust, work.twin) is None and standing(self._trust, work.base):
                    self._works[work.delta.sha256] = work
        return [work.delta for work in self._works.values()]

    def _take(self, item: Staged) -> ShuxiangError | None:
        """Let in one file, or say what is wrong with its bytes."""
        found = hash_file(item.path)
        if found != item.blob.sha256:
            return ContentError("E-HASH", where=item.path.name, expected=item.blob.sha256, found=found)
        work = self._works.get(item.blob.sha256)
        if work is None:
            return self._take_whole(item)
        try:
            self._apply(work, item.path)
        except ContentError as error:
            # The road brought what was signed: to ask for it again is of no use.
            self.warnings.append(error)
            item.path.unlink()
        else:
            # A box that is asked for it by others has it to give.
            self._publish(item.path, work.delta)
        return None

    def _take_whole(self, item: Staged) -> ShuxiangError | None:
        twins = (twin for one in self._release.bundles for twin in (one.manifest, one.transport))
        file, twin = next(
            (file, twin)
            for twin in twins
            for file in (twin.zst, twin.plain)
            if file.sha256 == item.blob.sha256
        )
        try:
            for _ in plain_blocks(item.path, twin.plain, compressed=file == twin.zst):
                pass
        except ContentError as error:
            return error
        self._publish(item.path, file)
        return None

    def _apply(self, work: _Work, path: Path) -> None:
        """Make the file that the delta at `path` leads to; raise `ContentError` E-DELTA where it does not."""
        made = self._staging / f"{work.twin.zst.sha256}{_MADE_SUFFIX}"
        spool = self._staging / f"{work.bundle}.{work.role}.come.jsonl"
        with path.open("rb") as delta, made.open("wb") as out, spool.open("wb") as lines:
            notes = _Notes(lines)
            packed = self._make(work, delta, out, notes)
        if packed == work.twin.zst.sha256:
            self._publish(made, work.twin.zst)
        else:
            # Another edition of zstd packs in another way; what counts are the plain bytes.
            plain = self._staging / f"{work.twin.plain.sha256}{_MADE_SUFFIX}"
            with plain.open("wb") as out:
                for block in plain_blocks(made, work.twin.plain, compressed=True):
                    out.write(block)
            made.unlink()
            self._publish(plain, work.twin.plain)
        if work.role == "manifest" and (first_line := notes.first_line()) is not None:
            self.changes[work.bundle] = ManifestChange(
                version=work.version,
                sha256=work.base.plain.sha256,
                first_line=first_line,
                spool=spool,
                gone=notes.gone,
            )

    def _make(self, work: _Work, delta: BinaryIO, out: BinaryIO, notes: _Notes) -> str:
        """Write to `out`, compressed, what the delta makes; return the hash of that."""
        where = work.delta.path
        head = read_head(delta, where=where)
        expected, found = (work.base.plain.sha256, work.twin.plain.sha256), (head.source, head.target)
        if found != expected:
            raise ContentError(
                "E-DELTA", where=where, expected=" -> ".join(expected), found=" -> ".join(found)
            )
        delta.seek(0)
        base = standing(self._trust, work.base) or work.base.zst

        def old() -> Iterator[bytes]:
            # Unchecked: a base that is not what it was makes something else than what was signed.
            return unpacked_blocks(self._trust / base.path, compressed=base == work.base.zst)

        compressor = ZstdCompressor(level=head.level)
        plain, packed = hashlib.sha256(), hashlib.sha256()
        size_bytes = 0
        for block in merge(delta, old, head=head, changed=notes, where=where):
            size_bytes += len(block)
            if size_bytes > work.twin.plain.size_bytes:
                break
            plain.update(block)
            part = compressor.compress(block)
            packed.update(part)
            out.write(part)
        if plain.hexdigest() != work.twin.plain.sha256:
            raise ContentError(
                "E-DELTA", where=where, expected=work.twin.plain.sha256, found=plain.hexdigest()
            )
        part = compressor.flush()
        packed.update(part)
        out.write(part)
        return packed.hexdigest()

    def _publish(self, staged: Path, file: TreeFile) -> None:
        place = self._trust / file.path
        durable.make_directory(place.parent)
        staged.chmod(0o644)
        durable.publish_file(staged, place)


class _Notes:
    """Notes what a delta changes, as long as it is little and looks like records."""

    def __init__(self, spool: BinaryIO) -> None:
        self._spool = spool
        self._first: bytes | None = None
        self._last = ""
        self._left = MOST_KNOWN
        self.gone: dict[str, bytes] = {}

    def first_line(self) -> bytes | None:
        """Return the manifest's new first line; None where these notes are not all there is to know."""
        return self._first if self._left > 0 else None

    def __call__(self, gone: bytes, come: bytes) -> None:
        for line in gone.splitlines():
            if self._left > 0 and (key := self._key(line)) is not None:
                self.gone[key] = line_digest(line)
        for line in come.splitlines():
            if self._left <= 0:
                return
            key = self._key(line)
            if key is None:
                if self._first is not None:
                    self._left = 0
                self._first = line
            elif key <= self._last:
                self._left = 0
            else:
                self._last = key
                self._spool.write(line + b"\n")

    def _key(self, line: bytes) -> str | None:
        """Return the id of a record, None for a line that has none; what is no JSON ends the notes."""
        self._left -= 1
        try:
            key = json.loads(line)["id"]
        except KeyError:
            return None
        except (ValueError, TypeError, RecursionError):
            self._left = 0
            return None
        if not isinstance(key, str):
            self._left = 0
        return str(key)


def _works(bundle: BundleHead, held: list[Head]) -> Iterator[_Work]:
    """Yield the ways to `bundle` from the states of it that are held, newest first."""
    for delta in bundle.deltas:
        for head in held:
            base = head.release.bundle(bundle.id)
            if base is None or base.version != delta.source:
                continue
            for role, old, new, file in (
                ("manifest", base.manifest, bundle.manifest, delta.manifest),
                ("transport", base.transport, bundle.transport, delta.transport),
            ):
                # A longer one than the whole would be no help, whatever it is.
                if file is not None and file.size_bytes < new.zst.size_bytes:
                    yield _Work(
                        bundle=bundle.id, role=role, version=base.version, base=old, twin=new, delta=file
                    )
