"""Two languages for every page: Chinese is the message id, English is a table.

Each language has its own Jinja environment with its words built in: a message without values is part of the template
before that is compiled, so that a page asks nothing for it.
Invariant: a message without English shows its Chinese; `tests/webui/test_i18n.py` keeps the tables complete.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import escape

from webui.compiled import PLACE, Compiled

LANGUAGES = ("zh-CN", "en")
TEMPLATES = Path(__file__).parent / "templates"

Translate = Callable[[str], str]

_PLAIN_MESSAGE = re.compile(r"\{\{ _\('([^'\\%]*)'\) \}\}")


def language_of(tag: str) -> str | None:
    """Return the page language for a BCP 47 tag, or None where we do not speak it."""
    primary = tag.strip().lower().partition("-")[0]
    return "zh-CN" if primary == "zh" else "en" if primary == "en" else None


def chosen_language(query: str) -> str | None:
    """Return the language that a query string asks for by `lang=`, or None."""
    if "lang=" not in query:
        return None
    values = parse_qs(query).get("lang")
    return language_of(values[-1]) if values else None


def accepted_language(header: str) -> str:
    """Return the best of our languages for an Accept-Language header (RFC 9110 §12.5.4); Chinese where it names none."""
    best, best_quality = LANGUAGES[0], 0.0
    for part in header[:500].split(","):
        tag, _, parameters = part.partition(";")
        language = language_of(tag)
        if language is None:
            continue
        quality = 1.0
        if parameters.strip().startswith("q="):
            try:
                quality = float(parameters.strip()[2:])
            except ValueError:
                quality = 0.0
        if quality > best_quality:
            best, best_quality = language, quality
    return best


def translator(language: str, english: Mapping[str, str]) -> Translate:
    """Return the function from a Chinese message to the one in `language`."""
    if language == "en":
        return lambda message: english.get(message, message)
    return lambda message: message


def environments(
    english: Mapping[str, str], folders: Sequence[Path] = (TEMPLATES,)
) -> Mapping[str, Environment]:
    """Return one Jinja environment for each language over the template `folders`."""
    return MappingProxyType({language: _environment(language, english, folders) for language in LANGUAGES})


class _Templates(FileSystemLoader):
    """Templates in which every message that needs no values is written out in one language."""

    def __init__(self, folders: Sequence[Path], translate: Translate) -> None:
        super().__init__([str(folder) for folder in folders])
        self._translate = translate

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        source, name, current = super().get_source(environment, template)
        return _PLAIN_MESSAGE.sub(lambda found: escape(self._translate(found[1])), source), name, current


def _environment(language: str, english: Mapping[str, str], folders: Sequence[Path]) -> Environment:
    one = translator(language, english)
    environment = Environment(
        loader=_Templates(folders, one),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=Compiled(folders[0] / PLACE / language),
        undefined=StrictUndefined,
    )

    def several(singular: str, plural: str, count: int) -> str:
        return one(singular if language != "en" or count == 1 else plural)

    environment.install_gettext_callables(one, several, newstyle=True)  # type: ignore[attr-defined]
    environment.globals["language"] = language
    return environment
