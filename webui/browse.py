"""`/browse` and `/book`: stage, grade, subject, edition, volume; then a book with its units and lessons.

The query names the place by codes; `-` is "not said". Invariant: every book of the catalogue is reachable by links,
with the school's scope or, one tap away (`all=1`), without it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice

from flask import Blueprint, Response, request

from catalog.library import Entry, Reader, Shelf
from catalog.scope import EVERYTHING
from webui.bookcase import UNSAID, Branch, shelf_query
from webui.house import House, Told, Visit
from webui.i18n import Translate
from webui.words import Words, kind_glyph

TITLES = {"stage": "学段", "grade": "年级", "subject": "学科", "edition": "版本", "volume": "册次"}
MOST_BOOKS = 60
MOST_ITEMS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A link with its label; `on` where it is chosen."""

    label: str
    link: str
    on: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One row of choices."""

    name: str
    options: list[Choice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One resource within a lesson."""

    id: str
    label: str
    glyph: str
    extent: str
    hint: str
    cached: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LessonRow:
    """One lesson with its items together."""

    name: str
    first: str
    entries: list[Item]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRows:
    """One unit."""

    name: str
    lessons: list[LessonRow]


def routes(house: House) -> Blueprint:
    """Return the routes of the shelves and books."""
    blueprint = Blueprint("browse", __name__)

    @blueprint.get("/browse")
    def browse() -> Response:
        visit = house.visit()
        translate = house.translate[visit.language]
        scope = house.scope()
        everything = "all" in request.args or not scope
        with house.library.reading() as reader:
            bookcase = house.bookcase(reader)
            tree = bookcase.tree(EVERYTHING if everything else scope)
            levels, steps, branch = _narrow(tree, visit, translate, everything and bool(scope))
            names = [visit.words.label(name, code) for name, code in steps if code != UNSAID]
            return house.page(
                visit,
                reader.generation(),
                "browse.html",
                at="browse",
                levels=levels,
                heading=" ".join(names) or translate("全部书"),
                books=[bookcase.card(shelf, visit.words) for shelf in islice(branch.all(), MOST_BOOKS)],
                total=branch.count,
                scope_note=not everything,
                everything=visit.link("/browse", [*steps, ("all", "1")]),
                scope_back=visit.link("/browse", steps) if scope and everything else "",
            )

    @blueprint.get("/book")
    def book() -> Response:
        visit = house.visit()
        with house.library.reading() as reader:
            shelf = house.bookcase(reader).find(request.args)
            if shelf is None:
                raise Told(404, "没有这本书", "它可能已经下架，或者地址不完整。")
            return _book_page(house, visit, reader, shelf)

    return blueprint


def _narrow(
    branch: Branch, visit: Visit, translate: Translate, everything: bool
) -> tuple[list[Level], list[tuple[str, str]], Branch]:
    """Return the rows of choices down to the first that is open, the choices made, and what is left.

    Where there is only one choice it is made.
    """
    levels: list[Level] = []
    steps: list[tuple[str, str]] = []
    kept = [("all", "1")] if everything else []
    for name, title in TITLES.items():
        codes = branch.codes(name)
        chosen = request.args.get(name) or (codes[0] if len(codes) == 1 else None)
        if not codes or (name == "volume" and len(codes) == 1):
            break
        options = [
            Choice(
                label=visit.words.label(name, code) if code != UNSAID else translate("未标明"),
                link=visit.link("/browse", [*steps, (name, code), *kept]),
                on=code == chosen,
            )
            for code in codes
        ]
        levels.append(Level(name=translate(title), options=options))
        if chosen not in branch.children:
            break
        steps.append((name, chosen))
        branch = branch.children[chosen]
    return levels, steps, branch


def _book_page(house: House, visit: Visit, reader: Reader, shelf: Shelf) -> Response:
    words = visit.words
    translate = house.translate[visit.language]
    title = book_title(shelf, words) or translate("其他资源")
    more = ""
    units: list[UnitRows] = []
    if shelf.resources <= MOST_ITEMS:
        units = [
            UnitRows(
                name=unit.name,
                lessons=[_lesson(lesson.name, lesson.entries, words) for lesson in unit.lessons],
            )
            for unit in reader.units([shelf])
        ]
    else:
        known = {n: v for n, v in shelf_query(shelf).items() if v != UNSAID and n != "year"}
        more = visit.link("/search", {**known, "all": "1"})
    bookcase = house.bookcase(reader)
    others = bookcase.beside(shelf)
    path = shelf_query(shelf)
    crumbs = [Choice(label=translate("书架"), link=visit.link("/browse", {}))]
    steps: list[tuple[str, str]] = []
    for name in ("stage", "grade", "subject"):
        steps.append((name, path[name]))
        if path[name] != UNSAID:
            crumbs.append(Choice(label=words.label(name, path[name]), link=visit.link("/browse", steps)))
    away = shelf.resources - shelf.cached
    return house.page(
        visit,
        reader.generation(),
        "book.html",
        at="browse",
        title=title,
        book=bookcase.card(shelf, words),
        here=translate("本机有 %d 项") % shelf.cached if away else "",
        away=away,
        units=units,
        more=more,
        crumbs=crumbs,
        others=[
            Choice(
                label=f"{words.edition(other.edition, other.textbook_year)} {words.volume(other.volume)}".strip()
                or translate("未标明"),
                link=visit.link("/book", shelf_query(other)),
                on=other.key == shelf.key,
            )
            for other in others
        ]
        if len(others) > 1
        else [],
    )


def book_title(shelf: Shelf, words: Words) -> str:
    """Return the name of a book: 三年级数学上册."""
    parts = (
        words.label("grade", shelf.grade) or words.label("stage", shelf.stage),
        words.label("subject", shelf.subject),
        words.volume(shelf.volume),
    )
    return ("" if words.chinese else " ").join(part for part in parts if part)


def _lesson(name: str, entries: tuple[Entry, ...], words: Words) -> LessonRow:
    kinds = Counter(entry.resource.kind for entry in entries)
    items = []
    for entry in entries:
        resource = entry.resource
        alone = resource.kind is not None and kinds[resource.kind] == 1
        items.append(
            Item(
                id=resource.id,
                label=words.label("kind", resource.kind) if alone else resource.title,
                glyph=kind_glyph(resource.kind),
                extent=words.duration(resource.duration_seconds) if resource.duration_seconds else "",
                hint=resource.title if alone else words.label("kind", resource.kind),
                cached=entry.cached,
            )
        )
    first = next((entry for entry in entries if entry.cached), entries[0])
    return LessonRow(name=name, first=first.resource.id, entries=items)
