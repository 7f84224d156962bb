"""One file of the sample county with its row of the list, and how its bytes are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.demo.listing import Row
from appliance.demo.term import resource_id


@dataclass(frozen=True, slots=True)
class Job:
    """Files that are made together; `make` returns the bytes of each path."""

    paths: tuple[str, ...]
    make: Callable[[], Sequence[bytes]]


def row_of(
    grade: str, subject: str, edition: str, unit: str, lesson: str, title: str, kind: str, path: str, *,
    number: int | None = None, words: Sequence[str] = (), note: str = "", author: str = "青禾县电教馆", volume: str = "上册",
) -> Row:  # fmt: skip
    """Return the row of an extra beside the lessons' five items."""
    return Row(
        id=resource_id(grade, subject, edition, volume, unit, lesson, kind, title),
        grade=grade,
        subject=subject,
        edition=edition,
        volume=volume,
        unit=unit,
        lesson=lesson,
        lesson_no=number,
        title=title,
        kind=kind,
        file=path,
        keywords=tuple(words),
        description=note,
        author=author,
    )
