"""Answering a plan from all segments: ranking, totals and facets.

Hits with every term in the title come first, and among them what is preferred: what can be opened here and now. BM25
ranks inside these tiers for at most `SCORED_HITS` hits; more hits than that stand in static order.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice
from operator import itemgetter

from whoosh.util.numeric import byte_to_length

from catalog.search.matching import Clause, Filters, Matched, NumberSet, Segment, documents_in
from catalog.search.record import FACETS
from catalog.search.schema import TITLE_HIT

SCORED_HITS = 1000
K1, B = 1.2, 0.75
_by_score = itemgetter(0, 1)


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
        tiers = list(zip(*(_tiers(part, preferred) for part in matched), strict=True))
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
        self, matched: list[Matched], tiers: list[tuple[Iterator[int], ...]], first: int, last: int
    ) -> list[int]:
        """Return the numbers as `rank` does; only tiers that the page reaches into are scored."""
        clauses = len(matched[0].hits) if matched else 0
        importances = [
            math.log(1 + self.documents / (1 + sum(part.hits[at].count for part in matched))) * (K1 + 1)
            for at in range(clauses)
        ]
        ranked: list[int] = []
        for tier in tiers:
            parts = [(part, list(documents)) for part, documents in zip(matched, tier, strict=True)]
            size = sum(len(documents) for _, documents in parts)
            if first < size and last > 0:
                rows = [row for part, documents in parts for row in self._score(part, documents, importances)]
                # Equal hits stay in the order of their documents.
                rows.sort(key=_by_score)
                ranked += [number for *_, number in rows[max(first, 0) : last]]
            first, last = first - size, last - size
        return ranked

    def _score(
        self, part: Matched, documents: list[int], importances: list[float]
    ) -> Iterator[tuple[float, float, int]]:
        """Yield (-score, -quality, number) of each document: BM25."""
        files = part.segment.files
        norms = [self._norms[files.length_bytes[document]] for document in documents]
        scores = [0.0] * len(documents)
        for hits, importance in zip(part.hits, importances, strict=True):
            weights = map(hits.weights.__getitem__, documents)
            scores = [
                score - importance * weight / (weight + norm)
                for score, weight, norm in zip(scores, weights, norms, strict=True)
            ]
        qualities = [-files.qualities[document] for document in documents]
        return zip(scores, qualities, map(files.numbers.__getitem__, documents), strict=True)


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


def _tiers(part: Matched, preferred: NumberSet | None) -> list[Iterator[int]]:
    """Return the hits in four tiers, each in static order: every term in the title or not, preferred or not."""
    if part.documents is None:
        titles = part.bits if part.hits else 0
        for hits in part.hits:
            titles &= hits.title_bits
        first = part.segment.number_bits(preferred) if preferred else 0
        sets = [bits & chosen for bits in (titles, part.bits & ~titles) for chosen in (first, ~first)]
        return [documents_in(bits) for bits in sets]
    documents = part.documents
    columns = [list(map(hits.weights.__getitem__, documents)) for hits in part.hits]
    lowest = list(map(min, *columns)) if len(columns) > 1 else columns[0]
    tiers: list[list[int]] = [[], [], [], []]
    numbers = part.segment.files.numbers
    wanted = preferred.numbers if preferred else frozenset()
    for document, weight in zip(documents, lowest, strict=True):
        tiers[2 * (weight < TITLE_HIT) + (numbers[document] not in wanted)].append(document)
    return [iter(tier) for tier in tiers]


def _with(part: Matched, documents: Iterator[int]) -> Iterator[tuple[Matched, int]]:
    return ((part, document) for document in documents)


def _static(item: tuple[Matched, int]) -> float:
    part, document = item
    return -part.segment.files.qualities[document]
