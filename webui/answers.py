"""Found pages and records as the API and the command line show them (DESIGN §5.5). Plain JSON values, no request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from catalog.finder import Found
from catalog.library import Entry
from webui.cards import file_url

_HIT_FIELDS = [
    "id",
    "title",
    "alt_title",
    "stage",
    "subject",
    "edition",
    "textbook_year",
    "grades",
    "volume",
    "volume_text",
    "path",
    "kind",
    "duration_seconds",
    "pages",
    "size_bytes",
    "origin",
    "language",
]


def search_answer(found: Found) -> dict[str, Any]:
    """Return a found page as the API and `box search` show it."""
    return {
        "total": found.total,
        "took_ms": found.took_ms,
        "hits": [
            {
                **_some(hit.entry.resource.to_json(), _HIT_FIELDS),
                "cached": hit.entry.cached,
                "highlight": {"title": hit.title_html, "excerpt": hit.excerpt_html},
            }
            for hit in found.hits
        ],
        "facets": {name: dict(counts) for name, counts in found.facets.items()},
    }


def resource_answer(entry: Entry) -> dict[str, Any]:
    """Return the record with the addresses of its files; `here` says whether the box has the bytes."""
    served = {file.sha256 for file in entry.serving}
    record = entry.resource.to_json()
    record["cached"] = entry.cached
    record["files"] = [
        {
            **plain,
            "url": file_url(file),
            "here": file.sha256 in served,
        }
        for file, plain in zip(entry.resource.files, record.get("files", []), strict=True)
    ]
    return record


def _some(record: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: record[name] for name in names if name in record}
