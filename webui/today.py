"""`/`: this term's books of the school as shelves by grade, and what is newly arrived."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Response

from catalog.clock import term_of
from catalog.curriculum import GRADES, STAGES, SUBJECTS
from catalog.library import Entry, Shelf
from catalog.library.rows import places_of
from catalog.scope import Scope, of_term
from webui.cards import BookCard, book_card, cards
from webui.house import House, Visit

BOOKS_PER_GRADE = 10
NEWEST = 8
_STAGE_PLACE = {code: place for place, code in enumerate(STAGES)}
_GRADE_PLACE = {code: place for place, code in enumerate(GRADES)}
_SUBJECT_PLACE = {code: place for place, code in enumerate(SUBJECTS)}


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
            shelves = [shelf for shelf in scope.narrow(reader.shelves()) if shelf.resources]
            newest = [entry for entry in reader.newest(NEWEST * 3) if in_scope(entry, scope)][:NEWEST]
            arrived = newest[0].arrived.date() if newest and newest[0].arrived else None
            return house.page(
                visit,
                reader,
                "today.html",
                at="today",
                day=visit.words.day(day),
                weekday=visit.words.weekday(day),
                term=translate("上学期") if term_of(day) == "a" else translate("下学期"),
                groups=grade_groups(of_term(shelves, term_of(day)) or shelves, visit),
                newest=cards(newest, visit.words),
                arrived=visit.words.day(arrived) if arrived else "",
            )

    return blueprint


def shelf_order(shelf: Shelf) -> tuple[int | str, ...]:
    """Return the place of a book among others: stage, grade, subject, edition, newest textbook first, volume."""
    return (
        _STAGE_PLACE.get(shelf.stage, 99),
        _GRADE_PLACE.get(shelf.grade, 99),
        _SUBJECT_PLACE.get(shelf.subject, 99),
        shelf.subject,
        shelf.edition,
        -shelf.textbook_year,
        shelf.volume,
    )


def grade_groups(shelves: list[Shelf], visit: Visit) -> list[Group]:
    """Return the books by stage and grade; of many, those that have content here come first."""
    found: dict[tuple[str, str], list[Shelf]] = {}
    for shelf in sorted(shelves, key=shelf_order):
        if shelf.subject and shelf.grade:
            found.setdefault((shelf.stage, shelf.grade), []).append(shelf)
    groups = []
    for (stage, grade), books in found.items():
        shown = sorted(books, key=lambda shelf: shelf.cached == 0)[:BOOKS_PER_GRADE]
        groups.append(
            Group(
                anchor=f"{stage}-{grade}".strip("-"),
                name=visit.words.label("grade", grade),
                stage=visit.words.label("stage", stage),
                link=visit.link("/browse", {"stage": stage or "-", "grade": grade}),
                count=len(books),
                books=[book_card(shelf, visit.words) for shelf in shown],
            )
        )
    return groups


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
