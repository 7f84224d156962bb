"""Reading one segment: terms, posting lists a block at a time, and columns as flat arrays.

Stock Whoosh calls Python several times for each posting; here each block of 512 is unpacked at once. A segment's files
never change, so everything here may be shared by threads and by the generations of the index that hold the segment.
"""

from __future__ import annotations

import io
import pickle
import zlib
from array import array
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from struct import Struct
from typing import Any

from whoosh.codec.whoosh3 import LENGTHS_COLUMN, W3Segment, W3TermInfo
from whoosh.reading import TermNotFound
from whoosh.util.numeric import byte_to_length

from catalog.search.schema import facet_codes, new_schema
from catalog.search.storage import MappedSegment

_POSTINGS_MAGIC = b"W3Bl"
_LENGTH = Struct("!i")
_SCHEMA = new_schema()

Block = tuple[list[int], bytes]
"""Documents, ascending, and the weight of each."""


class FacetColumn:
    """The codes of one facet field: per document a reference into the values that occur."""

    def __init__(self, references: bytes | array[int], values: list[tuple[str, ...]]) -> None:
        self.references = references
        self.values = values

    def codes_of(self, document: int) -> tuple[str, ...]:
        """Return the codes of a document."""
        return self.values[self.references[document]]

    def references_of(self, codes: frozenset[str]) -> set[int]:
        """Return the references of the values that hold any of `codes`."""
        return {place for place, value in enumerate(self.values) if not codes.isdisjoint(value)}


class SegmentFiles:
    """One written segment, opened."""

    def __init__(self, directory: Path, segment: W3Segment) -> None:
        self.name: str = segment.segment_id()
        self.documents: int = segment.doc_count_all()
        self._files = MappedSegment(directory, segment)
        codec = segment.codec()
        self._terms = codec.terms_reader(self._files, segment)
        self._columns = codec.per_document_reader(self._files, segment)
        self._postings = self._terms._postfile
        self._facets: dict[str, FacetColumn] = {}
        self.total_length: int = segment._fieldlengths.get("text", 0)

    # -- columns -------------------------------------------------------------------------------------------------

    @cached_property
    def numbers(self) -> array[int]:
        """The library's row number of each document."""
        numbers: array[int] = self._numeric("number", "I")
        return numbers

    @cached_property
    def qualities(self) -> array[float]:
        """The rank of each document, descending."""
        qualities: array[float] = self._numeric("quality", "f")
        return qualities

    @cached_property
    def length_bytes(self) -> bytes:
        """The number of terms of each document, in Whoosh's one-byte approximation."""
        return bytes(self._numeric("_text_len", LENGTHS_COLUMN._typecode))

    def length(self, document: int) -> int:
        """Return the approximate number of terms of a document."""
        return int(byte_to_length(self.length_bytes[document]))

    def facet(self, name: str) -> FacetColumn:
        """Return the column of the facet field `name`."""
        if name not in self._facets:
            self._facets[name] = self._read_facet(name)
        return self._facets[name]

    def _numeric(self, name: str, typecode: str) -> Any:
        values: Any = array(typecode)
        if self._columns.has_column(name):
            file, start, length = self._columns._get_column_file(name)
            values = file.get_array(start, typecode, length // values.itemsize)
        # Whoosh leaves out defaults (0) at the end.
        values.frombytes(bytes((self.documents - len(values)) * values.itemsize))
        return values

    def _read_facet(self, name: str) -> FacetColumn:
        if not self._columns.has_column(name):
            return FacetColumn(bytes(self.documents), [()])
        reader = self._columns.column_reader(name, _SCHEMA[name].column_type)
        references = reader._dbfile.get_array(reader._basepos, reader._typecode, self.documents)
        return FacetColumn(
            references.tobytes() if reader._typecode == "B" else references,
            [facet_codes(value) for value in reader._uniques],
        )

    # -- terms ---------------------------------------------------------------------------------------------------

    def has(self, field: str, text: str) -> bool:
        """Return whether a document has the term."""
        return (field, text.encode()) in self._terms

    def has_prefix(self, field: str, prefix: str) -> bool:
        """Return whether a document has a term that starts with `prefix`."""
        return next(self.terms_with(field, prefix), None) is not None

    def terms_with(self, field: str, prefix: str) -> Iterator[str]:
        """Yield the terms that start with `prefix`, in order."""
        if field not in self._terms.indexed_field_names():
            return
        start = prefix.encode()
        for name, text in self._terms.terms_from(field, start):
            if name != field or not text.startswith(start):
                return
            yield text.decode()

    def term(self, field: str, text: str) -> tuple[int, Iterator[Block]]:
        """Return in how many documents the term is, and its postings ascending."""
        try:
            info = self._terms.term_info(field, text.encode())
        except TermNotFound:
            return 0, iter(())
        return info.doc_frequency(), self._blocks(info)

    def all_postings(self) -> Iterator[tuple[str, str, Iterator[Block]]]:
        """Yield (field, term, postings) of the whole segment in order."""
        for (field, text), info in self._terms.items():
            yield field, text.decode(), self._blocks(info)

    def _blocks(self, info: W3TermInfo) -> Iterator[Block]:
        """Unpack the postings: magic, then blocks of (length, pickled info, pickled and perhaps packed data)."""
        start, size = info.extent()
        # Whoosh forgets to take the length out of the tuple it unpacked; a fork may not.
        data = self._postings.get(start, size[0] if isinstance(size, tuple) else size)
        assert data[:4] == _POSTINGS_MAGIC
        stream = io.BytesIO(data)
        at, last = 4, False
        while not last:
            (length,) = _LENGTH.unpack_from(data, at)
            last, length = length < 0, abs(length)
            stream.seek(at + _LENGTH.size)
            header = pickle.load(stream)
            at += _LENGTH.size + length
            packed = data[stream.tell() : at]
            deltas, weights, _ = pickle.loads(zlib.decompress(packed) if header[3] else packed)
            if isinstance(weights, tuple):
                yield list(accumulate(deltas)), bytes(map(int, weights))
            else:  # one weight for all of the block
                yield list(accumulate(deltas)), bytes([1 if weights is None else int(weights)]) * len(deltas)
