"""Answering a plan from all segments: ranking, totals and facets.

Hits with every term in the title come first, and among them what is preferred: what can be opened here and now. BM25
ranks inside these tiers for at most `SCORED_HITS` hits; more hits than that stand in static order.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from whoosh.util.numeric import byte_to_length

from catalog.search.matching import Clause, Filters, Matched, NumberSet, Segment, documents_in
from catalog.search.record import FACETS
from catalog.search.schema import TITLE_HIT

SCORED_HITS = 1000
K1, B = 1.2, 0.75


class Evaluator:
    """All segments of an index under one scoring."""

    def __init__(self, segments: list[Segment]) -> None:
        self.segments = segments
        self.documents = sum(segment.files.documents for segment in segments)
        average = sum(segment.files.total_length for segment in segments) / max(self.documents, 1) or 1.0
        self._norms = [K1 * (1 - B + B * byte_to_length(byte) / average) for byte in range(256)]

    def match(self, clauses: tuple[Clause, ...]) -> list[Matched]:
        """Return what matches `clauses` in each segment."""
        return [segment.match(clauses) for segment in self.segments]

    def rank(
        self, matched: list[Matched], first: int, last: int, preferred: NumberSet | None = None
    ) -> list[int]:
        """Return the library numbers of the hits ranked from `first` to before `last`."""
        tiers = zip(*(_tiers(part, preferred) for part in matched), strict=True)
        if sum(part.count for part in matched) <= SCORED_HITS:
            return self._scored(matched, tiers, first, last)
        merged = (
            heapq.merge(
                *(_with(part, documents) for part, documents in zip(matched, tier, strict=True)), key=_static
            )
            for tier in tiers
        )
        ranked = islice(chain.from_iterable(merged), first, last)
        return [part.segment.files.numbers[document] for part, document in ranked]

    def _scored(
        self, matched: list[Matched], tiers: Iterable[tuple[Iterable[int], ...]], first: int, last: int
    ) -> list[int]:
        """Return the numbers as `rank` does; only the tiers that the page reaches into are looked at."""
        clauses = len(matched[0].hits) if matched else 0
        importances = [
            math.log(1 + self.documents / (1 + sum(part.hits[at].count for part in matched))) * (K1 + 1)
            for at in range(clauses)
        ]
        ranked: list[int] = []
        for tier in tiers:
            parts = [(part, list(documents)) for part, documents in zip(matched, tier, strict=True)]
            size = sum(len(documents) for _, documents in parts)
            if first < size:
                ranked += self._by_score(parts, importances)[max(first, 0) : last]
            first, last = first - size, last - size
            if last <= 0:
                break
        return ranked

    def _by_score(self, parts: list[tuple[Matched, list[int]]], importances: list[float]) -> list[int]:
        """Return the numbers of the documents by BM25, equal ones in static order."""
        numbers: list[int] = []
        scores: list[float] = []
        qualities: list[float] = []
        for part, documents in parts:
            files = part.segment.files
            numbers += map(files.numbers.__getitem__, documents)
            qualities += map(files.qualities.__getitem__, documents)
            scores += self._scores(part, documents, importances)
        places: Iterable[int] = range(len(numbers))
        if len(parts) > 1:
            places = sorted(places, key=qualities.__getitem__, reverse=True)
        return [numbers[place] for place in sorted(places, key=scores.__getitem__, reverse=True)]

    def _scores(self, part: Matched, documents: list[int], importances: list[float]) -> list[float]:
        lengths = part.segment.files.length_bytes
        norms = [self._norms[lengths[document]] for document in documents]
        scores = [0.0] * len(documents)
        for hits, importance in zip(part.hits, importances, strict=True):
            weights = map(hits.weights.__getitem__, documents)
            scores = [
                score + importance * weight / (weight + norm)
                for score, weight, norm in zip(scores, weights, norms, strict=True)
            ]
        return scores


def count_facets(matched: list[Matched], filters: Filters) -> dict[str, dict[str, int]]:
    """Return field -> code -> count, each field counted under all filters but its own."""
    narrowed = [part.narrowed(filters) for part in matched]
    facets = {}
    for field in FACETS:
        parts = narrowed
        if field in filters.codes:
            codes = {name: codes for name, codes in filters.codes.items() if name != field}
            parts = [part.narrowed(Filters(codes, filters.numbers)) for part in matched]
        counts: Counter[str] = Counter()
        for part in parts:
            counts.update(part.count_codes(field))
        facets[field] = dict(counts.most_common())
    return facets


def _tiers(part: Matched, preferred: NumberSet | None) -> Iterator[Iterable[int]]:
    """Yield the hits in four tiers, each in static order: every term in the title or not, preferred or not."""
    if part.documents is None:
        titles = part.bits if part.hits else 0
        for hits in part.hits:
            titles &= hits.title_bits
        first = part.segment.number_bits(preferred) if preferred else 0
        for bits in (titles, part.bits & ~titles):
            yield documents_in(bits & first)
            yield documents_in(bits & ~first)
        return
    columns = [map(hits.weights.__getitem__, part.documents) for hits in part.hits]
    lowest = map(min, *columns) if len(columns) > 1 else columns[0]
    in_title = [weight >= TITLE_HIT for weight in lowest]
    numbers = part.segment.files.numbers
    wanted = preferred.numbers if preferred else frozenset()
    for titled in (True, False):
        tier = [document for document, found in zip(part.documents, in_title, strict=True) if found is titled]
        yield [document for document in tier if numbers[document] in wanted] if wanted else []
        yield [document for document in tier if numbers[document] not in wanted] if wanted else tier


def _with(part: Matched, documents: Iterable[int]) -> Iterator[tuple[Matched, int]]:
    return ((part, document) for document in documents)


def _static(item: tuple[Matched, int]) -> float:
    part, document = item
    return -part.segment.files.qualities[document]
