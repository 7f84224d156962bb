"""A row of a list becomes a record: labels to codes, texts to names and numbers.

Rules: a word that the vocabulary does not have stays as `raw:<word>`; a supplier's wording that differs from our label
is kept in `raw`; nothing is guessed from nothing. The record is complete but for its id, its files and what they say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from catalog import curriculum
from catalog.curriculum import RAW_PREFIX, fold, label_of, stage_of_grade
from catalog.ingest.cells import (
    brackets,
    cell_text,
    cell_texts,
    count,
    date,
    finite,
    one_line,
    seconds,
)
from catalog.ingest.findings import WARNING, Finding, Report
from catalog.resource import Edition, Resource

LANGUAGES: Mapping[str, str] = {
    fold(label): code
    for code, labels in {
        "zh-CN": "汉语 中文 普通话 国家通用语言 汉",
        "en": "英语 英文 english",
        "bo": "藏语 藏文",
        "ug-Arab": "维吾尔语 维吾尔文 维语",
        "mn-Mong": "蒙古语 蒙古文 蒙语",
        "kk-Arab": "哈萨克语 哈萨克文",
        "ii": "彝语 彝文",
        "za": "壮语 壮文",
        "ko": "朝鲜语 朝鲜文",
        "sce": "东乡语",
        "sfs": "手语",
    }.items()
    for label in labels.split()
}
_TEXT_FIELDS = (
    "upstream_id",
    "alt_title",
    "award",
    "author",
    "school_code",
    "reviewer",
    "scope",
    "description",
    "source",
    "created",
    "updated",
)
_LIST_FIELDS = ("keywords", "knowledge", "a11y", "requires")
_SEPARATORS = re.compile(r"[,，;；、|\n\r\t]+")
_SLASHES = re.compile(r"[,，;；、|/\n\r\t]+")
# A list repeats a few hundred words some ten thousand times.
code_of = lru_cache(maxsize=65_536)(curriculum.code_of)
grades_of = lru_cache(maxsize=4096)(curriculum.grades_of)
_RESOURCE_FIELDS = frozenset(item.name for item in fields(Resource))


@dataclass(slots=True)
class UnknownWords:
    """The words that no vocabulary has: each is reported once, at its first row, and counted."""

    report: Report
    seen: dict[tuple[str, str], int]

    def note(self, field: str, word: str, sheet: str, row: int) -> None:
        count = self.seen.get((field, word), 0)
        self.seen[(field, word)] = count + 1
        if not count:
            self.report(Finding(code="E-CODE", level=WARNING, sheet=sheet, row=row, column=field, found=word))


def record_of(
    values: Mapping[str, Any],
    unknown: Mapping[str, str],
    *,
    sheet: str,
    row: int,
    report: Report,
    words: UnknownWords,
) -> dict[str, Any]:
    """Return the fields of `catalog.resource.Resource` that the row says; unreadable values go to `report`."""
    record = _Record(sheet, row, report, words)
    record.raw.update({name: text for name, text in unknown.items() if name not in _RESOURCE_FIELDS})
    given = values.get("raw")
    if isinstance(given, Mapping):
        record.raw.update({str(name): cell_text(word) for name, word in given.items()})
    record.read(values)
    return record.finish()


class _Record:
    """A record in the making. `out` holds fields of `Resource`, `raw` the supplier's own words."""

    def __init__(self, sheet: str, row: int, report: Report, words: UnknownWords) -> None:
        self.sheet = sheet
        self.row = row
        self.report = report
        self.words = words
        self.out: dict[str, Any] = {}
        self.raw: dict[str, str] = {}

    def read(self, values: Mapping[str, Any]) -> None:
        if "title" in values:
            self.out["title"] = one_line(cell_text(values["title"]))
        for name in _TEXT_FIELDS:
            if name in values:
                self.out[name] = cell_text(values[name])
        for name in _LIST_FIELDS:
            if name in values:
                self.out[name] = cell_texts(values[name], _SEPARATORS)
        self._subject(values)
        self._edition(values)
        self._grades(values)
        self._volume(values)
        self._path(values)
        for name in ("stage", "kind", "class_mode", "origin", "licence", "state"):
            if name in values:
                self.out[name] = self._code(name, cell_text(values[name]))
        if "audience" in values:
            parts = cell_texts(values["audience"], _SLASHES)
            self.out["audience"] = tuple(self._code("audience", part) for part in parts)
        if "language" in values:
            self.out["language"] = self._language(cell_text(values["language"]))
        for name in ("textbook_year", "lesson_no", "period_no", "pages"):
            if name in values:
                self._number(name, cell_text(values[name]), count)
        if "quality" in values:
            self._number("quality", cell_text(values["quality"]), finite)
        if "duration_seconds" in values:
            self._number("duration_seconds", cell_text(values["duration_seconds"]), seconds)
        if "valid_to" in values:
            self._number("valid_to", cell_text(values["valid_to"]), date)

    def finish(self) -> dict[str, Any]:
        if "stage" not in self.out:
            stages = {stage for grade in self.out.get("grades", ()) if (stage := stage_of_grade(grade))}
            if len(stages) == 1:
                self.out["stage"] = stages.pop()
        if self.raw:
            self.out["raw"] = self.raw
        return {name: value for name, value in self.out.items() if value not in (None, "", ())}

    def _code(self, field: str, label: str, *, known_as: str | None = None) -> str:
        """Return the code of `label`; keep the supplier's wording where it is not our own label."""
        code = code_of(known_as or field, label)
        if code is None:
            self.words.note(field, label.removeprefix(RAW_PREFIX), self.sheet, self.row)
            return label if label.startswith(RAW_PREFIX) else f"{RAW_PREFIX}{label}"
        if label not in (code, label_of(known_as or field, code)):
            self.raw.setdefault(field, label)
        return code

    def _subject(self, values: Mapping[str, Any]) -> None:
        if "subject" not in values:
            return
        label = cell_text(values["subject"])
        name, rest = brackets(label)
        if code_of("subject", label) is None and rest and code_of("subject", name):
            self.raw.setdefault("subject", label)
            self.out["subject"] = code_of("subject", name)
            if "edition" not in values:
                self.out["edition"] = self._edition_of(rest)
            return
        self.out["subject"] = self._code("subject", label)

    def _edition(self, values: Mapping[str, Any]) -> None:
        value = values.get("edition")
        if isinstance(value, Mapping):
            code = cell_text(value.get("code") or value.get("raw") or "")
            edition = self._edition_of(code) if code else None
            if edition:
                self.out["edition"] = Edition(
                    code=edition.code,
                    editor=cell_text(value["editor"]) if value.get("editor") else edition.editor,
                    raw=cell_text(value["raw"]) if value.get("raw") else edition.raw,
                )
        elif value is not None:
            self.out["edition"] = self._edition_of(cell_text(value))
        if "new_old" in values:
            label = cell_text(values["new_old"])
            self.out["new_old"] = "new" if "新" in label or label == "new" else "old"

    def _edition_of(self, label: str) -> Edition | None:
        """Read `人教版`, `人教版（2024）`, `新人教版`, `北师大版（王尚志主编）`."""
        name, rest = brackets(label)
        year = re.search(r"(?:19|20)\d\d", rest)
        if year:
            self.out.setdefault("textbook_year", int(year.group()))
        for word, code in (("新", "new"), ("旧", "old")):
            if word in rest or (name.startswith(word) and code_of("edition", name[1:])):
                self.out.setdefault("new_old", code)
                name = name.removeprefix(word)
        editor = re.search(r"(\w+?)\s*主编|主编[::]?\s*(\w+)", rest)
        who = next((part for part in editor.groups() if part), None) if editor else None
        if code_of("edition", name) is None:
            name = label
        code = self._code("edition", name)
        return Edition(
            code=code, editor=who, raw=label if label not in (code, label_of("edition", code)) else None
        )

    def _grades(self, values: Mapping[str, Any]) -> None:
        value = values.get("grades", values.get("grade_volume"))
        if value is None:
            return
        if isinstance(value, list):
            codes = [code for part in value for code in self._grade(cell_text(part))]
        else:
            codes = self._grade(cell_text(value), split_volume="volume" not in values)
        self.out["grades"] = tuple(dict.fromkeys(codes))

    def _grade(self, label: str, *, split_volume: bool = False) -> list[str]:
        codes = grades_of(label)
        if not codes:
            grade, volume = split_grade_volume(label)
            if grade and volume:
                codes = grades_of(grade)
                self.raw.setdefault("grades", label)
                if split_volume:
                    self.out["volume"] = code_of("volume", volume)
        elif label not in codes and label != "、".join(label_of("grade", code) for code in codes):
            self.raw.setdefault("grades", label)
        return list(codes) or [self._code("grades", label, known_as="grade")]

    def _volume(self, values: Mapping[str, Any]) -> None:
        if "volume" not in values:
            return
        label = cell_text(values["volume"])
        if values.get("volume_text"):
            self.out["volume_text"] = cell_text(values["volume_text"])
        if code_of("volume", label):
            self.out["volume"] = self._code("volume", label)
            return
        grade, volume = split_grade_volume(label)
        if volume:
            self.out["volume"] = code_of("volume", volume)
            self.raw.setdefault("volume", label)
            if "grades" not in self.out and grade:
                self.out["grades"] = grades_of(grade)
        elif re.search(r"必修|选修|第?[一二三四五六七八九十\d]+册", label):
            self.out["volume"] = "other"
            self.out["volume_text"] = label
        else:
            self.out["volume"] = self._code("volume", label)

    def _path(self, values: Mapping[str, Any]) -> None:
        """Read unit and lesson, or the whole path; `第一课时` numbers the period, a name under 课时 is the lesson."""
        if "path" in values:
            names = cell_texts(values["path"], re.compile(r"[/>＞→\\]+"))
        else:
            names = tuple(cell_text(values[name]) for name in ("unit", "lesson") if name in values)
        names = tuple(map(one_line, names))
        period = one_line(cell_text(values.get("period", "")))
        if period and "period_no" not in values:
            if re.fullmatch(r"第?(?:[一二三四五六七八九十]{1,4}|[0-9]{1,3})(?:课时|节)?", period):
                self.out["period_no"] = count(period)
            elif period not in names:
                names = (*names, period)
        self.out["path"] = tuple(
            name for place, name in enumerate(names) if name and (not place or name != names[place - 1])
        )
        if "lesson_no" not in values and len(self.out["path"]) > 1:
            number = re.match(r"第([零一二三四五六七八九十百]{1,5}|[0-9]{1,4})[课节]", self.out["path"][-1])
            if number:
                self.out["lesson_no"] = count(number.group(1))

    def _language(self, label: str) -> str:
        code = LANGUAGES.get(fold(label))
        if code:
            return code
        if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", label):
            return label
        self.words.note("language", label, self.sheet, self.row)
        return f"{RAW_PREFIX}{label}"

    def _number(self, field: str, text: str, read: Callable[[str], Any]) -> None:
        try:
            self.out[field] = read(text)
        except ValueError:
            self.raw.setdefault(field, text)
            self.report(
                Finding(
                    code="E-VALUE",
                    level=WARNING,
                    sheet=self.sheet,
                    row=self.row,
                    column=field,
                    found=text[:60],
                )
            )


def split_grade_volume(label: str) -> tuple[str, str]:
    """Split `三年级上册`, `三上`, `高一（下）` into grade and volume; a missing part is empty."""
    folded = fold(label)
    match = re.fullmatch(r"(.*?)[(\[]?(上册|下册|全一册|全册|上学期|下学期|上|下)[)\]]?", folded)
    if not match:
        return (label, "") if grades_of(label) else ("", "")
    grade, volume = match.groups()
    if grade and not grades_of(grade):
        grade = f"{grade}年级"
        if not grades_of(grade):
            return "", ""
    return grade, volume
