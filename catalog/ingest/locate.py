"""Which file of the source a list means: lists are written on other machines, by hand, with other separators.

Never a guess: a path that fits two files is ambiguous, one that fits none is missing, and a path that leaves the
source is refused.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from catalog.errors import ContentError
from catalog.ingest.sources import SourceFile

_STARTS = ("index.html", "index.htm")
SUBTITLE_SUFFIXES = (".srt", ".vtt")


class Locator:
    """Finds files of a source by what a list or a neighbour calls them."""

    def __init__(self, files: Mapping[str, SourceFile], source_name: str) -> None:
        self._files = files
        self._source_name = source_name
        self._folded = _unique((path.casefold(), path) for path in files)
        self._by_name: dict[str, list[str]] = defaultdict(list)
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._tops = {path.split("/", 1)[0] for path in files}
        for path in files:
            name = path.rpartition("/")[2].casefold()
            self._by_name[name].append(path)
            self._by_stem[PurePosixPath(name).stem].append(path)
        self.packages = _package_folders(files)
        self._package_set = frozenset(self.packages)
        self.is_package = any(start in files for start in _STARTS)

    def find(self, cell: str, *, beside: str = "") -> SourceFile | str:
        """Return the file that `cell` names, or the folder of an unpacked package; `beside` is the list's folder.

        Raises `ContentError` E-NAME, E-FILE-MISSING or E-FILE-AMBIGUOUS.
        """
        text = unicodedata.normalize("NFC", cell).strip().strip("\"'“”").replace("\\", "/")
        path, elsewhere = re.subn(r"^(?:[A-Za-z]:/*|/+|file:/+)", "", text)
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if ".." in parts or not parts or any(ord(character) < 32 for character in path):
            raise ContentError("E-NAME", where=ascii(cell)[:120])
        for start in range(len(parts)):
            if start and not self._may_drop(parts[:start], bool(elsewhere)):
                break
            found = self._at("/".join(parts[start:]), beside if not start else "")
            if found is not None:
                return found
        if len(parts) == 1:
            return self._anywhere(parts[0], cell)
        raise ContentError("E-FILE-MISSING", where=cell[:200])

    def subtitles_of(self, file: SourceFile) -> list[tuple[SourceFile, str]]:
        """Return the subtitle files beside `file` with their languages: `课.srt`, `课.en.srt`."""
        folder, _, name = file.path.rpartition("/")
        stem = PurePosixPath(name).stem
        found: list[tuple[SourceFile, str]] = []
        for suffix in SUBTITLE_SUFFIXES:
            for language in ("", "zh", "zh-CN", "en"):
                middle = f".{language}" if language else ""
                path = f"{folder}/{stem}{middle}{suffix}" if folder else f"{stem}{middle}{suffix}"
                place = self._folded.get(path.casefold())
                code = "zh-CN" if language in ("", "zh") else language
                if place and all(code != other for _, other in found):
                    found.append((self._files[place], code))
        return found

    def package_files(self, folder: str) -> list[SourceFile]:
        """Return the files of the unpacked package in `folder`, sorted by path."""
        prefix = f"{folder}/" if folder else ""
        return [self._files[path] for path in sorted(self._files) if path.startswith(prefix)]

    def package_of(self, path: str) -> str | None:
        """Return the package folder in which the file at `path` lies."""
        place = path.find("/")
        while self._package_set and place >= 0:
            if path[:place] in self._package_set:
                return path[:place]
            place = path.find("/", place + 1)
        return None

    def _at(self, path: str, beside: str) -> SourceFile | str | None:
        for candidate in (f"{beside}/{path}" if beside else path, path):
            place = candidate if candidate in self._files else self._folded.get(candidate.casefold())
            if place:
                return self._files[place]
            if any(f"{candidate}/{start}" in self._files for start in _STARTS):
                return candidate
        return None

    def _may_drop(self, dropped: list[str], elsewhere: bool) -> bool:
        """Leading folders of a path go unread only if they plainly lie above the source, never inside it."""
        return elsewhere or dropped[-1] == self._source_name or dropped[0] not in self._tops

    def _anywhere(self, name: str, cell: str) -> SourceFile:
        paths = self._by_name.get(name.casefold(), [])
        if not paths and not PurePosixPath(name).suffix:
            paths = self._by_stem.get(name.casefold(), [])
        paths = [path for path in paths if self.package_of(path) is None]
        if len(paths) > 1:
            raise ContentError("E-FILE-AMBIGUOUS", where=cell[:200], found=" | ".join(paths[:3]))
        if not paths:
            raise ContentError("E-FILE-MISSING", where=cell[:200])
        return self._files[paths[0]]


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    twice = set()
    for key, value in pairs:
        if key in found:
            twice.add(key)
        found[key] = value
    return {key: value for key, value in found.items() if key not in twice}


def _package_folders(files: Iterable[str]) -> tuple[str, ...]:
    """Return the topmost folders that hold an `index.html`, the source itself excepted."""
    folders = sorted({path.rpartition("/")[0] for path in files if path.rpartition("/")[2] in _STARTS} - {""})
    tops: list[str] = []
    for folder in folders:
        if not any(folder.startswith(f"{top}/") for top in tops):
            tops.append(folder)
    return tuple(tops)
