"""The books of one state of the library, in order and as a tree: read once per generation, shared by all pages.

Invariant: a bookcase never changes; a new generation of the library gets a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from markupsafe import Markup

from catalog.curriculum import EDITIONS, GRADES, STAGES, SUBJECTS, VOLUMES
from catalog.library import Shelf
from catalog.scope import Scope, of_term
from webui.words import Words, subject_class, subject_glyph

LEVELS = ("stage", "grade", "subject", "edition", "volume")
UNSAID = "-"
_PLACES: Mapping[str, Mapping[str, int]] = {
    name: {code: place for place, code in enumerate(table)}
    for name, table in zip(LEVELS, (STAGES, GRADES, SUBJECTS, EDITIONS, VOLUMES), strict=True)
}
_LAST = 1000


def place_of(level: str, code: str) -> tuple[int, str]:
    """Return the place of a code in its vocabulary; unknown ones come last, by name."""
    return (_PLACES[level].get(code, _LAST), code)


def shelf_order(shelf: Shelf) -> tuple[tuple[int, str] | int, ...]:
    """Return the place of a book among others: by its levels, the newest textbook first."""
    return (
        place_of("stage", shelf.stage),
        place_of("grade", shelf.grade),
        place_of("subject", shelf.subject),
        place_of("edition", shelf.edition),
        -shelf.textbook_year,
        place_of("volume", shelf.volume),
    )


def shelf_query(shelf: Shelf) -> dict[str, str]:
    """Return the query fields that name a book; a field that is not said is `-`."""
    query = {name: getattr(shelf, name) or UNSAID for name in LEVELS}
    if shelf.textbook_year:
        query["year"] = str(shelf.textbook_year)
    return query


@dataclass(frozen=True, slots=True, kw_only=True)
class BookCard:
    """One book on a shelf; `query` names it in an address."""

    query: str
    subject: str
    colour: str
    glyph: str
    edition: str
    volume: str
    grade: str
    resources: str
    cached: bool


class Branch:
    """The books that share the first levels: `children` by the code of the next level, `count` of all below."""

    __slots__ = ("books", "children", "count")

    def __init__(self) -> None:
        self.children: dict[str, Branch] = {}
        self.books: list[Shelf] = []
        self.count = 0

    def all(self) -> Iterator[Shelf]:
        """Stream the books below, in order."""
        yield from self.books
        for child in self.children.values():
            yield from child.all()

    def codes(self, level: str) -> list[str]:
        """Return the codes of the next level in the order of their vocabulary."""
        return sorted(self.children, key=lambda code: place_of(level, code))


class Bookcase:
    """All books that hold something, in order."""

    def __init__(self, shelves: Iterable[Shelf]) -> None:
        self.shelves = tuple(sorted((shelf for shelf in shelves if shelf.resources), key=shelf_order))
        self._by_query = {tuple(shelf_query(shelf).items()): shelf for shelf in self.shelves}
        self._cards: dict[tuple[str, tuple[str, str, str, str, int, str]], BookCard] = {}
        self._drawn: dict[Hashable, Markup] = {}
        self._trees: dict[Scope, Branch] = {}
        self._grades: dict[tuple[Scope, str], Mapping[tuple[str, str], list[Shelf]]] = {}

    def once(self, key: Hashable, draw: Callable[[], Markup]) -> Markup:
        """Return what `draw` makes of these books, made once: the books never change."""
        drawn = self._drawn.get(key)
        if drawn is None:
            drawn = self._drawn[key] = draw()
        return drawn

    def find(self, query: Mapping[str, str]) -> Shelf | None:
        """Return the book that the fields of an address name."""
        wanted = [(name, query.get(name) or UNSAID) for name in LEVELS]
        if query.get("year"):
            wanted.append(("year", query["year"]))
        return self._by_query.get(tuple(wanted))

    def card(self, shelf: Shelf, words: Words) -> BookCard:
        """Return the drawn cover of a book, made once for each language."""
        card = self._cards.get((words.language, shelf.key))
        if card is None:
            card = self._cards[words.language, shelf.key] = _card(shelf, words)
        return card

    def beside(self, shelf: Shelf) -> list[Shelf]:
        """Return the books of the same stage, grade and subject, this one included."""
        tree: Branch | None = self.tree(Scope())
        for name in LEVELS[:3]:
            tree = tree.children.get(getattr(shelf, name) or UNSAID) if tree else None
        return list(tree.all()) if tree else [shelf]

    def tree(self, scope: Scope) -> Branch:
        """Return the books of a scope by stage, grade, subject, edition and volume."""
        tree = self._trees.get(scope)
        if tree is None:
            tree = Branch()
            for shelf in scope.narrow(self.shelves) if scope else self.shelves:
                branch = tree
                branch.count += 1
                for name in LEVELS:
                    branch = branch.children.setdefault(getattr(shelf, name) or UNSAID, Branch())
                    branch.count += 1
                branch.books.append(shelf)
            self._trees[scope] = tree
        return tree

    def grades(self, scope: Scope, term: str) -> Mapping[tuple[str, str], list[Shelf]]:
        """Return (stage, grade) -> the books of a scope that are taught in `term`, those with content here first."""
        found = self._grades.get((scope, term))
        if found is None:
            found = {}
            shelves = list(scope.narrow(self.shelves)) if scope else list(self.shelves)
            for shelf in of_term(shelves, term) or shelves:
                if shelf.subject and shelf.grade:
                    found.setdefault((shelf.stage, shelf.grade), []).append(shelf)
            for books in found.values():
                books.sort(key=lambda shelf: shelf.cached == 0)
            self._grades[scope, term] = found
        return found


def _card(shelf: Shelf, words: Words) -> BookCard:
    return BookCard(
        query=urlencode(shelf_query(shelf)),
        subject=words.label("subject", shelf.subject) or words.label("stage", shelf.stage),
        colour=subject_class(shelf.subject),
        glyph=subject_glyph(shelf.subject),
        edition=words.edition(shelf.edition, shelf.textbook_year),
        volume=words.volume(shelf.volume),
        grade=words.label("grade", shelf.grade),
        resources=words.items(shelf.resources),
        cached=shelf.cached > 0,
    )
