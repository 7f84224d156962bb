"""The fields of the index and what a posting's weight means.

Stock Whoosh reads the index: the schema holds its stock types only. A weight tells where a term stands:
`TITLE_WEIGHT` for each time in the title plus one for each time elsewhere, within one byte.
"""

from __future__ import annotations

from collections.abc import Iterable

from whoosh import columns, fields, formats

from catalog.search.record import FACETS

INDEX_NAME = "MAIN"
TITLE_WEIGHT = 16
TITLE_HIT = 8
"""A weight from here on means "in the title"; a prefix that is met in the title weighs exactly this."""
BLOCK_POSTINGS = 512
FACET_SEPARATOR = "\x1f"


def new_schema() -> fields.Schema:
    """Return the schema of the index.

    `text`: bigrams and words of everything; `gram`: single characters and word pieces of titles; `pinyin`.
    """
    schema = fields.Schema(
        number=fields.COLUMN(columns.NumericColumn("I")),
        quality=fields.COLUMN(columns.NumericColumn("f")),
        **{name: fields.COLUMN(columns.RefBytesColumn()) for name in FACETS},
    )
    for name in ("text", "gram", "pinyin"):
        field = fields.KEYWORD(scorable=name == "text")
        field.format = formats.Existence()
        schema.add(name, field)
    return schema


def facet_bytes(codes: Iterable[str]) -> bytes:
    """Return the column value of a document's codes."""
    return FACET_SEPARATOR.join(codes).encode()


def facet_codes(value: bytes) -> tuple[str, ...]:
    """Return the codes in a column value."""
    return tuple(value.decode().split(FACET_SEPARATOR)) if value else ()
