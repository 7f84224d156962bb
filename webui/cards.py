"""What a page shows of a resource in a list: a plain frozen value, and the row that is drawn of it.

Invariant: a card's texts are not escaped (who draws them escapes), but `title` and `excerpt`, which may have marks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from urllib.parse import quote, urlencode

from markupsafe import Markup

from catalog.library import Entry
from catalog.resource import File
from webui.words import Words, kind_glyph, subject_class


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One resource in a list."""

    id: str
    title: str
    kind: str
    glyph: str
    colour: str
    detail: str
    cached: bool
    thumb: str
    excerpt: str


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
        title=title or escape(resource.title),
        kind=kind,
        glyph=kind_glyph(resource.kind),
        colour=subject_class(resource.subject),
        detail=" · ".join(part for part in parts if part),
        cached=entry.cached,
        thumb=thumb_url(entry),
        excerpt=excerpt,
    )


def cards(entries: Iterable[Entry], words: Words) -> list[Card]:
    """Return the cards of several resources."""
    return [card(entry, words) for entry in entries]


def drawn_rows(glyph: Callable[[str], str], away: str) -> Callable[..., Markup]:
    """Return the filter that draws cards as rows of a list; `away` is said of what is not here.

    Lists are most of what pages draw: a template that asks for each value one by one takes five times as long.
    """
    gone = f'<span class="here">{escape(away)}</span>'

    def row(item: Card, carry: str, current: str) -> str:
        here, mark = (" on", ' aria-current="page"') if item.id == current else ("", "")
        tile = (
            f'<span class="tile pic"><img src="{escape(item.thumb)}" alt="" loading="lazy"></span>'
            if item.thumb
            else f'<span class="tile s-{item.colour}">{glyph(item.glyph)}</span>'
        )
        excerpt = f'<span class="x">{item.excerpt}</span>' if item.excerpt else ""
        return (
            f'<li><a class="row{here}" href="/r/{item.id}{carry}"{mark}>{tile}<span class="t"><b>{item.title}</b>'
            f'<span class="m">{escape(item.detail)}</span>{excerpt}</span>{"" if item.cached else gone}</a></li>'
        )

    def rows(items: Iterable[Card], carry: str, current: str = "") -> Markup:
        return Markup("\n".join([row(item, carry, current) for item in items]))

    return rows
