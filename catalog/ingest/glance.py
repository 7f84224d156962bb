"""What a dry run finds in a file: it is opened as the ingest will open it, and nothing is kept.

Runs in worker threads. What a file says of itself is believed here (a film's streams, a PDF's pages); damage further
in is found by the ingest, which reads every byte.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from catalog.errors import ContentError
from catalog.ingest import pictures
from catalog.ingest.copying import copy_file
from catalog.ingest.describe import check, recipe_of
from catalog.ingest.drafts import Draft, Wanted, finding_of
from catalog.ingest.findings import WARNING, Finding
from catalog.ingest.sniff import broken_claim, sniff
from catalog.ingest.sources import Source, SourceFile
from catalog.ingest.subtitles import to_webvtt
from catalog.library import Library


class Glance:
    """Looks at the files of drafts; any number of threads may call `look` at once."""

    def __init__(self, library: Library, source: Source, work: Path) -> None:
        self._library = library
        self._source = source
        self._work = work
        self._numbers = itertools.count()

    def look(self, draft: Draft) -> tuple[Draft, list[Finding]]:
        """Return `draft`, and what its files would be refused or warned for.

        Raises `StorageError` where our own disk refuses, `ConfigError` E-TOOL where a program is missing.
        """
        found = [one for item in draft.wanted if item.file for one in self._file(item, item.file)]
        return draft, [replace(one, sheet=draft.sheet, row=draft.row) for one in found]

    def _file(self, item: Wanted, file: SourceFile) -> Iterator[Finding]:
        try:
            with self._local(file) as path:
                found = list(self._problems(item, file, path))
        except ContentError as error:
            found = [finding_of(error, sheet="", row=0, path=file.path)]
        except OSError as error:
            found = [Finding(code="E-FILE-READ", path=file.path, found=error.strerror or str(error))]
        # A lesson is not refused for its cover.
        yield from (replace(one, level=WARNING) for one in found) if item.role == "thumb" else found

    def _problems(self, item: Wanted, file: SourceFile, path: Path) -> Iterator[Finding]:
        if file.size_bytes == 0:
            yield Finding(code="E-EMPTY-FILE", path=file.path)
            return
        if item.role == "subtitle":
            if to_webvtt(path.read_bytes()) is None:
                yield Finding(code="E-SUBTITLE", level=WARNING, path=file.path)
            return
        if item.role == "thumb":
            pictures.check(path)
            return
        media_type = sniff(path, file.name)
        if code := broken_claim(file.name, media_type):
            yield Finding(code=code, path=file.path, found=media_type)
        elif item.role == "source" and not self._known(file, media_type):
            yield from (replace(one, path=file.path) for one in check(path, media_type))

    def _known(self, file: SourceFile, media_type: str) -> bool:
        """Return whether an ingest has described this file already."""
        with self._library.reading() as reader:
            sha256 = reader.source_file(file.key, file.size_bytes, file.stamp)
            return bool(sha256 and reader.derivation(sha256, recipe_of(media_type)))

    @contextmanager
    def _local(self, file: SourceFile) -> Iterator[Path]:
        """Give the bytes of `file` at a path of their own: a copy where they lie in an archive."""
        place = self._source.place(file)
        if place is not None:
            yield place
            return
        copy = self._work / f"{next(self._numbers):08}.copy"
        try:
            copy_file(self._source, file, copy)
            yield copy
        finally:
            copy.unlink(missing_ok=True)
