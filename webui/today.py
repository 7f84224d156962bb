"""`/`: this term's books of the school as shelves by grade, and what is newly arrived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import Blueprint, Response
from markupsafe import Markup

from catalog.clock import term_of
from catalog.library import Entry, Shelf
from catalog.library.rows import places_of
from catalog.scope import Scope
from webui.bookcase import UNSAID, BookCard, Bookcase
from webui.cards import cards
from webui.house import House, Visit

BOOKS_PER_GRADE = 10
NEWEST = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The books of one grade."""

    anchor: str
    name: str
    stage: str
    link: str
    count: int
    books: list[BookCard]


def routes(house: House) -> Blueprint:
    """Return the routes of the first page."""
    blueprint = Blueprint("today", __name__)

    @blueprint.get("/")
    def today() -> Response:
        visit = house.visit()
        translate = house.translate[visit.language]
        day = house.today()
        scope = house.scope()
        with house.library.reading() as reader:
            bookcase = house.bookcase(reader)
            term = term_of(day)

            def shelves() -> Markup:
                groups = grade_groups(bookcase, bookcase.grades(scope, term), visit)
                return house.draw(visit, "shelves.html", groups=groups)

            newest = [entry for entry in reader.newest(NEWEST * 3) if in_scope(entry, scope)][:NEWEST]
            arrived = newest[0].arrived.date() if newest and newest[0].arrived else None
            return house.page(
                visit,
                reader.generation(),
                "today.html",
                at="today",
                day=visit.words.day(day),
                weekday=visit.words.weekday(day),
                term=translate("上学期") if term == "a" else translate("下学期"),
                shelves=bookcase.once((visit.language, visit.chosen, scope, term), shelves),
                newest=cards(newest, visit.words),
                arrived=visit.words.day(arrived) if arrived else "",
            )

    return blueprint


def grade_groups(
    bookcase: Bookcase, grades: Mapping[tuple[str, str], list[Shelf]], visit: Visit
) -> list[Group]:
    """Return the shelves of the page; of many books, the first ones."""
    return [
        Group(
            anchor=f"{stage}-{grade}".strip("-"),
            name=visit.words.label("grade", grade),
            stage=visit.words.label("stage", stage),
            link=visit.link("/browse", {"stage": stage or UNSAID, "grade": grade}),
            count=len(books),
            books=[bookcase.card(shelf, visit.words) for shelf in books[:BOOKS_PER_GRADE]],
        )
        for (stage, grade), books in grades.items()
    ]


def in_scope(entry: Entry, scope: Scope) -> bool:
    """Return whether the resource stands on a shelf of the school."""
    if not scope:
        return True
    return any(
        scope.accepts(
            Shelf(
                stage=stage,
                grade=grade,
                subject=subject,
                edition=edition,
                textbook_year=year,
                volume=volume,
                resources=1,
                cached=1,
            )
        )
        for stage, grade, subject, edition, year, volume in places_of(entry.resource)
    )
