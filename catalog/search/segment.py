"""Writing one segment: records are inverted in memory and written in Whoosh's own format.

Stock Whoosh reads the result.
Invariant: documents stand in descending quality, so that document order is the static order of hits.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from functools import lru_cache

from whoosh import fields
from whoosh.codec.whoosh3 import W3Codec, W3PostingsWriter, W3Segment
from whoosh.filedb.filestore import Storage

from catalog.search.language import fold_text, terms, title_grams
from catalog.search.postings import SegmentFiles
from catalog.search.record import FACETS, IndexRecord
from catalog.search.schema import (
    BLOCK_POSTINGS,
    INDEX_NAME,
    TITLE_HIT,
    TITLE_WEIGHT,
    facet_bytes,
    new_schema,
)


class _Postings(W3PostingsWriter):  # type: ignore[misc]
    """Whoosh's posting writer, given a term's postings at once instead of one by one."""

    def __init__(self, dbfile: object, shortest: int, longest: int) -> None:
        super().__init__(dbfile, blocklimit=BLOCK_POSTINGS)
        self._bounds = (shortest, longest)

    def add_all(self, documents: array[int], weights: Iterable[int]) -> None:
        """Write all blocks of the current term but the last, which `finish_postings` writes."""
        # Packing a handful of postings costs more time and more bytes than it saves.
        self._compression = 3 if len(documents) > 8 else 0
        floats = array("f", iter(weights))  # without `iter` the bytes would be taken as raw floats
        for at in range(0, len(documents), BLOCK_POSTINGS):
            if at:
                self._write_block()
            self._ids = documents[at : at + BLOCK_POSTINGS]
            self._weights = floats[at : at + BLOCK_POSTINGS]
            self._maxweight = max(self._weights)
            # The segment's bounds are valid for each block; finer ones only serve stock Whoosh's scorer.
            self._minlength, self._maxlength = self._bounds


class SegmentBuilder:
    """Collects documents and writes them as one segment."""

    def __init__(self, pinyin_of: Callable[[str], set[str]]) -> None:
        self._pinyin_of = pinyin_of
        self._terms: dict[str, dict[str, tuple[array[int], bytearray]]] = {
            name: defaultdict(_new_postings) for name in ("gram", "pinyin", "text")
        }
        self._numbers = array("I")
        self._qualities = array("f")
        self._lengths = array("I")
        self._facets: dict[str, list[bytes]] = {name: [] for name in FACETS}
        # Most body parts (labels, lessons, keywords) repeat from record to record.
        self._terms_of = lru_cache(maxsize=8192)(lambda part: tuple(terms(fold_text(part))))

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, record: IndexRecord) -> None:
        """Add a record as the next document."""
        title = Counter(term for part in record.title.split("\n") for term in terms(fold_text(part)))
        body = Counter(
            term
            for part in (*record.lesson.split("\n"), *record.body.split("\n"))
            for term in self._terms_of(part)
        )
        weights = {term: min(times, 7) * TITLE_WEIGHT for term, times in title.items()}
        for term, times in body.items():
            weights[term] = weights.get(term, 0) + min(times, TITLE_HIT - 1)
        spoken = dict.fromkeys(self._pinyin_of(record.lesson), 1)
        spoken.update(dict.fromkeys(self._pinyin_of(record.title), TITLE_WEIGHT))
        grams = dict.fromkeys(title_grams(fold_text(record.title)), TITLE_WEIGHT)
        document = self._add_document(
            record.number,
            record.quality,
            title.total() + body.total(),
            {name: facet_bytes(record.facets.get(name, ())) for name in FACETS},
        )
        for name, found in (("text", weights), ("pinyin", spoken), ("gram", grams)):
            postings = self._terms[name]
            for term, weight in found.items():
                documents, bytes_ = postings[term]
                documents.append(document)
                bytes_.append(weight)

    def add_segment(self, files: SegmentFiles, deleted: set[int]) -> None:
        """Add the documents of a written segment that are not deleted."""
        mapped: dict[int, int] = {}
        for old in range(files.documents):
            if old not in deleted:
                mapped[old] = self._add_document(
                    files.numbers[old],
                    files.qualities[old],
                    files.length(old),
                    {name: facet_bytes(files.facet(name).codes_of(old)) for name in FACETS},
                )
        for field, term, blocks in files.all_postings():
            documents, weights = self._terms[field][term]
            for block in blocks:
                for old, weight in zip(*block, strict=True):
                    if old in mapped:
                        documents.append(mapped[old])
                        weights.append(weight)

    def _add_document(self, number: int, quality: float, length: int, facets: dict[str, bytes]) -> int:
        self._numbers.append(number)
        self._qualities.append(quality)
        self._lengths.append(length)
        for name, value in facets.items():
            self._facets[name].append(value)
        return len(self._numbers) - 1

    def write(self, storage: Storage) -> W3Segment:
        """Write the documents to `storage` as one compound segment and return it."""
        self._sort()
        codec = W3Codec(blocklimit=BLOCK_POSTINGS)
        segment = codec.new_segment(storage, INDEX_NAME)
        schema = new_schema()
        self._write_columns(codec, storage, segment, schema)
        self._write_terms(codec, storage, segment, schema)
        segment.set_doc_count(len(self))
        segment.create_compound_file(storage)
        return segment

    def _sort(self) -> None:
        """Bring the documents into descending quality where they did not come so."""
        order = sorted(range(len(self)), key=lambda at: -self._qualities[at])
        if order == list(range(len(self))):
            return
        place = array("I", bytes(4 * len(order)))
        for new, old in enumerate(order):
            place[old] = new
        self._numbers = array("I", (self._numbers[old] for old in order))
        self._qualities = array("f", (self._qualities[old] for old in order))
        self._lengths = array("I", (self._lengths[old] for old in order))
        self._facets = {name: [values[old] for old in order] for name, values in self._facets.items()}
        for postings in self._terms.values():
            for term, (documents, weights) in postings.items():
                pairs = sorted(zip((place[old] for old in documents), weights, strict=True))
                postings[term] = (array("I", (d for d, _ in pairs)), bytearray(w for _, w in pairs))

    def _write_columns(
        self, codec: W3Codec, storage: Storage, segment: W3Segment, schema: fields.Schema
    ) -> None:
        writer = codec.per_document_writer(storage, segment)
        rows = zip(self._numbers, self._qualities, self._lengths, *self._facets.values(), strict=True)
        for document, (number, quality, length, *facets) in enumerate(rows):
            writer.start_doc(document)
            writer.add_field("text", schema["text"], None, length)
            writer.add_column_value("number", schema["number"].column_type, number)
            writer.add_column_value("quality", schema["quality"].column_type, quality)
            for name, value in zip(self._facets, facets, strict=True):
                writer.add_column_value(name, schema[name].column_type, value)
            writer.finish_doc()
        writer.close()

    def _write_terms(
        self, codec: W3Codec, storage: Storage, segment: W3Segment, schema: fields.Schema
    ) -> None:
        writer = codec.field_writer(storage, segment)
        shortest, longest = min(self._lengths, default=0), max(self._lengths, default=0)
        for name, postings in self._terms.items():
            writer.start_field(name, schema[name])
            blocks = writer._postwriter = _Postings(writer._postfile, shortest, longest)
            for text, term in sorted((term.encode(), term) for term, (found, _) in postings.items() if found):
                documents, weights = postings[term]
                writer.start_term(text)
                blocks.add_all(documents, weights)
                writer.finish_term()
            writer.finish_field()
        writer.close()


def _new_postings() -> tuple[array[int], bytearray]:
    return array("I"), bytearray()
