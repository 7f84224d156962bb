"""What a template shows of a resource or a book: plain frozen values, computed once per page.

Invariant: texts are not escaped here (templates escape), but `title_html` and `excerpt_html`, which the search made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from catalog.library import Entry
from catalog.resource import File
from webui.words import Words, kind_glyph, subject_class


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One resource in a list."""

    id: str
    title: Markup
    kind: str
    glyph: str
    colour: str
    detail: str
    cached: bool
    thumb: str
    excerpt: Markup


def file_url(file: File, resource_id: str = "", *, download: bool = False) -> str:
    """Return the address of a file; with `resource_id`, its use is counted for that resource."""
    query = {"r": resource_id} if resource_id else {}
    if download:
        query["download"] = "1"
    address = f"/files/{file.sha256}/{quote(file.name)}"
    return f"{address}?{urlencode(query)}" if query else address


def thumb_url(entry: Entry) -> str:
    """Return the address of the resource's small picture, or ""."""
    thumbs = entry.files_of("thumb")
    return file_url(thumbs[0]) if thumbs else ""


def card(entry: Entry, words: Words, *, title: str = "", excerpt: str = "", place: bool = True) -> Card:
    """Return the card of a resource; `title` and `excerpt` are HTML of the search's highlighting.

    Without `place` it does not say where the resource stands, since the page around it does.
    """
    resource = entry.resource
    kind = words.label("kind", resource.kind)
    parts = (kind, words.place(resource) if place else "", words.extent(resource))
    return Card(
        id=resource.id,
        title=Markup(title) if title else escape(resource.title),
        kind=kind,
        glyph=kind_glyph(resource.kind),
        colour=subject_class(resource.subject),
        detail=" · ".join(part for part in parts if part),
        cached=entry.cached,
        thumb=thumb_url(entry),
        excerpt=Markup(excerpt),
    )


def cards(entries: Iterable[Entry], words: Words) -> list[Card]:
    """Return the cards of several resources."""
    return [card(entry, words) for entry in entries]
