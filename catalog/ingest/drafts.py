"""Drafts: what is to become a resource, before a byte of its files is read.

A draft comes from a row of a list or from a file of a folder tree. Rejected ones are kept with their reasons and
cells. Ids: the list's own where it is safe and says enough, else a UUIDv5 (RFC 9562) of the source's name and the natural key
(the file's path, or the place in the curriculum and the title), so that the next ingest finds the same resource.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalog.errors import ContentError
from catalog.ingest.filecells import file_cells
from catalog.ingest.findings import ERROR, WARNING, Finding
from catalog.ingest.folder import title_of, values_of_folder
from catalog.ingest.lists import Row, read_list
from catalog.ingest.locate import SUBTITLE_SUFFIXES, Locator
from catalog.ingest.records import UnknownWords, record_of
from catalog.ingest.sniff import suffix_of
from catalog.ingest.sources import SourceFile
from catalog.resource import File, Resource, canonical_json, is_resource_id

NAMESPACE = uuid.UUID("0f6f7a0e-6c0b-5d0e-9a52-7b5f3a1c1b1e")
_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
_PLAYABLE = (
    ".mp4",
    ".m4v",
    ".mov",
    ".flv",
    ".wmv",
    ".avi",
    ".mkv",
    ".webm",
    ".mp3",
    ".m4a",
    ".ogg",
    ".wma",
    ".wav",
)
_LEFT_ASIDE = (".lnk", ".url", ".tmp", ".part", ".crdownload", ".td", ".db", ".ini", ".bak")
# A bare 序号 such as 1, 2, 3 names rows, not resources: two suppliers' lists would overwrite each other.
_SERIAL_DIGITS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file that a draft needs: one of the source, a package's folder, or a blob that is here already."""

    role: str = "source"
    file: SourceFile | None = None
    folder: str | None = None
    given: File | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A record without files, and the files it shall have. `said` names the fields that the list itself filled."""

    sheet: str
    row: int
    resource: Resource
    wanted: tuple[Wanted, ...]
    said: frozenset[str]
    origin: Row | None = None

    @property
    def label(self) -> str:
        """What a person knows the draft by: its file, or its title."""
        return next((item.file.path for item in self.wanted if item.file), self.resource.title)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A row that is given back: its columns and cells as they came, and why."""

    sheet: str
    row: int
    headers: tuple[str, ...]
    cells: tuple[str, ...]
    reasons: tuple[Finding, ...]


@dataclass(slots=True, kw_only=True)
class DraftMaker:
    """Makes the drafts of one ingest; everything it finds goes to `findings` and `rejected`."""

    locator: Locator
    files: Mapping[str, SourceFile]
    source_name: str
    licence: str | None
    default_state: str
    findings: list[Finding] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    words: UnknownWords = field(init=False)
    _ids: dict[str, tuple[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.words = UnknownWords(self.findings.append, {})

    def from_list(self, path: Path, beside: str) -> Iterator[Draft]:
        """Yield the drafts of the list at `path`, whose relative file names start in the folder `beside`."""
        problems: list[Finding] = []
        for row in read_list(path, problems.append):
            about_row = [item for item in problems if (item.sheet, item.row) == (row.sheet, row.row)]
            self._pass_on([item for item in problems if item not in about_row])
            problems.clear()
            draft = self._from_row(row, beside, about_row)
            if draft is not None:
                yield draft
        self._pass_on(problems)

    def from_folder(self) -> Iterator[Draft]:
        """Yield one draft for each file and each unpacked package of the source, by the rules of `folder`."""
        if self.locator.is_package:
            yield from self._one({"title": self.source_name}, Wanted(folder=""), self.source_name)
            return
        for folder in self.locator.packages:
            parent, _, name = folder.rpartition("/")
            values = {**values_of_folder(parent), "title": title_of(f"{name}.html")}
            yield from self._one(values, Wanted(folder=folder), folder)
        companions = self._companions()
        for path, file in self.files.items():
            skipped = path in companions or suffix_of(path) in _LEFT_ASIDE
            if skipped or self.locator.package_of(path) is not None:
                continue
            folder = path.rpartition("/")[0]
            values = {**values_of_folder(folder), "title": title_of(file.name)}
            cover = next((other for other, owner in companions.items() if owner == path), None)
            yield from self._one(values, Wanted(file=file), path, cover)

    def unlisted(self, lists: set[str]) -> list[str]:
        """Return the files of the source that no draft uses, the lists themselves and known rubbish excepted."""
        return [
            path
            for path in self.files
            if path not in self.used
            and path not in lists
            and suffix_of(path) not in _LEFT_ASIDE
            and (self.locator.package_of(path) or "") not in self.used
        ]

    def reject(self, draft: Draft, reasons: list[Finding]) -> None:
        """Give back the row of `draft`, which failed later for `reasons`."""
        row = draft.origin
        headers, cells = (row.headers, row.cells) if row else (("文件",), (draft.label,))
        self._give_back(draft.sheet, draft.row, headers, cells, reasons)

    def _one(
        self, values: Mapping[str, Any], main: Wanted, path: str, cover: str | None = None
    ) -> Iterator[Draft]:
        reasons: list[Finding] = []
        wanted = [main]
        if cover:
            wanted.append(Wanted(role="thumb", file=self.files[cover]))
        wanted += self._subtitles(main)
        draft = self._draft(values, {}, "", 0, wanted, path, reasons)
        if draft is None:
            located = [item if item.path else _placed(item, path) for item in reasons]
            self._give_back("", 0, ("文件",), (path,), located)
        else:
            self.findings += reasons
            yield draft

    def _from_row(self, row: Row, beside: str, reasons: list[Finding]) -> Draft | None:
        wanted = self._wanted(row, beside, reasons)
        path = next((item.file.path if item.file else item.folder for item in wanted), None)
        draft = self._draft(row.values, row.unknown, row.sheet, row.row, wanted, path, reasons, row)
        if draft is None:
            self._give_back(row.sheet, row.row, row.headers, row.cells, reasons)
        else:
            self.findings += reasons
        return draft

    def _draft(
        self,
        values: Mapping[str, Any],
        unknown: Mapping[str, str],
        sheet: str,
        row: int,
        wanted: list[Wanted],
        path: str | None,
        reasons: list[Finding],
        origin: Row | None = None,
    ) -> Draft | None:
        """Return the draft, or None where `reasons` holds an error."""
        record = record_of(values, unknown, sheet=sheet, row=row, report=reasons.append, words=self.words)
        said = frozenset(record)
        if not record.get("title"):
            main = next((item.file for item in wanted if item.file), None)
            if main is None:
                reasons.append(Finding(code="E-TITLE", sheet=sheet, row=row))
                return None
            record["title"] = title_of(main.name)
        self._licence(record, sheet, row, reasons)
        self._identify(record, values, path)
        if any(item.level == ERROR for item in reasons):
            return None
        try:
            resource = Resource.from_json(Resource(**record).to_json(), where=record["title"])
        except ContentError as error:
            reasons.append(finding_of(error, sheet=sheet, row=row))
            return None
        earlier = self._ids.get(resource.id)
        if earlier:
            found = " ".join(str(part) for part in earlier if part)
            reasons.append(Finding(code="E-ID-TWICE", sheet=sheet, row=row, found=f"{resource.id} = {found}"))
            return None
        self._ids[resource.id] = (sheet, row)
        for item in wanted:
            self.used.update(filter(None, (item.file.path if item.file else None, item.folder)))
        return Draft(sheet=sheet, row=row, resource=resource, wanted=tuple(wanted), said=said, origin=origin)

    def _licence(self, record: dict[str, Any], sheet: str, row: int, reasons: list[Finding]) -> None:
        record.setdefault("state", self.default_state)
        licence = record.setdefault("licence", self.licence)
        if licence is None:
            reasons.append(Finding(code="E-LICENCE", sheet=sheet, row=row))
        elif licence == "unknown" or licence.startswith("raw:"):
            # What we may not publish waits for a person, it is not lost.
            reasons.append(Finding(code="E-LICENCE", level=WARNING, sheet=sheet, row=row, found=licence))
            record["state"] = "review" if record["state"] == "published" else record["state"]
        if record["state"].startswith("raw:"):
            record["state"] = "review"

    def _identify(self, record: dict[str, Any], values: Mapping[str, Any], path: str | None) -> None:
        given = values.get("id")
        text = str(given).strip() if given is not None else ""
        if is_resource_id(text) and not (text.isdigit() and len(text) <= _SERIAL_DIGITS):
            record["id"] = text
            return
        if text:
            record["upstream_id"] = text
            key = f"id\n{text}"
        elif path is not None:
            key = f"file\n{path}"
            if str(uuid.uuid5(NAMESPACE, f"{self.source_name}\n{key}")) in self._ids:
                key = f"{key}\n{_place_key(record)}"
        else:
            key = f"place\n{_place_key(record)}"
        record["id"] = str(uuid.uuid5(NAMESPACE, f"{self.source_name}\n{key}"))

    def _wanted(self, row: Row, beside: str, reasons: list[Finding]) -> list[Wanted]:
        wanted: list[Wanted] = []
        for role, cell, language in file_cells(row.values):
            if isinstance(cell, File):
                wanted.append(Wanted(role=role, given=cell, language=language))
                continue
            try:
                found = self._find(cell, beside)
            except ContentError as error:
                reasons.append(finding_of(error, sheet=row.sheet, row=row.row))
                continue
            if isinstance(found, str):
                wanted.append(Wanted(folder=found))
            else:
                role = "subtitle" if suffix_of(found.name) in SUBTITLE_SUFFIXES else role
                wanted.append(Wanted(role=role, file=found, language=language))
        if not any(item.role == "subtitle" for item in wanted):
            for item in [item for item in wanted if item.role in ("source", "play")]:
                wanted += self._subtitles(item)
        return wanted

    def _find(self, cells: tuple[str, ...], beside: str) -> SourceFile | str:
        """Try the ways in which a row may name its file; the last way's refusal counts."""
        for cell in cells[:-1]:
            try:
                return self.locator.find(cell, beside=beside)
            except ContentError as error:
                if error.code == "E-NAME":
                    raise
        return self.locator.find(cells[-1], beside=beside)

    def _subtitles(self, item: Wanted) -> list[Wanted]:
        if item.file is None or suffix_of(item.file.name) not in _PLAYABLE:
            return []
        found = self.locator.subtitles_of(item.file)
        return [Wanted(role="subtitle", file=file, language=language) for file, language in found]

    def _companions(self) -> dict[str, str]:
        """Return the subtitles and covers that belong to a video or sound of the same name, by owner."""
        companions: dict[str, str] = {}
        for path, file in self.files.items():
            if suffix_of(path) not in _PLAYABLE:
                continue
            companions.update({subtitle.path: "" for subtitle, _ in self.locator.subtitles_of(file)})
            stem = path[: -len(suffix_of(path))]
            companions.update({stem + suffix: path for suffix in _PICTURES if stem + suffix in self.files})
        return companions

    def _pass_on(self, problems: list[Finding]) -> None:
        """Keep findings that came without a row of their own: an unreadable line is given back by its number."""
        for item in problems:
            if item.row and item.level == ERROR:
                self._give_back(item.sheet, item.row, (), (), [item])
            else:
                self.findings.append(item)

    def _give_back(
        self,
        sheet: str,
        row: int,
        headers: tuple[str, ...],
        cells: tuple[str, ...],
        reasons: list[Finding],
    ) -> None:
        self.findings += reasons
        errors = tuple(item for item in reasons if item.level == ERROR)
        self.rejected.append(Rejected(sheet=sheet, row=row, headers=headers, cells=cells, reasons=errors))


def finding_of(error: ContentError, *, sheet: str, row: int, path: str = "") -> Finding:
    """Return the refusal `error` as a finding about a row or a file."""
    return Finding(
        code=error.code,
        sheet=sheet,
        row=row,
        path=path or error.where,
        expected=error.expected,
        found=error.found,
    )


def _placed(item: Finding, path: str) -> Finding:
    return Finding(
        code=item.code,
        level=item.level,
        path=path,
        column=item.column,
        expected=item.expected,
        found=item.found,
    )


def _place_key(record: Mapping[str, Any]) -> str:
    edition = record.get("edition")
    names = (
        "title",
        "stage",
        "subject",
        "textbook_year",
        "grades",
        "volume",
        "volume_text",
        "path",
        "kind",
        "author",
    )
    parts = [record.get(name) for name in names] + [edition.code if edition else None]
    return canonical_json([list(part) if isinstance(part, tuple) else part for part in parts]).decode()
