"""One draft's files: copied and hashed, described, derived from, ready for the door.

Runs in worker threads; it reads the library and writes only below its own work directory. Nothing is done twice: a
source file that has not changed is known by its stamp, a blob's derivation by its hash and recipe.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from catalog.blobs import Blob, BlobStore, Staged, hash_file
from catalog.durable import storage_error
from catalog.errors import ContentError
from catalog.ingest import pictures
from catalog.ingest.copying import copy_file
from catalog.ingest.describe import (
    Derived,
    Description,
    describe,
    has_outside_links,
    kind_of,
    package_file,
    recipe_of,
    start_order,
)
from catalog.ingest.drafts import Draft, Wanted
from catalog.ingest.facts import Facts
from catalog.ingest.findings import WARNING, Finding
from catalog.ingest.locate import Locator
from catalog.ingest.sniff import PACKAGE, broken_claim, sniff
from catalog.ingest.sources import Source, SourceFile
from catalog.ingest.subtitles import to_webvtt
from catalog.library import Library
from catalog.resource import File, Resource

_COVER_RECIPE = "cover/1"
_SUBTITLE_RECIPE = "webvtt/1"


@dataclass(slots=True)
class Taken:
    """What a draft became: the resource with its files, and what must go through the door before it."""

    draft: Draft
    resource: Resource
    staged: list[Staged] = field(default_factory=list)
    sources: list[tuple[SourceFile, str]] = field(default_factory=list)
    derivations: list[tuple[str, str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    refused: ContentError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Original:
    """A source file whose bytes lie at `path`, hashed."""

    path: Path
    name: str
    sha256: str
    size_bytes: int


class Intake:
    """Takes drafts; any number of threads may call `take` at once."""

    def __init__(
        self, library: Library, blobs: BlobStore, source: Source, locator: Locator, work: Path
    ) -> None:
        self._library = library
        self._blobs = blobs
        self._source = source
        self._locator = locator
        self._work = work
        self._numbers = itertools.count()

    def take(self, draft: Draft) -> Taken:
        """Return `draft` as a resource with files; a refusal of its content is in `refused`, never raised.

        Raises `StorageError` where our own disk refuses, `ConfigError` E-TOOL where a program is missing.
        """
        taken = Taken(draft=draft, resource=draft.resource)
        try:
            self._files(draft, taken)
            Resource.from_json(taken.resource.to_json(), where=draft.label)
        except ContentError as error:
            taken.refused = error
        except OSError as error:
            # Reading the source refuses as content; what is left is our own disk.
            raise storage_error(error, self._work) from error
        return taken

    def _files(self, draft: Draft, taken: Taken) -> None:
        files: list[File] = []
        facts: list[Facts] = []
        for item in draft.wanted:
            if item.given:
                files.append(self._given(item.given))
            elif item.folder is not None:
                found = self._folder(item.folder, taken)
                files += found.files
                facts.append(found)
            elif item.file:
                self._file(item, item.file, taken, files, facts)
        taken.resource = _with_files(draft, files, facts)

    def _file(
        self, item: Wanted, file: SourceFile, taken: Taken, files: list[File], facts: list[Facts]
    ) -> None:
        original = self._original(file, taken)
        media_type = sniff(original.path, original.name)
        if item.role == "subtitle":
            files += self._subtitle(original, item.language or "zh-CN", taken)
            return
        if item.role == "thumb":
            try:
                covers = self._cover(original, taken)
            except ContentError as error:
                taken.findings.append(Finding(code=error.code, level=WARNING, path=file.path))
                covers = ()
            files += [cover for cover in covers if not _has_role(files, "thumb")]
            return
        code = broken_claim(original.name, media_type)
        if code:
            raise ContentError(code, where=file.path, found=media_type)
        shown_type = "application/zip" if media_type == PACKAGE else media_type
        files.append(_file_of(original, item.role, shown_type, item.language))
        if item.role != "source":
            return
        try:
            found = self._facts(original, media_type, taken)
        except ContentError as error:
            raise ContentError(
                error.code, where=file.path, expected=error.expected, found=error.found
            ) from error
        taken.findings += [Finding(code=code, level=WARNING, path=file.path) for code in found.warnings]
        facts.append(replace(found, kind=kind_of(original.name, media_type, found.kind)))
        stem = PurePosixPath(original.name).stem
        if found.plays:
            files.append(_file_of(original, "play", media_type, None))
        explicit = {wanted.role for wanted in taken.draft.wanted} - {"source"}
        present = {part.role for part in files}
        once = {"thumb", "page", "text"} & present
        files += [_named(part, stem) for part in found.files if part.role not in explicit | once]

    def _original(self, file: SourceFile, taken: Taken) -> _Original:
        """Return the bytes of `file`, copied and hashed unless they are here already."""
        if file.size_bytes == 0:
            raise ContentError("E-EMPTY-FILE", where=file.path)
        with self._library.reading() as reader:
            sha256 = reader.source_file(file.key, file.size_bytes, file.stamp)
            blob = reader.blob(sha256) if sha256 else None
        if blob:
            return _Original(
                path=self._blobs.path(blob.sha256),
                name=file.name,
                sha256=blob.sha256,
                size_bytes=blob.size_bytes,
            )
        staged = self._work / f"{next(self._numbers):08}.original"
        copied = copy_file(self._source, file, staged)
        taken.sources.append((file, copied.sha256))
        path = self._stage(staged, copied, taken)
        return _Original(path=path, name=file.name, sha256=copied.sha256, size_bytes=copied.size_bytes)

    def _stage(self, path: Path, blob: Blob, taken: Taken) -> Path:
        """Note `path` for the door, or drop it where the blob is here; return where the bytes lie."""
        with self._library.reading() as reader:
            here = reader.has(blob.sha256)
        if here or any(staged.blob == blob for staged in taken.staged):
            known = next((staged.path for staged in taken.staged if staged.blob == blob), None)
            if known != path:
                path.unlink()
            return known or self._blobs.path(blob.sha256)
        path.chmod(0o644)
        taken.staged.append(Staged(path=path, blob=blob))
        return path

    def _facts(self, original: _Original, media_type: str, taken: Taken) -> Facts:
        recipe = recipe_of(media_type)
        known = self._derived(original.sha256, recipe)
        if known is not None:
            return known
        description = describe(original.path, media_type, self._directory())
        return self._keep(description, original.sha256, recipe, taken)

    def _keep(self, description: Description, sha256: str, recipe: str, taken: Taken) -> Facts:
        facts = Facts(
            kind=description.kind,
            duration_seconds=description.duration_seconds,
            pages=description.pages,
            plays=description.plays,
            requires=description.requires,
            files=tuple(self._admitted(derived, taken) for derived in description.derived),
            warnings=tuple(finding.code for finding in description.findings),
        )
        taken.derivations.append((sha256, recipe, facts.to_json()))
        return facts

    def _derived(self, sha256: str, recipe: str) -> Facts | None:
        with self._library.reading() as reader:
            data = reader.derivation(sha256, recipe)
            facts = Facts.from_json(data) if data else None
            if facts and all(reader.has(file.sha256) for file in facts.files):
                return facts
        return None

    def _admitted(self, derived: Derived, taken: Taken) -> File:
        size_bytes = derived.path.stat().st_size
        sha256 = hash_file(derived.path)
        self._stage(derived.path, Blob(sha256=sha256, size_bytes=size_bytes), taken)
        return File(
            role=derived.role,
            name=derived.name,
            media_type=derived.media_type,
            size_bytes=size_bytes,
            sha256=sha256,
            path=derived.package_path,
        )

    def _cover(self, original: _Original, taken: Taken) -> tuple[File, ...]:
        """Return the given cover as a small JPEG."""
        known = self._derived(original.sha256, _COVER_RECIPE)
        if known is None:
            target = self._directory() / "cover.jpg"
            pictures.write_jpeg(original.path, target)
            cover = Derived(role="thumb", name="cover.jpg", media_type="image/jpeg", path=target)
            known = self._keep(Description(derived=(cover,)), original.sha256, _COVER_RECIPE, taken)
        return known.files

    def _subtitle(self, original: _Original, language: str, taken: Taken) -> tuple[File, ...]:
        """Return the subtitles as WebVTT; unreadable ones are a warning, the video is shown without."""
        known = self._derived(original.sha256, _SUBTITLE_RECIPE)
        if known is None:
            text = to_webvtt(original.path.read_bytes())
            if text is None:
                taken.findings.append(Finding(code="E-SUBTITLE", level=WARNING, path=original.name))
                return ()
            target = self._directory() / "subtitle.vtt"
            target.write_bytes(text)
            track = Derived(role="subtitle", name="subtitle.vtt", media_type="text/vtt", path=target)
            known = self._keep(Description(derived=(track,)), original.sha256, _SUBTITLE_RECIPE, taken)
        stem = PurePosixPath(original.name).stem
        return tuple(replace(_named(file, stem), language=language) for file in known.files)

    def _folder(self, folder: str, taken: Taken) -> Facts:
        """Return an unpacked package: each file as it is, the start page first."""
        derived: list[File] = []
        outside = False
        for file in self._locator.package_files(folder):
            path = file.path[len(folder) + 1 :] if folder else file.path
            if file.size_bytes == 0:
                continue
            original = self._original(file, taken)
            member = package_file(original.path, path)
            outside = outside or has_outside_links(member)
            derived.append(
                File(
                    role="package",
                    name=member.name,
                    media_type=member.media_type,
                    size_bytes=original.size_bytes,
                    sha256=original.sha256,
                    path=path,
                )
            )
        return Facts(
            kind="interactive",
            duration_seconds=None,
            pages=None,
            plays=False,
            requires=("network",) if outside else (),
            files=tuple(sorted(derived, key=lambda file: start_order(file.path or ""))),
            warnings=(),
        )

    def _given(self, file: File) -> File:
        with self._library.reading() as reader:
            if not reader.has(file.sha256):
                raise ContentError("E-FILE-MISSING", where=file.name, expected=file.sha256)
        return file

    def _directory(self) -> Path:
        directory = self._work / f"{next(self._numbers):08}"
        directory.mkdir()
        return directory


def _with_files(draft: Draft, files: list[File], facts: list[Facts]) -> Resource:
    """Return the draft's resource with `files` and with what they say of themselves; the list's own kind wins."""
    resource = draft.resource
    if not files:
        return resource
    requires = (*resource.requires, *itertools.chain.from_iterable(item.requires for item in facts))
    sources = [file.size_bytes for file in files if file.role == "source"]
    packed = [file.size_bytes for file in files if file.role == "package"]
    return replace(
        resource,
        files=tuple(files),
        kind=resource.kind or next((item.kind for item in facts), None),
        duration_seconds=_first(item.duration_seconds for item in facts) or resource.duration_seconds,
        pages=_first(item.pages for item in facts) or resource.pages,
        requires=tuple(dict.fromkeys(requires)),
        size_bytes=sum(sources or packed) or resource.size_bytes,
    )


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value), None)


def _has_role(files: list[File], role: str) -> bool:
    return any(file.role == role for file in files)


def _file_of(original: _Original, role: str, media_type: str, language: str | None) -> File:
    return File(
        role=role,
        name=original.name,
        media_type=media_type,
        size_bytes=original.size_bytes,
        sha256=original.sha256,
        language=language,
    )


def _named(file: File, stem: str) -> File:
    """Give a derived file the name of its original where a person may download it."""
    if file.role not in ("play", "text", "preview", "subtitle"):
        return file
    suffix = PurePosixPath(file.name).suffix
    while len(f"{stem}{suffix}".encode()) > 255:
        stem = stem[:-1]
    return replace(file, name=f"{stem}{suffix}")
