"""`/search`: words, facets to add and remove, pages of hits.

Invariant: every state of the search is an address; each link changes one thing and goes back to the first page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote_plus

from flask import Blueprint, Response, request

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One value of a facet."""

    label: str
    link: str
    count: int
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """One field with its values; `rest` is folded away."""

    name: str
    options: list[Option]
    rest: list[Option]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the address asks for."""

    text: str
    filters: Mapping[str, frozenset[str]]
    everything: bool
    here: bool
    page: int

    def address(self, visit: Visit, **changes: object) -> str:
        """Return the address of this search with some of its parts changed, at its first page unless told."""
        filters = changes.get("filters", self.filters)
        assert isinstance(filters, Mapping)
        pairs = [_pair("q", self.text)] if self.text else []
        pairs += [_pair(name, code) for name, codes in filters.items() for code in sorted(codes)]
        if changes.get("everything", self.everything):
            pairs.append("all=1")
        if changes.get("here", self.here):
            pairs.append("cached=1")
        if changes.get("page", 1) != 1:
            pairs.append(f"page={changes['page']}")
        query = "&".join(pairs) + visit.carry_more
        return f"/search?{query.lstrip('&')}" if query else "/search"

    def toggled(self, name: str, code: str) -> Mapping[str, frozenset[str]]:
        """Return the filters with this value added, or removed where it was on."""
        return {**self.filters, name: self.filters.get(name, frozenset()) ^ {code}}


def routes(house: House) -> Blueprint:
    """Return the route of the search page."""
    blueprint = Blueprint("search", __name__)

    @blueprint.get("/search")
    def search() -> Response:
        visit = house.visit()
        translate = house.translate[visit.language]
        scope = house.scope()
        asked = _asked(bool(scope))
        found = house.finder.search(
            asked.text,
            asked.filters,
            cached=asked.here,
            scope=EVERYTHING if asked.everything else scope,
            page=asked.page,
            per_page=PER_PAGE,
        )
        with house.library.reading() as reader:
            return house.page(
                visit,
                reader,
                "search.html",
                at="search",
                total=found.total,
                hits=[
                    card(hit.entry, visit.words, title=hit.title_html, excerpt=hit.excerpt_html)
                    for hit in found.hits
                ],
                facets=_facets(found.facets, asked, visit, translate),
                chips=_chips(asked, visit, translate),
                only_here="" if asked.here else asked.address(visit, here=True),
                clear=asked.address(visit, filters={}, here=False),
                scope_note=bool(scope) and not asked.everything,
                everything=asked.address(visit, everything=True),
                scope_back=asked.address(visit, everything=False) if scope and asked.everything else "",
                pages=page_links(asked, found.total, visit),
            )

    return blueprint


def _asked(has_scope: bool) -> Asked:
    page = request.args.get("page", "1")
    return Asked(
        text=request.args.get("q", "").strip()[:LONGEST_TEXT],
        filters={
            name: codes for name in FIELDS if (codes := frozenset(filter(None, request.args.getlist(name))))
        },
        everything=has_scope and "all" in request.args,
        here=request.args.get("cached") == "1",
        page=max(1, min(int(page), MOST_PAGES)) if _NUMBER.fullmatch(page) else 1,
    )


def _chips(asked: Asked, visit: Visit, translate: Translate) -> list[Choice]:
    chips = [
        Choice(
            label=visit.words.label(name, code), link=asked.address(visit, filters=asked.toggled(name, code))
        )
        for name in FIELDS
        for code in codes_in_order(name, asked.filters.get(name, ()))
    ]
    if asked.here:
        chips.append(Choice(label=translate("本机已有"), link=asked.address(visit, here=False)))
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
        most = sorted(codes, key=lambda code: -codes[code])[:OPTIONS_SHOWN]
        options = {
            code: Option(
                label=visit.words.label(name, code),
                link=asked.address(visit, filters=asked.toggled(name, code)),
                count=codes[code],
                on=code in chosen,
            )
            for code in codes_in_order(name, codes)
        }
        shown = {code for code in options if code in most or code in chosen}
        facets.append(
            Facet(
                name=translate(title),
                options=[option for code, option in options.items() if code in shown],
                rest=[option for code, option in options.items() if code not in shown],
            )
        )
    return facets


def page_links(asked: Asked, total: int, visit: Visit) -> list[Choice]:
    """Return links to the first, the last and the pages around this one; a link of "" is a gap."""
    last = min(MOST_PAGES, max(1, -(-total // PER_PAGE)))
    shown = sorted({1, last, *range(max(1, asked.page - 2), min(last, asked.page + 2) + 1)})
    links: list[Choice] = []
    before = 0
    for page in shown:
        if page - before > 1:
            links.append(Choice(label="…", link=""))
        links.append(Choice(label=str(page), link=asked.address(visit, page=page), on=page == asked.page))
        before = page
    return links
