"""Where content comes from: a folder, or a ZIP read in place. Both give named files with a stamp that tells changes.

Invariant: every `SourceFile.path` is a safe relative path in NFC with `/`; links are never followed.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from catalog.errors import ContentError, UsageError
from catalog.ingest.archive import SOURCE_LIMITS, Archive, Member
from catalog.ingest.findings import WARNING, Finding
from catalog.ingest.sniff import PACKAGE, sniff
from catalog.resource import is_file_name

_RUBBISH = frozenset(
    ("thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information")
)

_OTHER_ARCHIVES = (".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".iso")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file of a source. `key`, `size_bytes` and `stamp` together change when the file does."""

    path: str
    key: str
    size_bytes: int
    stamp: int

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class Source(Protocol):
    """Named files that can be opened, any number of times and from two threads."""

    @property
    def name(self) -> str:
        """What a person calls the source: the folder's or archive's name without its extension."""

    @property
    def files(self) -> Mapping[str, SourceFile]:
        """All files by path."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was refused while listing."""

    def open(self, file: SourceFile) -> AbstractContextManager[IO[bytes]]:
        """Give the bytes of `file`."""

    def place(self, file: SourceFile) -> Path | None:
        """Return where the bytes of `file` lie as they are, None inside of an archive."""

    def close(self) -> None:
        """Let go of the source."""


def source_of(path: Path) -> Source:
    """Return the source at `path`: a folder, a ZIP, or one file (an interactive package is one file).

    Raises `UsageError` E-SOURCE where nothing is there, `ContentError` E-ARCHIVE… where the archive is refused.
    """
    if path.is_dir():
        return FolderSource(path)
    if not path.is_file():
        raise UsageError("E-SOURCE", where=path)
    if path.suffix.lower() == ".zip" and sniff(path, path.name) != PACKAGE:
        return ArchiveSource(path)
    if path.suffix.lower() in _OTHER_ARCHIVES:
        raise ContentError("E-ARCHIVE", where=path.name, expected=".zip", found=path.suffix)
    return FolderSource(path.parent, only=path.name)


class FolderSource:
    """The files below a folder, or `only` one of them."""

    def __init__(self, root: Path, *, only: str | None = None) -> None:
        self._root = root.resolve()
        self._findings: list[Finding] = []
        self._places: dict[str, Path] = {}
        self._files: dict[str, SourceFile] = {}
        self._only = only
        for file, place in self._walk(self._root, "") if only is None else self._single(only):
            self._files[file.path] = file
            self._places[file.path] = place

    @property
    def name(self) -> str:
        return Path(self._only).stem if self._only else self._root.name

    @property
    def files(self) -> Mapping[str, SourceFile]:
        return self._files

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(self._findings)

    def open(self, file: SourceFile) -> IO[bytes]:
        return self._places[file.path].open("rb")

    def place(self, file: SourceFile) -> Path | None:
        return self._places[file.path]

    def close(self) -> None:
        """Nothing is held open."""

    def _single(self, name: str) -> Iterator[tuple[SourceFile, Path]]:
        place = self._root / name
        yield _source_file(place, unicodedata.normalize("NFC", name)), place

    def _walk(self, directory: Path, prefix: str) -> Iterator[tuple[SourceFile, Path]]:
        with os.scandir(directory) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            name = _readable(entry.name)
            if name.lower() in _RUBBISH or name.startswith((".", "~$")):
                continue
            path = prefix + name
            if entry.is_symlink():
                self._findings.append(Finding(code="E-LINK", level=WARNING, path=path))
            elif not is_file_name(name) or path in self._files:
                self._findings.append(Finding(code="E-NAME", path=ascii(path)[:120]))
            elif entry.is_dir():
                yield from self._walk(Path(entry.path), f"{path}/")
            elif entry.is_file():
                yield _source_file(Path(entry.path), path), Path(entry.path)


class ArchiveSource:
    """The members of a ZIP, read in place."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()
        self._archive = Archive(self._path, SOURCE_LIMITS)
        self._members: dict[str, Member] = {member.path: member for member in self._archive.members}
        self._files = {
            member.path: SourceFile(
                path=member.path,
                key=f"{self._path}!/{member.path}",
                size_bytes=member.size_bytes,
                stamp=member.crc,
            )
            for member in self._archive.members
            if not any(part.startswith((".", "~$")) for part in member.path.split("/"))
        }

    @property
    def name(self) -> str:
        return self._path.stem

    @property
    def files(self) -> Mapping[str, SourceFile]:
        return self._files

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(self._archive.findings)

    def open(self, file: SourceFile) -> AbstractContextManager[IO[bytes]]:
        return self._archive.open(self._members[file.path])

    def place(self, file: SourceFile) -> Path | None:
        return None

    def close(self) -> None:
        self._archive.close()


def _source_file(place: Path, path: str) -> SourceFile:
    status = place.stat()
    return SourceFile(
        path=path, key=os.fsencode(place).decode("utf-8", "backslashreplace"), size_bytes=status.st_size,
        stamp=status.st_mtime_ns,
    )  # fmt: skip


def _readable(name: str) -> str:
    """Return `name` in NFC; a name that is not UTF-8 (a disk mounted without `utf8`) is read as GB18030."""
    try:
        name.encode()
    except UnicodeEncodeError:
        try:
            name = os.fsencode(name).decode("gb18030")
        except UnicodeDecodeError:
            return name
    return unicodedata.normalize("NFC", name)
