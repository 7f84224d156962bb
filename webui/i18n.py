"""Two languages for every page: Chinese is the message id, English is a table.

Each language has its own Jinja environment with its words built in, so that a page asks nothing per message.
Invariant: a message without English shows its Chinese; `tests/webui/test_i18n.py` keeps the tables complete.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, StrictUndefined

LANGUAGES = ("zh-CN", "en")
TEMPLATES = Path(__file__).parent / "templates"

Translate = Callable[[str], str]


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


def _environment(language: str, english: Mapping[str, str], folders: Sequence[Path]) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([str(folder) for folder in folders]),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        undefined=StrictUndefined,
    )
    one = translator(language, english)

    def several(singular: str, plural: str, count: int) -> str:
        return one(singular if language != "en" or count == 1 else plural)

    environment.install_gettext_callables(one, several, newstyle=True)  # type: ignore[attr-defined]
    environment.globals["language"] = language
    return environment
