"""A folder tree without a list: what its folder names say about the files in them.

From the top, folders are read as 学段, 学科, 版本, 年级 and 册次 in any order, as `数学（人教版）` and `三年级上册` too, and a
folder called 课件 or 教案 as the kind; the first name that is none of these begins unit and lesson. The file's name,
without its number in front, is the title. A folder tree that says nothing still gives titles.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from catalog.curriculum import code_of, grades_of
from catalog.ingest.records import split_grade_volume

_LONGEST_WORD = 10
_NUMBER_IN_FRONT = re.compile(r"^\s*\d{1,3}(?:[.\-_]\d{1,3})*\s*(?:[._、\-—)）:：]\s*|\s+)(?=\S)")
_LESSON_NUMBER = re.compile(r"^\s*(\d{1,3})\s*[._、\-—\s)）]")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderRule:
    """How one folder was read: fields and their words; `files` counts the files in it."""

    folder: str
    values: tuple[tuple[str, str], ...]
    files: int


@lru_cache(maxsize=1024)
def values_of_folder(folder: str) -> Mapping[str, Any]:
    """Return the list fields that the folder path `folder` says, as a row of a list would."""
    values: dict[str, Any] = {}
    names: list[str] = []
    for name in [part for part in folder.split("/") if part]:
        if not names and (found := _curriculum(name, values)):
            values.update(found)
        elif code_of("kind", name) and "kind" not in values:
            values["kind"] = name
        else:
            names.append(name)
    clean = [_NUMBER_IN_FRONT.sub("", name).strip() for name in names]
    if clean:
        values["path"] = clean
    if len(names) > 1 and (number := _LESSON_NUMBER.match(names[-1])):
        values["lesson_no"] = number.group(1)
    return MappingProxyType(values)


def title_of(file_name: str) -> str:
    """Return the title that a file's name gives: without extension, number in front and underscores."""
    stem = PurePosixPath(file_name).stem
    title = _NUMBER_IN_FRONT.sub("", stem).replace("_", " ").strip()
    return title or stem


def folder_rules(paths: Iterable[str]) -> tuple[FolderRule, ...]:
    """Return how each folder of the files `paths` is read, for a person to check before anything is taken."""
    counts: dict[str, int] = {}
    for path in paths:
        folder = path.rpartition("/")[0]
        counts[folder] = counts.get(folder, 0) + 1
    return tuple(
        FolderRule(
            folder=folder,
            values=tuple(
                (field, "/".join(words) if isinstance(words, list) else words)
                for field, words in values_of_folder(folder).items()
            ),
            files=count,
        )
        for folder, count in sorted(counts.items())
    )


def _curriculum(name: str, known: dict[str, Any]) -> dict[str, str]:
    """Return what `name` says about the place in the curriculum, empty where it says anything else."""
    plain = _NUMBER_IN_FRONT.sub("", name).strip()
    for field, code in (
        ("stage", "stage"),
        ("subject", "subject"),
        ("edition", "edition"),
        ("volume", "volume"),
    ):
        if field not in known and code_of(code, plain):
            return {field: plain}
    if grades_of(plain):
        return {} if "grades" in known else {"grades": plain}
    brackets = re.fullmatch(r"(.+?)\s*[（(](.+?)[）)]", plain)
    if brackets and code_of("subject", brackets.group(1)) and code_of("edition", brackets.group(2)):
        return {} if "subject" in known else {"subject": plain}
    if brackets and code_of("edition", brackets.group(1)):
        return {} if "edition" in known else {"edition": plain}
    grade, volume = split_grade_volume(plain)
    if grade and volume and grades_of(grade):
        return {} if "grades" in known else {"grade_volume": plain}
    return _combined(plain, known)


def _combined(name: str, known: dict[str, Any]) -> dict[str, str]:
    """Read `人教版三年级数学上册` word by word; empty where a part is not understood."""
    found: dict[str, str] = {}
    rest = name.replace(" ", "")
    while rest:
        taken = next((part for part in _heads(rest) if _field_of_word(part)), None)
        if taken is None:
            return {}
        field = _field_of_word(taken)
        if field in found:
            return {}
        found[field] = taken
        rest = rest[len(taken) :]
    return {field: word for field, word in found.items() if field not in known} if len(found) > 1 else {}


def _heads(text: str) -> Iterator[str]:
    return (text[:length] for length in range(min(len(text), _LONGEST_WORD), 1, -1))


def _field_of_word(word: str) -> str:
    if re.fullmatch(r"20\d\d版?", word):
        return "textbook_year"
    if grades_of(word):
        return "grades"
    return next((field for field in ("stage", "subject", "edition", "volume") if code_of(field, word)), "")
