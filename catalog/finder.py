"""The finder joins library and search index: what pages ask when someone looks for something.

Invariant: a hit is always resolved through the library, in the one read transaction that also says which index belongs
to it; so index and library cannot contradict each other on screen.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.errors import StorageError
from catalog.library import Entry, Generation, Library, Reader
from catalog.scope import EVERYTHING, Scope

# All that searches is loaded by the first search: the first page of a box that starts does not wait for it.
if TYPE_CHECKING:
    from catalog.search.query import NumberSet, Searcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One resource on a page of results; both texts are escaped HTML with `<mark>` only."""

    entry: Entry
    title_html: str
    excerpt_html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A page of results in the state `generation`. `facets`: field -> code -> count, each under all other filters.

    `words`: what is marked.

    `exact` is false where the total may still count a few documents whose text only nearly matches.
    """

    total: int
    took_ms: float
    hits: tuple[Hit, ...]
    facets: Mapping[str, Mapping[str, int]]
    generation: Generation
    words: tuple[str, ...] = ()
    exact: bool = True


@dataclass(frozen=True, slots=True)
class _Asked:
    text: str
    filters: Mapping[str, frozenset[str]]
    cached: bool | None
    scope: Scope
    page: int
    per_page: int


class Finder:
    """Searches `library` by the indexes in `index_root`; threads share it."""

    def __init__(self, library: Library, index_root: Path) -> None:
        self._library = library
        self._index_root = index_root
        self._lock = threading.Lock()
        self._opened: tuple[int, Searcher] | None = None
        self._sets: dict[object, NumberSet] = {}
        self._sets_of: Generation | None = None

    def search(
        self,
        text: str = "",
        filters: Mapping[str, frozenset[str]] | None = None,
        *,
        cached: bool | None = None,
        scope: Scope = EVERYTHING,
        page: int = 1,
        per_page: int = 20,
    ) -> Found:
        """Return one page of what matches `text` under `filters`; what pages can open here comes first.

        With `cached` only that is found; where it is False, only the rest.

        Without text everything under the filters is browsed, best first. Raise `StorageError` E-INDEX where the index
        cannot be read.
        """
        asked = _Asked(text, filters or {}, cached, scope, page, per_page)
        try:
            return self._found(asked)
        except StorageError as error:
            if error.code != "E-INDEX":
                raise
            # An index is removed once a newer one is in use: a second look sees the newer.
            self.close()
            return self._found(asked)

    def _found(self, asked: _Asked) -> Found:
        from catalog.hits import LookedAt, hit_of
        from catalog.search.query import SearchRequest
        from catalog.search.record import FACETS

        started = time.perf_counter()
        with self._library.reading() as reader:
            generation = reader.generation()
            if not generation.index:
                nothing: dict[str, dict[str, int]] = {name: {} for name in FACETS}
                return Found(total=0, took_ms=0.0, hits=(), facets=nothing, generation=generation)
            request = SearchRequest(
                text=asked.text,
                filters=asked.filters,
                numbers=self._number_sets(reader, generation, cached=asked.cached, scope=asked.scope),
                preferred=self._cached_numbers(reader, generation),
                page=asked.page,
                per_page=asked.per_page,
            )
            looked_at = LookedAt(reader)
            answer = self._searcher(generation.index).search(request, looked_at.confirm)
            hits = tuple(hit_of(entry, answer) for entry in looked_at.entries(answer.numbers))
        return Found(
            total=answer.total,
            took_ms=round((time.perf_counter() - started) * 1000, 2),
            hits=hits,
            facets=answer.facets,
            generation=generation,
            words=answer.words,
            exact=answer.exact,
        )

    def close(self) -> None:
        """Let go of the index; the next search opens it again."""
        with self._lock:
            self._opened = None

    def warm(self) -> None:
        """Open the index and unpack what every page needs, so that the first visitor does not wait for it."""
        self.search()

    def _searcher(self, index: int) -> Searcher:
        from catalog.search.query import Searcher

        with self._lock:
            if self._opened is None or self._opened[0] != index:
                previous = self._opened[1] if self._opened else None
                self._opened = index, Searcher(self._index_root / str(index), previous=previous)
            return self._opened[1]

    def _number_sets(
        self, reader: Reader, generation: Generation, *, cached: bool | None, scope: Scope
    ) -> tuple[NumberSet, ...]:
        sets = [self._cached_numbers(reader, generation)] if cached else []
        if cached is False:
            sets.append(self._numbers(generation, "absent", reader.absent_numbers))
        if scope:
            sets.append(
                self._numbers(generation, scope, lambda: reader.numbers_on(scope.narrow(reader.shelves())))
            )
        return tuple(sets)

    def _cached_numbers(self, reader: Reader, generation: Generation) -> NumberSet:
        return self._numbers(generation, "cached", reader.cached_numbers)

    def _numbers(self, generation: Generation, name: object, read: Callable[[], Iterable[int]]) -> NumberSet:
        """Return a set of numbers, read once for each generation."""
        from catalog.search.query import NumberSet

        with self._lock:
            if self._sets_of != generation:
                self._sets, self._sets_of = {}, generation
            if name not in self._sets:
                self._sets[name] = NumberSet(read())
            return self._sets[name]
