"""`/search`: words, facets to add and remove, pages of hits.

Invariant: every state of the search is an address; each link changes one thing and goes back to the first page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from html import escape
from typing import Any
from urllib.parse import quote_plus

from flask import Blueprint, Response, request
from markupsafe import Markup

from catalog.curriculum import codes_in_order
from catalog.scope import EVERYTHING
from webui.browse import Choice
from webui.cards import card
from webui.house import House, Visit
from webui.i18n import Translate

FIELDS = {
    "stage": "学段",
    "grade": "年级",
    "subject": "学科",
    "kind": "类型",
    "edition": "版本",
    "volume": "册次",
}
PER_PAGE = 20
MOST_PAGES = 500
LONGEST_TEXT = 200
OPTIONS_SHOWN = 8
_NUMBER = re.compile("[0-9]{1,9}")


@lru_cache(maxsize=2048)
def _pair(name: str, value: str) -> str:
    return f"{name}={quote_plus(value)}"


# Labels and codes are few, and each page draws dozens of them.
_html = lru_cache(maxsize=4096)(escape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """One field with its values as links; `rest` is folded away."""

    name: str
    options: Markup
    rest: Markup


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the address asks for; `carry` keeps a chosen language on links."""

    text: str
    filters: Mapping[str, frozenset[str]]
    everything: bool
    here: bool
    page: int
    carry: str

    def address(self, **changes: Any) -> str:
        """Return the address of this search with some of its parts changed, at its first page unless told."""
        filters = changes.get("filters")
        query = self._words if filters is None else self._with(filters)
        if changes.get("everything", self.everything):
            query += "&all=1"
        if changes.get("here", self.here):
            query += "&cached=1"
        if changes.get("page", 1) != 1:
            query += f"&page={changes['page']}"
        query += self.carry
        return f"/search?{query.lstrip('&')}" if query else "/search"

    def toggled(self, name: str, code: str) -> str:
        """Return the address with this value added to the filters, or removed where it was on."""
        return self.address(filters={**self.filters, name: self.filters.get(name, frozenset()) ^ {code}})

    def toggles(self, name: str, codes: Iterable[str]) -> list[str]:
        """Return the address of `toggled` for each of `codes`, as HTML."""
        if name in self.filters:
            return [escape(self.toggled(name, code)) for code in codes]
        # Links by the dozen differ in one pair alone; its place among the other filters is no matter.
        before = escape(f"/search?{self._words}{'&' if self._words else ''}")
        after = ("&amp;all=1" if self.everything else "") + ("&amp;cached=1" if self.here else "")
        after += escape(self.carry)
        return [f"{before}{_html(_pair(name, code))}{after}" for code in codes]

    @cached_property
    def _words(self) -> str:
        return self._with(self.filters)

    def _with(self, filters: Mapping[str, frozenset[str]]) -> str:
        pairs = [_pair("q", self.text)] if self.text else []
        pairs += [_pair(name, code) for name, codes in filters.items() for code in sorted(codes)]
        return "&".join(pairs)


def routes(house: House) -> Blueprint:
    """Return the route of the search page."""
    blueprint = Blueprint("search", __name__)

    @blueprint.get("/search")
    def search() -> Response:
        visit = house.visit()
        translate = house.translate[visit.language]
        scope = house.scope()
        asked = _asked(bool(scope), visit.carry_more)
        found = house.finder.search(
            asked.text,
            asked.filters,
            cached=asked.here or None,
            scope=EVERYTHING if asked.everything else scope,
            page=asked.page,
            per_page=PER_PAGE,
        )
        return house.page(
            visit,
            found.generation,
            "search.html",
            at="search",
            total=found.total,
            hits=[
                card(hit.entry, visit.words, title=hit.title_html, excerpt=hit.excerpt_html)
                for hit in found.hits
            ],
            facets=_facets(found.facets, asked, visit, translate),
            chips=_chips(asked, visit, translate),
            only_here="" if asked.here else asked.address(here=True),
            clear=asked.address(filters={}, here=False),
            scope_note=bool(scope) and not asked.everything,
            everything=asked.address(everything=True),
            scope_back=asked.address(everything=False) if scope and asked.everything else "",
            pages=page_links(asked, found.total),
        )

    return blueprint


def _asked(has_scope: bool, carry: str) -> Asked:
    page = request.args.get("page", "1")
    return Asked(
        text=request.args.get("q", "").strip()[:LONGEST_TEXT],
        filters={
            name: codes for name in FIELDS if (codes := frozenset(filter(None, request.args.getlist(name))))
        },
        everything=has_scope and "all" in request.args,
        here=request.args.get("cached") == "1",
        page=max(1, min(int(page), MOST_PAGES)) if _NUMBER.fullmatch(page) else 1,
        carry=carry,
    )


def _chips(asked: Asked, visit: Visit, translate: Translate) -> list[Choice]:
    chips = [
        Choice(label=visit.words.label(name, code), link=asked.toggled(name, code))
        for name in FIELDS
        for code in codes_in_order(name, asked.filters.get(name, ()))
    ]
    if asked.here:
        chips.append(Choice(label=translate("本机已有"), link=asked.address(here=False)))
    return chips


def _facets(
    counts: Mapping[str, Mapping[str, int]], asked: Asked, visit: Visit, translate: Translate
) -> list[Facet]:
    facets = []
    for name, title in FIELDS.items():
        chosen = asked.filters.get(name, frozenset())
        codes = {code: count for code, count in counts.get(name, {}).items() if count or code in chosen}
        if len(codes) < 2 and not chosen:
            continue
        in_order = codes_in_order(name, codes)
        first = in_order
        if len(codes) > OPTIONS_SHOWN:
            first = sorted(codes, key=codes.__getitem__, reverse=True)[:OPTIONS_SHOWN]
        shown = chosen.union(first)
        drawn: tuple[list[str], list[str]] = [], []
        for code, link in zip(in_order, asked.toggles(name, in_order), strict=True):
            mark = ' class="on"' if code in chosen else ""
            label = _html(visit.words.label(name, code))
            drawn[code not in shown].append(f'<a{mark} href="{link}">{label}<i>{codes[code]}</i></a>')
        options, rest = ("".join(part) for part in drawn)
        facets.append(Facet(name=translate(title), options=Markup(options), rest=Markup(rest)))
    return facets


def page_links(asked: Asked, total: int) -> list[Choice]:
    """Return links to the first, the last and the pages around this one; a link of "" is a gap."""
    last = min(MOST_PAGES, max(1, -(-total // PER_PAGE)))
    shown = sorted({1, last, *range(max(1, asked.page - 2), min(last, asked.page + 2) + 1)})
    links: list[Choice] = []
    before = 0
    for page in shown:
        if page - before > 1:
            links.append(Choice(label="…", link=""))
        links.append(Choice(label=str(page), link=asked.address(page=page), on=page == asked.page))
        before = page
    return links
