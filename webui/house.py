"""What every page of a box is built from: the library, the finder, the settings, and how a page is rendered.

Invariant: rendering reads, never writes; a page is a function of the address, the language and `state_key()`, so that
the page layer may keep it as long as that key stands.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Response, request
from jinja2 import Environment
from markupsafe import Markup

from catalog.blobs import BlobStore
from catalog.finder import Finder
from catalog.library import Generation, Library, Reader
from catalog.local import Local
from catalog.scope import EVERYTHING, Scope
from webui.bookcase import BookCard, Bookcase
from webui.cards import drawn_rows
from webui.english import ENGLISH
from webui.forms import FormTokens
from webui.i18n import LANGUAGES, TEMPLATES, accepted_language, chosen_language, environments, translator
from webui.operations import BoxSettings, Operations
from webui.static_files import StaticFiles
from webui.words import Words

LOOK_AGAIN_SECONDS = 1.0
COVERS_KEPT = 2048
_HEADERS = (("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-cache"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request for a page: its language, and `carry`, the query that keeps a chosen language on links."""

    language: str
    chosen: bool
    words: Words

    @property
    def carry(self) -> str:
        return f"?lang={self.language}" if self.chosen else ""

    @property
    def carry_more(self) -> str:
        return f"&lang={self.language}" if self.chosen else ""

    def link(self, path: str, query: Mapping[str, Any] | list[tuple[str, str]]) -> str:
        """Return `path` with `query`, keeping a chosen language."""
        text = urlencode(query, doseq=True) + self.carry_more
        return f"{path}?{text.lstrip('&')}" if text else path


class Told(Exception):
    """Ends a request with a page that only says something; `title` and `text` are Chinese messages."""

    def __init__(self, status: int, title: str, text: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.text = text


class House:
    """The parts of a serving box, shared by all threads."""

    def __init__(
        self,
        *,
        library: Library,
        finder: Finder,
        blobs: BlobStore,
        local: Local,
        operations: Operations,
        settings: BoxSettings,
    ) -> None:
        self.library = library
        self.finder = finder
        self.blobs = blobs
        self.local = local
        self.operations = operations
        self.settings = settings
        self.static = StaticFiles()
        self.tokens = FormTokens(settings.secret)
        self.words = {name: Words(name, translator(name, ENGLISH)) for name in LANGUAGES}
        self.translate = {name: translator(name, ENGLISH) for name in LANGUAGES}
        self._seen: _LocalState | None = None
        self._bookcase: tuple[tuple[int, int], Bookcase] | None = None

    @cached_property
    def environments(self) -> Mapping[str, Environment]:
        """The templates, one environment per language."""
        made = box_environments(self.static)
        for environment in made.values():
            environment.globals["box_name"] = self.settings.name
        return made

    # -- what pages depend on ------------------------------------------------------------------------------------

    def state_key(self) -> tuple[Any, ...]:
        """Return what a kept page depends on besides its address and language."""
        generation = self.library.generation()
        seen = self._local_state()
        return (
            generation.library,
            generation.content,
            generation.index,
            generation.release,
            seen.key,
            self.settings.sticks(),
        )

    def scope(self) -> Scope:
        """Return the school's scope; everything where none is set."""
        return self._local_state().scope

    def requested(self) -> frozenset[str]:
        """Return the ids of the resources that were asked for."""
        return self._local_state().requested

    def today(self) -> date:
        """Return the display date."""
        return self._local_state().today

    def now(self) -> datetime:
        """Return the display time in the school's zone."""
        return self.settings.clock()

    def bookcase(self, reader: Reader) -> Bookcase:
        """Return the books of the state that `reader` sees, read anew only when that state is a new one."""
        generation = reader.generation()
        key = (generation.library, generation.content)
        kept = self._bookcase
        if kept is None or kept[0] != key:
            kept = (key, Bookcase(reader.shelves()))
            self._bookcase = kept
        return kept[1]

    def look_again(self) -> None:
        """Forget what was read of the local state: called after a page has changed it."""
        self._seen = None

    def _local_state(self) -> _LocalState:
        seen = self._seen
        now = time.monotonic()
        if seen is None or now - seen.read_at > LOOK_AGAIN_SECONDS:
            stored = self.local.get("scope")
            seen = _LocalState(
                read_at=now,
                scope=Scope.from_json(stored) if stored else EVERYTHING,
                requested=frozenset(item.resource_id for item in self.local.requests()),
                today=self.settings.clock().date(),
            )
            self._seen = seen
        return seen

    # -- pages ---------------------------------------------------------------------------------------------------

    def visit(self) -> Visit:
        """Return the visit that the current request is."""
        chosen = chosen_language(request.query_string.decode("latin-1"))
        language = chosen or accepted_language(request.headers.get("Accept-Language", ""))
        return Visit(language=language, chosen=chosen is not None, words=self.words[language])

    def draw(self, visit: Visit, template: str, **values: Any) -> Markup:
        """Return a part of a page by its template."""
        drawn = self.environments[visit.language].get_template(template)
        return Markup(drawn.render(carry=visit.carry, carry_more=visit.carry_more, **values).strip())

    def page(
        self, visit: Visit, seen: Generation, template: str, *, status: int = 200, at: str = "", **values: Any
    ) -> Response:
        """Return the rendered page of the state that was `seen`; `at` names the entry of the navigation that is lit."""
        other = "en" if visit.words.chinese else "zh-CN"
        query = request.query_string.decode("latin-1").split("&")
        kept = [pair for pair in query if pair and not pair.startswith("lang=")]
        updated = seen.updated_to
        html = (
            self.environments[visit.language]
            .get_template(template)
            .render(
                visit=visit,
                words=visit.words,
                carry=visit.carry,
                carry_more=visit.carry_more,
                at=at,
                q=request.args.get("q", ""),
                switch=f"{request.path}?{'&'.join([*kept, f'lang={other}'])}",
                sticks=[one for one in self.settings.sticks() if one.recent],
                updated=visit.words.day(date.fromisoformat(updated[:10]), year=True) if updated else "",
                **values,
            )
        )
        return Response(html, status, _HEADERS)

    def message(self, told: Told) -> Response:
        """Return the page that says `told`."""
        visit = self.visit()
        translate = self.translate[visit.language]
        return self.page(
            visit,
            self.library.generation(),
            "message.html",
            status=told.status,
            title=translate(told.title),
            text=translate(told.text),
        )


def box_environments(
    static: StaticFiles, folders: Sequence[Path] = (TEMPLATES,)
) -> Mapping[str, Environment]:
    """Return the Jinja environments of a box's pages, with all that its templates are compiled against."""
    made = environments(ENGLISH, folders)
    sheet = static.address("glyphs.svg")

    @cache
    def glyph(name: str) -> Markup:
        return Markup(
            f'<svg class="g" aria-hidden="true" focusable="false"><use xlink:href="{sheet}#{name}"/></svg>'
        )

    for language, environment in made.items():
        # Filters are called at once, functions through the context, which costs more than these do.
        environment.filters.update(
            cover=_cover(environment),
            glyph=glyph,
            rows=drawn_rows(glyph, translator(language, ENGLISH)("未到本机")),
        )
        environment.globals.update(
            css=static.address("shuxiang.css"),
            glyphs=sheet,
            script=static.address("shuxiang.js"),
            icon=static.address("icon.png"),
        )
    return made


def _cover(environment: Environment) -> Callable[[BookCard, str], Markup]:
    """Return the drawing of a book's cover, done once for each book: a page shows up to a hundred."""

    @lru_cache(maxsize=COVERS_KEPT)
    def cover(item: BookCard, carry_more: str) -> Markup:
        return Markup(environment.get_template("cover.html").render(item=item, carry_more=carry_more))

    return cover


@dataclass(frozen=True, slots=True, kw_only=True)
class _LocalState:
    read_at: float
    scope: Scope
    requested: frozenset[str]
    today: date

    @property
    def key(self) -> tuple[Any, ...]:
        return (self.scope, self.requested, self.today)
