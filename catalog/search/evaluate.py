"""Answering a plan from all segments: ranking, totals and facets.

Hits with every term in the title come first, and among them what is preferred: what can be opened here and now. BM25
ranks inside these tiers for at most `SCORED_HITS` hits; more hits than that stand in static order.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections import Counter
from collections.abc import Iterator
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
        if sum(part.count for part in matched) <= SCORED_HITS:
            ranked: Iterator[tuple[Matched, int]] = iter(self._scored(matched, preferred)[first:last])
        else:
            streams = [_tiers(part, preferred) for part in matched]
            tiers = (heapq.merge(*tier, key=_static) for tier in zip(*streams, strict=True))
            ranked = islice(chain.from_iterable(tiers), first, last)
        return [part.segment.files.numbers[document] for part, document in ranked]

    def _scored(self, matched: list[Matched], preferred: NumberSet | None) -> list[tuple[Matched, int]]:
        clauses = len(matched[0].hits) if matched else 0
        weights_of_terms = [
            math.log(1 + self.documents / (1 + sum(part.hits[at].count for part in matched))) * (K1 + 1)
            for at in range(clauses)
        ]
        scored = []
        for part in matched:
            lengths = part.segment.files.length_bytes
            qualities = part.segment.files.qualities
            numbers = part.segment.files.numbers
            first = preferred.numbers if preferred else frozenset()
            terms = list(zip((hits.weights for hits in part.hits), weights_of_terms, strict=True))
            for document in part.all_documents():
                norm = self._norms[lengths[document]]
                score, in_title = 0.0, True
                for weights, importance in terms:
                    weight = weights[document]
                    score += importance * weight / (weight + norm)
                    in_title = in_title and weight >= TITLE_HIT
                tier = (not in_title, numbers[document] not in first)
                scored.append((tier, -score, -qualities[document], part, document))
        scored.sort(key=lambda row: row[:3])
        return [(part, document) for *_, part, document in scored]


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


def _tiers(part: Matched, preferred: NumberSet | None) -> list[Iterator[tuple[Matched, int]]]:
    """Return the hits in four tiers, each in static order: every term in the title or not, preferred or not."""
    if part.documents is None:
        titles = part.bits if part.hits else 0
        for hits in part.hits:
            titles &= hits.title_bits
        first = part.segment.number_bits(preferred) if preferred else 0
        sets = [bits & chosen for bits in (titles, part.bits & ~titles) for chosen in (first, ~first)]
        return [_with(part, documents_in(bits)) for bits in sets]
    tiers = [array("I") for _ in range(4)]
    numbers = part.segment.files.numbers
    wanted = preferred.numbers if preferred else frozenset()
    for document in part.documents:
        titled = all(hits.weight(document) >= TITLE_HIT for hits in part.hits)
        tiers[2 * (not titled) + (numbers[document] not in wanted)].append(document)
    return [_with(part, iter(tier)) for tier in tiers]


def _with(part: Matched, documents: Iterator[int]) -> Iterator[tuple[Matched, int]]:
    return ((part, document) for document in documents)


def _static(item: tuple[Matched, int]) -> float:
    part, document = item
    return -part.segment.files.qualities[document]
