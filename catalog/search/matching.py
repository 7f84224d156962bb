"""Matching one segment, a posting block at a time, with bit sets where a term is common.

A clause (any of its terms) is held in one of two forms. Rare: a dictionary document -> weight. Common (in more than 2 %
of the documents): one byte of weight per document and two large integers as bit sets, *any hit* and *title hit*. A
conjunction starts at the rarest clause; filters, totals and facets of large sets are then one `&` and one
`bit_count()`. What is held is never changed, so threads share it.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Generic, TypeVar

from catalog.search.postings import SegmentFiles
from catalog.search.schema import TITLE_HIT

COMMON_SHARE = 0.02
CACHE_BYTES = 24 << 20

_T = TypeVar("_T")
_ANY = bytes([48]) + bytes([49]) * 255
_TITLE = bytes([48]) * TITLE_HIT + bytes([49]) * (256 - TITLE_HIT)
_BEGINNING = bytes([0]) + bytes([1]) * (TITLE_HIT - 1) + bytes([TITLE_HIT]) * (256 - TITLE_HIT)
_SET_BITS = [tuple(bit for bit in range(8) if byte >> bit & 1) for byte in range(256)]
_NONZERO = re.compile(rb"[^\x00]")


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
        references, places = column.references, range(len(column.values))
        if self.documents is None and len(places) <= 256:
            found: Mapping[int, int] = {
                place: (self.bits & self.segment.value_bits(field, place)).bit_count() for place in places
            }
        elif isinstance(references, bytes):
            own = bytes(map(references.__getitem__, self.all_documents()))
            found = {place: own.count(place) for place in places}
        else:
            found = Counter(map(references.__getitem__, self.all_documents()))
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
                count, blocks = files.term(leaf.field, text)
                if common is None and len(rare) + count > limit:
                    common = bytearray(files.documents)
                    for document, weight in rare.items():
                        common[document] = weight
                target = rare if common is None else common
                for documents, weights in blocks:
                    # A word that only starts like the one asked for counts once: a whole word ranks above it.
                    _merge(target, documents, weights.translate(_BEGINNING) if leaf.prefix else weights)
        return Hits(rare if common is None else bytes(common))

    def match(self, clauses: Iterable[Clause]) -> Matched:
        """Return the live documents that match all `clauses`; all of them for none."""
        every = [self.hits(clause) for clause in clauses]
        order = sorted(every, key=lambda hits: (not hits.rare, hits.count))
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


def documents_in(bits: int) -> Iterator[int]:
    """Yield the positions of the set bits, ascending."""
    data = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    for found in _NONZERO.finditer(data):
        at = found.start()
        for bit in _SET_BITS[data[at]]:
            yield at * 8 + bit


def _merge(target: dict[int, int] | bytearray, documents: list[int], weights: bytes) -> None:
    """Add postings to `target`, keeping the larger weight of a document that is there."""
    if isinstance(target, bytearray):
        for document, weight in zip(documents, weights, strict=True):
            if weight > target[document]:
                target[document] = weight
    elif target:
        for document, weight in zip(documents, weights, strict=True):
            if weight > target.get(document, 0):
                target[document] = weight
    else:
        target.update(zip(documents, weights, strict=True))


def _bits_of(flags: list[bool]) -> int:
    """Return the integer whose bit n is `flags[n]`."""
    return int(bytes(flags)[::-1].translate(_ANY) or b"0", 2)
