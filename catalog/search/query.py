"""The searcher: one opened index that answers requests. Threads share it; its directory never changes.

The index knows which documents have all bigrams of a phrase, not whether they stand together. The caller knows the text
and confirms: where at most `CONFIRMED_HITS` documents match, all are checked and total and facets are exact; above
that the page is checked, what is false is left out of it and subtracted from the total, which then counts as inexact.
"""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from whoosh.filedb.filetables import FileFormatError
from whoosh.index import TOC
from whoosh.index import IndexError as WhooshIndexError

from catalog.errors import StorageError
from catalog.search.evaluate import Evaluator, count_facets
from catalog.search.highlight import highlight
from catalog.search.matching import ByteCache, Filters, Leaf, Matched, NumberSet, Segment
from catalog.search.plans import Plan, plans
from catalog.search.postings import SegmentFiles
from catalog.search.schema import INDEX_NAME, new_schema
from catalog.search.storage import DurableStorage

__all__ = ["NumberSet", "SearchAnswer", "SearchRequest", "Searcher", "highlight"]

CONFIRMED_HITS = 100
_UNREADABLE = (
    OSError, EOFError, ValueError, LookupError, AssertionError,
    struct.error, zlib.error, pickle.UnpicklingError, FileFormatError, WhooshIndexError,
)  # fmt: skip
ANSWERS_BYTES = 2 << 20
MATCHES_BYTES = 4 << 20

Confirm = Callable[[list[int], tuple[str, ...]], set[int]]
"""Given library numbers and phrases, returns the numbers in whose text each phrase stands in one piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """A query: `filters` are codes by facet field (any inside a field, all fields), `numbers` sets to stay within,
    `preferred` a set that comes before what is otherwise as good.

    Without text it browses: everything under the filters in static order. `page` counts from 1.
    """

    text: str = ""
    filters: Mapping[str, frozenset[str]] = field(default_factory=dict)
    numbers: tuple[NumberSet, ...] = ()
    preferred: NumberSet | None = None
    page: int = 1
    per_page: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchAnswer:
    """A page of library numbers, best first; the total; field -> code -> count, each under all other filters.

    `words` are the whole words to highlight. `exact` is false where some of the total may be no true hits.
    """

    total: int
    numbers: tuple[int, ...]
    facets: Mapping[str, Mapping[str, int]]
    words: tuple[str, ...] = ()
    exact: bool = True


class Searcher:
    """The index in `directory`, opened; `previous` lends what it has unpacked of the segments both have.

    Raises `StorageError` E-INDEX where there is none that can be read.
    """

    def __init__(self, directory: Path, *, previous: Searcher | None = None) -> None:
        self._directory = directory
        with _index_errors(directory):
            self._open(previous)

    def _open(self, previous: Searcher | None) -> None:
        directory = self._directory
        toc = TOC.read(DurableStorage(directory), INDEX_NAME, schema=new_schema())
        lent = previous._evaluator.segments if previous else ()
        known = {segment.files.name: segment for segment in lent}
        segments = []
        for segment in toc.segments:
            held = known.get(segment.segment_id())
            files = held.files if held else SegmentFiles(directory, segment)
            segments.append(Segment(files, segment.deleted_docs(), held.caches if held else None))
        self._evaluator: Evaluator = Evaluator(segments)
        self._answers: ByteCache[SearchAnswer] = ByteCache(ANSWERS_BYTES)
        self._matches: ByteCache[tuple[Plan, list[Matched], bool]] = ByteCache(MATCHES_BYTES)

    def close(self) -> None:
        """Forget everything; the files' maps go when the last search that uses them ends."""
        self._evaluator = Evaluator([])

    def search(self, request: SearchRequest, confirm: Confirm | None = None) -> SearchAnswer:
        """Return the page of hits that `request` asks for; raise `StorageError` E-INDEX where the index is damaged."""
        codes = {name: codes for name, codes in request.filters.items() if codes}
        key = (
            request.text, frozenset(codes.items()), request.numbers, request.preferred,
            request.page, request.per_page, confirm is None,
        )  # fmt: skip
        answer = self._answers.get(key)
        if answer is None:
            with _index_errors(self._directory):
                answer = self._answer(request, Filters(codes, request.numbers), confirm)
            self._answers.put(key, answer, 3000 + 40 * len(answer.numbers))
        return answer

    def _answer(self, request: SearchRequest, filters: Filters, confirm: Confirm | None) -> SearchAnswer:
        plan, matched, checked = self._match(request.text, confirm)
        narrowed = [part.narrowed(filters) for part in matched]
        total = sum(part.count for part in narrowed)
        first = (max(request.page, 1) - 1) * request.per_page
        numbers = self._evaluator.rank(narrowed, first, first + request.per_page, request.preferred)
        exact = checked or not plan.phrases
        if not exact and confirm is not None:
            true = confirm(numbers, plan.phrases)
            total -= len(numbers) - len(true)
            numbers = [number for number in numbers if number in true]
        return SearchAnswer(
            total=total,
            numbers=tuple(numbers),
            facets=count_facets(matched, filters),
            words=plan.words,
            exact=exact,
        )

    def _match(self, text: str, confirm: Confirm | None) -> tuple[Plan, list[Matched], bool]:
        """Return the first plan that finds something, what it finds, and whether each hit was confirmed."""
        if not text.strip():
            return Plan(()), self._evaluator.match(()), True
        held = self._matches.get((text, confirm is None))
        if held is None:
            held = self._first_match(text, confirm)
            size = sum(
                32 * len(part.documents) if part.documents is not None else part.bits.bit_length() // 7
                for part in held[1]
            )
            self._matches.put((text, confirm is None), held, 1000 + size)
        return held

    def _first_match(self, text: str, confirm: Confirm | None) -> tuple[Plan, list[Matched], bool]:
        strictest = None
        for plan in plans(text, self._known):
            strictest = strictest or plan
            matched = self._evaluator.match(plan.clauses)
            count = sum(part.count for part in matched)
            checked = not plan.phrases
            if count and plan.phrases and confirm is not None and count <= CONFIRMED_HITS:
                matched, checked = _confirmed(matched, plan, confirm), True
                count = sum(part.count for part in matched)
            if count:
                return plan, matched, checked
        return strictest or Plan(()), [], True

    def _known(self, leaf: Leaf) -> bool:
        return any(
            segment.files.has_prefix(leaf.field, leaf.text)
            if leaf.prefix
            else segment.files.has(leaf.field, leaf.text)
            for segment in self._evaluator.segments
        )


@contextmanager
def _index_errors(directory: Path) -> Iterator[None]:
    """Turn what a missing, cut or damaged file makes Whoosh raise into the refusal that tells what to do."""
    try:
        yield
    except _UNREADABLE as error:
        raise StorageError("E-INDEX", where=directory, found=type(error).__name__) from error


def _confirmed(matched: list[Matched], plan: Plan, confirm: Confirm) -> list[Matched]:
    found = [(part, list(part.all_documents())) for part in matched]
    numbers = [part.segment.files.numbers[document] for part, documents in found for document in documents]
    true = confirm(numbers, plan.phrases)
    return [
        Matched(
            part.segment,
            part.hits,
            [document for document in documents if part.segment.files.numbers[document] in true],
        )
        for part, documents in found
    ]
