"""Answering a plan from one index: a posting block at a time, with bit sets where a term is common.

A clause (any of its terms) of a segment is held in one of two forms. Rare: a dictionary document -> weight. Common (in
more than 2 % of the documents): one byte of weight per document and two large integers as bit sets, *any hit* and
*title hit*. A conjunction starts at the rarest clause; filters, totals and facets of large sets are then one `&` and
one `bit_count()`. BM25 is computed for at most `SCORED_HITS` hits; more hits than that are ranked as title hits, then
the rest, each in static order.
"""

from __future__ import annotations

import heapq
import math
import re
from array import array
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from threading import Lock
from typing import Generic, TypeVar

from whoosh.util.numeric import byte_to_length

from catalog.search.postings import SegmentFiles
from catalog.search.record import FACETS
from catalog.search.schema import TITLE_HIT

COMMON_SHARE = 0.02
SCORED_HITS = 1000
CACHE_BYTES = 24 << 20
K1, B = 1.2, 0.75

_T = TypeVar("_T")
_ANY = bytes([48]) + bytes([49]) * 255
_TITLE = bytes([48]) * TITLE_HIT + bytes([49]) * (256 - TITLE_HIT)
_SET_BITS = [tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256)]
_NONZERO = re.compile(rb"[^\x00]+")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A term of `field`, or with `prefix` every term that starts with `text`."""

    field: str
    text: str
    prefix: bool = False


Clause = tuple[Leaf, ...]
"""A document matches a clause by any of its leaves, a plan by all of its clauses."""


class NumberSet:
    """A set of library row numbers as a filter, made once per generation and then shared."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self.numbers = frozenset(numbers)


@dataclass(frozen=True, slots=True)
class Filters:
    """What narrows a search: codes per facet field (any of them), and sets of numbers (in all of them)."""

    codes: Mapping[str, frozenset[str]]
    numbers: tuple[NumberSet, ...] = ()


class ByteCache(Generic[_T]):
    """A least-recently-used cache bounded by the bytes its values take."""

    def __init__(self, capacity_bytes: int) -> None:
        self._capacity = capacity_bytes
        self._size = 0
        self._values: OrderedDict[object, tuple[_T, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: object) -> _T | None:
        """Return the value of `key` and mark it as used."""
        with self._lock:
            held = self._values.get(key)
            if held is None:
                return None
            self._values.move_to_end(key)
            return held[0]

    def put(self, key: object, value: _T, size_bytes: int) -> None:
        """Keep `value`, dropping what was not used for longest."""
        with self._lock:
            if key in self._values:
                self._size -= self._values.pop(key)[1]
            self._values[key] = (value, size_bytes)
            self._size += size_bytes
            while self._size > self._capacity and len(self._values) > 1:
                self._size -= self._values.popitem(last=False)[1][1]


class Hits:
    """The documents of a clause in one segment, rare or common; read-only once made."""

    def __init__(self, weights: dict[int, int] | bytes) -> None:
        self.weights = weights
        self.rare = isinstance(weights, dict)

    @cached_property
    def count(self) -> int:
        return len(self.weights) if self.rare else self.bits.bit_count()

    @cached_property
    def bits(self) -> int:
        assert isinstance(self.weights, bytes)
        return int(self.weights[::-1].translate(_ANY) or b"0", 2)

    @cached_property
    def title_bits(self) -> int:
        assert isinstance(self.weights, bytes)
        return int(self.weights[::-1].translate(_TITLE) or b"0", 2)

    def weight(self, document: int) -> int:
        """Return the weight of a document, 0 where it is no hit."""
        return self.weights.get(document, 0) if isinstance(self.weights, dict) else self.weights[document]

    def keep(self, documents: list[int]) -> list[int]:
        """Return those of `documents` that are hits."""
        weights = self.weights
        if isinstance(weights, dict):
            return [document for document in documents if document in weights]
        return [document for document in documents if weights[document]]


@dataclass(slots=True)
class Matched:
    """What matches a plan in one segment: a list where it is short, else bits; with the clauses for ranking."""

    segment: Segment
    hits: list[Hits]
    documents: list[int] | None
    bits: int = 0

    @property
    def count(self) -> int:
        return self.bits.bit_count() if self.documents is None else len(self.documents)

    def all_documents(self) -> Iterator[int]:
        """Return the documents in static order."""
        return documents_in(self.bits) if self.documents is None else iter(self.documents)

    def narrowed(self, filters: Filters) -> Matched:
        """Return what is left under `filters`."""
        if self.documents is not None:
            documents = self.documents
            for name, codes in filters.codes.items():
                column = self.segment.files.facet(name)
                wanted, references = column.references_of(codes), column.references
                documents = [document for document in documents if references[document] in wanted]
            for numbers in filters.numbers:
                wanted_numbers, own = numbers.numbers, self.segment.files.numbers
                documents = [document for document in documents if own[document] in wanted_numbers]
            return Matched(self.segment, self.hits, documents)
        bits = self.bits
        for name, codes in filters.codes.items():
            bits &= self.segment.filter_bits(name, codes)
        for numbers in filters.numbers:
            bits &= self.segment.number_bits(numbers)
        return Matched(self.segment, self.hits, None, bits)

    def count_codes(self, field: str) -> Counter[str]:
        """Return how many of the documents have each code of the facet `field`."""
        column = self.segment.files.facet(field)
        if self.documents is None and len(column.values) <= 256:
            found = {
                place: (self.bits & self.segment.value_bits(field, place)).bit_count()
                for place in range(len(column.values))
            }
        else:
            found = Counter(map(column.references.__getitem__, self.all_documents()))
        counts: Counter[str] = Counter()
        for place, count in found.items():
            for code in column.values[place] if count else ():
                counts[code] += count
        return counts


class Segment:
    """A segment as one generation of the index sees it: shared files and caches, and which documents are live."""

    def __init__(self, files: SegmentFiles, deleted: Iterable[int], caches: SegmentCaches | None) -> None:
        self.files = files
        self.caches = caches or SegmentCaches()
        self.deleted = frozenset(deleted)
        gone = bytearray(b"1") * files.documents
        for document in self.deleted:
            gone[files.documents - 1 - document] = 48
        self.live_bits = int(bytes(gone) or b"0", 2)

    def hits(self, clause: Clause) -> Hits:
        """Return the documents of `clause`, deleted ones included."""
        held = self.caches.hits.get(clause)
        if held is None:
            held = self._read(clause)
            size = 120 * len(held.weights) if held.rare else int(1.3 * len(held.weights))
            self.caches.hits.put(clause, held, size + 400)
        return held

    def _read(self, clause: Clause) -> Hits:
        files = self.files
        rare: dict[int, int] = {}
        common: bytearray | None = None
        limit = max(COMMON_SHARE * files.documents, 16)
        for leaf in clause:
            texts = files.terms_with(leaf.field, leaf.text) if leaf.prefix else iter((leaf.text,))
            for text in texts:
                count, postings = files.term(leaf.field, text)
                if common is None and len(rare) + count > limit:
                    common = bytearray(files.documents)
                    for document, weight in rare.items():
                        common[document] = weight
                target = rare if common is None else common
                # A word that only starts like the one asked for counts once: a whole word ranks above it.
                if leaf.prefix:
                    postings = ((doc, TITLE_HIT if weight >= TITLE_HIT else 1) for doc, weight in postings)
                _merge(target, postings)
        return Hits(rare if common is None else bytes(common))

    def match(self, clauses: Iterable[Clause]) -> Matched:
        """Return the live documents that match all `clauses`; all of them for none."""
        every = [self.hits(clause) for clause in clauses]
        order = sorted(every, key=lambda hits: hits.count)
        if not order or not order[0].rare:
            bits = self.live_bits
            for hits in order:
                bits &= hits.bits
            return Matched(self, every, None, bits)
        documents = sorted(order[0].weights)
        for hits in order[1:]:
            documents = hits.keep(documents)
        if self.deleted:
            documents = [document for document in documents if document not in self.deleted]
        return Matched(self, every, documents)

    def value_bits(self, field: str, place: int) -> int:
        """Return the documents with the value at `place` of a facet column as bits."""
        return self._flagged(field, place, {place})

    def filter_bits(self, field: str, codes: frozenset[str]) -> int:
        """Return the documents with any of `codes` as bits."""
        return self._flagged(field, codes, self.files.facet(field).references_of(codes))

    def number_bits(self, numbers: NumberSet) -> int:
        """Return the documents whose library number is in `numbers` as bits."""
        bits = self.caches.bits.get(numbers)
        if bits is None:
            wanted = numbers.numbers
            bits = _bits_of([number in wanted for number in self.files.numbers])
            self.caches.bits.put(numbers, bits, self.files.documents // 7)
        return bits

    def _flagged(self, field: str, key: object, places: set[int]) -> int:
        bits = self.caches.bits.get((field, key))
        if bits is None:
            references = self.files.facet(field).references
            if isinstance(references, bytes):
                table = bytes(49 if place in places else 48 for place in range(256))
                bits = int(references[::-1].translate(table) or b"0", 2)
            else:
                bits = _bits_of([place in places for place in references])
            self.caches.bits.put((field, key), bits, self.files.documents // 7)
        return bits


class SegmentCaches:
    """What was unpacked of one segment; kept when the next generation of the index holds the segment too."""

    def __init__(self) -> None:
        self.hits: ByteCache[Hits] = ByteCache(CACHE_BYTES)
        self.bits: ByteCache[int] = ByteCache(CACHE_BYTES // 3)


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

    def rank(self, matched: list[Matched], first: int, last: int) -> list[int]:
        """Return the library numbers of the hits ranked from `first` to before `last`."""
        if sum(part.count for part in matched) <= SCORED_HITS:
            ranked: Iterator[tuple[Matched, int]] = iter(self._scored(matched)[first:last])
        else:
            streams = [_tiers(part) for part in matched]
            tiers = (heapq.merge(*(stream[tier] for stream in streams), key=_static) for tier in (0, 1))
            ranked = islice(chain.from_iterable(tiers), first, last)
        return [part.segment.files.numbers[document] for part, document in ranked]

    def _scored(self, matched: list[Matched]) -> list[tuple[Matched, int]]:
        clauses = len(matched[0].hits) if matched else 0
        weights_of_terms = [
            math.log(1 + self.documents / (1 + sum(part.hits[at].count for part in matched))) * (K1 + 1)
            for at in range(clauses)
        ]
        scored = []
        for part in matched:
            lengths = part.segment.files.length_bytes
            qualities = part.segment.files.qualities
            terms = list(zip(part.hits, weights_of_terms, strict=True))
            for document in part.all_documents():
                norm = self._norms[lengths[document]]
                score, in_title = 0.0, True
                for hits, importance in terms:
                    weight = hits.weight(document)
                    score += importance * weight / (weight + norm)
                    in_title = in_title and weight >= TITLE_HIT
                scored.append((not in_title, -score, -qualities[document], part, document))
        scored.sort(key=lambda row: row[:3])
        return [(part, document) for *_, part, document in scored]


def documents_in(bits: int) -> Iterator[int]:
    """Yield the positions of the set bits, ascending."""
    for stretch in _NONZERO.finditer(bits.to_bytes((bits.bit_length() + 7) // 8, "little")):
        for at, byte in enumerate(stretch[0], stretch.start()):
            for bit in _SET_BITS[byte]:
                yield at * 8 + bit


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


def _merge(target: dict[int, int] | bytearray, postings: Iterable[tuple[int, float]]) -> None:
    """Add postings to `target`, keeping the larger weight of a document that is there."""
    if isinstance(target, dict):
        for document, weight in postings:
            if weight > target.get(document, 0):
                target[document] = int(weight)
    else:
        for document, weight in postings:
            if weight > target[document]:
                target[document] = int(weight)


def _bits_of(flags: list[bool]) -> int:
    """Return the integer whose bit n is `flags[n]`."""
    return int(bytes(flags)[::-1].translate(_ANY) or b"0", 2)


def _tiers(part: Matched) -> tuple[Iterator[tuple[Matched, int]], Iterator[tuple[Matched, int]]]:
    """Return the hits whose every term stands in the title, and the rest, each in static order."""
    if part.documents is None:
        titles = part.bits if part.hits else 0
        for hits in part.hits:
            titles &= hits.title_bits
        return _with(part, documents_in(titles)), _with(part, documents_in(part.bits & ~titles))
    inside, outside = array("I"), array("I")
    for document in part.documents:
        titled = all(hits.weight(document) >= TITLE_HIT for hits in part.hits)
        (inside if titled else outside).append(document)
    return _with(part, iter(inside)), _with(part, iter(outside))


def _with(part: Matched, documents: Iterator[int]) -> Iterator[tuple[Matched, int]]:
    return ((part, document) for document in documents)


def _static(item: tuple[Matched, int]) -> float:
    part, document = item
    return -part.segment.files.qualities[document]
