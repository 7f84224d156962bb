"""The lessons of these days: where the classes are by what was opened here lately, and what comes next in those books.

No timetable is needed for it, and no clock that is right: "lately" is measured from the last use. What a class opens
stands in a lesson of a book; that lesson and the next few are what a teacher will open in the coming days.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from catalog.library import Reader, Shelf
from catalog.library.rows import places_of
from catalog.local import Usage

LATELY = timedelta(days=14)
LESSONS_AHEAD = 5
"""A week of a main subject."""
_HOUR = "%Y-%m-%dT%H"


def lessons_of_these_days(reader: Reader, usage: Iterable[Usage]) -> frozenset[str]:
    """Return the ids of the resources in the lesson that each book was last opened at, and in the next five."""
    found: set[str] = set()
    for shelf, resource_id in _places(reader, _lately(usage)).items():
        lessons = [lesson for unit in reader.units([shelf]) for lesson in unit.lessons]
        ids = [[entry.resource.id for entry in lesson.entries] for lesson in lessons]
        at = next((number for number, some in enumerate(ids) if resource_id in some), None)
        if at is not None:
            found.update(one for some in ids[at : at + 1 + LESSONS_AHEAD] for one in some)
    return frozenset(found)


def _lately(usage: Iterable[Usage]) -> list[str]:
    """Return what was opened lately, the last one first."""
    hours: dict[str, str] = {}
    for one in usage:
        hours[one.resource_id] = max(one.hour, hours.get(one.resource_id, ""))
    if not hours:
        return []
    since = (datetime.strptime(max(hours.values()), _HOUR) - LATELY).strftime(_HOUR)
    return sorted(
        (one for one in hours if hours[one] >= since), key=lambda one: (hours[one], one), reverse=True
    )


def _places(reader: Reader, resource_ids: Iterable[str]) -> dict[Shelf, str]:
    """Return book -> the first of `resource_ids` that stands in it."""
    found: dict[Shelf, str] = {}
    for entry in reader.resources(resource_ids):
        for stage, grade, subject, edition, year, volume in places_of(entry.resource):
            shelf = Shelf(
                stage=stage, grade=grade, subject=subject, edition=edition, textbook_year=year, volume=volume,
                resources=0, cached=0,
            )  # fmt: skip
            found.setdefault(shelf, entry.resource.id)
    return found
