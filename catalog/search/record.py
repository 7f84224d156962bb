"""What of a resource is searched: title, lesson, body, facet codes and rank, as one value.

The text that a hit is checked against (`text_of`) is made by the same function as the text that is indexed, so the two
cannot drift apart. Parts stand on lines of their own: no term crosses from one to the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from catalog.curriculum import GRADES, KINDS, RAW_PREFIX, label_of
from catalog.resource import Resource
from catalog.search.language import fold_text

FACETS = ("stage", "grade", "subject", "edition", "volume", "kind")
_SEARCHABLE_STATES = ("published",)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRecord:
    """One document of the index; `number` is the resource's row number in the library.

    `title` ranks highest and is found by pinyin; `lesson` (names of unit and lesson) is found by pinyin too; `body` is
    everything else. `facets` gives the codes of each field of `FACETS`.
    """

    number: int
    title: str
    lesson: str = ""
    body: str = ""
    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    quality: float = 0.0


def records_of(stored: Iterable[tuple[int, Resource]]) -> Iterator[IndexRecord]:
    """Yield the index records of numbered resources; drafts, recalled and expired ones are left out."""
    return (
        record_of(resource, number) for number, resource in stored if resource.state in _SEARCHABLE_STATES
    )


def record_of(resource: Resource, number: int) -> IndexRecord:
    """Return the index record of `resource` with the library's row number `number`."""
    return IndexRecord(
        number=number,
        title="\n".join(_titles(resource)),
        lesson="\n".join(resource.path),
        body="\n".join(_body(resource)),
        facets={
            "stage": _codes(resource.stage),
            "grade": resource.grades,
            "subject": _codes(resource.subject),
            "edition": _codes(resource.edition_code),
            "volume": _codes(resource.volume),
            "kind": _codes(resource.kind),
        },
        quality=resource.quality or 0.0,
    )


def text_of(resource: Resource) -> str:
    """Return the folded text of all searched parts, one a line: what a hit is checked against."""
    return fold_text("\n".join((*_titles(resource), *resource.path, *_body(resource))))


def _codes(code: str | None) -> tuple[str, ...]:
    return (code,) if code else ()


def _titles(resource: Resource) -> list[str]:
    return [resource.title, *([resource.alt_title] if resource.alt_title else ())]


def _body(resource: Resource) -> list[str]:
    grades = [label_of("grade", grade) for grade in resource.grades]
    subject = label_of("subject", resource.subject) if resource.subject else ""
    volume = label_of("volume", resource.volume) if resource.volume in ("a", "b", "full") else ""
    parts: list[str | None] = [
        *resource.keywords,
        *resource.knowledge,
        resource.description,
        resource.author,
        resource.award,
        resource.volume_text,
        label_of("stage", resource.stage) if resource.stage else None,
        *_edition_words(resource),
        *_kind_words(resource),
        *(word for grade in resource.grades if grade in GRADES for word in GRADES[grade][2]),
        # People write the book as one word, in either order: 三年级上册数学, 三年级数学上册, 数学三年级上册.
        *(f"{grade}{volume}{subject}" for grade in grades),
        *(f"{grade}{subject}{volume}" for grade in grades),
        *(f"{subject}{grade}{volume}" for grade in grades),
        *(() if grades else (subject, volume)),
        *resource.raw.values(),
    ]
    return [part for part in dict.fromkeys(parts) if part]


def _edition_words(resource: Resource) -> list[str | None]:
    edition = resource.edition
    if edition is None:
        return []
    words = [label_of("edition", edition.code), edition.raw, edition.editor]
    if resource.textbook_year:
        words.append(str(resource.textbook_year))
    return words


def _kind_words(resource: Resource) -> list[str]:
    """The kind's label and its commonest other name: 视频课程 is looked for as 微课."""
    kind = resource.kind
    if not kind or kind.startswith(RAW_PREFIX) or kind not in KINDS:
        return [label_of("kind", kind)] if kind else []
    return [KINDS[kind][0], *KINDS[kind][2][:1]]
